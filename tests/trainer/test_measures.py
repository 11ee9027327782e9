"""The measures, checked by hand, by other formulas, and by their properties."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast_trainer.report.weeks import _percent_below
from gapcast_trainer.scores.measures import crps, measure, pinball
from gapcast_trainer.scores.record import record, records
from tests.trainer.forecasters import LEVELS

KW = st.floats(-5, 10)


def test_pinball_is_minimal_at_the_true_quantile() -> None:
    target = np.random.default_rng(1).exponential(1.0, 20_000)
    tried = np.linspace(0.01, 4, 400)
    for level in LEVELS:
        loss = [pinball(np.full((target.size, 1), q), [level], target).mean() for q in tried]
        assert tried[int(np.argmin(loss))] == pytest.approx(-np.log(1 - level), abs=0.06)


def test_pinball_at_the_median_is_half_the_absolute_error() -> None:
    target = np.array([0.0, 2.0, 5.0])
    assert pinball(np.full((3, 1), 2.0), [0.5], target)[:, 0].tolist() == [1.0, 0.0, 1.5]


@given(KW, KW)
def test_crps_without_spread_is_the_absolute_error(error: float, actual: float) -> None:
    found = crps(np.full((1, 5), error), LEVELS, np.array([actual]))
    assert found[0] == pytest.approx(abs(error - actual), abs=1e-9)


@pytest.mark.parametrize("actual", [-0.5, 0.0, 0.2, 0.5, 0.93, 1.0, 2.0])
def test_crps_with_many_levels_approaches_the_integral(actual: float) -> None:
    """Of the uniform one between 0 and 1 the integral of (F - 1{x >= y})² is known."""
    level = (np.arange(2_000) + 0.5) / 2_000
    inside = min(max(actual, 0.0), 1.0)
    exact = inside**3 / 3 + (1 - inside) ** 3 / 3 + abs(actual - inside)
    assert crps(level[np.newaxis], level.tolist(), np.array([actual]))[0] == pytest.approx(exact, abs=1e-4)


def test_crps_prefers_the_sharper_calibrated_forecast() -> None:
    target = np.random.default_rng(2).standard_normal(5_000)
    normal = np.array([-1.645, -0.674, 0.0, 0.674, 1.645])
    by_width = {w: crps(np.tile(w * normal, (5_000, 1)), LEVELS, target).mean() for w in (0.3, 1.0, 3.0)}
    assert min(by_width, key=by_width.__getitem__) == 1.0


def measured() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Means, quantiles, outcomes and last readings of four forecasts."""
    mean = np.array([1.0, 2.0, 3.0, 4.0], dtype=np.float32)
    quantiles = mean[:, np.newaxis] + np.array([-1, -0.5, 0.25, 0.5, 1], dtype=np.float32)
    return mean, quantiles, np.array([1.25, 4.0, 2.0, 4.5]), np.array([1, 1, 1, 1], dtype=np.float32)


def test_record_matches_a_hand_calculation() -> None:
    mean, quantiles, actual, last = measured()
    got = record(measure(mean, quantiles, LEVELS, actual, last))
    assert got.n == 4
    assert got.mse_kw2 == pytest.approx((0.0625 + 4 + 1 + 0.25) / 4)
    assert got.rmse_kw == pytest.approx(got.mse_kw2**0.5)
    assert got.mae_kw == pytest.approx((0.25 + 2 + 1 + 0.5) / 4)
    assert got.bias_kw == pytest.approx((-0.25 - 2 + 1 - 0.5) / 4)
    assert got.persistence_mse_kw2 == pytest.approx((0.0625 + 9 + 1 + 12.25) / 4)
    assert got.persistence_mae_kw == pytest.approx((0.25 + 3 + 1 + 3.5) / 4)
    assert got.skill == pytest.approx(1 - 5.3125 / 22.3125)
    assert got.median_mae_kw == got.best_mae_kw == pytest.approx((0 + 1.75 + 1.25 + 0.25) / 4)
    assert got.coverage == 0.75  # the third outcome lies on the lower bound, the second above the upper
    assert got.width_kw == 2.0
    assert got.below == {0.05: 0.25, 0.25: 0.25, 0.5: 0.5, 0.75: 0.75, 0.95: 0.75}
    assert got.pinball_kw[0.95] == pytest.approx((0.05 * 0.75 + 0.95 * 1 + 0.05 * 2 + 0.05 * 0.5) / 4)
    assert got.mean_pinball_kw == pytest.approx(sum(got.pinball_kw.values()) / 5)


def test_record_without_quantiles_omits_their_measures() -> None:
    mean, quantiles, actual, last = measured()
    got = record(measure(mean, None, (), actual, last))
    assert (got.median_mae_kw, got.crps_kw, got.coverage, got.width_kw, got.mean_pinball_kw) == (None,) * 5
    assert got.best_mae_kw == got.mae_kw
    assert not {"crps_kw", "coverage", "pinball_kw", "median_mae_kw"} & got.fields().keys()
    median_alone = record(measure(mean, quantiles[:, 2:3], (0.5,), actual, last))
    assert median_alone.median_mae_kw == pytest.approx(0.8125)
    assert (median_alone.crps_kw, median_alone.mean_pinball_kw, median_alone.coverage) == (None, None, None)
    assert median_alone.pinball_kw == {0.5: pytest.approx(0.8125 / 2)}


def test_record_groups_equal_separate_groups() -> None:
    mean, quantiles, actual, last = measured()
    group = np.array([0, 2, -1, 2])
    found = records(measure(mean, quantiles, LEVELS, actual, last), group, 3)
    assert found[1] is None
    for k in (0, 2):
        who = group == k
        alone = record(measure(mean[who], quantiles[who], LEVELS, actual[who], last[who]))
        got = found[k]
        assert got is not None
        assert got.fields() == alone.fields()


def test_record_of_nothing_is_rejected() -> None:
    mean, _, actual, last = measured()
    with pytest.raises(ValueError, match="at least one forecast"):
        record(measure(mean, None, (), actual, last), np.zeros(4, dtype=np.bool_))


def test_skill_without_persistence_error_is_nan_and_omitted() -> None:
    flat = np.ones(3, dtype=np.float32)
    got = record(measure(flat, None, (), np.ones(3), flat))
    assert np.isnan(got.skill)
    assert "skill" not in got.fields()


def test_skills_of_constant_power_with_rounding_errors_are_nan() -> None:
    """Persistence errs by the rounding of 32-bit numbers."""
    got = record(measure(np.full(3, 0.3, np.float32), None, (), np.full(3, 0.2), np.full(3, 0.2, np.float32)))
    assert got.persistence_mse_kw2 > 0
    assert np.isnan(got.skill)
    assert np.isnan(replace(got, persistence_mae_kw=1e-10).mae_skill)
    assert np.isnan(_percent_below(0.1, 1e-10))
