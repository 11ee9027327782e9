"""Headroom requests to the engine: they agree with the demand, and consider plans, limits and the fuse."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from gapcast.core.billing.options import ActiveTimes, DemandOptions, SiteDemandOptions
from gapcast.core.demand.documents.document import headroom_w
from gapcast.core.demand.headroom.headroom import Headroom
from gapcast.core.demand.headroom.headroom_request import HeadroomRequest
from gapcast.core.engine import Engine
from gapcast.core.outlook.options import OutlookOptions
from gapcast.core.plans.plan import LoadPlan, PlannedLoad
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import MINUTE_MS
from tests.core.demand.runs import LIMITED, MONDAY, demand_engine, process, stream_of

POWERS_KW = [1.0 + 0.1 * (i % 7) for i in range(99)]


def engine_after(site: SiteDemandOptions = LIMITED, n: int = 99) -> Engine:
    engine = demand_engine(site)
    process(engine, stream_of(POWERS_KW[:n]))
    return engine


def ask(engine: Engine, kw: float, minutes: int, device: str = "home") -> Headroom:
    risks = engine.demands.load_risks(device, engine.outlook_of(device), HeadroomRequest(kw, minutes))
    assert risks is not None
    return risks.answer(100.0)


@pytest.mark.parametrize("fuse_kw", [None, 2.0])
def test_headroom_until_the_windows_end_equals_the_demands(fuse_kw: float | None) -> None:
    engine = engine_after(SiteDemandOptions(DemandOptions(limit_kw=2.0, fuse_kw=fuse_kw)))
    demand = engine.demands.newest("home")
    assert demand is not None
    found = ask(engine, 0.5, 15 - demand.running.elapsed_min)
    if fuse_kw is None:
        assert round(found.max_kw * 1_000) == headroom_w(demand.running.headroom_kw) > 0
    assert found.demand == demand
    assert found.p_exceed_without == pytest.approx(demand.running.p_exceed)
    assert (found.p_fuse is None) == (fuse_kw is None)


def test_headroom_without_a_load_has_the_probabilities_of_both_windows() -> None:
    engine = engine_after()
    demand = engine.demands.newest("home")
    assert demand is not None
    found = ask(engine, 1e-9, 20)
    assert [one.p_exceed for one in found.windows] == pytest.approx([demand.running.p_exceed, demand.next.p_exceed])
    assert [one.limit_kw for one in found.windows] == [demand.running.limit_kw, demand.next.limit_kw]


def test_headroom_request_changes_no_state() -> None:
    asked, other = engine_after(), engine_after()
    for minutes in (5, 45, 1_440):
        ask(asked, 0.2, minutes)
    after = stream_of([1.3, 1.1], MONDAY + 99)
    assert [made[0] for made in process(asked, after)] == [made[0] for made in process(other, after)]


def test_headroom_shrinks_by_an_announced_load() -> None:
    engine = demand_engine(LIMITED)
    readings = stream_of(POWERS_KW)
    process(engine, readings[:-1])
    start = (MONDAY + 106) * MINUTE_MS
    engine.replace_plan("home", LoadPlan((PlannedLoad(0.6, start, start + 40 * MINUTE_MS),)))
    process(engine, readings[-1:])
    announced, without = ask(engine, 0.2, 30), ask(engine_after(), 0.2, 30)
    assert announced.max_kw < without.max_kw
    assert announced.windows[1].median_kw == pytest.approx(without.windows[1].median_kw + 0.6, abs=0.1)


def test_headroom_during_an_announced_load_equals_the_demands() -> None:
    """A house that has learned that recent power matters: it is that of the readings without the load."""
    engine = engine_after(n=50)
    start = MONDAY + 66
    engine.replace_plan("home", LoadPlan((PlannedLoad(2.0, start * MINUTE_MS, (start + 40) * MINUTE_MS),)))
    assert engine.demands.forecaster is not None
    engine.demands.forecaster.power.state.arrays["coefficients"][1] += 0.1
    for minute, kw in enumerate(POWERS_KW[50:], MONDAY + 50):
        made = process(engine, [Reading("home", minute, 0.4 * kw + 2.0 * (start <= minute < start + 40))])
        if minute >= start:
            running = made[0][0].running
            found = ask(engine, 0.5, running.end_minute - minute - 1)
            assert found.p_exceed_without == pytest.approx(running.p_exceed, abs=1e-5)
            assert found.max_kw == pytest.approx(max(running.headroom_kw, 0.0), abs=2e-3)


def test_headroom_counts_the_limit_in_its_hours_only() -> None:
    hours = ActiveTimes(hours=((0, 120),))
    engine = engine_after(SiteDemandOptions(DemandOptions(limit_kw=1.0, active=hours), zone=ZoneInfo("UTC")))
    found = ask(engine, 3.0, 60)  # from 01:39 on
    assert [one.limit_kw for one in found.windows] == [1.0, 1.0, None, None, None]
    assert not found.is_allowed
    assert found.earliest_start_minute == MONDAY + 120


def test_headroom_uses_a_limit_that_was_set() -> None:
    engine = engine_after()
    engine.demands.set_limit("home", 50.0)
    process(engine, stream_of([1.2], MONDAY + 99))
    assert [one.limit_kw for one in ask(engine, 9.0, 45).windows] == [50.0] * 4


def test_headroom_beyond_the_outlook_is_approximate() -> None:
    found = ask(engine_after(), 0.2, 120)
    assert [one.is_approximate for one in found.windows][:4] == [False] * 4
    assert all(one.is_approximate for one in found.windows[5:])


def test_headroom_needs_a_demand_of_the_newest_reading() -> None:
    engine = engine_after()
    request = HeadroomRequest(1.0, 5)
    assert engine.demands.load_risks("nobody", engine.outlook_of("nobody"), request) is None
    engine.accept([Reading("home", MONDAY + 99, 1.0)])  # its outlook was not made
    assert engine.demands.load_risks("home", engine.outlook_of("home"), request) is None
    unlimited = demand_engine(SiteDemandOptions())
    process(unlimited, stream_of(POWERS_KW[:3]))
    assert unlimited.demands.load_risks("home", unlimited.outlook_of("home"), request) is None


def test_headroom_of_a_device_that_lost_its_limit_is_none() -> None:
    engine = engine_after()
    assert engine.demands.forecaster is not None
    engine.demands.forecaster.windows.forget(0)
    assert engine.demands.newest("home") is not None
    assert engine.demands.load_risks("home", engine.outlook_of("home"), HeadroomRequest(1.0, 5)) is None


def test_headroom_of_a_device_without_an_outlook_is_none() -> None:
    engine = demand_engine(LIMITED, options=OutlookOptions(max_devices=1))
    process(engine, [*stream_of([1.0, 1.1]), *stream_of([1.0, 1.1], device="second")])
    assert engine.demands.load_risks("second", engine.outlook_of("second"), HeadroomRequest(1.0, 5)) is None


@pytest.mark.parametrize("limit_kw", [9.0, 1.25, None])
def test_headroom_has_a_new_limit_in_all_windows_at_once(limit_kw: float | None) -> None:
    """The demand has it from the next reading on; an answer must not mix one limit now with another an hour later."""
    engine = engine_after()
    engine.demands.set_limit("home", 3.5)
    before = ask(engine, 0.4, 45)
    engine.demands.set_limit("home", limit_kw)
    found = ask(engine, 0.4, 45)
    assert {one.limit_kw for one in before.windows} == {3.5}
    assert {one.limit_kw for one in found.windows} == {2.0 if limit_kw is None else limit_kw}
    process(engine, stream_of(POWERS_KW[:1], first=MONDAY + 99))
    assert {one.limit_kw for one in ask(engine, 0.4, 45).windows} == {one.limit_kw for one in found.windows}
