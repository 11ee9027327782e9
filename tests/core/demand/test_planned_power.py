"""Announced loads in demands: they count in the minutes in which they run, whatever the outlook's lead times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F64
from gapcast.core.billing.options import DemandOptions, SiteDemandOptions
from gapcast.core.demand.demand import Demand
from gapcast.core.demand.headroom.headroom import Headroom
from gapcast.core.demand.headroom.headroom_request import HeadroomRequest
from gapcast.core.engine import Engine
from gapcast.core.plans.plan import LoadPlan, PlannedLoad
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.core.time_grid import MINUTE_MS
from tests.core.demand.runs import MONDAY, demand_engine, process, stream_of, use_numpy
from tests.support.examples import examples

CAR_KW = 7.4
#: Forecasts, with which outlooks agree, are rounded.
ROUNDING = 1e-4
both_steps = pytest.mark.parametrize("is_compiled", [pytest.param(True, marks=pytest.mark.compiled), False])
#: Power, start and end of loads, in seconds after the newest minute.
LOADS = st.lists(
    st.tuples(st.floats(-5, 11), st.integers(0, 7_000), st.integers(1, 7_000)).map(
        lambda one: (one[0], one[1], one[1] + one[2])
    ),
    min_size=1,
    max_size=4,
)


def engine_of(options: DemandOptions, *, is_compiled: bool = True) -> Engine:
    engine = demand_engine(SiteDemandOptions(options))
    if not is_compiled:
        use_numpy(engine)
    return engine


def demand_after(engine: Engine, n: int, *loads: tuple[float, float, float]) -> Demand:
    """Return the demand after ``n`` minutes of a steady house with ``loads``, minutes after the newest one."""
    first_ms = (MONDAY + n) * MINUTE_MS
    plan = [PlannedLoad(kw, first_ms + round(a * MINUTE_MS), first_ms + round(b * MINUTE_MS)) for kw, a, b in loads]
    engine.replace_plan("home", LoadPlan.from_loads(plan))
    readings = stream_of([1.0 + 0.1 * (i % 7) for i in range(n)])
    process(engine, readings[:-1], 30)
    return process(engine, readings[-1:])[0][0]


def ask(engine: Engine, kw: float, minutes: int) -> Headroom:
    risks = engine.demands.load_risks("home", engine.outlook_of("home"), HeadroomRequest(kw, minutes))
    assert risks is not None
    return risks.answer(100.0)


def planned_minutes(loads: list[tuple[float, float, float]], n_minutes: int) -> F64:
    """Return the planned power of each minute, from the overlap of ``loads`` with it."""
    minutes = np.arange(n_minutes)
    on = [kw * np.clip(np.minimum(b, minutes + 1) - np.maximum(a, minutes), 0, None) for kw, a, b in loads]
    total_kw: F64 = np.sum(on, axis=0)
    return total_kw


@both_steps
@examples(12)
@given(loads=LOADS, window_min=st.sampled_from((5, 6, 10, 15, 30, 60)), n=st.integers(61, 125))
def test_plan_changes_windows_by_its_own_minutes(
    is_compiled: bool, loads: list[tuple[float, int, int]], window_min: int, n: int
) -> None:
    options = DemandOptions(limit_kw=20.0, window_min=window_min)
    in_minutes = [(kw, a / 60, b / 60) for kw, a, b in loads]
    engine, without = (engine_of(options, is_compiled=is_compiled) for _ in range(2))
    found, wanted = demand_after(engine, n, *in_minutes), demand_after(without, n)
    planned_kw, newest = planned_minutes(in_minutes, 400), MONDAY + n
    for one, other in ((found.running, wanted.running), (found.next, wanted.next)):
        minutes = slice(max(one.start_minute - newest, 0), one.end_minute - newest)
        difference_kw = planned_kw[minutes].sum() / window_min
        assert one.expected_kw == pytest.approx(other.expected_kw + difference_kw, abs=ROUNDING)
        for name in ("lower_kw", "median_kw", "upper_kw"):
            assert getattr(one, name) == pytest.approx(getattr(other, name) + difference_kw, abs=1e-9)
        left_min = one.end_minute - max(one.start_minute, newest)
        assert one.headroom_kw == pytest.approx(other.headroom_kw - planned_kw[minutes].sum() / left_min, abs=1e-9)
    answer, without_plan = ask(engine, 0.5, 200), ask(without, 0.5, 200)
    for here, there in zip(answer.windows, without_plan.windows, strict=True):
        minutes = slice(max(here.start_minute - newest, 0), here.end_minute - newest)
        difference_kw = planned_kw[minutes].sum() / window_min
        assert here.median_kw == pytest.approx(there.median_kw + difference_kw, abs=1e-5)


@both_steps
def test_plan_of_another_device_changes_nothing(is_compiled: bool) -> None:
    made = []
    for loads in ([], [PlannedLoad(CAR_KW, (MONDAY + 93) * MINUTE_MS, (MONDAY + 130) * MINUTE_MS)]):
        engine = engine_of(DemandOptions(limit_kw=2.0, fuse_kw=4.0), is_compiled=is_compiled)
        engine.replace_plan("barn", LoadPlan.from_loads(loads))
        houses = [stream_of([1.0 + 0.1 * (i % 7) for i in range(90)], device=device) for device in ("home", "barn")]
        made.append(process(engine, [one for pair in zip(*houses, strict=True) for one in pair], 2)[-1])
    assert made[0][0] == made[1][0]
    assert made[0][1] != made[1][1]


@both_steps
def test_load_until_the_windows_end_is_not_spread_over_lead_times(is_compiled: bool) -> None:
    """Eight minutes are left, and the load runs in each: spread over the lead times it would be 6.3 kW."""
    options = DemandOptions(limit_kw=5.0)
    found = demand_after(engine_of(options, is_compiled=is_compiled), 97, (CAR_KW, 0, 8)).running
    without = demand_after(engine_of(options, is_compiled=is_compiled), 97).running
    assert found.expected_kw - without.expected_kw == pytest.approx(CAR_KW * 8 / 15, abs=ROUNDING)
    assert found.headroom_kw == pytest.approx(without.headroom_kw - CAR_KW, abs=0.01)
    assert found.p_exceed > 0.9 > without.p_exceed


@both_steps
def test_load_from_the_next_window_on_leaves_the_running_one_unchanged(is_compiled: bool) -> None:
    options = DemandOptions(limit_kw=2.5)
    found = demand_after(engine_of(options, is_compiled=is_compiled), 98, (CAR_KW, 7, 67)).running
    without = demand_after(engine_of(options, is_compiled=is_compiled), 98).running
    assert (found.p_exceed, found.headroom_kw) == (without.p_exceed, without.headroom_kw)


@both_steps
def test_next_hour_contains_loads_after_the_outlook_alone(is_compiled: bool) -> None:
    """Fifteen minutes are left of a window of an hour: the next one ends 75 minutes ahead."""
    options = DemandOptions(limit_kw=9.0, window_min=60)
    without = demand_after(engine_of(options, is_compiled=is_compiled), 105).next
    late = demand_after(engine_of(options, is_compiled=is_compiled), 105, (CAR_KW, 60, 75)).next
    early = demand_after(engine_of(options, is_compiled=is_compiled), 105, (CAR_KW, 0, 15)).next
    assert late.expected_kw - without.expected_kw == pytest.approx(CAR_KW / 4, abs=ROUNDING)
    assert early.expected_kw == pytest.approx(without.expected_kw, abs=ROUNDING)


@both_steps
def test_fuse_counts_a_load_between_two_lead_times(is_compiled: bool) -> None:
    """The lead times are 30 and 45 minutes; the load runs in the minutes 33 to 43."""
    options = DemandOptions(limit_kw=9.0, fuse_kw=8.0, window_min=60)
    found, without = (
        demand_after(engine_of(options, is_compiled=is_compiled), 75, *loads) for loads in ([(CAR_KW, 32, 43)], [])
    )
    assert without.p_fuse is not None
    assert found.p_fuse is not None
    assert without.p_fuse < 0.05
    assert found.p_fuse > 0.9
    assert found.running.headroom_kw < 0


def test_headroom_request_counts_minutes_above_the_fuse_between_lead_times() -> None:
    """A load of 3 kW fits beside the car for 30 minutes, not for 40, and again after it, also beyond the outlook."""
    options = DemandOptions(limit_kw=20.0, fuse_kw=11.0, window_min=60)
    engine = engine_of(options)
    demand_after(engine, 75, (CAR_KW, 32, 43), (CAR_KW, 70, 80))
    assert ask(engine, 3.0, 30).is_allowed
    assert not ask(engine, 3.0, 40).is_allowed
    assert ask(engine, 3.0, 20).earliest_start_minute == MONDAY + 75
    after = ask(engine, 3.0, 33).earliest_start_minute
    assert after is None, "the car is on from minute 71 on"
    assert ask(engine, 3.0, 27).is_allowed


def test_headroom_request_has_the_plan_of_its_demand() -> None:
    """A plan that arrives after the newest reading counts from the next reading on. A restart changes nothing."""
    options = DemandOptions(limit_kw=9.0)
    engine = engine_of(options)
    demand_after(engine, 98, (CAR_KW, 7, 40))
    before = ask(engine, 0.5, 30)
    restarted = engine_of(options)
    assert restore_snapshot(restarted, capture_snapshot(engine)) == ("", [])
    assert ask(restarted, 0.5, 30) == before
    start_ms = (MONDAY + 98) * MINUTE_MS
    engine.replace_plan("home", LoadPlan.from_loads([PlannedLoad(3.0, start_ms, start_ms + 10 * MINUTE_MS)]))
    assert ask(engine, 0.5, 30) == before


def test_headroom_request_after_a_cleared_plan_agrees_with_its_demand() -> None:
    engine = engine_of(DemandOptions(limit_kw=9.0, fuse_kw=11.0))
    demand_after(engine, 98, (CAR_KW, 7, 40))
    before = ask(engine, 0.5, 30)
    engine.replace_plan("home", LoadPlan())
    assert ask(engine, 0.5, 30) == before


def test_headroom_request_with_imports_alone_equals_the_demands() -> None:
    """An announced battery lowers imports by no more than the house draws."""
    options = DemandOptions(limit_kw=2.0, imports_only=True)
    engine = engine_of(options)
    running = demand_after(engine, 99, (-4.0, 2, 30), (3.0, 4, 5)).running
    found = ask(engine, 0.5, 6)
    assert found.p_exceed_without == pytest.approx(running.p_exceed, abs=1e-4)
    assert found.max_kw == pytest.approx(running.headroom_kw, abs=2e-3)
