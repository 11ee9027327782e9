"""The compiled step of outlooks gives the same outlooks and learned state as the numpy modules for any stream."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gapcast.compiled.library import load_library
from gapcast.core.arrays.array_types import F32
from gapcast.core.engine import Engine
from gapcast.core.forecasts import power_floor
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.models.predictor import Prediction
from gapcast.core.outlook.options import OutlookConfig, OutlookOptions
from gapcast.core.outlook.outlook import LOWER, MEAN, MEDIAN, Outlooks
from gapcast.core.outlook.outlook_forecaster import OutlookForecaster
from gapcast.core.outlook.step.outlook_struct import OutlookStruct
from gapcast.core.plans.plan import LoadPlan, PlannedLoad
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import MINUTE_MS
from gapcast.core.windows.window import WindowSpec
from tests.core.outlook.runs import LEADS_MIN, outlook_engine, process, with_forecasts
from tests.support.examples import examples
from tests.support.houses import FIRST, Smooth, house_kw, plug_kw, stream
from tests.support.library_choice import build
from tests.support.outlook_model import OutlookModel

DEVICES = ("home", "barn", "shed", "loft")
STEPS = st.sampled_from((1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 7, 0, -1))
FILLED_KW = 0.35
POWERS_KW = st.sampled_from((0.0, 0.1, FILLED_KW, 2.4, -0.5, 99.0)) | st.floats(-3, 12).map(lambda kw: round(kw, 3))
ENTRIES = st.lists(st.tuples(st.integers(0, 3), STEPS, POWERS_KW), min_size=30, max_size=120)
#: Lead times with and without the first minute, the published horizon, and free ones.
LEADS = st.sampled_from(((1, 2, 3, 4, 5), (1, 2, 5, 8), (2, 3), (7, 9), (5,), OutlookModel().lead_times_min))
#: Values that damaged state may hold.
DAMAGED = (np.nan, np.inf, -np.inf, 1e30, -1e30, -1.0)
#: Tolerance: the same sums in the same order, but the last digit of a logarithm, an exponential function or a score may
#: differ.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class FailingModel(OutlookModel):
    """Returns an impossible value for windows whose newest reading is high."""

    value: float = np.nan
    is_of_means: bool = False

    def predict(self, windows: F32, history: F32 | None = None) -> Prediction:
        """Forecast as :class:`OutlookModel`, or an impossible ``value``."""
        found = super(FailingModel, self).predict(windows, history)
        fails = windows[:, -1, 0] > 2.3
        for values in (found.mean_to, found.quantiles_to) if self.is_of_means else (found.mean, found.quantiles):
            assert values is not None
            values[fails, -1] = self.value
        return found


def pair(model: OutlookModel | None = None, max_devices: int = 100) -> tuple[Engine, Engine]:
    """Return an engine with the compiled step of outlooks and one with numpy."""
    return as_pair(*(outlook_engine(outlook_model=model, options=OutlookOptions(max_devices)) for _ in range(2)))


def as_pair(compiled: Engine, numpy: Engine) -> tuple[Engine, Engine]:
    """Return the two equal engines, the second one with numpy."""
    part = compiled.outlooks
    assert part is not None
    assert part.compiled_step is not None
    of_numpy = OutlookConfig(part.model, part.options), numpy.zone, numpy.limits, LEADS_MIN, ("gap_kw",)
    numpy.horizons.main.outlooks = build(OutlookForecaster, *of_numpy, compiled=False)
    assert numpy.horizons.main.outlooks.compiled_step is None
    return compiled, numpy


def readings_of(entries: list[tuple[int, int, float]]) -> list[Reading]:
    minutes = dict.fromkeys(DEVICES, FIRST)
    made = []
    for who, step, kw in entries:
        minutes[DEVICES[who]] += step
        made.append(Reading(DEVICES[who], minutes[DEVICES[who]], kw, is_filled=kw == FILLED_KW))
    return made


def assert_same_outlooks(compiled: Outlooks | None, numpy: Outlooks | None) -> None:
    if numpy is None:
        assert compiled is None
        return
    assert compiled is not None
    assert compiled.model_means is not None
    assert numpy.model_means is not None
    assert (compiled.devices, compiled.observed_minutes) == (numpy.devices, numpy.observed_minutes)
    for found, expected in (
        (compiled.point_kw, numpy.point_kw),
        (compiled.mean_kw, numpy.mean_kw),
        (compiled.model_means.quantiles_kw, numpy.model_means.quantiles_kw),
        (compiled.model_means.floor_kw, numpy.model_means.floor_kw),
    ):
        np.testing.assert_allclose(found, expected, rtol=ROUNDING, atol=ROUNDING)


def run_both(engines: tuple[Engine, Engine], readings: Sequence[Reading], at_a_time: int) -> int:
    """Process ``readings`` with both engines; return the number of outlooks, which must be equal."""
    made, expected = (process(engine, readings, at_a_time) for engine in engines)
    for (_, compiled), (_, numpy) in zip(made, expected, strict=True):
        assert_same_outlooks(compiled, numpy)
    return sum(len(outlooks or ()) for _, outlooks in expected)


def assert_same_state(engines: tuple[Engine, Engine], rounding: float = ROUNDING) -> None:
    """Check that the learned state is equal, relative to the largest value of each array."""
    rows = list(range(len(engines[1].buffers)))
    found, expected = (engine.outlooks.columns(rows) for engine in engines if engine.outlooks is not None)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        if values.dtype.kind != "f":
            np.testing.assert_array_equal(found[name], values, err_msg=name)
            continue
        np.testing.assert_array_equal(np.isfinite(found[name]), np.isfinite(values), err_msg=name)
        assert difference(found[name], values) < rounding, name


def difference(found: NDArray[np.floating], expected: NDArray[np.floating]) -> float:
    is_finite = np.isfinite(expected)
    found, expected = found[is_finite], expected[is_finite]
    return float(np.abs(found - expected).max(initial=0.0) / np.abs(expected).max(initial=1e-30))


@examples(60)
@given(ENTRIES, st.integers(1, 40), LEADS, st.integers(1, 4), st.sampled_from((0, 672)))
def test_compiled_outlooks_of_any_stream_equals_numpy(
    entries: list[tuple[int, int, float]], size: int, leads_min: tuple[int, ...], n_tracked: int, steps: int
) -> None:
    model = OutlookModel(lead_times_min=leads_min, history_steps=steps)
    engines = pair(model, max_devices=n_tracked)
    run_both(engines, readings_of(entries), size)
    assert_same_state(engines)


@pytest.mark.parametrize("at_a_time", [pytest.param(1, marks=pytest.mark.long), 4, 10])
def test_compiled_outlooks_of_hours_equals_numpy(at_a_time: int) -> None:
    engines = pair()
    houses = [stream(house_kw(400, seed), FIRST, device) for seed, device in enumerate(DEVICES)]
    readings = [reading for minute in zip(*houses, strict=True) for reading in minute]
    assert run_both(engines, readings, at_a_time) > 1_500
    assert_same_state(engines)
    compiled, numpy = (engine.outlook_of("barn") for engine in engines)
    assert compiled is not None
    assert numpy is not None
    np.testing.assert_allclose(compiled.point_kw, numpy.point_kw, rtol=ROUNDING)
    assert (compiled.observed_minute, compiled.issued_at_ms) == (numpy.observed_minute, numpy.issued_at_ms)


def test_compiled_outlooks_of_a_long_series_equals_numpy() -> None:
    """Every reading is an outcome of each lead time, most of them in one batch."""
    engines = pair()
    run_both(engines, stream(house_kw(300, 5)), 300)
    assert_same_state(engines)


@pytest.mark.long
def test_compiled_outlooks_of_a_plug_equals_numpy() -> None:
    engines = pair()
    run_both(engines, stream(plug_kw(3_600)), 400)
    assert_same_state(engines)


def test_median_where_loads_only_switch_is_the_last_reading() -> None:
    """The model expects a part of each switch in the next minute, which costs absolute error in every minute."""
    engines = pair()
    draw = np.random.default_rng(6)
    kw = np.where(np.add.accumulate(draw.random(600) < 0.03) % 2, 2.0, 0.1)
    run_both(engines, stream(kw), 5)
    assert_same_state(engines)
    for engine in engines:
        outlook = engine.outlook_of("home")
        assert outlook is not None
        assert (outlook.point_kw[:3, MEDIAN] == kw[-1]).all()
        assert (outlook.mean_kw[:3, MEDIAN] == kw[-1]).all()
        assert abs(outlook.point_kw[0, MEAN] - kw[-1]) > 1e-6, "the mean is the published one"


@examples(15)
@given(
    ENTRIES, st.integers(1, 9), st.sampled_from((np.nan, np.inf, -np.inf, 3e38, 130.0, -359.0, 361.0)), st.booleans()
)
def test_compiled_outlooks_of_a_failing_model_equals_numpy(
    entries: list[tuple[int, int, float]], size: int, value: float, of_means: bool
) -> None:
    engines = pair(FailingModel(value=value, is_of_means=of_means))
    run_both(engines, readings_of(entries), size)
    assert_same_state(engines)


def quantiles_after_a_high_reading(engine: Engine) -> NDArray[np.float64]:
    """Return the model's quantiles of the means ``[K, Q]``, kW, after a reading of 3 kW that the model fails for."""
    _, outlooks = process(engine, [*stream(house_kw(40)), Reading("home", FIRST + 40, 3.0)])[-1]
    assert outlooks is not None
    assert outlooks.model_means is not None
    quantiles_kw: NDArray[np.float64] = outlooks.model_means.quantiles_kw[0]
    return quantiles_kw


def test_outlook_over_the_range_is_clipped() -> None:
    """A house may draw what its limits allow; then models forecast more than that. The range is -120 to 120 kW."""
    for engine in pair(FailingModel(value=130.0, is_of_means=True)):
        quantiles_kw = quantiles_after_a_high_reading(engine)
        assert (quantiles_kw[-1] == 120.0).all()
        assert 0.0 < quantiles_kw[0, 0] < quantiles_kw[0, -1] < 10.0, "other lead times are unchanged"


def test_outlook_of_a_faulty_model_is_persistence_with_a_spread() -> None:
    """Without a spread, the demand of a billing window would be certain."""
    for engine in pair(FailingModel(value=361.0, is_of_means=True)):
        quantiles_kw = quantiles_after_a_high_reading(engine)
        np.testing.assert_allclose(quantiles_kw, [[2.6, 2.8, 3.0, 3.2, 3.4]] * len(quantiles_kw))


@examples(30)
@given(
    st.sampled_from(("seen", "log_width", "recent", "coefficients", "covariance", "usual")),
    st.sampled_from(DAMAGED),
    st.integers(0, 2),
    st.integers(1, 7),
)
def test_compiled_outlooks_of_damaged_state_equals_numpy(name: str, value: float, which: int, size: int) -> None:
    engines = pair()
    houses = [stream(house_kw(40, seed), FIRST, device) for seed, device in enumerate(DEVICES[:3])]
    readings = [reading for minute in zip(*houses, strict=True) for reading in minute]
    run_both(engines, readings[:90], 30)
    for engine in engines:
        assert engine.outlooks is not None
        engine.outlooks.online.state.arrays[name][which + 1] = value
    run_both(engines, readings[90:], size)
    assert_same_state(engines, 1e-6)


def test_outlook_is_never_below_the_lowest_power_of_the_weeks() -> None:
    for engine in pair():
        readings = stream(house_kw(100) + 0.25)
        process(engine, readings[:60])
        assert engine.outlooks is not None
        assert engine.ensemble is not None
        for rows in (engine.outlooks.online.state, engine.ensemble.state):
            rows.arrays[power_floor.STATE][1] = 0.4, power_floor.UNKNOWN_KW, power_floor.FIRST_DAY
        lowest_kw = [outlooks.point_kw.min() for _, outlooks in process(engine, readings[60:]) if outlooks is not None]
        assert min(lowest_kw) == pytest.approx(0.4)


def test_compiled_outlooks_without_published_bounds_equals_numpy() -> None:
    model, zone = Smooth(lead_times_min=LEADS_MIN, quantile_levels=None), ZoneInfo("Europe/Brussels")
    engines = as_pair(*(Engine(model, zone=zone, outlook=OutlookConfig(OutlookModel())) for _ in range(2)))
    assert run_both(engines, stream(house_kw(150, 8)), 2) > 140
    assert_same_state(engines)


@pytest.mark.parametrize(
    ("levels", "calibrates", "is_published"),
    [(None, True, [True, False, True]), ((0.5,), False, [False, True, False])],
)
def test_compiled_outlooks_have_the_published_quantiles_at_the_horizon(
    levels: tuple[float, ...] | None, calibrates: bool, is_published: list[bool]
) -> None:
    model = Smooth(lead_times_min=LEADS_MIN, quantile_levels=levels)
    options, config = EnsembleOptions(combines=False, calibrates=calibrates), OutlookConfig(OutlookModel())
    engines = as_pair(*(Engine(model, ensemble=Ensemble((model,), options), outlook=config) for _ in range(2)))
    readings = stream(house_kw(150, 8))
    run_both(engines, readings[:100], 2)
    for engine in engines:
        for forecast, outlook in with_forecasts(process(engine, readings[100:], 2)):
            published_kw = [forecast.lower_kw, forecast.median_kw, forecast.upper_kw]
            assert [kw is not None for kw in published_kw] == is_published
            own_kw = outlook.point_kw[4, LOWER:].tolist()
            assert own_kw == sorted(own_kw)
            assert [kw for kw, is_one in zip(own_kw, is_published, strict=True) if is_one] == [
                kw for kw in published_kw if kw is not None
            ]
    assert_same_state(engines)


def test_compiled_outlooks_with_planned_loads_equals_numpy() -> None:
    engines = pair()
    readings = stream(house_kw(120, 3))
    run_both(engines, readings[:50], 1)
    load = PlannedLoad(2.0, (FIRST + 60) * MINUTE_MS, (FIRST + 90) * MINUTE_MS)
    for engine in engines:
        engine.replace_plan("home", LoadPlan((load,)))
    run_both(engines, readings[50:58], 4)
    outlook = engines[0].outlook_of("home")
    assert outlook is not None
    assert outlook.point_kw[5, MEAN] > outlook.point_kw[0, MEAN] + 1.0
    run_both(engines, readings[58:], 4)
    assert_same_state(engines)


def test_compiled_outlooks_continue_with_restored_and_adopted_state() -> None:
    engines = pair()
    houses = [stream(house_kw(160, seed), FIRST, device) for seed, device in enumerate(DEVICES)]
    readings = [reading for minute in zip(*houses, strict=True) for reading in minute]
    run_both(engines, readings[:400], 4)
    parts = [engine.outlooks for engine in engines if engine.outlooks is not None]
    columns = [part.columns(range(len(DEVICES))) for part in parts]
    for part, other in zip(parts, columns[::-1], strict=True):
        part.restore_columns(len(DEVICES), other)
    run_both(engines, readings[400:500], 7)
    for engine, part in zip(engines, parts, strict=True):
        engine.horizons.main.outlooks = build(
            OutlookForecaster,
            OutlookConfig(part.model, part.options), engine.zone, engine.limits, LEADS_MIN, ("gap_kw",),
            compiled=engine is engines[0],
        )  # fmt: skip
        engine.horizons.main.outlooks.adopt(part)
        engine.horizons.main.outlooks.forget(1)
    run_both(engines, readings[500:], 5)
    assert_same_state(engines)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (OutlookModel(), OutlookOptions(learns=False)),
        (OutlookModel(), OutlookOptions(calibrates=False)),
        (OutlookModel(WindowSpec(100), lead_times_min=(1, 5)), OutlookOptions()),
        (OutlookModel(lead_times_min=tuple(range(1, 40))), OutlookOptions()),
        (OutlookModel(history_steps=96), OutlookOptions()),
    ],
)
def test_compiled_outlooks_are_not_used_where_they_do_not_fit(model: OutlookModel, options: OutlookOptions) -> None:
    engine = outlook_engine(outlook_model=model, options=options)
    assert engine.outlooks is not None
    assert engine.outlooks.compiled_step is None


def test_compiled_outlooks_struct_is_as_long_as_that_of_the_library() -> None:
    library = load_library()
    assert library is not None
    n_bytes = library.gapcast_outlook_step_bytes
    n_bytes.restype = ctypes.c_int64
    assert n_bytes() == ctypes.sizeof(OutlookStruct)
