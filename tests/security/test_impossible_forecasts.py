"""For any model output and any state of a device, no impossible forecast is published."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32
from gapcast.core.engine import Engine
from gapcast.core.forecasts.forecast import Forecast, Forecasts
from gapcast.core.forecasts.forecast_range import ForecastRange
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.models.predictor import Prediction
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.streams.history import History
from gapcast.predictors.baselines import Persistence
from gapcast.service.batches.forecast_step import record_replacements
from tests.support.library_choice import build

FIRST = 21_476_160
LIMITS = Limits(-5.0, 20.0)
WITHIN = ForecastRange.from_limits(LIMITS)
DEVICES = ("home", "flat", "farm")
LEVELS = (0.05, 0.5, 0.95)
LEADS_MIN = (1, 2, 3, 4, 5)
#: Tolerance for the rounding to float32 and to six decimals, kW.
ROUNDING_KW = 1e-5
SPECIAL = (np.nan, np.inf, -np.inf, 1e300, -1e300, 5.68e21, -1.0, 0.0, 5e-324, 1e-310, 1e9, -20.0, 1.5)
ANY_FLOAT = st.one_of(st.sampled_from(SPECIAL), st.floats())
ANY_FLOAT32 = st.one_of(st.sampled_from(SPECIAL), st.floats(width=32)).map(float)
FEW = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True, slots=True)
class Scripted(Persistence):
    """A model of five minutes and three levels that returns given values, and then persistence."""

    lead_times_min: tuple[int, ...] = LEADS_MIN
    quantile_levels: tuple[float, ...] | None = LEVELS
    values: list[float] = field(default_factory=list)

    def predict(self, windows: F32) -> Prediction:
        n = len(windows)
        means = np.repeat(windows[:, -1, :1], len(LEADS_MIN), axis=1)
        quantiles = np.stack([means - 0.3, means, means + 0.3], axis=-1)
        given, self.values[:] = self.values[: n * 20], self.values[n * 20 :]
        with np.errstate(over="ignore"):
            script = np.array(given, dtype=np.float64).astype(np.float32)
        flat = np.concatenate([means.reshape(n, -1), quantiles.reshape(n, -1)], axis=1).reshape(-1)
        flat[: len(script)] = script
        whole = flat.reshape(n, 20)
        return Prediction(whole[:, :5].copy(), whole[:, 5:].reshape(n, 5, 3).copy())


def engine_of(*models: Scripted | Persistence, **options: Any) -> Engine:
    every = {"min_kw": LIMITS.min_kw, "max_kw": LIMITS.max_kw} | options
    ensemble = Ensemble(models, EnsembleOptions(**every))
    return Engine(models[0], 10, ensemble=ensemble, history=History(60, 2), limits=LIMITS)


def readings_at(minute: int) -> list[Reading]:
    return [Reading(device, FIRST + minute, 0.5 + (minute * 7 + i * 3) % 10 / 10) for i, device in enumerate(DEVICES)]


def forecast_minute(engine: Engine, minute: int) -> Forecasts:
    forecasts = engine.forecast(engine.accept(readings_at(minute)), 1_000)
    for forecast in forecasts:
        assert_possible(forecast)
        assert engine.latest_of(str(forecast.device)) is not None
    engine.learn()
    return forecasts


def assert_possible(forecast: Forecast) -> None:
    low_kw, high_kw = WITHIN.low_kw - ROUNDING_KW, WITHIN.high_kw + ROUNDING_KW
    published = [forecast.gap_kw, *(forecast.path_kw or ())]
    ordered = [kw for kw in (forecast.lower_kw, forecast.median_kw, forecast.upper_kw) if kw is not None]
    assert all(low_kw <= kw <= high_kw for kw in published + ordered), forecast
    assert ordered == sorted(ordered), forecast
    for weights in (forecast.experts, forecast.median_experts):
        assert all(0.0 <= weight <= 1.0 for weight in (weights or {}).values()), forecast


def floats_of(engine: Engine) -> Iterator[tuple[str, NDArray[Any]]]:
    """Find every array of floats in the engine's state by inspection, so that new arrays are damaged too."""
    assert engine.ensemble is not None
    yield from engine.ensemble.state.arrays.items()
    for owner in (engine.horizons.main.newest, engine.horizons.main.scores, engine.horizons.main.drift, engine.history):
        for name in dir(owner):
            if isinstance(array := getattr(owner, name, None), np.ndarray):
                yield f"{type(owner).__name__}.{name}", array
    for device in DEVICES:
        yield f"buffer of {device}", engine.buffers.stream(device).block


ENGINES = {
    "blend": {},
    "alone, calibrated": {"combines": False, "learns": False},
    "alone, scored": {"combines": False, "learns": False, "calibrates": False},
    "untracked devices": {"max_devices": 1},
}


@pytest.mark.parametrize("options", ENGINES.values(), ids=ENGINES)
@FEW
@given(data=st.data())
def test_forecasts_from_any_damaged_state_are_possible(options: dict[str, Any], data: st.DataObject) -> None:
    engine = engine_of(Scripted(), Persistence(name="other", lead_times_min=LEADS_MIN), **options)
    for minute in range(8):
        forecast_minute(engine, minute)
    for name, array in floats_of(engine):
        if array.dtype.kind != "f" or not data.draw(st.booleans(), label=name):
            continue
        values = data.draw(st.lists(ANY_FLOAT, min_size=1, max_size=5))
        with np.errstate(over="ignore"):
            array[...] = np.resize(np.array(values), array.shape)
    minutes = [8, 9, 11, 12, 13, 14, 15]  # one is missing, and is filled by a line
    for minute in minutes:
        forecast_minute(engine, minute)
        for device in DEVICES:
            for summary in engine.scores_of(device).values():
                figures = [summary.mse_kw2, summary.mae_kw, summary.bias_kw, summary.width_kw, summary.coverage]
                assert all(figure is None or np.isfinite(figure) for figure in figures)
    healthy = [forecast_minute(engine, minute).replacements for minute in range(16, 22)]
    assert healthy[-1] is None, "the devices are healthy again"


@pytest.mark.parametrize("options", ENGINES.values(), ids=ENGINES)
@FEW
@given(values=st.lists(ANY_FLOAT32, min_size=1, max_size=400))
def test_forecasts_from_any_model_output_are_possible(options: dict[str, Any], values: list[float]) -> None:
    script = list(values)
    engine = engine_of(Scripted(values=script), Persistence(name="other", lead_times_min=LEADS_MIN), **options)
    minute = 0
    while script or minute < 3:
        forecast_minute(engine, minute)
        minute += 1
    assert forecast_minute(engine, minute).replacements is None


@FEW
@given(values=st.lists(ANY_FLOAT32, min_size=1, max_size=200))
def test_forecasts_of_a_model_alone_are_possible(values: list[float]) -> None:
    engine = Engine(Scripted(values=list(values)), 10, limits=LIMITS)
    for minute in range(6):
        forecast_minute(engine, minute)


@pytest.mark.parametrize("absurd", [np.nan, np.inf, 1e22])
def test_nan_for_one_window_does_not_affect_the_others(absurd: float) -> None:
    class Picky(Scripted):
        def predict(self, windows: F32) -> Prediction:
            prediction = Scripted.predict(self, windows)
            prediction.mean[windows[:, -1, 0] > 9.0, 2] = absurd
            return prediction

    engine, sound = Engine(Picky(), 10, limits=LIMITS), Engine(Scripted(), 10, limits=LIMITS)
    readings = [Reading(device, FIRST + i, kw) for i in range(2) for device, kw in (("home", 1.0), ("farm", 10.0))]
    forecasts = engine.forecast(engine.accept(readings), 0)
    home, farm = forecasts
    assert home == sound.forecast(sound.accept(readings), 0)[0]
    assert (farm.gap_kw, farm.median_kw, farm.lower_kw, farm.upper_kw) == pytest.approx((10.0, 10.0, 9.6, 10.4))
    assert farm.path_kw == (10.0,) * 5
    assert forecasts.replacements is not None
    assert [(one.device, one.cause) for one in forecasts.replacements.replaced] == [("farm", "model")]


def test_flipped_bit_in_a_width_gives_persistence_and_a_reset() -> None:
    engine = engine_of(Scripted())
    for minute in range(20):
        forecast_minute(engine, minute)
    assert engine.ensemble is not None
    state, row = engine.ensemble.state, engine.buffers.row("flat") + 1
    state.arrays["seen"][row, 2] = 50.0
    other = {name: array[1].copy() for name, array in state.arrays.items()}
    scores = engine.scores_of("flat")
    forecasts = engine.forecast(engine.accept(readings_at(20)), 0)
    flat = next(one for one in forecasts if one.device == "flat")
    last_kw = readings_at(20)[1].gap_kw
    assert (flat.gap_kw, flat.median_kw) == pytest.approx((last_kw, last_kw))
    assert (flat.lower_kw, flat.upper_kw) == pytest.approx((max(last_kw - 0.4, 0.0), last_kw + 0.4))
    assert forecasts.replacements is not None
    (replacement,) = forecasts.replacements.replaced
    assert (replacement.device, replacement.cause) == ("flat", "state")
    assert replacement.value_kw > WITHIN.high_kw
    assert all(np.array_equal(other[name], array[1], equal_nan=True) for name, array in state.arrays.items())
    assert engine.scores_of("flat") == scores, "its scores are kept"
    assert flat.n_observed == 21, "its window is kept"


@pytest.mark.parametrize("compiled", [True, False])
def test_damaged_coefficient_resets_its_device_once(*, compiled: bool) -> None:
    """Nothing of the replaced forecast damages the state again when its outcome arrives."""
    ensemble = build(Ensemble, (Scripted(),), EnsembleOptions(min_kw=-5.0, max_kw=20.0), compiled=compiled)
    engine = Engine(Scripted(), 10, ensemble=ensemble, limits=LIMITS)
    for minute in range(20):
        forecast_minute(engine, minute)
    ensemble.state.arrays["coefficients"][engine.buffers.row("flat") + 1, 0, 0] = np.nan
    replacements = [forecast_minute(engine, minute).replacements for minute in range(20, 35)]
    assert [len(one.replaced) if one else 0 for one in replacements] == [1] + [0] * 14


def test_bounds_over_the_range_are_clipped_without_a_reset() -> None:
    kw = np.array([[19.0, 19.0, 10.0, 30.0], [19.0, 19.0, 20.0, 18.0], [1.0, 1.0, -300.0, 300.0]])
    WITHIN.clip_forecasts(kw)
    assert kw.tolist() == [[19.0, 19.0, 10.0, 22.5], [19.0, 19.0, 19.0, 19.0], [1.0, 1.0, -300.0, 300.0]]


def test_forecast_over_the_range_is_clipped_and_a_faulty_one_is_not() -> None:
    """The range is -7.5 to 22.5 kW: a value that is more than 30 kW outside is faulty."""
    kw = np.array([[25.0, 52.0, 20.0, 30.0], [25.0, 53.0, 20.0, 30.0], [np.nan, 1.0, 0.0, 2.0]])
    WITHIN.clip_forecasts(kw)
    np.testing.assert_array_equal(kw, [[22.5, 22.5, 20.0, 22.5], [25.0, 53.0, 20.0, 30.0], [np.nan, 1.0, 0.0, 2.0]])


def test_prediction_without_quantiles_over_the_range_is_clipped() -> None:
    clipped, faulty = WITHIN.clip_prediction(Prediction(np.array([[25.0], [1.0], [60.0]], dtype=np.float32)))
    assert clipped.mean[:2, 0].tolist() == pytest.approx([22.5, 1.0], abs=1e-4)
    assert clipped.mean[0, 0] < WITHIN.high_kw
    assert clipped.quantiles is None
    assert faulty is not None
    assert faulty.tolist() == [False, False, True]


@pytest.mark.parametrize("options", ENGINES.values(), ids=ENGINES)
def test_model_over_the_range_is_clipped_without_a_replacement(options: dict[str, Any]) -> None:
    """A house may draw what its limits allow; then models forecast more than that."""
    engine = engine_of(Scripted(), **options)
    for minute in range(4):
        engine.forecast(engine.accept([Reading("home", FIRST + minute, 20.0)]), 0)
        engine.learn()
    model = engine.model
    assert isinstance(model, Scripted)
    model.values[:] = [30.0] * 5 + [21.0, 30.0, 45.0] * 5
    forecasts = engine.forecast(engine.accept([Reading("home", FIRST + 4, 20.0)]), 0)
    assert forecasts.replacements is None
    assert_possible(forecasts[0])
    assert forecasts[0].gap_kw > 20.0
    assert forecasts[0].upper_kw is not None
    assert forecasts[0].upper_kw > 20.4, "the bound of persistence"


def test_wide_interval_near_the_limit_is_clipped() -> None:
    engine = engine_of(Scripted())
    engine.forecast(engine.accept([Reading("home", FIRST + i, 15.0) for i in range(3)]), 0)
    engine.learn()
    assert engine.ensemble is not None
    engine.ensemble.state.arrays["seen"][1, 2] = np.log(20.0)
    forecasts = engine.forecast(engine.accept([Reading("home", FIRST + 3, 15.0)]), 0)
    assert forecasts.replacements is None
    assert forecasts[0].upper_kw == WITHIN.high_kw
    assert engine.ensemble.state.arrays["seen"][1, 2] == np.log(20.0)


def test_damaged_rls_model_without_intervals_gives_persistence() -> None:
    engine = engine_of(Persistence(), calibrates=False)
    engine.forecast(engine.accept([Reading("home", FIRST + i, 3.0) for i in range(3)]), 0)
    engine.learn()
    assert engine.ensemble is not None
    engine.ensemble.state.arrays["coefficients"][1] = np.nan
    forecasts = engine.forecast(engine.accept([Reading("home", FIRST + 3, 3.0)]), 0)
    assert (forecasts[0].gap_kw, forecasts[0].median_kw, forecasts[0].lower_kw) == (3.0, 3.0, None)
    assert forecasts.replacements is not None
    assert [one.cause for one in forecasts.replacements.replaced] == ["state"]


def test_crossed_quantiles_are_sorted() -> None:
    engine = Engine(Scripted(values=[1.0] * 5 + [3.0, 2.0, 1.0] * 5), 10, limits=LIMITS)
    forecast = engine.forecast(engine.accept([Reading("home", FIRST + i, 1.0) for i in range(2)]), 0)[0]
    assert (forecast.lower_kw, forecast.median_kw, forecast.upper_kw) == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("n", [1, 8, 9, 200])
def test_range_check_small_and_large_batches_agree(n: int) -> None:
    random = np.random.default_rng(n)
    shares = np.full((n, 2, 3), 1 / 3)
    for _ in range(50):
        kw = np.sort(random.uniform(WITHIN.low_kw - 0.01, WITHIN.high_kw + 0.01, (n, 4)))[:, [1, 2, 0, 3]]
        expected = all(WITHIN.low_kw <= low and high <= WITHIN.high_kw for low, high in kw[:, 2:].tolist())
        assert WITHIN.all_possible(kw, shares, bounded=True) == expected
        assert (not WITHIN.impossible(kw, shares, bounded=True).any()) == expected


def test_range_check_rejects_weights_that_are_no_shares() -> None:
    kw = np.zeros((1, 4))
    for weight in (np.nan, 1e300, -0.5):
        shares = np.array([[[0.5, 0.5], [0.5, weight]]])
        assert not WITHIN.all_possible(kw, shares, bounded=True)
        assert WITHIN.impossible(kw, shares, bounded=True).all()


@pytest.mark.parametrize("damage", [np.nan, 1e22, np.inf])
def test_latest_forecast_that_is_impossible_is_not_returned(damage: float) -> None:
    engine = engine_of(Scripted())
    for minute in range(3):
        forecast_minute(engine, minute)
    engine.horizons.main.newest._kw[engine.buffers.row("home"), 3:] = damage
    assert engine.latest_of("home") is None
    assert [forecast.device for forecast in engine.latest()] == ["flat", "farm"]
    engine.horizons.main.newest._when[engine.buffers.row("flat"), 0] = 2**40
    assert [forecast.device for forecast in engine.latest()] == ["farm"]


def test_repairs_are_counted_by_cause() -> None:
    statistics = Statistics()
    engine = Engine(Scripted(values=[np.nan] * 20), 10, limits=LIMITS)
    forecasts = engine.forecast(engine.accept([Reading("home", FIRST + i, 1.0) for i in range(2)]), 0)
    assert forecasts.replacements is not None
    record_replacements(statistics, forecasts.replacements)
    assert (statistics.n_model_failures, statistics.forecasts_replaced) == (1, {"model": 1, "state": 0})
