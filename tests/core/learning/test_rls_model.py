"""The online RLS model: equal to the batch solution, and numerically stable."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapcast.core.learning import rls_model
from gapcast.core.learning.outcomes import F64
from tests.support.houses import FIRST, Run, Smooth, ensemble_engine, ensemble_of, house_kw, stream

N_COLUMNS = 6
TRUTH = np.array([0.7, -0.4, 0.2, 0.0, 0.1, 0.3])


def learnt(columns: F64, actual: F64, forgetting: float = 1.0) -> tuple[F64, F64]:
    """Coefficients ``[2, D]`` and covariance after a device's outcomes one by one."""
    start = rls_model.initial_state(columns.shape[1], 0, 1)
    coefficients, covariance = start[0][np.newaxis].copy(), start[1][np.newaxis].copy()
    for row, value in zip(columns, actual, strict=True):
        assert rls_model.update(coefficients, covariance, row[np.newaxis], np.array([value]), forgetting) is None
    return coefficients[0], covariance[0]


def draws(n: int, seed: int, noise: F64 | None = None) -> tuple[F64, F64]:
    draw = np.random.default_rng(seed)
    columns = draw.normal(0, 1, (n, N_COLUMNS))
    return columns, columns @ TRUTH + (draw.normal(0, 0.5, n) if noise is None else noise)


@given(st.integers(0, 2**32 - 1), st.integers(1, 200))
@settings(max_examples=30)
def test_rls_mean_equals_ridge_around_the_primary_model(seed: int, n: int) -> None:
    """At a forgetting of 1: that of all outcomes so far, solved at once."""
    columns, actual = draws(n, seed)
    firm = np.eye(N_COLUMNS) / np.sqrt(rls_model.PRIOR)
    start = rls_model.initial_state(N_COLUMNS, 0, 1)[0][0]
    at_once = np.linalg.lstsq(np.vstack((columns, firm)), np.concatenate((actual, firm @ start)), rcond=None)[0]
    assert learnt(columns, actual)[0][0] == pytest.approx(at_once, abs=1e-9)


def test_rls_median_approaches_least_absolute_deviations() -> None:
    """Noise whose mean is 1 and whose median is 0.69: the intercept shows which of them was learnt."""
    n = 20_000
    draw = np.random.default_rng(5)
    columns, actual = draws(n, 4, draw.exponential(1.0, n))
    columns[:, -1] = 1.0
    actual += TRUTH[-1] * (1 - columns[:, -1])
    mean, median = learnt(columns, actual)[0]
    direct = np.linalg.lstsq(columns, actual, rcond=None)[0]
    for _ in range(100):
        weight = 1 / np.sqrt(np.maximum(np.abs(actual - columns @ direct), 1e-6))
        direct = np.linalg.lstsq(columns * weight[:, np.newaxis], actual * weight, rcond=None)[0]
    error, error_direct, error_mean = (np.abs(actual - columns @ c).mean() for c in (median, direct, mean))
    assert error < 1.02 * error_direct, "measured: 1.012; the smallest errors do not weigh endlessly"
    assert error < error_mean
    assert mean[-1] - median[-1] > 0.15, "the median is below the mean, as the noise is skewed"


def test_rls_without_outcomes_equals_the_primary_model() -> None:
    draw = np.random.default_rng(2)
    columns = draw.normal(0, 3, (50, N_COLUMNS))
    coefficients = np.repeat(rls_model.initial_state(N_COLUMNS, 2, 4)[0][np.newaxis], 50, axis=0)
    assert np.array_equal(rls_model.predict(coefficients, columns), columns[:, [2, 4]])


def test_rls_in_an_ensemble_starts_as_the_primary_model() -> None:
    """Before the first outcome, to the precision of the arithmetic in units of the scale."""
    run = Run(ensemble_engine()).process(stream(house_kw(12)))
    members_kw = run.outcome("members_kw")[:5]
    names = ensemble_of(run.engine).members
    assert members_kw[:, :, names.index("learned")] == pytest.approx(members_kw[:, :, names.index("smooth")], abs=1e-6)


@pytest.mark.parametrize("forgetting", [0.999, 0.99999, 1.0])
def test_rls_covariance_stays_bounded_on_constant_power(forgetting: float) -> None:
    """At 0.999, 30,000 outcomes would let it grow by a factor of 10^13."""
    still = np.zeros((30_000 if forgetting == 0.999 else 3_000, N_COLUMNS))
    still[:, -1] = 1.0
    coefficients, covariance = learnt(still, np.zeros(len(still)), forgetting)
    trace = np.trace(covariance, axis1=1, axis2=2)
    assert (trace <= 10 * rls_model.PRIOR * N_COLUMNS / forgetting).all()
    assert np.isfinite(coefficients).all()
    columns, actual = draws(2_000, 9)
    begun = (coefficients[np.newaxis].copy(), covariance[np.newaxis].copy())
    for row, value in zip(columns, actual, strict=True):
        assert rls_model.update(*begun, row[np.newaxis], np.array([value]), forgetting) is None
    assert begun[0][0, 0, :-1] == pytest.approx(TRUTH[:-1], abs=0.15), "and it learns what it did not see before"


@given(
    st.lists(
        st.tuples(st.lists(st.floats(-50, 50), min_size=3, max_size=3), st.floats(-1e6, 1e6)), min_size=1, max_size=200
    ),
    st.floats(0.999, 1.0),
)
def test_rls_forecasts_stay_within_limits(outcomes: list[tuple[list[float], float]], forgetting: float) -> None:
    coefficients, covariance = (array[np.newaxis].copy() for array in rls_model.initial_state(3, 0, 1))
    for values, actual in outcomes:
        columns = np.array([values])
        predicted = rls_model.predict(coefficients, columns)
        assert (np.abs(predicted) <= rls_model.LIMIT).all()
        rls_model.update(coefficients, covariance, columns, np.array([actual]), forgetting)
        assert np.isfinite(coefficients).all()
        assert np.isfinite(covariance).all()


@pytest.mark.parametrize("at_a_time", [1, 2])
@pytest.mark.parametrize("broken", [np.nan, -1e9])
def test_rls_resets_only_the_device_that_overflows(broken: float, at_a_time: int) -> None:
    kw = house_kw(400)
    pairs = [reading for i in range(400) for reading in (stream(kw[i : i + 1], FIRST + i, "home")[0],
                                                         stream(kw[i : i + 1], FIRST + i, "barn")[0])]  # fmt: skip
    disturbed, undisturbed = Run(ensemble_engine()), Run(ensemble_engine())
    for run in (disturbed, undisturbed):
        run.process(pairs[:600], at_a_time=at_a_time)
    state = ensemble_of(disturbed.engine).state
    row = disturbed.engine.buffers.row("barn") + 1
    state.arrays["covariance"][row] = broken
    for run in (disturbed, undisturbed):
        run.process(pairs[600:602], at_a_time=at_a_time)
    assert np.array_equal(state.arrays["covariance"][row], state.initial("covariance"))
    assert np.array_equal(state.arrays["coefficients"][row], state.initial("coefficients"))
    for run in (disturbed, undisturbed):
        run.process(pairs[602:], at_a_time=at_a_time)
    assert disturbed.of("home") == undisturbed.of("home")
    assert disturbed.state()["home"] == undisturbed.state()["home"]
    assert all(np.isfinite(forecast.gap_kw) for forecast in disturbed.forecasts)


def test_rls_without_a_median_starts_from_the_mean() -> None:
    run = Run(ensemble_engine(Smooth(quantile_levels=None))).process(stream(house_kw(12)))
    members_kw = run.outcome("members_kw")[:5]
    assert members_kw[:, 1, 1] == pytest.approx(members_kw[:, 0, 0], abs=1e-6)
