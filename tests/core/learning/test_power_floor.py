"""No forecast is below the lowest power of the device's last weeks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F32
from gapcast.core.forecasts import power_floor
from gapcast.core.forecasts.power_floor import BLOCK, FIRST_DAY, UNKNOWN_KW
from tests.support.examples import examples
from tests.support.houses import FIRST, EngineRun, ensemble_engine, ensemble_of, house_kw, stream

MIN_KW = -3.0


def after(readings_kw: list[float], repeats: int = 1) -> F32:
    """Return the state ``[1, 3]`` after ``readings_kw``, the last of them ``repeats`` times."""
    state = power_floor.initial_state()[np.newaxis].copy()
    for kw in readings_kw + [readings_kw[-1]] * (repeats - 1):
        power_floor.update(state, np.array([kw]))
    return state


def floor_kw(state: F32, last_kw: float, lowest_kw: float = 0.0) -> float:
    return float(power_floor.floors_kw(state, np.array([lowest_kw]), np.array([last_kw]), MIN_KW)[0])


def test_power_floor_of_the_first_day_is_zero() -> None:
    assert floor_kw(after([0.25], FIRST_DAY - 1), 0.25) == 0.0
    assert floor_kw(after([0.25], FIRST_DAY), 0.25) == 0.25


def test_lower_reading_lowers_the_floor_before_it_is_learned() -> None:
    assert floor_kw(after([0.25], FIRST_DAY), 0.125) == 0.125


def test_power_floor_of_a_new_block_keeps_that_of_the_block_before() -> None:
    state = np.array([[0.125, UNKNOWN_KW, BLOCK]], dtype=np.float32)
    power_floor.update(state, np.array([0.5]))
    assert state.tolist() == [[0.5, 0.125, 1.0]]
    assert floor_kw(state, 0.5) == 0.125


def test_power_floor_forgets_a_single_zero_with_its_block() -> None:
    state = np.array([[0.25, 0.0, BLOCK]], dtype=np.float32)
    assert floor_kw(state, 0.25) == 0.0
    power_floor.update(state, np.array([0.25]))
    assert floor_kw(state, 0.25) == 0.25


@pytest.mark.parametrize(("lowest_kw", "expected_kw"), [(-0.051, MIN_KW), (float(np.float32(-0.05)), 0.25)])
def test_power_floor_of_a_house_that_feeds_in_is_the_limit(lowest_kw: float, expected_kw: float) -> None:
    """A meter's zero that fluctuates is not export."""
    assert floor_kw(after([0.25], FIRST_DAY), 0.25, lowest_kw) == expected_kw


def test_power_floor_of_a_meter_whose_zero_fluctuates_is_its_lowest() -> None:
    assert floor_kw(after([-0.04, 0.25], FIRST_DAY), 0.25, -0.04) == pytest.approx(-0.04)


@examples(100)
@given(st.lists(st.floats(0, 20, width=32), min_size=1, max_size=50), st.integers(0, 3 * BLOCK))
def test_power_floor_is_at_most_the_newest_reading(powers_kw: list[float], n_before: int) -> None:
    state = np.array([[UNKNOWN_KW, UNKNOWN_KW if n_before <= BLOCK else 0.5, n_before % BLOCK]], dtype=np.float32)
    for kw in powers_kw:
        assert 0.0 <= floor_kw(state, kw) <= kw
        power_floor.update(state, np.array([kw]))


@pytest.mark.parametrize("compiled", [pytest.param(True, marks=pytest.mark.compiled), False])
def test_no_forecast_is_below_the_lowest_power_of_the_weeks(*, compiled: bool) -> None:
    """Neither the mean nor the median nor the lower bound."""
    kw = house_kw(2 * FIRST_DAY) + 0.25
    run = EngineRun(ensemble_engine(compiled=compiled)).process(stream(kw), at_a_time=60)
    lowest_kw = np.minimum.accumulate(kw)
    later = [forecast for forecast in run.forecasts if forecast.observed_minute >= FIRST + FIRST_DAY]
    assert len(later) == FIRST_DAY
    for forecast in later:
        assert forecast.lower_kw is not None
        assert forecast.median_kw is not None
        assert (
            min(forecast.lower_kw, forecast.median_kw, forecast.gap_kw)
            >= lowest_kw[forecast.observed_minute - FIRST] - 1e-6
        )
    assert ensemble_of(run.engine).state.arrays[power_floor.STATE][1, 0] == np.float32(lowest_kw[-1])
