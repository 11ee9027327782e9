"""The calibrated distribution of the mean power over coming minutes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gapcast.core.demand.distributions.distribution import PowerDistributions
from gapcast.core.demand.distributions.exceedance_model import PRIOR
from gapcast.core.demand.distributions.remaining_inputs import RemainingInputs
from gapcast.core.demand.distributions.remaining_power import RemainingPower
from gapcast.core.outlook.outlook import ModelMeans
from tests.support.examples import examples
from tests.support.remaining_inputs import LEADS_MIN, LEVELS_OF_MODEL, MONDAY, random_inputs, with_next_windows

ONE = [1]
HIGHEST_KW = 100.0
#: A third of a window: forecasts of its first minute are learned from, the other minutes change nothing.
THIRD_MIN = 5


def new_power() -> RemainingPower:
    return RemainingPower(LEADS_MIN, LEVELS_OF_MODEL, HIGHEST_KW)


def learned(rows: list[int], n_minutes: int = 120, seed: int = 0) -> RemainingPower:
    power = new_power()
    for minute in range(MONDAY, MONDAY + n_minutes):
        power.learn(random_inputs(rows, minute, seed))
    return power


def same_level(inputs: RemainingInputs, kw: float, width_kw: float = 0.1) -> RemainingInputs:
    """Return ``inputs`` with windows and outlook at ``kw``."""
    spread = width_kw * (np.array(LEVELS_OF_MODEL) - 0.5)
    return inputs._replace(
        windows=np.full_like(inputs.windows, kw), quantiles_kw=np.broadcast_to(kw + spread, inputs.quantiles_kw.shape)
    )


LEARNED = learned(ONE)


@given(seed=st.integers(0, 10**6), elapsed=st.integers(0, 14))
@examples(60)
def test_exceedance_falls_with_the_limit_after_learning(seed: int, elapsed: int) -> None:
    made = LEARNED.distributions(random_inputs(ONE, MONDAY + 299 + elapsed, seed))
    limits_kw = np.linspace(-1, 30, 200)
    p = PowerDistributions(np.repeat(made.kw, len(limits_kw), axis=0)).exceedance(limits_kw)
    assert (np.diff(p) <= 0).all()
    assert ((p >= 0) & (p <= 1)).all()


@given(seed=st.integers(0, 10**6), level=st.floats(0.001, 0.999))
@examples(60)
def test_quantile_inverts_the_exceedance_after_learning(seed: int, level: float) -> None:
    made = LEARNED.distributions(random_inputs(ONE, MONDAY + 300, seed))
    assert made.exceedance(made.quantile(level))[0] == pytest.approx(1 - level, abs=1e-6)


@given(
    seed=st.integers(0, 10**6),
    spread=st.floats(0.01, 30),
    coefficients=st.lists(st.floats(-2, 2), min_size=len(PRIOR), max_size=len(PRIOR)),
)
@examples(60)
def test_no_quantile_is_above_the_highest_reading(seed: int, spread: float, coefficients: list[float]) -> None:
    inputs = random_inputs(ONE, MONDAY, seed)
    power = new_power()
    power.distributions(inputs)
    power.state.arrays["coefficients"][1] = coefficients
    inputs = inputs._replace(quantiles_kw=np.minimum(inputs.quantiles_kw**spread, HIGHEST_KW))
    assert power.distributions(inputs).kw.max() <= HIGHEST_KW * 1.01  # points of a curve are 0.1 % apart


@pytest.mark.parametrize(("slope", "below_kw"), [(0.75, 5.0), (0.0, 30.0), (-0.5, 30.0)])
def test_upper_bound_of_a_house_with_rare_loads_is_plausible(slope: float, below_kw: float) -> None:
    """It is at rest at 50 W and has 3 kW now and then: by the slope of its last quantiles alone, more than 1 MW."""
    power, inputs = new_power(), same_level(random_inputs(ONE, MONDAY), 0.05, 0.01)
    quantiles_kw = inputs.quantiles_kw.copy()
    quantiles_kw[..., -1] = 3.0
    power.distributions(inputs)
    power.state.arrays["coefficients"][1, :, 3] = slope
    made = power.distributions(inputs._replace(quantiles_kw=quantiles_kw))
    assert 2.0 < made.quantile(0.95)[0] < below_kw


def test_batch_learns_and_forecasts_like_single_devices() -> None:
    rows = [1, 2, 3]
    together, apart = new_power(), new_power()
    for minute in range(MONDAY, MONDAY + 100):
        inputs = random_inputs(rows, minute)
        together.learn(inputs)
        for i in range(len(rows)):
            apart.learn(inputs.select(slice(i, i + 1)))
    inputs = random_inputs(rows, MONDAY + 100)
    made = together.distributions(inputs).kw
    one_by_one = [apart.distributions(inputs.select(slice(i, i + 1))).kw[0] for i in range(len(rows))]
    np.testing.assert_allclose(made, one_by_one, rtol=1e-6)


def test_restart_continues_bit_for_bit() -> None:
    before, after = learned([1, 2]), new_power()
    rows = np.array([1, 2])
    after.state.restore_columns(rows, before.state.columns(rows))
    for minute in range(MONDAY + 120, MONDAY + 180):
        inputs = random_inputs([1, 2], minute)
        made = [power.distributions(inputs).kw.tobytes() for power in (before, after)]
        assert made[0] == made[1]
        for power in (before, after):
            power.learn(inputs)


@pytest.mark.long
def test_learning_raises_the_risk_of_a_house_that_exceeds() -> None:
    power, calm = new_power(), new_power()
    for minute in range(MONDAY, MONDAY + 15 * 200):
        inputs = random_inputs(ONE, minute)
        power.learn(same_level(inputs, 2.4)._replace(windows=np.full_like(inputs.windows, 3.0)))
        calm.learn(same_level(inputs, 2.4))
    asked = same_level(random_inputs(ONE, MONDAY + 3_015), 2.4)
    p_exceed, p_calm = (one.distributions(asked).exceedance(np.array([2.42]))[0] for one in (power, calm))
    assert p_exceed > 0.7
    assert p_calm < 0.3


@pytest.mark.long
def test_a_single_large_load_is_as_likely_as_it_was() -> None:
    """A shower of 10.5 kW for four minutes in one window of 25, in a house at rest; the model expects up to 0.4 kW."""
    n_windows, rest_kw, limit_kw = 800, 0.09, 2.0
    readings_kw = np.full(15 * n_windows, rest_kw, dtype=np.float32)
    for window in np.random.default_rng(0).choice(n_windows, n_windows // 25, replace=False):
        readings_kw[15 * window + 10 : 15 * window + 14] = 10.5
    power, context = new_power(), random_inputs(ONE, MONDAY).windows.shape[1]
    history_kw = np.concatenate((np.full(context - 1, rest_kw, dtype=np.float32), readings_kw))

    def inputs_of(i: int) -> RemainingInputs:
        inputs = random_inputs(ONE, MONDAY + i, limit_kw=limit_kw)
        quantiles_kw = np.full_like(inputs.quantiles_kw, rest_kw) + 0.01 * np.arange(-2, 3)
        quantiles_kw[..., -1] = 0.4
        return inputs._replace(windows=history_kw[np.newaxis, i : i + context], quantiles_kw=quantiles_kw)

    for i in range(THIRD_MIN - 1, len(readings_kw), THIRD_MIN):
        power.learn(inputs_of(i))
    newest = inputs_of(len(readings_kw) - 1)
    of_day = [newest._replace(minutes=newest.minutes + 60 * hour) for hour in range(24)]
    p_exceed = [power.distributions(one).exceedance(np.array([limit_kw]))[0] for one in of_day]
    assert np.mean(p_exceed) == pytest.approx(1 / 25, abs=0.015)


def test_a_new_device_is_close_to_the_models_quantiles() -> None:
    inputs = random_inputs(ONE, MONDAY)
    made = new_power().distributions(inputs._replace(ahead_to=np.array([15])))
    lower_kw, median_kw, upper_kw = (made.quantile(level)[0] for level in (0.05, 0.5, 0.95))
    model_kw = inputs.quantiles_kw[0, LEADS_MIN.index(15)]
    assert median_kw == pytest.approx(model_kw[2], rel=0.2)
    assert lower_kw < model_kw[1] < median_kw < model_kw[3] < upper_kw


def test_windows_that_have_not_begun_have_a_regression_of_their_own() -> None:
    """It learns nothing from running windows, and these nothing from it."""
    inputs = random_inputs(ONE, MONDAY + 14)
    later = inputs._replace(ahead_from=np.array([15]), ahead_to=np.array([30]))
    np.testing.assert_array_equal(LEARNED.distributions(later).kw, new_power().distributions(later).kw)
    power = new_power()
    for minute in range(MONDAY, MONDAY + 120):
        power.learn(with_next_windows(random_inputs(ONE, minute)))
    np.testing.assert_array_equal(power.distributions(inputs).kw, LEARNED.distributions(inputs).kw)
    assert (power.distributions(later).kw != new_power().distributions(later).kw).any()


def test_next_window_is_learned_as_forecast_amid_the_running_one() -> None:
    power, due = new_power(), []
    for minute in range(MONDAY + 14, MONDAY + 45):
        power.learn(with_next_windows(random_inputs(ONE, minute)))
        due.append(power.state.arrays["due_minute"][1, -1] - MONDAY)
    assert due == [-1 - MONDAY] * 5 + [44] * 25 + [-1 - MONDAY]
    assert power.state.arrays["n_minutes"][1, -1] == 15
    assert (power.state.arrays["coefficients"][1, -1] != PRIOR).any()


def test_planned_loads_move_the_distribution() -> None:
    inputs = random_inputs(ONE, MONDAY)
    planned = inputs._replace(planned_kw=np.array([2.0]))
    without, made = new_power().distributions(inputs), new_power().distributions(planned)
    np.testing.assert_allclose(made.kw, without.kw + 2.0)


def test_planned_loads_move_the_limits_that_are_learned() -> None:
    inputs = random_inputs(ONE, MONDAY + 14)
    power, planned = new_power(), new_power()
    power.learn(inputs)
    planned.learn(inputs._replace(planned_kw=np.array([0.5]), allowed_kw=inputs.allowed_kw + 0.5))
    for name in ("due_kw", "due_features"):
        np.testing.assert_allclose(planned.state.arrays[name][1], power.state.arrays[name][1], rtol=1e-6)


def test_no_power_is_below_the_floor() -> None:
    made = new_power().distributions(random_inputs(ONE, MONDAY)._replace(floor_kw=np.array([1.0])))
    assert made.quantile(0.05)[0] == 1.0
    assert made.kw.min() == pytest.approx(1.0, abs=1e-5), "outer quantiles are a fixed step apart"


@pytest.mark.parametrize("kw", [0.0, -50.0, 1e6, np.nan, np.inf])
def test_distribution_of_any_input_is_finite(kw: float) -> None:
    inputs = random_inputs(ONE, MONDAY + 14)
    broken = inputs._replace(
        windows=np.full_like(inputs.windows, kw), quantiles_kw=np.full_like(inputs.quantiles_kw, kw)
    )
    power = learned(ONE, 30)
    with np.errstate(invalid="ignore"):
        made = power.distributions(broken)
        power.learn(broken)
    assert np.isfinite(made.kw).all()
    assert (np.diff(made.kw, axis=1) > 0).all()
    assert np.isfinite(made.exceedance(np.array([2.5]))).all()


def test_outcomes_after_a_gap_are_not_learned() -> None:
    power = new_power()
    power.learn(random_inputs(ONE, MONDAY + 14))
    for minute in range(MONDAY + 23, MONDAY + 30):
        power.learn(random_inputs(ONE, minute))
    of_first, of_second, *_ = power.state.arrays["coefficients"][1]
    assert (of_first == PRIOR).all()
    assert (of_second != PRIOR).any()


def test_a_repeated_minute_starts_again() -> None:
    power = new_power()
    power.learn(random_inputs(ONE, MONDAY + 14))
    before = power.state.arrays["due_features"][1, 0].copy()
    power.learn(random_inputs(ONE, MONDAY + 14, seed=1))
    assert (power.state.arrays["due_features"][1, 0] != before).any()


@pytest.mark.parametrize("limit_kw", [np.nan, -1.0])
def test_without_a_limit_ahead_nothing_waits_for_its_outcome(limit_kw: float) -> None:
    power = new_power()
    power.learn(random_inputs(ONE, MONDAY, limit_kw=limit_kw))
    assert (power.state.arrays["due_minute"][1] == -1).all()


@pytest.mark.parametrize("value", [0.0, 1e15, -1.0])
def test_learning_from_a_damaged_matrix_stays_finite(value: float) -> None:
    power = learned(ONE, 30)
    power.state.arrays["information"][1] = value
    for minute in range(MONDAY + 30, MONDAY + 90):
        power.learn(random_inputs(ONE, minute))
    assert np.isfinite(power.distributions(random_inputs(ONE, MONDAY + 90)).kw).all()


def test_each_third_of_a_window_learns_by_itself() -> None:
    power = new_power()
    for minute in range(MONDAY + 14, MONDAY + 24):
        power.learn(random_inputs(ONE, minute))
    assert power.state.arrays["due_minute"][1].tolist() == [MONDAY + 29, MONDAY + 29, -1, -1]
    for minute in range(MONDAY + 24, MONDAY + 30):
        power.learn(random_inputs(ONE, minute))
    assert (power.state.arrays["coefficients"][1, :3] != PRIOR).any(axis=1).all()
    assert power.state.arrays["due_minute"][1].tolist() == [MONDAY + 44, -1, -1, -1]


@pytest.mark.long
def test_bounds_of_a_wrong_outlook_are_calibrated() -> None:
    """The model's own bounds are missed in 23 % each instead of 5 %: of the running window, and of the next one."""
    rng = np.random.default_rng(1)
    kw: NDArray[np.float64] = rng.normal(1.0, 0.3, (1_500, 1)).repeat(15, axis=1).ravel()
    power, n_outside = new_power(), np.zeros((2, 2))
    for i in range(179, len(kw) - 30, THIRD_MIN):
        inputs = with_next_windows(same_level(random_inputs(ONE, MONDAY + i), 1.0, width_kw=0.5))
        inputs = inputs._replace(windows=kw[np.newaxis, i - 179 : i + 1].astype(np.float32))
        if (i + 1) % 15 == 0 and i >= 15 * 900:
            made, actual_kw = power.distributions(inputs), kw[i + 1 : i + 31].reshape(2, 15).mean(axis=1)
            n_outside += actual_kw < made.quantile(0.05), actual_kw > made.quantile(0.95)
        power.learn(inputs)
    assert ((n_outside / 600 > 0.03) & (n_outside / 600 < 0.11)).all(), n_outside


def test_newest_means_of_a_device_are_stored() -> None:
    inputs, power = random_inputs([1, 2], MONDAY), new_power()
    power.store_newest(inputs.rows, ModelMeans(inputs.quantiles_kw, inputs.floor_kw - 2.0))
    found = power.newest(2)
    np.testing.assert_allclose(found.quantiles_kw, inputs.quantiles_kw[1:], rtol=1e-6)
    assert found.floor_kw.tolist() == [-2.0]


def test_state_of_a_device_takes_a_few_kilobytes() -> None:
    assert sum(array[0].nbytes for array in new_power().state.arrays.values()) < 8_000
