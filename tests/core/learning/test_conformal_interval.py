"""Calibrated intervals cover 90 % of outcomes for any stream, and their bounds stay in order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F64
from gapcast.core.learning.ensemble import conformal_interval, error_scale
from gapcast.core.time_grid import DAY_MIN
from gapcast.predictors.baselines import Persistence, Trend
from tests.support.houses import EngineRun, Smooth, ensemble_engine, house_kw, plug_kw, stream

N = 100_000


def streams_of_errors() -> dict[str, F64]:
    """Errors ``[N]`` of each kind of stream, kW."""
    draws = [np.random.default_rng(1) for _ in range(4)]
    every_two_weeks = np.where(np.arange(N) // 20_160 % 2, 1.0, 0.1)
    return {
        "steady": draws[0].normal(0, 0.3, N),
        "without a finite variance": draws[1].standard_t(1.5, N) * 0.1,
        "ten times as large, or small, every two weeks": draws[2].normal(0, 0.3, N) * every_two_weeks,
        "skewed": draws[3].exponential(0.5, N) - 0.1,
    }


@pytest.mark.long
def test_interval_long_run_coverage_is_90_percent_for_any_errors() -> None:
    """Overall and in every week, for one device of each kind."""
    errors_kw = np.stack([*streams_of_errors().values()], axis=1)
    n = errors_kw.shape[1]
    log_width, n_learnt, floor_kw = np.full(n, np.log(0.1)), np.zeros(n), np.full(n, -100.0)
    roots, median_kw = conformal_interval.roots(np.full((n, 2), 0.2)), np.zeros(n)
    inside = np.empty(errors_kw.shape)
    for i, error_kw in enumerate(errors_kw):
        lower_kw, upper_kw = conformal_interval.bounds(log_width, median_kw, roots, floor_kw)
        inside[i] = (lower_kw <= error_kw) & (error_kw <= upper_kw)
        log_width = conformal_interval.updated_log_width(log_width, n_learnt, 1 - inside[i])
        n_learnt = n_learnt + 1
    weeks = inside[: N // 10_080 * 10_080].reshape(-1, 10_080, n).mean(1)
    for name, overall, of_weeks in zip(streams_of_errors(), inside.mean(0), weeks.T, strict=True):
        assert overall == pytest.approx(0.9, abs=0.01), name
        assert of_weeks == pytest.approx(np.full(len(of_weeks), 0.9), abs=0.05), name


def test_interval_of_nearly_constant_power_covers_90_percent() -> None:
    """A miner of 1.35 kW +- 4 W: the spread of the model is many times what the meter shows."""
    errors_kw = np.random.default_rng(2).normal(0, 0.004, 8_000)
    log_width, floor_kw = np.array([-3.5]), np.zeros(1)
    roots, median_kw = conformal_interval.roots(np.full((1, 2), 0.2)), np.array([1.35])
    inside = np.empty(len(errors_kw))
    for i, error_kw in enumerate(errors_kw):
        lower_kw, upper_kw = conformal_interval.bounds(log_width, median_kw, roots, floor_kw)
        inside[i] = lower_kw[0] <= 1.35 + error_kw <= upper_kw[0]
        log_width = conformal_interval.updated_log_width(log_width, np.array([2_000.0]), 1 - inside[i : i + 1])
    assert inside[3_000:].mean() == pytest.approx(0.9, abs=0.01)


def test_interval_of_a_new_device_has_the_models_width() -> None:
    roots = conformal_interval.roots(np.array([[0.2, 0.6], [0.05, 0.05]]))
    lower_kw, upper_kw = conformal_interval.bounds(
        conformal_interval.first_log_width(roots), np.zeros(2), roots, np.full(2, -9.0)
    )
    assert upper_kw - lower_kw == pytest.approx([0.8, 0.1])


KW = st.floats(-100, 100)


@given(KW, st.floats(-20, 20), st.floats(0, 1e6), st.floats(0, 1e6), KW)
def test_interval_bounds_surround_the_median(
    median_kw: float, log_width: float, down_kw: float, up_kw: float, floor_kw: float
) -> None:
    moved = conformal_interval.updated_log_width(np.array([log_width]), np.zeros(1), np.ones(1))
    roots = conformal_interval.roots(np.array([[down_kw, up_kw]]))
    lower_kw, upper_kw = conformal_interval.bounds(moved, np.array([median_kw]), roots, np.array([floor_kw]))
    assert lower_kw <= median_kw < upper_kw < np.inf
    assert lower_kw >= min(floor_kw, median_kw)


@given(st.lists(st.booleans(), max_size=400), st.floats(*conformal_interval.LOG_WIDTH_RANGE))
def test_interval_width_stays_in_its_range(missed: list[bool], first: float) -> None:
    log_width = np.array([first])
    for n, miss in enumerate(missed):
        log_width = conformal_interval.updated_log_width(log_width, np.array([float(n)]), np.array([float(miss)]))
        assert conformal_interval.LOG_WIDTH_RANGE[0] <= log_width[0] <= conformal_interval.LOG_WIDTH_RANGE[1]


@given(st.lists(st.floats(-1e6, 1e6), max_size=300))
def test_error_scale_stays_positive_and_finite(changes_kw: list[float]) -> None:
    scale_kw = np.array([error_scale.FIRST_KW])
    for n, change_kw in enumerate(changes_kw):
        before_kw = scale_kw
        scale_kw = error_scale.updated_scale(scale_kw, np.array([change_kw]), np.array([float(n)]))
        assert 0.005 <= scale_kw[0] < 1.4 * before_kw[0], "no change makes a jump of it"


def test_error_scale_of_a_plug_does_not_fall_to_its_noise() -> None:
    """Changes of a load that is rarely on are not clipped to the noise between them: they keep their weight."""
    kw = plug_kw(20_000)
    scale_kw = np.array([error_scale.FIRST_KW])
    for n, change_kw in enumerate(kw[5:] - kw[:-5]):
        scale_kw = error_scale.updated_scale(scale_kw, np.array([change_kw]), np.array([float(n)]))
    assert np.abs(kw[5:] - kw[:-5]).mean() == pytest.approx(scale_kw[0], rel=0.25)


# --- in an engine ---------------------------------------------------------------------------------

#: Models with an interval, with only a median, without quantiles, and with bounds but no median.
MODELS = (Smooth(), Smooth(quantile_levels=(0.5,)), Trend(), Smooth(quantile_levels=(0.05, 0.95)))


@given(
    st.lists(st.one_of(st.floats(-5, 20), st.sampled_from((0.0, 100.0, -100.0))), min_size=3, max_size=60),
    st.sampled_from(MODELS),
    st.booleans(),
    st.booleans(),
)
def test_interval_bounds_are_in_order_for_any_stream(
    kw: list[float], model: Smooth, combines: bool, learns: bool
) -> None:
    run = EngineRun(ensemble_engine(model, combines=combines, learns=learns)).process(stream(kw), at_a_time=9)
    for forecast in run.forecasts:
        assert forecast.lower_kw is not None
        assert forecast.upper_kw is not None
        median_kw = forecast.gap_kw if forecast.median_kw is None else forecast.median_kw
        if forecast.median_kw is not None:
            assert forecast.lower_kw <= median_kw <= forecast.upper_kw
        assert 0 < forecast.upper_kw - forecast.lower_kw < np.inf


@pytest.mark.long
@pytest.mark.parametrize("calibrates", [True, False])
def test_forecast_range_limits_forecasts_and_bounds(calibrates: bool) -> None:
    """A house that never exported gets no negative forecast; one that did gets none beyond a reading's limit."""
    kw = house_kw(DAY_MIN)
    run = EngineRun(ensemble_engine(calibrates=calibrates, min_kw=-3.0))
    run.process_houses({"consuming": kw, "feeding": kw - 2.5})
    for device, floor_kw in (("consuming", 0.0), ("feeding", -3.0)):
        forecasts = run.of(device)
        assert min(forecast.lower_kw for forecast in forecasts if forecast.lower_kw is not None) >= floor_kw
        assert min(forecast.gap_kw for forecast in forecasts) >= floor_kw
        assert min(forecast.median_kw for forecast in forecasts if forecast.median_kw is not None) >= floor_kw
    assert min(forecast.lower_kw or 0 for forecast in run.of("feeding")) < -2.5


def test_forecast_range_ignores_noise_around_zero() -> None:
    kw = np.where(np.arange(500) % 50, house_kw(500), -0.02)
    run = EngineRun(ensemble_engine(min_kw=-3.0)).process(stream(kw), at_a_time=50)
    assert min(forecast.lower_kw or 0 for forecast in run.forecasts) >= -0.02


@pytest.mark.long
def test_interval_of_persistence_alone_exists() -> None:
    run = EngineRun(ensemble_engine(Persistence(name="same"), learns=False)).process(
        stream(house_kw(3_000)), at_a_time=50
    )
    published_kw, actual_kw = run.outcome("published_kw")[300:], run.outcome("actual_kw")[300:]
    inside = (published_kw[:, 2] <= actual_kw) & (actual_kw <= published_kw[:, 3])
    assert inside.mean() == pytest.approx(0.9, abs=0.03)


def test_forecast_range_allows_feed_in_from_the_first_forecast() -> None:
    forecasts = (
        EngineRun(ensemble_engine(Persistence(name="same"), learns=False)).process(stream([-2.0, -2.0, -2.0])).forecasts
    )
    assert [forecast.gap_kw for forecast in forecasts] == [-2.0, -2.0]
    assert all((forecast.lower_kw or 0) < -2.0 for forecast in forecasts)
