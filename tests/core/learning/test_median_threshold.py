"""The threshold of the median: small changes are published as no change, and its size is learned from signs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.learning.ensemble import median_calibration, median_threshold
from gapcast.core.learning.ensemble.ensemble_state import LOG_WIDTH
from gapcast.core.readings.reading import Reading
from tests.support.houses import FIRST, EngineRun, ensemble_engine, ensemble_of, house_kw, stream


def new_states(n: int) -> F32:
    return np.repeat(median_threshold.initial_state()[np.newaxis], n, axis=0)


def one(value: float) -> F64:
    return np.array([value])


@given(st.floats(allow_nan=False, allow_infinity=False, width=32), st.floats(0.0, 1.0, width=32))
def test_published_change_is_no_larger_and_has_the_same_sign(change: float, threshold: float) -> None:
    published = median_threshold.reduced(np.array([[threshold, 0.0]], dtype=np.float32), one(change))[0]
    assert abs(published) <= abs(change)
    assert abs(change) - abs(published) <= min(threshold, 0.3) + 1e-6 * abs(change)
    assert published * change >= 0


def test_change_below_the_threshold_is_published_as_none() -> None:
    changes = np.array([0.04, -0.04, 0.0, 0.25, -1.0])
    assert median_threshold.reduced(new_states(5), changes) == pytest.approx(np.array([0, 0, 0, 0.2, -0.95]))


def test_change_that_is_not_a_number_remains_one() -> None:
    """It identifies an impossible forecast, which is replaced."""
    assert np.isnan(median_threshold.reduced(new_states(1), one(np.nan)))[0]
    assert np.isinf(median_threshold.reduced(new_states(1), one(-np.inf)))[0]


@pytest.mark.parametrize(
    ("change", "error", "direction"), [(0.2, -0.1, 1), (-0.2, 0.1, 1), (0.2, 0.1, -1), (-0.2, -1, -1)]
)
def test_change_that_goes_too_far_raises_the_threshold(change: float, error: float, direction: int) -> None:
    states = new_states(1)
    median_threshold.update(states, one(change), one(error), 5)
    assert np.sign(states[0, 0] - median_threshold.initial_state()[0]) == direction
    assert states[0, 1] == 1


@pytest.mark.parametrize(("change", "error"), [(0.0, 0.7), (0.0, np.nan)])
def test_forecast_without_a_change_teaches_nothing(change: float, error: float) -> None:
    states = new_states(1)
    median_threshold.update(states, one(change), one(error), 5)
    assert np.array_equal(states, new_states(1))


@pytest.mark.parametrize("error", [0.0, np.nan])
def test_exact_outcome_only_counts(error: float) -> None:
    states = new_states(1)
    median_threshold.update(states, one(0.5), one(error), 5)
    assert states[0].tolist() == pytest.approx([0.05, 1.0])


def test_steps_are_smaller_further_ahead() -> None:
    near, far, first = new_states(1), new_states(1), median_threshold.initial_state()[0]
    median_threshold.update(near, one(0.5), one(-0.1), 5)
    median_threshold.update(far, one(0.5), one(-0.1), 30)
    assert far[0, 0] - first == pytest.approx((near[0, 0] - first) / 6, rel=1e-3)


@pytest.mark.parametrize(("error", "limit"), [(-0.1, 0.3), (0.1, 0.0)])
def test_threshold_stays_within_its_limits(error: float, limit: float) -> None:
    states = new_states(1)
    for _ in range(2_000):
        median_threshold.update(states, one(0.5), one(error), 5)
    assert states[0, 0] == pytest.approx(limit)


def test_noise_raises_the_threshold_and_changes_that_come_true_lower_it() -> None:
    """Predicted changes that are noise are published as no change after some hours; real changes remain complete."""
    rng, thresholds = np.random.default_rng(5), {}
    for is_real in (True, False):
        states = new_states(1)
        for change in rng.normal(0.0, 0.2, 3_000):
            outcome = rng.normal(2.0 * change if is_real else 0.0, 0.1)
            published = median_threshold.reduced(states, one(change))
            median_threshold.update(states, published, outcome - published, 5)
        thresholds[is_real] = float(states[0, 0])
    assert thresholds[True] < 0.01
    assert thresholds[False] > 0.25


@pytest.mark.parametrize("compiled", [True, False])
def test_narrow_interval_extends_to_the_median_of_the_threshold(compiled: bool) -> None:
    run = EngineRun(ensemble_engine(compiled=compiled)).process(stream(house_kw(90)), at_a_time=1)
    run.engine.learn()
    arrays = ensemble_of(run.engine).state.arrays
    arrays["seen"][1, LOG_WIDTH] = -9.0
    arrays[median_threshold.STATE][1] = 0.3, 0.0
    before = run.forecasts[-1]
    run.process([Reading("home", FIRST + 90, 2.0)], at_a_time=1)
    after = run.forecasts[-1]
    assert after.target_minute != before.target_minute
    assert after.lower_kw is not None
    assert after.upper_kw is not None
    assert after.lower_kw < after.upper_kw
    assert after.median_kw in (after.lower_kw, after.upper_kw)


@pytest.mark.parametrize("compiled", [True, False])
def test_median_on_the_floor_stays_there(compiled: bool) -> None:
    """The reduced change is a difference that is added again: rounding must not move the median below 0."""
    run = EngineRun(ensemble_engine(compiled=compiled)).process(stream(house_kw(60)), at_a_time=1)
    for i, kw in enumerate(np.random.default_rng(3).uniform(0.0, 3.0, 120)):
        run.engine.learn()
        arrays = ensemble_of(run.engine).state.arrays
        arrays[median_threshold.STATE][1] = 0.0
        arrays[median_calibration.STATE][1, 0] = -40.0
        run.process([Reading("home", FIRST + 60 + i, kw)])
    assert {forecast.median_kw for forecast in run.forecasts[-100:]} == {0.0}
    assert all(str(forecast.lower_kw) == str(forecast.median_kw) == "0.0" for forecast in run.forecasts[-100:])
