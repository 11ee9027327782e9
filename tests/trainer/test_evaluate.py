"""Scores: by hand, beside the baselines, and as they are shown."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from edge.core.predictor import Prediction
from edge.core.window import F32, WindowSpec
from edge.predictors.baselines import Persistence, Trend
from tests.trainer.cards import card_for
from tests.trainer.synthetic import SPLIT
from trainer.cleanfile import Clean
from trainer.errors import RunError
from trainer.evaluate import evaluate
from trainer.score import score
from trainer.split import Part
from trainer.windows import Task, examples


@dataclass(frozen=True, slots=True)
class Fixed(Persistence):
    """Says the last reading and ``off`` more; bears a card, as a model does."""

    off: float = 0.5

    def predict(self, windows: F32) -> Prediction:
        return Prediction(windows[:, -1, :1] + np.float32(self.off))

    @property
    def card(self) -> object:
        return card_for(b"x").model_copy(update={"split": SPLIT.for_card()})


def test_a_score_is_what_a_hand_would_find(small: Clean) -> None:
    found = examples(small.series, Task(), SPLIT, Part.TEST)
    done: list[int] = []
    got = score(Persistence(), found, advance=done.append)
    error = found.inputs()[:, -1, 0].astype(float) - found.target_kw[:, 0]
    assert got.n == len(found) == sum(done)
    assert got.mse_kw2 == pytest.approx(np.mean(error**2))
    assert got.rmse_kw == pytest.approx(np.sqrt(np.mean(error**2)))
    assert got.mae_kw == pytest.approx(np.mean(np.abs(error)))
    assert got.bias_kw == pytest.approx(np.mean(error), abs=1e-9)
    assert got.skill(got) == 0
    assert score(Trend(), found).skill(got) == pytest.approx(1 - score(Trend(), found).mse_kw2 / got.mse_kw2)


def test_a_score_is_of_the_horizon_not_of_a_shorter_lead(small: Clean) -> None:
    """With more lead times than one, the last counts."""
    task = Task(WindowSpec(), (1, 5))
    found = examples(small.series, task, SPLIT, Part.TEST)
    short = examples(small.series, Task(), SPLIT, Part.TEST)
    got = score(Persistence(lead_times_min=(1, 5)), found)
    assert got.mse_kw2 == pytest.approx(score(Persistence(), short).mse_kw2, rel=0.02)


def test_short_windows_are_scored_on_what_is_left(small: Clean) -> None:
    found = examples(small.series, Task(), SPLIT, Part.TEST).whole()
    slope = found.inputs()[:, -1, 0].astype(float) - found.inputs()[:, -2, 0]
    two = score(Trend(), found, n_kept=2)
    minute = np.arange(30) - 29.0
    centred = minute - minute.mean()
    step = np.zeros(30)
    step[-1] = 1
    rise = step @ centred / (centred @ centred)  # of a window that is flat but for its last minute, a unit higher
    last = found.inputs()[:, -1, 0].astype(float)
    expected = last - slope + slope * (1 / 30 + rise * (5 - minute.mean()))
    assert two.mse_kw2 == pytest.approx(np.mean((expected - found.target_kw[:, 0]) ** 2), rel=1e-5)
    assert score(Persistence(), found, n_kept=2) == score(Persistence(), found)


def test_models_stand_beside_the_baselines(small: Clean) -> None:
    (found,) = evaluate([Fixed(name="a"), Fixed(name="b", off=0.0)], small)  # type: ignore[list-item]
    assert [row.name for row in found.rows] == ["persistence", "trend", "a", "b"]
    persistence, _, a, b = found.rows
    assert b.headline == persistence.headline
    assert b.by_readings == persistence.by_readings
    assert a.headline.bias_kw == pytest.approx(persistence.headline.bias_kw + 0.5, abs=1e-6)
    assert a.headline.skill(persistence.headline) < 0
    assert list(a.by_readings) == list(range(2, 31))
    assert persistence.headline.n < persistence.stream.n  # filled minutes and restarts
    assert len({row.headline.n for row in found.rows}) == 1


def test_the_tables_and_the_json_say_the_same(small: Clean) -> None:
    (found,) = evaluate([Fixed(name="a")], small)  # type: ignore[list-item]
    text, content = "\n".join(found.lines()), found.as_json()
    assert [model["name"] for model in content["models"]] == ["persistence", "trend", "a"]
    a = content["models"][2]
    assert f"{a['headline']['mse_kw2']:.4f}" in text
    assert f"{a['headline']['skill']:.4f}" in text
    assert f"{a['stream']['mae_kw']:.4f}" in text
    assert a["by_readings"].keys() == {str(n) for n in range(2, 31)}
    assert f"{a['headline']['n']:,} windows" in text
    assert content["source_sha256"] == small.report.sha256
    assert content["split"]["train_until"] == "2020-01-04T18:00:00Z"


def test_models_of_different_tasks_stand_apart(small: Clean) -> None:
    models = [Fixed(name="a"), Fixed(name="b", spec=WindowSpec(12)), Fixed(name="c")]
    first, second = evaluate(models, small, by_readings=False)  # type: ignore[arg-type]
    assert [row.name for row in first.rows[2:]] == ["a", "c"]
    assert [row.name for row in second.rows[2:]] == ["b"]
    assert not first.rows[0].by_readings
    assert "by readings seen" not in "\n".join(first.lines())
    assert second.rows[0].headline.n > first.rows[0].headline.n


def test_a_file_that_ends_before_the_test_part_is_refused(small: Clean) -> None:
    ended = replace(small, series=replace(small.series, gap_kw=small.series.gap_kw[:7_000]))
    with pytest.raises(RunError, match="no window to test on: the file ends"):
        evaluate([Fixed(name="a")], ended)  # type: ignore[list-item]
