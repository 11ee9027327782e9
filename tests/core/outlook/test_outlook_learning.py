"""Outlooks learn from the outcomes of their own device, and only from outcomes."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.core.learning.scores.summary import ALL_TIME, LAST_DAY
from gapcast.core.outlook.options import OutlookOptions
from gapcast.core.outlook.outlook import LOWER, MEAN, MEDIAN, UPPER
from gapcast.core.readings.reading import Reading
from tests.core.outlook.runs import outlook_engine, process, process_houses
from tests.support.houses import FIRST, house_kw, stream
from tests.support.outlook_model import OutlookModel

LEADS_MIN = OutlookModel().lead_times_min


def cycling_kw(n_minutes: int, phase: int) -> np.ndarray:
    """A compressor that runs 12 of 40 minutes, which no average of the past predicts."""
    draw = np.random.default_rng(phase)
    return 0.2 + (np.arange(phase, phase + n_minutes) % 40 < 12) + draw.normal(0, 0.01, n_minutes)


@pytest.mark.long
def test_learning_improves_a_house_that_the_model_does_not_know() -> None:
    houses = {f"d{phase}": cycling_kw(1_000, phase) for phase in range(4)}
    learning, file = outlook_engine(), outlook_engine(options=OutlookOptions(learns=False))
    for engine in (learning, file):
        process_houses(engine, houses)
    for device in houses:
        own, of_file = (engine.outlook_scores_of(device)[LAST_DAY] for engine in (learning, file))
        for kind in ("point", "mean"):
            for at in (6, 8):
                one, other = getattr(own, kind)[at], getattr(of_file, kind)[at]
                assert one.mse_kw2 is not None
                assert other.mse_kw2 is not None
                assert one.mse_kw2 < other.mse_kw2
                assert one.n == other.n


@pytest.mark.long
def test_scores_match_the_published_outlooks() -> None:
    engine, kw = outlook_engine(), house_kw(400)
    made = process(engine, stream(kw))
    outlooks = {one.observed_minute - FIRST: one for _, many in made for one in many or ()}
    scores = engine.outlook_scores_of("home")[ALL_TIME]
    for at, lead in enumerate(LEADS_MIN):
        for kind, score in (("point", scores.point[at]), ("mean", scores.mean[at])):
            due = [minute for minute in outlooks if minute + lead < len(kw)]
            actual = [
                kw[minute + lead] if kind == "point" else kw[minute + 1 : minute + lead + 1].mean() for minute in due
            ]
            issued = np.array([getattr(outlooks[minute], f"{kind}_kw")[at] for minute in due])
            assert score.n == len(due)
            assert score.lead_min == lead
            assert score.mse_kw2 == pytest.approx(np.mean((issued[:, MEAN] - actual) ** 2), rel=1e-4)
            assert score.bias_kw == pytest.approx(np.mean(issued[:, MEAN] - actual), abs=1e-5)
            assert score.mae_kw == pytest.approx(np.mean(np.abs(issued[:, MEDIAN] - actual)), rel=1e-4)
            inside = (issued[:, LOWER] <= actual) & (issued[:, UPPER] >= actual)
            assert score.coverage == pytest.approx(inside.mean(), abs=2.5 / len(due))
            assert score.width_kw == pytest.approx(np.mean(issued[:, UPPER] - issued[:, LOWER]), rel=1e-4)
            last = np.array([kw[minute] for minute in due])
            assert score.persistence_mse_kw2 == pytest.approx(np.mean((last - actual) ** 2), rel=1e-4)
            assert score.persistence_mae_kw == pytest.approx(np.mean(np.abs(last - actual)), rel=1e-4)
            ratio = np.mean((issued[:, MEAN] - actual) ** 2) / np.mean((last - actual) ** 2)
            assert score.skill == pytest.approx(1 - ratio, abs=1e-4)
            quantiles, levels = issued[:, [LOWER, MEDIAN, UPPER]], np.array([0.05, 0.5, 0.95])
            below = quantiles - np.array(actual)[:, np.newaxis]
            pinball = np.maximum((1 - levels) * below, -levels * below).mean()
            assert score.pinball_kw == pytest.approx(pinball, rel=1e-4)
            assert score.window_mse_kw2 is not None
            assert score.window_skill is not None


def test_mean_of_the_last_window_is_a_baseline() -> None:
    engine = outlook_engine()
    kw = np.where(np.arange(300) % 2 == 0, 1.0, 3.0)
    process(engine, stream(kw))
    score = engine.outlook_scores_of("home")[ALL_TIME].mean[5]
    assert score.lead_min == 10
    assert score.window_mse_kw2 == pytest.approx(0.0, abs=0.02)
    assert score.window_mae_kw == pytest.approx(0.0, abs=0.05)
    assert score.persistence_mse_kw2 == pytest.approx(1.0)


def test_score_of_constant_power_has_no_skill() -> None:
    engine = outlook_engine()
    process(engine, stream(np.full(40, 1.0)))
    score = engine.outlook_scores_of("home")[ALL_TIME].point[4]
    assert score.n > 0
    assert score.skill is None
    assert engine.outlook_scores_of("home")[ALL_TIME].point[10].mse_kw2 is None
    assert engine.outlook_scores_of("home")[ALL_TIME].point[10].skill is None


@pytest.mark.long
def test_bounds_cover_nine_in_ten_at_every_lead_time() -> None:
    houses = {f"d{seed}": house_kw(2_000, seed) for seed in range(4)}
    engine = outlook_engine()
    process_houses(engine, houses)
    for kind in ("point", "mean"):
        for at in range(len(LEADS_MIN)):
            scores = [getattr(engine.outlook_scores_of(device)[ALL_TIME], kind)[at] for device in houses]
            assert np.mean([score.coverage for score in scores]) == pytest.approx(0.9, abs=0.06)


def test_filled_minute_is_no_outcome() -> None:
    engine = outlook_engine()
    readings = [Reading("home", FIRST + minute, 1.0 + minute % 3, is_filled=minute > 9) for minute in range(30)]
    process(engine, readings)
    scores = engine.outlook_scores_of("home")[ALL_TIME]
    assert scores.point[0].n == 8
    assert scores.point[5].n == 0


def test_filled_minutes_of_one_house_do_not_hold_up_the_others() -> None:
    """The last of three devices has filled minutes, in whatever order the readings arrive."""
    together, apart = outlook_engine(), outlook_engine()
    for minute in range(40):
        readings = [Reading(device, FIRST + minute, 1.0 + minute % 5) for device in ("a", "b")]
        filled = Reading("c", FIRST + minute, 1.0 + minute % 5, is_filled=minute > 9)
        batch = [*readings, filled] if minute < 2 else [filled, readings[1], readings[0]]
        process(together, batch, len(batch))
        process(apart, batch)
    for device, n in (("a", 38), ("b", 38), ("c", 8)):
        assert together.outlook_scores_of(device)[ALL_TIME].point[0].n == n
        made, alone = together.outlook_of(device), apart.outlook_of(device)
        assert made is not None
        assert alone is not None
        assert made.point_kw == pytest.approx(alone.point_kw)


def test_minutes_of_a_short_gap_are_interpolated_in_outcomes() -> None:
    engine = outlook_engine()
    readings = [reading for reading in stream(house_kw(60)) if reading.minute - FIRST not in (30, 31, 32)]
    process(engine, readings)
    scores = engine.outlook_scores_of("home")[ALL_TIME]
    assert scores.point[0].n == 60 - 3 - 2 - 1
    assert scores.mean[5].n == 60 - 3 - 1 - 10 - 3


def test_restart_of_the_history_discards_pending_outlooks() -> None:
    engine, kw = outlook_engine(), house_kw(60)
    process(engine, stream(kw[:30]))
    before = engine.outlook_scores_of("home")[ALL_TIME].mean[8].n
    process(engine, stream(kw[:25], FIRST + 37))
    assert before == 0
    assert engine.outlook_scores_of("home")[ALL_TIME].mean[8].n == 0
    assert engine.outlook_scores_of("home")[ALL_TIME].mean[5].n == 19 + 14


@pytest.mark.parametrize("ahead", [7, 40])
def test_reading_with_a_wrong_time_discards_pending_outlooks(ahead: int) -> None:
    engine, readings = outlook_engine(), stream(house_kw(50))
    process(engine, [*readings[:30], readings[29]._replace(minute=FIRST + 29 + ahead), *readings[30:]])
    scores = engine.outlook_scores_of("home")[ALL_TIME]
    assert [score.n for score in scores.mean[5:8]] == [19 + 8, 14 + 3, 9]  # 10, 15 and 20 minutes


def test_outlooks_after_time_went_back_start_again() -> None:
    engine = outlook_engine()
    process(engine, stream(house_kw(40)))
    n = engine.outlook_scores_of("home")[ALL_TIME].point[0].n
    process(engine, stream(house_kw(4), FIRST + 20))
    assert engine.outlook_scores_of("home")[ALL_TIME].point[0].n == n + 1


def test_forgotten_learning_starts_again() -> None:
    engine = outlook_engine()
    process(engine, stream(house_kw(40)))
    engine.horizons.forget_learning(0)
    assert engine.outlook_scores_of("home")[ALL_TIME].point[0].n == 0
    assert engine.outlook_of("home") is None


def test_forgotten_device_has_no_outlook() -> None:
    engine = outlook_engine()
    process(engine, stream(house_kw(40)))
    row = engine.forget("home")
    assert row == 0
    assert engine.outlook_of("home") is None
    process(engine, stream(house_kw(1), FIRST, "other"))
    assert engine.outlook_of("other") is None
    assert engine.outlook_scores_of("other")[ALL_TIME].point[0].n == 0
