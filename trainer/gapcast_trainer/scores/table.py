"""An evaluation as tables of text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from gapcast.core.windows.examples import WHOLE_MIN
from gapcast_trainer.scores.minutes import AFTER_GAPS, HOURS
from gapcast_trainer.scores.record import ScoreRecord
from gapcast_trainer.scores.result import Evaluation, ForecasterScores

#: Numbers of readings shown in tables; the JSON has all.
SHOWN = (2, 3, 4, 5, 7, 10, 15, 20, 25, 30, 45, 60, 90, 120, 150, 180, 240, 360, 720, 1440)
#: Placeholder for missing figures.
NONE = "–"
_MOST_MONTHS = 14

#: Columns of the first table: heads, and values from a record.
FIGURES: dict[str, Callable[[ScoreRecord], float | None]] = {
    "MSE kW²": lambda r: r.mse_kw2,
    "RMSE kW": lambda r: r.rmse_kw,
    "MAE kW": lambda r: r.mae_kw,
    "MAE median": lambda r: r.median_mae_kw,
    "bias kW": lambda r: r.bias_kw,
    "skill": lambda r: r.skill,
    "pinball": lambda r: r.mean_pinball_kw,
    "CRPS kW": lambda r: r.crps_kw,
    "coverage": lambda r: r.coverage,
    "width kW": lambda r: r.width_kw,
}


def shown(value: float | None, decimals: int = 4) -> str:
    """Format a figure for tables.

    >>> shown(0.19323), shown(-0.00001), shown(None)
    ('0.1932', '0.0000', '–')
    """
    return NONE if value is None or math.isnan(value) else f"{value:z.{decimals}f}"


def percent(value: float | None) -> str:
    """Format a share in percent, without the sign.

    >>> percent(0.172), percent(-0.001)
    ('17', '0')
    """
    return NONE if value is None or math.isnan(value) else f"{100 * value:z.0f}"


def introduction(found: Evaluation) -> list[str]:
    """Return sentences that describe the scored minutes."""
    span, n = found.span, found.rows[0].at_horizon.headline.n
    return span.sentences(
        f"{span.horizon_min} min ahead, {n:,} windows that end with {WHOLE_MIN} measured readings in a row"
    )


def lines(found: Evaluation, *, brief: bool = False) -> list[str]:
    """Return all tables for a terminal; if ``brief``, only the summary: all minutes together, at the horizon."""
    rows = found.rows
    text = [*introduction(found)]
    text += table("model", FIGURES, [(row.name, figure_cells(row.at_horizon.headline)) for row in rows], 11)
    text += ["", f"Every forecast of the stream ({rows[0].at_horizon.stream.n:,}; gaps and restarts included)"]
    text += table("", FIGURES, [(row.name, figure_cells(row.at_horizon.stream)) for row in rows], 11)
    if found.sampled:
        n = found.sampled[0].at_horizon.headline.n
        text += ["", f"On a sample of {n:,} of these windows, for peers that are slow to compute"]
        text += table("model", FIGURES, [*sample_rows(found)], 11)
    if brief:
        return text
    text += _by_lead(rows) + _by_readings(rows) + _by_hour(rows) + _by_month(rows) + _after_gaps(rows) + _costs(rows)
    return text


def sample_rows(found: Evaluation) -> Iterable[tuple[str, list[str]]]:
    """Return the scores of all forecasters on the sample; forecasters scored only on it come last."""
    for row in found.rows:
        sample = row.at_horizon.sample
        if sample is not None:
            yield row.name, figure_cells(sample)
    for row in found.sampled:
        yield row.name, figure_cells(row.at_horizon.headline)


def figure_cells(record: ScoreRecord) -> list[str]:
    """Return the formatted figures of a record, one for each of :data:`FIGURES`."""
    return [shown(figure(record)) for figure in FIGURES.values()]


def _by_lead(rows: Sequence[ForecasterScores]) -> list[str]:
    leads = sorted({lead for row in rows for lead in row.sheets})
    if len(leads) == 1:
        return []

    def cells(row: ForecasterScores) -> list[str]:
        there = [row.sheets[lead].headline if lead in row.sheets else None for lead in leads]
        return [NONE if r is None else f"{r.mse_kw2:.4f} / {r.best_mae_kw:.4f}" for r in there]

    by_lead = table("min", [str(lead) for lead in leads], [(row.name, cells(row)) for row in rows], 18)
    return ["", "MSE kW² / MAE kW (median forecast; mean if the model has no median) by minutes ahead", *by_lead]


def _by_readings(rows: Sequence[ForecasterScores]) -> list[str]:
    counts = [n for n in SHOWN if any(n in row.at_horizon.by_readings for row in rows)]
    if not counts:
        return []
    found = [(row.name, row.at_horizon.by_readings) for row in rows]
    n = next(record.n for _, by_readings in found for record in by_readings.values())
    body = [(name, [shown(r[n].mse_kw2) if n in r else "" for n in counts]) for name, r in found]
    title = f"MSE kW² by readings seen ({n:,} of the windows, evenly spread, cut short and padded)"
    return ["", title, *table("readings", [str(n) for n in counts], body, 7)]


def _by_hour(rows: Sequence[ForecasterScores]) -> list[str]:
    body = []
    for row in rows[1:]:
        by_hour = row.at_horizon.by_hour
        body.append((row.name, [percent(by_hour[h].skill) if h in by_hour else NONE for h in HOURS]))
        if any(record.coverage is not None for record in by_hour.values()):
            share = [percent(by_hour[h].coverage) if h in by_hour else NONE for h in HOURS]
            body.append(("  90 % coverage", share))
    return ["", "Skill in % by the hour of the target", *table("hour", [str(h) for h in HOURS], body, 5)]


def _by_month(rows: Sequence[ForecasterScores]) -> list[str]:
    months = list(rows[0].at_horizon.by_month)
    if not 1 < len(months) <= _MOST_MONTHS:
        return []
    body = [(row.name, [shown(row.at_horizon.by_month[month].mse_kw2, 3) for month in months]) for row in rows]
    return ["", "MSE kW² by month", *table("month", months, body, 8)]


def _after_gaps(rows: Sequence[ForecasterScores]) -> list[str]:
    groups = [name for name in AFTER_GAPS if name in rows[0].at_horizon.after_gaps]
    if not groups:
        return []
    there = rows[0].at_horizon.after_gaps
    text = ["", "MSE kW² near gaps"]
    for name in groups:
        scores = ", ".join(f"{row.name} {shown(row.at_horizon.after_gaps[name].mse_kw2)}" for row in rows)
        text.append(f"{name} ({there[name].n:,}): {scores}")
    return text


def _costs(rows: Sequence[ForecasterScores]) -> list[str]:
    body = [(row.name, cost_cells(row)) for row in rows if row.cost is not None]
    return ["", "Through the edge's predictor, one thread", *table("model", COSTS, body, 18)] if body else []


COSTS = ("parameters", "bytes", "µs for one", "µs a row of 256")


def cost_cells(row: ForecasterScores) -> list[str]:
    """Return the formatted costs of a forecaster."""
    cost = row.cost
    if cost is None:
        return [NONE] * len(COSTS)
    counts = [NONE if n is None else f"{n:,}" for n in (cost.parameters, cost.bytes)]
    return [*counts, f"{cost.single_us:.1f}", f"{cost.row_us:.2f}"]


def table(corner: str, heads: Iterable[str], rows: Iterable[tuple[str, Sequence[str]]], width: int) -> list[str]:
    """Return a table: ``heads`` over the cells of ``rows``, which have names; no heads without a ``corner``.

    Columns are wider than ``width`` if a cell would touch the previous one.

    >>> table("hour", ["0", "1"], [("trend", ["-1245", "-4157"])], 5)[1]
    'trend          -1245 -4157'
    """
    heads, body = list(heads), list(rows)
    width = max(width, *(len(cell) + 1 for cells in (heads, *(cells for _, cells in body)) for cell in cells))
    first = max(14, *(len(name) + 2 for name, _ in body)) if body else 14
    head = f"{corner:<{first}}" + "".join(f"{cell:>{width}}" for cell in heads)
    lines_of_rows = [f"{name:<{first}}" + "".join(f"{cell:>{width}}" for cell in cells) for name, cells in body]
    return [head, *lines_of_rows] if corner else lines_of_rows
