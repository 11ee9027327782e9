"""Models beside persistence and trend on the test part, through the edge's own predictors.

The headline scores the windows that hold ``context`` real readings; ``stream`` scores every forecast
that a stream of the test part gives, filled minutes and restarts included; ``by_readings`` scores the
headline's windows as if the device had given only its newest n readings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from edge.core.predictor import Predictor
from edge.core.window import MIN_OBSERVED
from edge.predictors.baselines import Persistence, Trend
from edge.predictors.tflite import TflitePredictor
from trainer.clean import Report
from trainer.cleanfile import Clean
from trainer.errors import RunError
from trainer.score import Score, score
from trainer.split import Part, Split
from trainer.windows import Task, examples

#: Numbers of readings that the terminal's table shows; the JSON has all of them.
SHOWN = (2, 3, 4, 5, 7, 10, 15, 20, 25, 30)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One predictor's scores; ``by_readings`` goes by the number of readings seen."""

    name: str
    version: str
    headline: Score
    stream: Score
    by_readings: dict[int, Score]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All predictors of one task, persistence first, on the same minutes."""

    task: Task
    split: Split
    report: Report
    rows: tuple[Evaluated, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the whole of it for a JSON file; times RFC 3339, power in kW."""
        persistence = self.rows[0]
        return {
            "context": self.task.window.context,
            "padding": self.task.window.padding,
            "horizon_min": self.task.horizon_min,
            "split": self.split.for_card().model_dump(mode="json"),
            "source": self.report.source,
            "source_sha256": self.report.sha256,
            "models": [
                {
                    "name": row.name,
                    "version": row.version,
                    "headline": _fields(row.headline, persistence.headline),
                    "stream": _fields(row.stream, persistence.stream),
                    "by_readings": {str(n): _fields(s, persistence.by_readings[n]) for n, s in row.by_readings.items()},
                }
                for row in self.rows
            ],
        }

    def lines(self) -> list[str]:
        """Return the tables for a terminal."""
        persistence = self.rows[0]
        lines = [
            f"Test part, {self.task.horizon_min} min ahead, {persistence.headline.n:,} windows of "
            f"{self.task.window.context} real readings",
            _row("model", ("MSE kW²", "RMSE kW", "MAE kW", "bias kW", "skill"), 10),
        ]
        for row in self.rows:
            s = row.headline
            numbers = (s.mse_kw2, s.rmse_kw, s.mae_kw, s.bias_kw, s.skill(persistence.headline))
            lines.append(_row(row.name, tuple(f"{number:.4f}" for number in numbers), 10))
        lines += [
            "",
            f"Every forecast of the stream ({persistence.stream.n:,}; filled minutes and restarts included)",
        ]
        lines += [
            _row(row.name, (f"{row.stream.mse_kw2:.4f}", "", f"{row.stream.mae_kw:.4f}"), 10) for row in self.rows
        ]
        shown = [n for n in SHOWN if n in persistence.by_readings]
        if not shown:
            return lines
        lines += ["", "MSE kW² by readings seen (the windows above cut short and padded)"]
        lines.append(_row("model", tuple(str(n) for n in shown), 7))
        lines += [_row(row.name, tuple(f"{row.by_readings[n].mse_kw2:.4f}" for n in shown), 7) for row in self.rows]
        return lines


def _row(name: str, cells: tuple[str, ...], width: int) -> str:
    return f"{name:<14}" + "".join(f"{cell:>{width}}" for cell in cells)


def _fields(s: Score, persistence: Score) -> dict[str, float | int]:
    return {
        "n": s.n,
        "mse_kw2": s.mse_kw2,
        "rmse_kw": s.rmse_kw,
        "mae_kw": s.mae_kw,
        "bias_kw": s.bias_kw,
        "skill": s.skill(persistence),
    }


def evaluate(
    models: Sequence[TflitePredictor], clean: Clean, *, by_readings: bool = True, progress: bool = False
) -> list[Evaluation]:
    """Score ``models`` on the test part that their cards state.

    Models of the same task and split stand in one :class:`Evaluation`. Raises :class:`RunError` where
    a test part holds no windows.
    """
    groups: dict[tuple[Task, Split], list[TflitePredictor]] = {}
    for model in models:
        key = Task(model.spec, model.lead_times_min), Split.from_card(model.card.split)
        groups.setdefault(key, []).append(model)
    return [
        _evaluate_group(task, split, group, clean, by_readings, progress) for (task, split), group in groups.items()
    ]


def _evaluate_group(
    task: Task,
    split: Split,
    models: list[TflitePredictor],
    clean: Clean,
    by_readings: bool,
    progress: bool,
) -> Evaluation:
    stream = examples(clean.series, task, split, Part.TEST)
    headline = stream.whole()
    if not len(headline):
        msg = (
            f"no window to test on: the file ends {clean.report.last}, and the test part begins {split.validate_until}"
        )
        raise RunError(msg)
    counts = range(MIN_OBSERVED, task.window.context + 1) if by_readings else range(0)
    baselines: list[Predictor] = [
        Persistence(task.window, task.lead_times_min),
        Trend(task.window, task.lead_times_min),
    ]
    rows = []
    for model in [*baselines, *models]:
        n_windows = len(stream) + len(headline) * (1 + len(counts))
        with tqdm(total=n_windows, unit="window", unit_scale=True, desc=model.name, disable=not progress) as bar:
            rows.append(
                Evaluated(
                    model.name,
                    model.version,
                    score(model, headline, advance=bar.update),
                    score(model, stream, advance=bar.update),
                    {n: score(model, headline, n_kept=n, advance=bar.update) for n in counts},
                )
            )
    return Evaluation(task, split, clean.report, tuple(rows))
