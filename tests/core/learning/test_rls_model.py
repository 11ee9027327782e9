"""The online RLS model: equal to the batch solution, and numerically stable."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.learning.ensemble.ensemble_state import N_OUTCOMES
from gapcast.core.learning.online_model import packed_covariance, rls_model
from tests.support.examples import examples
from tests.support.houses import FIRST, EngineRun, Smooth, ensemble_engine, ensemble_of, house_kw, stream

N_COLUMNS = 6
TRUTH = np.array([0.7, -0.4, 0.2, 0.0, 0.1, 0.3])


class Model:
    """The online model of one device, updated with outcomes one by one."""

    def __init__(self, n_columns: int) -> None:
        self.n_columns = n_columns
        self.n_outcomes = 0
        self.state = {
            name: value[np.newaxis].copy() for name, value in rls_model.initial_state(n_columns, 0, 1).items()
        }

    def learn(self, columns: F64, actual: F64, forgetting: float = 1.0) -> Model:
        for row, value in zip(with_padding(columns), actual, strict=True):
            n = np.array([float(self.n_outcomes)])
            assert rls_model.update(self.state, row[np.newaxis], np.array([value]), n, forgetting) is None
            self.n_outcomes += 1
        return self

    @property
    def coefficients(self) -> F64:
        """The coefficients of mean and median, ``[2, D]``."""
        return self.state["coefficients"][0, :, : self.n_columns].astype(np.float64)

    @property
    def covariance(self) -> F64:
        """The covariance as a matrix ``[D, D]``."""
        covariance: F64 = packed_covariance.to_matrices(self.state["covariance"])[0].astype(np.float64)
        return covariance


def with_padding(columns: F64) -> F32:
    padded = np.zeros((len(columns), packed_covariance.padded(columns.shape[1])), dtype=np.float32)
    padded[:, : columns.shape[1]] = columns
    return padded


def draws(n: int, seed: int, noise: F64 | None = None) -> tuple[F64, F64]:
    draw = np.random.default_rng(seed)
    columns = draw.normal(0, 1, (n, N_COLUMNS))
    return columns, columns @ TRUTH + (draw.normal(0, 0.5, n) if noise is None else noise)


@given(st.integers(0, 2**32 - 1), st.integers(1, 200))
@examples(30)
def test_rls_mean_equals_ridge_around_the_primary_model(seed: int, n: int) -> None:
    """With a forgetting factor of 1, the solution is that of all outcomes so far, solved at once."""
    columns, actual = draws(n, seed)
    firm = np.eye(N_COLUMNS) / np.sqrt(rls_model.PRIOR)
    start = np.eye(N_COLUMNS)[0]
    at_once = np.linalg.lstsq(np.vstack((columns, firm)), np.concatenate((actual, firm @ start)), rcond=None)[0]
    assert Model(N_COLUMNS).learn(columns, actual).coefficients[0] == pytest.approx(at_once, abs=2e-4)


@pytest.mark.long
def test_rls_median_approaches_least_absolute_deviations() -> None:
    """Noise has mean 1 and median 0.69: the intercept shows which of them was learned."""
    n = 20_000
    draw = np.random.default_rng(5)
    columns, actual = draws(n, 4, draw.exponential(1.0, n))
    columns[:, -1] = 1.0
    actual += TRUTH[-1] * (1 - columns[:, -1])
    mean, median = Model(N_COLUMNS).learn(columns, actual).coefficients
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
    columns = with_padding(draw.normal(0, 3, (50, N_COLUMNS)))
    coefficients = np.repeat(rls_model.initial_state(N_COLUMNS, 2, 4)["coefficients"][np.newaxis], 50, axis=0)
    assert np.array_equal(rls_model.predict(coefficients, columns), columns[:, [2, 4]])


@examples(20)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_rls_update_of_many_devices_equals_one_by_one(seed: int, n: int) -> None:
    """Bit for bit: a device's learning does not depend on the other devices in its batch."""
    draw = np.random.default_rng(seed)
    initial = rls_model.initial_state(N_COLUMNS, 0, 1)
    together = {name: np.repeat(value[np.newaxis], n, axis=0) for name, value in initial.items()}
    alone = {name: value.copy() for name, value in together.items()}
    for n_outcomes in range(3):
        columns = with_padding(draw.normal(0, 3, (n, N_COLUMNS)))
        actual, counts = draw.normal(0, 9, n), np.full(n, float(n_outcomes))
        rls_model.update(together, columns, actual, counts, 0.999)
        for i in range(n):
            one = slice(i, i + 1)
            state = {name: values[one] for name, values in alone.items()}
            rls_model.update(state, columns[one], actual[one], counts[one], 0.999)
    assert all(np.array_equal(together[name], alone[name]) for name in rls_model.STATE)


@pytest.mark.long
def test_rls_in_float32_stays_positive_definite() -> None:
    """Over 100,000 outcomes, with nearly equal columns, a column that is rarely on, and absurd values."""
    n, draw = 100_000, np.random.default_rng(3)
    level = np.repeat(draw.exponential(2, n // 50), 50)
    rare = (draw.random(n) < 0.001).astype(np.float64)
    columns = np.stack((level, level + draw.normal(0, 0.01, n), rare, draw.normal(0, 1, n)), axis=1)
    absurd = draw.random(n) < 0.001
    columns[absurd] = rls_model.LIMIT
    actual = columns @ [0.3, 0.1, 5.0, -0.5] + draw.normal(0, 0.5, n)
    model = Model(columns.shape[1]).learn(columns, actual, 0.9999)
    assert np.linalg.eigvalsh(model.covariance).min() > 0
    assert np.abs((columns @ (model.coefficients[0] - [0.3, 0.1, 5.0, -0.5]))[~absurd]).mean() < 0.05


def test_rls_learns_a_load_of_ninety_scales() -> None:
    """An electric shower in a house with little other change, which is off again five minutes later."""
    draw = np.random.default_rng(5)
    columns = draw.normal(0, 1, (2_000, N_COLUMNS))
    columns[::20, 2] = 90.0
    actual = np.where(columns[:, 2] == 90.0, -90.0, 0.0) + draw.normal(0, 0.5, len(columns))
    model = Model(N_COLUMNS).learn(columns, actual)
    predicted = rls_model.predict(model.state["coefficients"], with_padding(columns[:1]))
    assert predicted[0, 0] == pytest.approx(-90.0, abs=2.0)


def test_rls_in_an_ensemble_starts_as_the_primary_model() -> None:
    """Before the first outcome, to the arithmetic's precision in units of the scale."""
    run = EngineRun(ensemble_engine()).process(stream(house_kw(12)))
    members_kw = run.outcome("members_kw")[:5]
    names = ensemble_of(run.engine).members
    assert members_kw[:, :, names.index("learned")] == pytest.approx(members_kw[:, :, names.index("smooth")], abs=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("forgetting", [0.999, 0.99999, 1.0])
def test_rls_covariance_stays_bounded_on_constant_power(forgetting: float) -> None:
    """With a factor of 0.999, the covariance would grow by a factor of 10^13 in 30,000 outcomes."""
    still = np.zeros((30_000 if forgetting == 0.999 else 3_000, N_COLUMNS))
    still[:, -1] = 1.0
    model = Model(N_COLUMNS).learn(still, np.zeros(len(still)), forgetting)
    assert (np.diag(model.covariance) <= 1.011 * rls_model.PRIOR).all()
    assert np.isfinite(model.coefficients).all()
    model.learn(*draws(2_000, 9), forgetting)
    assert model.coefficients[0, :-1] == pytest.approx(TRUTH[:-1], abs=0.15), "and it learns what it did not see before"


@given(
    st.lists(
        st.tuples(st.lists(st.floats(-50, 50), min_size=3, max_size=3), st.floats(-1e6, 1e6)), min_size=1, max_size=200
    ),
    st.floats(0.999, 1.0),
)
def test_rls_forecasts_stay_within_limits(outcomes: list[tuple[list[float], float]], forgetting: float) -> None:
    model = Model(3)
    for values, actual in outcomes:
        columns = np.array([values])
        predicted = rls_model.predict(model.state["coefficients"], with_padding(columns))
        assert (np.abs(predicted) <= rls_model.LIMIT).all()
        model.learn(columns, np.array([actual]), forgetting)
        assert np.isfinite(model.coefficients).all()
        assert np.linalg.eigvalsh(model.covariance).min() > -1e-9


@pytest.mark.long
@pytest.mark.parametrize("at_a_time", [1, 2])
@pytest.mark.parametrize("broken", [np.nan, -1e9])
def test_rls_resets_only_the_device_that_overflows(broken: float, at_a_time: int) -> None:
    kw = house_kw(400)
    pairs = [reading for i in range(400) for reading in (stream(kw[i : i + 1], FIRST + i, "home")[0],
                                                         stream(kw[i : i + 1], FIRST + i, "barn")[0])]  # fmt: skip
    disturbed, undisturbed = EngineRun(ensemble_engine()), EngineRun(ensemble_engine())
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


def test_keep_positive_changes_only_indefinite_covariances() -> None:
    """Eigenvalues like those of 140 columns after 15 months: single precision had made the lowest negative."""
    basis = np.linalg.qr(np.random.default_rng(1).normal(size=(N_COLUMNS, N_COLUMNS)))[0]
    lowest = np.array([1e-6, -5e-7, -8e-4, np.nan])
    values = np.repeat(np.geomspace(1e-6, 0.016, N_COLUMNS)[np.newaxis], len(lowest), axis=0)
    values[:, 0] = lowest
    covariance = packed_covariance.from_matrices((basis * values[:, np.newaxis]) @ basis.T)
    before = packed_covariance.to_matrices(covariance)
    rls_model.restore_positive_definite(covariance)
    kept, *repaired, damaged = packed_covariance.to_matrices(covariance)
    assert np.array_equal(kept, before[0])
    for matrix, old, value in zip(repaired, before[1:], lowest[1:], strict=False):
        assert np.linalg.eigvalsh(matrix.astype(np.float64))[0] > 0
        added = (matrix - old).astype(np.float64)
        assert np.array_equal(added, np.diag(np.diagonal(added)))
        assert 0 < added.max() < 3 * abs(value) + rls_model.PRIOR / 500
    assert np.isnan(damaged).all(), "left to the update, which resets it"


def test_indefinite_covariance_is_repaired_within_three_days() -> None:
    """By the compiled step and by numpy alike, and not earlier: a factorization costs more than an update."""
    repaired = []
    for compiled in (True, False):
        run = EngineRun(ensemble_engine(compiled=compiled)).process(stream(house_kw(105))[:100])
        arrays = ensemble_of(run.engine).state.arrays
        too_much = lowest_variance(arrays["covariance"]) + 1e-5
        n_columns = packed_covariance.columns_of(arrays["covariance"])
        excess = np.eye(n_columns, dtype=np.float32)[np.newaxis] * too_much
        arrays["covariance"][1] -= packed_covariance.from_matrices(excess)[0]
        arrays["seen"][1, N_OUTCOMES] = rls_model._N_CHECKED - 5
        run.process(stream(house_kw(105))[100:104])
        assert lowest_variance(arrays["covariance"]) < 0
        run.process(stream(house_kw(105))[104:])
        assert lowest_variance(arrays["covariance"]) > 0
        repaired.append(arrays["covariance"][1].copy())
    assert np.array_equal(*repaired)


def lowest_variance(covariance: F32) -> float:
    """Return the lowest eigenvalue of the covariance of the first device."""
    return float(np.linalg.eigvalsh(packed_covariance.to_matrices(covariance)[1].astype(np.float64))[0])


def test_rls_without_a_median_starts_from_the_mean() -> None:
    run = EngineRun(ensemble_engine(Smooth(quantile_levels=None))).process(stream(house_kw(12)))
    members_kw = run.outcome("members_kw")[:5]
    assert members_kw[:, 1, 1] == pytest.approx(members_kw[:, 0, 0], abs=1e-6)
