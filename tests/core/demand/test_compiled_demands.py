"""The compiled arithmetic gives the same demands, learned state and scores as numpy for any stream of readings."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.compiled.functions import load_function
from gapcast.core.billing.options import ActiveTimes, DemandOptions, SiteDemandOptions
from gapcast.core.demand.demand import Demands
from gapcast.core.demand.demand_forecaster import DemandForecaster
from gapcast.core.demand.distributions.remaining_power import RemainingPower
from gapcast.core.demand.headroom.fuse import FuseRisk
from gapcast.core.demand.state.demand_state import DemandState
from gapcast.core.demand.step import compiled_demands
from gapcast.core.demand.step.compiled_demands import CompiledDemands
from gapcast.core.demand.step.numpy_demands import NumpyDemands
from gapcast.core.engine import Engine
from gapcast.core.plans.plan import LoadPlan, PlannedLoad
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.core.time_grid import MINUTE_MS
from tests.core.demand.runs import MONDAY, demand_engine, process, stream_of, use_numpy
from tests.support.examples import examples

pytestmark = pytest.mark.compiled

#: Tolerance for a different order of sums, and the last digit of logarithms and exponential functions.
ROUNDING = 1e-12
DEVICES = ("home", "barn", "shed", "loft")
SITE = SiteDemandOptions(
    DemandOptions(limit_kw=2.0, window_min=5),
    {
        "barn": DemandOptions(by_month_peak=True, floor_kw=0.7, risk=0.2),
        "shed": DemandOptions(limit_kw=1.0, fuse_kw=4.0, window_min=60, active=ActiveTimes(hours=((0, 40), (70, 90)))),
        "loft": DemandOptions(limit_kw=0.3, window_min=6, risk=0.01, imports_only=True),
    },
)
STEPS = st.sampled_from((1, 1, 1, 1, 1, 1, 1, 2, 4, 7, 0, -1, -9, 40))
FILLED_KW = 0.35
POWERS_KW = st.sampled_from((0.0, 0.1, FILLED_KW, 2.4, -0.5, 99.0)) | st.floats(-3, 12).map(lambda kw: round(kw, 3))
ENTRIES = st.lists(st.tuples(st.integers(0, 3), STEPS, POWERS_KW), min_size=30, max_size=160)
#: Values that damaged state may hold.
DAMAGED = (np.nan, np.inf, -np.inf, 1e30, -1e30, 0.0, -1.0)


def part_of(engine: Engine) -> DemandForecaster:
    assert engine.demands.forecaster is not None
    return engine.demands.forecaster


def pair(**options: Any) -> tuple[Engine, Engine]:
    """An engine with compiled demands and one with numpy's demands."""
    site = replace(SITE, zone=options.get("zone", UTC))
    compiled, numpy = (demand_engine(site, **options) for _ in range(2))
    assert isinstance(part_of(compiled).arithmetic, CompiledDemands)
    use_numpy(numpy)
    return compiled, numpy


def readings_of(entries: list[tuple[int, int, float]]) -> list[Reading]:
    minutes = dict.fromkeys(DEVICES, MONDAY)
    made = []
    for who, step, kw in entries:
        minutes[DEVICES[who]] += step
        made.append(Reading(DEVICES[who], minutes[DEVICES[who]], kw, is_filled=kw == FILLED_KW))
    return made


def house_kw(seed: int, n: int) -> list[float]:
    draw = np.random.default_rng(seed)
    return [round(kw, 3) for kw in (draw.gamma(0.6, 1.2, n) + 1.8 * (draw.random(n) < 0.2)).tolist()]


def assert_equal(found: list[Demands], expected: list[Demands], rounding: float = ROUNDING) -> None:
    assert [one.devices for one in found] == [one.devices for one in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.columns, other.columns, rtol=rounding, atol=rounding, equal_nan=True)


def assert_same_state(found: Engine, expected: Engine, rounding: float = ROUNDING) -> None:
    rows = list(range(len(expected.buffers)))
    columns, others = (part_of(one).columns(rows) for one in (found, expected))
    assert columns.keys() == others.keys()
    for name, other in others.items():
        if other.dtype.kind == "f":
            size = np.abs(other[np.isfinite(other)]).max(initial=1.0)
            np.testing.assert_allclose(columns[name], other, rtol=0, atol=rounding * size, equal_nan=True, err_msg=name)
        else:
            np.testing.assert_array_equal(columns[name], other, err_msg=name)


@examples(30)
@given(ENTRIES, st.integers(1, 40))
def test_compiled_demands_any_stream_equals_numpy(entries: list[tuple[int, int, float]], size: int) -> None:
    compiled, numpy = pair()
    readings = readings_of(entries)
    assert_equal(process(compiled, readings, size), process(numpy, readings, size))
    assert_same_state(compiled, numpy)


@pytest.mark.parametrize("at_a_time", [pytest.param(1, marks=pytest.mark.long), 4, 90])
def test_compiled_demands_of_hours_equals_numpy(at_a_time: int) -> None:
    compiled, numpy = pair(zone=ZoneInfo("America/St_Johns"))  # midnight is in the middle of the hours
    houses = [stream_of(house_kw(i, 420), device=device) for i, device in enumerate(DEVICES)]
    readings = [reading for minute in zip(*houses, strict=True) for reading in minute]
    found, expected = process(compiled, readings, at_a_time), process(numpy, readings, at_a_time)
    assert sum(map(len, expected)) == 4 * 419
    assert_equal(found, expected)
    assert_same_state(compiled, numpy)
    for device in DEVICES:
        scores = compiled.demands.scores_of(device)
        assert scores is not None
        assert scores.n_windows > 0
        assert scores.n_days == (2 if device != "shed" else 1)
        expected_scores = numpy.demands.scores_of(device)
        assert expected_scores is not None
        assert scores.alarms == expected_scores.alarms


@pytest.mark.parametrize(("device", "kw"), [("home", 1.5), ("barn", 1.5), ("loft", -3.0), ("shed", 3.5)])
@pytest.mark.parametrize("n_missing", [0, 7, 10])
def test_compiled_demands_with_announced_loads_equals_numpy(device: str, kw: float, n_missing: int) -> None:
    compiled, numpy = pair()
    readings = [
        *stream_of(house_kw(3, 60), device=device),
        *stream_of(house_kw(4, 90), MONDAY + 60 + n_missing, device),
    ]
    made = []
    for engine in (compiled, numpy):
        plan = LoadPlan.from_loads([PlannedLoad(kw, (MONDAY + 40) * MINUTE_MS, (MONDAY + 90) * MINUTE_MS)])
        engine.replace_plan(device, plan)
        made.append(process(engine, readings, 7))
    assert_equal(made[0], made[1])
    assert_same_state(compiled, numpy)


def test_compiled_demands_of_more_devices_equals_numpy() -> None:
    """Arrays of the state are reallocated, and batches have any size."""
    compiled, numpy = pair()
    readings = [
        Reading(f"device {i}", MONDAY + minute, kw)
        for minute, kw in enumerate(house_kw(5, 40))
        for i in range(1 + minute // 2)
    ]
    sizes = [1, 3, 40, 7, 2, 90, 5]
    at, n = 0, 0
    while at < len(readings):
        size = sizes[n % len(sizes)]
        found, expected = (process(engine, readings[at : at + size], size) for engine in (compiled, numpy))
        assert_equal(found, expected)
        at, n = at + size, n + 1
    assert_same_state(compiled, numpy)


@examples(20)
@given(
    st.sampled_from(("coefficients", "information", "due_kw", "due_features", "n_minutes", "due_minute")),
    st.sampled_from(DAMAGED),
    st.integers(1, 2),
)
def test_compiled_demands_damaged_state_is_replaced_as_by_numpy(name: str, value: float, row: int) -> None:
    compiled, numpy = pair()
    houses = [stream_of(house_kw(i, 70), device=device) for i, device in enumerate(DEVICES[:2])]
    readings = [reading for minute in zip(*houses, strict=True) for reading in minute]
    made = []
    for engine in (compiled, numpy):
        process(engine, readings[:80], 20)
        array = part_of(engine).power.state.arrays[name]
        array[row] = np.clip(np.nan_to_num(value), -(10**9), 10**9) if array.dtype.kind == "i" else value
        made.append(process(engine, readings[80:], 4))
    assert_equal(made[0], made[1], 1e-6)


def test_compiled_demands_continue_with_a_restored_state() -> None:
    engines = pair()
    readings = stream_of(house_kw(8, 200))
    made = []
    for engine in engines:
        process(engine, readings[:150])
    for engine in reversed(engines):
        after = demand_engine(SITE)
        restore_snapshot(after, capture_snapshot(engine))
        if engine is engines[0]:
            use_numpy(after)
        made.append(process(after, readings[150:], 7))
    assert_equal(made[0], made[1])


def test_compiled_demands_forgotten_device_begins_again() -> None:
    engines = pair()
    made = []
    for engine in engines:
        process(engine, stream_of(house_kw(8, 60)))
        engine.forget("home")
        made.append(process(engine, stream_of(house_kw(9, 60), MONDAY + 60)))
    assert_equal(made[0], made[1])
    assert_same_state(*engines)


@pytest.mark.parametrize("name", ["gapcast_make_demands", "gapcast_learn_demands"])
def test_compiled_demands_without_a_function_fall_back_to_numpy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        compiled_demands, "load_function", lambda wanted: None if wanted == name else load_function(wanted)
    )
    assert isinstance(part_of(demand_engine()).arithmetic, NumpyDemands)


@pytest.mark.parametrize(
    ("leads_min", "levels"), [(range(1, 66), (0.1, 0.5, 0.9)), ((1, 5), np.linspace(0.01, 0.99, 33).tolist())]
)
def test_compiled_demands_of_a_larger_outlook_fall_back_to_numpy(leads_min: Any, levels: list[float]) -> None:
    state = DemandState(RemainingPower(tuple(leads_min), levels, 100.0))
    assert CompiledDemands.create_if_available(state, FuseRisk(tuple(leads_min)), 100.0) is None
