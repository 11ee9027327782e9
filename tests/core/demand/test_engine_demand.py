"""Demands in the engine: from readings and outlooks to windows, limits and headroom."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gapcast.core.billing.month_peaks import DayPeak
from gapcast.core.billing.options import ActiveTimes, DemandOptions, LimitSource, SiteDemandOptions
from gapcast.core.demand.demand import Demand
from gapcast.core.demand.distributions.exceedance_model import PRIOR
from gapcast.core.demand.scores.scores import PERSISTENCE
from gapcast.core.errors import PayloadError
from gapcast.core.outlook.options import OutlookOptions
from gapcast.core.plans.plan import LoadPlan, PlannedLoad
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.state_transfer import transfer_state
from tests.core.demand.runs import LIMITED, MONDAY, demand_engine, process, stream_of, use_numpy

MONTH_PEAK = SiteDemandOptions(DemandOptions(by_month_peak=True, floor_kw=1.0))


def demand_after(powers_kw: list[float], site: SiteDemandOptions = LIMITED, first: int = MONDAY) -> Demand:
    return process(demand_engine(site), stream_of(powers_kw, first))[-1][0]


def test_demand_of_a_running_window_has_its_minutes() -> None:
    demand = demand_after([1.0] * 15 + [2.0, 3.0, 1.0])
    running = demand.running
    assert (demand.device, demand.observed_minute, demand.issued_at_ms) == ("home", MONDAY + 17, 7)
    assert (running.start_minute, running.end_minute) == (MONDAY + 15, MONDAY + 30)
    assert (running.elapsed_min, running.n_known, running.so_far_kw) == (3, 3, 2.0)
    assert (demand.next.start_minute, demand.next.end_minute) == (MONDAY + 30, MONDAY + 45)
    assert (demand.next.elapsed_min, demand.next.n_known, demand.next.so_far_kw) == (0, 0, None)
    assert demand.valid_until_minute == MONDAY + 22
    assert running.lower_kw < running.median_kw < running.upper_kw
    assert (running.limit_kw, running.limit_source) == (2.0, LimitSource.FIXED)


def test_demand_after_the_last_minute_is_of_the_next_window() -> None:
    demand = demand_after([1.0] * 15)
    assert (demand.running.start_minute, demand.running.elapsed_min) == (MONDAY + 15, 0)
    assert demand.running.so_far_kw is None
    assert demand.month_peak_kw == 1.0


def test_demand_expects_what_was_drawn_and_the_outlook_of_the_rest() -> None:
    engine = demand_engine()
    made = []
    for reading in stream_of([1.0 + 0.1 * (i % 7) for i in range(100)]):
        accepted = engine.accept([reading])
        outlooks = engine.outlook(accepted, engine.forecast(accepted, 7))
        demands = engine.demand(accepted, outlooks)
        made.append((outlooks, demands))
        engine.learn()
    outlooks, demands = made[-1]
    assert outlooks is not None
    assert demands is not None
    running = demands[0].running
    assert running.elapsed_min == 10
    lead_5 = outlooks.lead_times_min.index(5)
    rest_kw = outlooks.mean_kw[0, lead_5]
    assert running.so_far_kw is not None
    drawn_kw = 10 * running.so_far_kw
    assert running.expected_kw == pytest.approx((drawn_kw + 5 * rest_kw[0]) / 15)
    model_kw = outlooks.model_means
    assert model_kw is not None
    lowest_kw, highest_kw = model_kw.quantiles_kw[0, lead_5, [0, -1]].tolist()
    for bound_kw, level_kw in ((running.lower_kw, lowest_kw), (running.upper_kw, highest_kw)):
        assert bound_kw == pytest.approx((drawn_kw + 5 * level_kw) / 15, abs=0.2 * (highest_kw - lowest_kw))
    assert running.lower_kw < running.median_kw < running.upper_kw


def test_demand_headroom_at_the_risk_leaves_that_probability() -> None:
    engine = demand_engine(SiteDemandOptions(DemandOptions(limit_kw=2.0, risk=0.05)))
    demand = process(engine, stream_of([1.0 + 0.3 * (i % 5) for i in range(67)]))[-1][0]
    left_kw = demand.running.upper_kw + demand.running.headroom_kw * 8 / 15
    assert left_kw == pytest.approx(2.0, abs=1e-4)


def test_demand_headroom_follows_the_risk_of_each_device() -> None:
    careful = SiteDemandOptions(DemandOptions(limit_kw=2.0, risk=0.1), {"mill": DemandOptions(limit_kw=2.0, risk=0.01)})
    powers_kw = [1.0 + 0.3 * (i % 5) for i in range(67)]
    readings = [
        one for both in zip(stream_of(powers_kw), stream_of(powers_kw, device="mill"), strict=True) for one in both
    ]
    home, mill = process(demand_engine(careful), readings, 2)[-1]
    assert home.running.p_exceed == mill.running.p_exceed
    assert home.running.headroom_kw > mill.running.headroom_kw
    alone = process(demand_engine(SiteDemandOptions(careful.devices["mill"])), stream_of(powers_kw))[-1][0]
    assert mill.running == alone.running


def test_demand_above_its_limit_has_a_negative_headroom() -> None:
    running = demand_after([4.0] * 28).running
    assert running.p_exceed > 0.99
    assert running.headroom_kw < -4


def test_demand_by_month_peak_has_the_floor_until_a_window_is_higher() -> None:
    assert demand_after([0.5] * 20, MONTH_PEAK).running.limit_kw == 1.0
    demand = demand_after([3.0] * 15 + [0.5] * 20, MONTH_PEAK)
    assert (demand.running.limit_kw, demand.running.limit_source) == (3.0, LimitSource.MONTH_PEAK)
    assert (demand.month_peak_kw, demand.next.limit_kw) == (3.0, 3.0)


def test_demand_of_a_new_month_begins_with_the_floor() -> None:
    december = MONDAY + 29 * 1440
    demand = demand_after([3.0] * 31, MONTH_PEAK, december - 40)
    assert (demand.running.limit_kw, demand.next.limit_kw, demand.month_peak_kw) == (3.0, 1.0, 3.0)
    demand = demand_after([3.0] * 41, MONTH_PEAK, december - 40)
    assert (demand.running.limit_kw, demand.month_peak_kw) == (1.0, None)


def test_demand_of_several_days_has_the_mean_of_their_peaks() -> None:
    site = SiteDemandOptions(DemandOptions(by_month_peak=True, n_peak_days=2, floor_kw=0.0))
    engine = demand_engine(site)
    days = stream_of([2.0] * 15 + [5.0] * 15) + stream_of([3.0] * 16, MONDAY + 1440)
    assert process(engine, days)[-1][0].running.limit_kw == 4.0


def test_forgetting_a_device_without_readings_clears_its_limit() -> None:
    engine = demand_engine()
    engine.demands.set_limit("new", 3.0)
    assert engine.forget("new") is None
    assert engine.demands.forecaster is not None
    assert engine.demands.forecaster.windows.set_limits_kw == {}


def test_month_peak_is_of_windows_within_the_active_hours() -> None:
    active = ActiveTimes(hours=((15, 30),))
    site = SiteDemandOptions(DemandOptions(by_month_peak=True, floor_kw=0.5, active=active))
    demand = demand_after([3.0] * 15 + [1.0] * 15 + [4.0] * 15 + [1.0], site)
    assert demand.month_peak_kw == 1.0


def test_demand_outside_the_active_hours_has_no_limit() -> None:
    site = SiteDemandOptions(DemandOptions(limit_kw=2.0, active=ActiveTimes(hours=((15, 30),))))
    demand = demand_after([3.0] * 10, site)
    running, following = demand.running, demand.next
    assert (running.limit_kw, running.limit_source, running.p_exceed) == (None, LimitSource.NONE, 0.0)
    assert following.limit_kw == 2.0
    rest_upper_kw = (running.upper_kw - 10 / 15 * 3.0) * 15 / 5
    assert running.headroom_kw == pytest.approx(100 - rest_upper_kw, abs=1e-4)


def test_demand_of_a_fuse_limits_the_headroom_of_the_running_window() -> None:
    fused = SiteDemandOptions(DemandOptions(limit_kw=50.0, fuse_kw=4.0))
    powers_kw = [1.0 + 0.2 * (i % 4) for i in range(70)]
    demand, alone = (
        demand_after(powers_kw, fused),
        demand_after(powers_kw, SiteDemandOptions(DemandOptions(limit_kw=50.0))),
    )
    assert (alone.fuse_kw, alone.p_fuse) == (None, None)
    assert demand.fuse_kw == 4.0
    assert demand.p_fuse is not None
    assert 0 < demand.p_fuse < 0.05
    assert 0 < demand.running.headroom_kw < 3 < alone.running.headroom_kw
    assert demand.next == alone.next


@pytest.mark.parametrize("is_compiled", [True, False])
def test_demand_learns_no_outcome_across_a_wrong_time(*, is_compiled: bool) -> None:
    engine, readings = demand_engine(), stream_of([1.0, 1.4] * 7)
    if not is_compiled:
        use_numpy(engine)
    process(
        engine, [*readings[:10], Reading("home", MONDAY + 40, 1.0), *readings[10:], Reading("home", MONDAY + 14, 1)]
    )
    part = engine.demands.forecaster
    assert part is not None
    of_first_third, _, of_last_third, _ = part.power.state.arrays["coefficients"][1]
    assert (of_first_third == PRIOR).all()
    assert (of_last_third != PRIOR).any()


def test_demand_with_an_announced_load_expects_it() -> None:
    engine = demand_engine()
    process(engine, stream_of([1.0] * 65))
    at_ms = (MONDAY + 66) * 60_000
    engine.replace_plan("home", LoadPlan((PlannedLoad(3.0, at_ms, at_ms + 3_600_000),)))
    (demands,) = process(engine, [Reading("home", MONDAY + 65, 1.0)])
    assert demands[0].running.expected_kw > 2.5
    (demands,) = process(engine, [Reading("home", MONDAY + 66, 4.0)])
    assert demands[0].running.so_far_kw == pytest.approx(10 / 7)


def test_demand_after_a_gap_counts_an_announced_load_once() -> None:
    from_ms, until_ms = (MONDAY + 60) * 60_000, (MONDAY + 150) * 60_000
    readings = stream_of([0.5 + 0.01 * (i % 5) + (8.0 if i >= 60 else 0.0) for i in range(92)])
    headrooms_kw = []
    for last in (90, 80):
        engine = demand_engine(SiteDemandOptions(DemandOptions(limit_kw=9.0)))
        process(engine, readings[:10])
        engine.replace_plan("home", LoadPlan((PlannedLoad(8.0, from_ms, until_ms),)))
        headrooms_kw.append(process(engine, readings[10:last] + readings[90:])[-1][0].next.headroom_kw)
    assert headrooms_kw[1] == pytest.approx(headrooms_kw[0], abs=0.1)


def test_demand_of_one_device_several_times_in_a_batch_equals_one_by_one() -> None:
    readings = [
        one
        for i in range(60)
        for one in (Reading("home", MONDAY + i, 1 + 0.1 * (i % 9)), Reading("mill", MONDAY + i, 3 - 0.1 * (i % 7)))
    ]
    apart = [one for demands in process(demand_engine(), readings) for one in demands]
    at_once = [one for demands in process(demand_engine(), readings, 41) for one in demands]
    assert len(at_once) == 118
    assert [replace(one, model="") for one in at_once] == [replace(one, model="") for one in apart]


def test_demand_without_limit_or_outlook_is_none() -> None:
    assert demand_engine(None).demands.forecaster is None
    assert demand_engine(SiteDemandOptions()).demands.forecaster is None
    engine = demand_engine(SiteDemandOptions(devices={"mill": DemandOptions(limit_kw=1.0)}))
    assert process(engine, stream_of([1.0] * 5)) == []
    assert engine.demands.newest("home") is None
    engine = demand_engine(options=OutlookOptions(max_devices=1))
    readings = [one for i in range(3) for one in (Reading("home", MONDAY + i, 1.0), Reading("mill", MONDAY + i, 1.0))]
    assert [demands.devices for demands in process(engine, readings, 2)] == [["home"]] * 2
    assert engine.demands.newest("mill") is None
    engine.stamp([0, 1], [9, 9])
    newest = engine.demands.newest("home")
    assert newest is not None
    assert newest.issued_at_ms == 9


def test_demand_of_returns_the_newest_one() -> None:
    engine = demand_engine(SiteDemandOptions(DemandOptions(by_month_peak=True, fuse_kw=9.0)))
    made = process(engine, stream_of([1.0] * 20))
    assert engine.demands.newest("home") == made[-1][0]
    assert engine.demands.newest("mill") is None
    engine.stamp([0], [99])
    stamped = engine.demands.newest("home")
    assert stamped == replace(made[-1][0], issued_at_ms=99)


def test_demand_of_a_forgotten_device_begins_again() -> None:
    engine = demand_engine()
    process(engine, stream_of([1.0] * 20))
    engine.forget("home")
    assert engine.demands.newest("home") is None
    (demands,) = process(engine, stream_of([2.0] * 2, MONDAY + 20))
    assert (demands[0].running.n_known, demands[0].month_peak_kw) == (2, None)


def test_set_limit_replaces_the_configured_one_until_it_is_cleared() -> None:
    engine = demand_engine()
    engine.demands.set_limit("home", 3.5)
    second = process(engine, stream_of([1.0] * 3))[1]
    assert (second[0].running.limit_kw, second[0].running.limit_source) == (3.5, LimitSource.SET)
    engine.demands.set_limit("home", 100.0)  # limits.max_kw
    (third,) = process(engine, stream_of([1.0], MONDAY + 3))
    assert third[0].running.limit_kw == 100.0
    engine.demands.set_limit("mill", 3.0)
    engine.demands.set_limit("mill", None)
    engine.demands.set_limit("home", None)
    (fourth,) = process(engine, stream_of([1.0], MONDAY + 4))
    assert fourth[0].running.limit_kw == 2.0


@pytest.mark.parametrize("limit_kw", [0.0, -1.0, 101.0, float("nan")])
def test_set_limit_that_is_impossible_is_refused(limit_kw: float) -> None:
    engine = demand_engine()
    with pytest.raises(PayloadError, match=r"out_of_range: the limit is .* from above 0 to limits.max_kw \(100\)"):
        engine.demands.set_limit("home", limit_kw)


def test_set_limit_of_a_device_without_demand_is_refused() -> None:
    with pytest.raises(PayloadError, match=r"no_demand: home has no demand: set demand.limit_kw or .*, with outlooks"):
        demand_engine(None).demands.set_limit("home", 1.0)
    engine = demand_engine(SiteDemandOptions(devices={"mill": DemandOptions(limit_kw=1.0)}))
    with pytest.raises(PayloadError, match=r"no_demand: home has no demand: set demand.limit_kw or .* for it"):
        engine.demands.set_limit("home", 1.0)


@pytest.mark.parametrize(
    ("options", "configured"),
    [
        (DemandOptions(limit_kw=3.0), "3.00 kW"),
        (DemandOptions(limit_kw=2.5), ""),
        (DemandOptions(by_month_peak=True), "month_peak"),
        (DemandOptions(fuse_kw=9.2), "none"),
    ],
)
def test_overriding_limits_differ_from_the_configured_ones(options: DemandOptions, configured: str) -> None:
    engine = demand_engine(SiteDemandOptions(options))
    engine.demands.set_limit("home", 2.5)
    engine.demands.set_limit("of-another-shard", 1.5)
    assert engine.demands.overriding_limits() == {}
    engine.accept([Reading("home", MONDAY, 1.0)])
    assert engine.demands.overriding_limits() == ({"home": (2.5, configured)} if configured else {})


def test_engine_without_demands_has_no_overriding_limits() -> None:
    assert demand_engine(None).demands.overriding_limits() == {}


def test_set_limits_of_more_devices_than_have_outlooks_are_refused() -> None:
    engine = demand_engine(options=OutlookOptions(max_devices=1))
    engine.demands.set_limit("home", 1.0)
    engine.demands.set_limit("home", 1.5)
    with pytest.raises(PayloadError, match=r"too_many_devices: 1 devices have runtime limits, .*: clear one of home"):
        engine.demands.set_limit("mill", 1.0)


def test_changes_of_a_device_beyond_the_outlooks_are_refused() -> None:
    engine = demand_engine(options=OutlookOptions(max_devices=1))
    engine.demands.set_limit("mill", 1.0)  # not known yet
    process(engine, [*stream_of([1.0]), *stream_of([1.0], device="mill")])
    problem = r"no_demand: device 'mill' has no demand: only the first 1 devices have one \(outlook.max_devices\)"
    with pytest.raises(PayloadError, match=problem):
        engine.demands.set_limit("mill", 1.5)
    with pytest.raises(PayloadError, match=problem):
        engine.demands.correct_month_peak("mill", 1.5, None)
    engine.demands.set_limit("mill", None)
    engine.demands.set_limit("home", 1.5)
    assert (engine.demands.has_set_limit("mill"), engine.demands.has_set_limit("home")) == (False, True)


def test_month_peaks_are_of_the_time_zone_of_the_site() -> None:
    demands = demand_engine(replace(MONTH_PEAK, zone=ZoneInfo("Europe/Brussels"))).demands
    assert (demands.timezone, demand_engine(None).demands.timezone) == ("Europe/Brussels", "UTC")


def test_corrected_month_peak_lowers_and_raises_it() -> None:
    engine = demand_engine(MONTH_PEAK)
    process(engine, stream_of([5.0] * 15 + [1.0] * 3))
    engine.demands.correct_month_peak("home", 3.2, MONDAY + 4)
    (demands,) = process(engine, stream_of([1.0], MONDAY + 18))
    assert (demands[0].month_peak_kw, demands[0].running.limit_kw) == (3.2, 3.2)
    for minute, kw in ((19, 100.0), (20, 0.0)):  # from 0 to limits.max_kw
        engine.demands.correct_month_peak("home", kw, None)
        (demands,) = process(engine, stream_of([1.0], MONDAY + minute))
        assert (demands[0].month_peak_kw, demands[0].running.limit_kw) == (kw, max(kw, 1.0))
        assert engine.demands.month_peaks("home", 2) == [DayPeak(kw, MONDAY)]  # the last window that is over


@pytest.mark.parametrize(
    ("kw", "minute", "problem"),
    [
        (-0.1, None, r"out_of_range: the peak is -0.1 kW: send one from 0 to limits.max_kw \(100\)"),
        (101.0, None, "out_of_range"),
        (
            3.0,
            MONDAY + 16,
            "bad_time: the window from 2026-11-02T00:15:00Z has not ended: by the newest reading, the running window "
            "is that from 2026-11-02T00:15:00Z; use a minute of an earlier one",
        ),
        (3.0, MONDAY + 1_000, "bad_time"),
        (3.0, MONDAY - 2 * 1440, "bad_time: the window from 2026-10-31T00:00:00Z is outside the current month"),
    ],
)
def test_month_peak_that_is_impossible_is_refused(kw: float, minute: int | None, problem: str) -> None:
    engine = demand_engine(MONTH_PEAK)
    process(engine, stream_of([1.0] * 18))
    with pytest.raises(PayloadError, match=problem):
        engine.demands.correct_month_peak("home", kw, minute)


#: A limit from 00:15 to 00:30 on Mondays.
LIMITED_QUARTER = SiteDemandOptions(
    DemandOptions(by_month_peak=True, active=ActiveTimes(((15, 30),), frozenset({0})))
)  # fmt: skip


def test_month_peak_of_a_window_without_a_limit_is_refused() -> None:
    """It would become the limit of later windows."""
    engine = demand_engine(LIMITED_QUARTER)
    process(engine, stream_of([1.0] * 50))
    times = r"\(the limit applies in hours 00:15-00:30, weekdays mon\)"
    problem = rf"bad_time: the window from 2026-11-02T00:30:00Z has no limit: use a minute of a window .* {times}"
    with pytest.raises(PayloadError, match=problem):
        engine.demands.correct_month_peak("home", 9.0, MONDAY + 31)
    assert engine.demands.month_peaks("home", 1) == [DayPeak(1.0, MONDAY + 15)]


def test_month_peak_without_a_time_is_of_a_window_with_a_limit() -> None:
    engine = demand_engine(LIMITED_QUARTER)
    process(engine, stream_of([1.0] * 50))
    engine.demands.correct_month_peak("home", 9.0, None)
    assert engine.demands.month_peaks("home", 2) == [DayPeak(9.0, MONDAY + 15)]


@pytest.mark.parametrize("months", [frozenset({11}), frozenset({6})])
def test_month_peak_before_a_window_with_a_limit_is_refused(months: frozenset[int]) -> None:
    """2 November is a Monday: no Tuesday of the month is over."""
    times = ActiveTimes(weekdays=frozenset({1}), months=months)
    engine = demand_engine(SiteDemandOptions(DemandOptions(by_month_peak=True, active=times)))
    process(engine, stream_of([1.0] * 50))
    problem = f"the window from 2026-11-02T00:30:00Z has no limit: .*weekdays tue, months {min(months)}"
    with pytest.raises(PayloadError, match=problem):
        engine.demands.correct_month_peak("home", 9.0, None)


def test_month_peak_of_an_unknown_device_is_refused() -> None:
    with pytest.raises(PayloadError, match="unknown_device: home has no window yet: wait for its first reading"):
        demand_engine().demands.correct_month_peak("home", 1.0, None)
    for site in (None, SiteDemandOptions(devices={"mill": DemandOptions(limit_kw=1.0)})):
        with pytest.raises(PayloadError, match="no_demand: home has no demand"):
            demand_engine(site).demands.correct_month_peak("home", 1.0, None)


def test_windows_continue_in_the_engine_that_replaces_another() -> None:
    before = demand_engine(MONTH_PEAK)
    process(before, stream_of([3.0] * 15 + [1.0] * 4))
    before.demands.set_limit("home", 2.5)
    after = demand_engine(MONTH_PEAK, version="2")
    transfer_state(before, after)
    assert after.demands.newest("home") is None
    (demands,) = process(after, stream_of([2.0], MONDAY + 19))
    assert demands[0].running.n_known == 5
    assert demands[0].running.so_far_kw == pytest.approx(1.2)
    assert (demands[0].month_peak_kw, demands[0].running.limit_kw, demands[0].model_version) == (3.0, 2.5, "2")
    same = demand_engine(MONTH_PEAK, version="2")
    newest = after.demands.newest("home")
    transfer_state(after, same)
    assert newest is not None
    assert same.demands.newest("home") == newest


def test_windows_begin_again_in_an_engine_with_other_options() -> None:
    before = demand_engine(MONTH_PEAK)
    process(before, stream_of([3.0] * 15 + [1.0] * 4))
    before.demands.set_limit("home", 2.5)
    after = demand_engine(LIMITED)
    transfer_state(before, after)
    (demands,) = process(after, stream_of([2.0], MONDAY + 19))
    assert (demands[0].running.n_known, demands[0].running.so_far_kw, demands[0].month_peak_kw) == (5, 1.2, None)
    assert demands[0].running.limit_kw == 2.5  # which was set while running, and not an option
    without = demand_engine(None)
    transfer_state(after, without)
    assert without.buffers.billing is None
    assert process(without, stream_of([2.0], MONDAY + 20)) == []
    limited = demand_engine(LIMITED)
    transfer_state(without, limited)
    assert np.isfinite(process(limited, stream_of([2.0], MONDAY + 21))[0].running.p_exceed).all()


def test_demand_is_scored_when_its_window_is_over() -> None:
    engine = demand_engine()
    assert engine.demands.scores_of("home") is None
    process(engine, stream_of([1.0] * 20 + [4.0] * 20 + [1.0] * 6))
    scores = engine.demands.scores_of("home")
    assert scores is not None
    assert (scores.n_windows, scores.n_events) == (3, 2)
    assert demand_engine(None).demands.scores_of("home") is None
    engine.forget("home")
    process(engine, stream_of([1.0] * 2, MONDAY + 60))
    scores = engine.demands.scores_of("home")
    assert scores is not None
    assert scores.n_windows == 0


def test_demand_waits_with_its_newest_reading_held() -> None:
    engine = demand_engine()
    process(engine, stream_of([1.0] * 5 + [4.0]))
    assert engine.demands.forecaster is not None
    waiting = engine.demands.forecaster.live.state.arrays["waiting"]
    assert waiting[1, 6, PERSISTENCE] == (5 * 1.0 + 10 * 4.0) / 15


def test_demand_in_a_batch_after_a_device_without_outlook_is_its_own() -> None:
    made = []
    for devices in (("home", "mill"), ("home", "mill", "shop")):  # the last one has no outlook
        engine = demand_engine(options=OutlookOptions(max_devices=2))
        batches = [[Reading(one, MONDAY + k, 0.5 + i) for i, one in enumerate(devices)] for k in range(20)]
        for batch in batches[:-1]:
            process(engine, batch, len(batch))
        (demands,) = process(engine, batches[-1][::-1], len(devices))
        made.append({one.device: one for one in demands})
    assert made[0] == made[1]


def test_demand_scores_hold_the_total_of_announced_loads() -> None:
    engine = demand_engine()
    process(engine, stream_of([1.0] * 14))
    at_ms = (MONDAY + 14) * 60_000
    engine.replace_plan("home", LoadPlan((PlannedLoad(3.0, at_ms, at_ms + 3_600_000),)))
    process(engine, stream_of([4.0] * 17, MONDAY + 14))
    scores = engine.demands.scores_of("home")
    assert scores is not None
    assert (scores.n_windows, scores.by_elapsed[0].persistence_brier) == (2, 0.0)


def test_devices_are_those_that_have_a_demand() -> None:
    site = SiteDemandOptions(devices={name: DemandOptions(limit_kw=1.0) for name in ("a", "c", "d", "e")})
    engine = demand_engine(site, options=OutlookOptions(max_devices=5))
    for device, n in (("a", 3), ("b", 3), ("forgotten", 3), ("c", 3), ("d", 1), ("e", 3)):
        process(engine, [Reading(device, MONDAY + i, 1.0) for i in range(n)])
    engine.forget("forgotten")
    demands = engine.demands.forecaster
    assert demands is not None
    assert demands.devices(engine.buffers.names()) == ["a", "c"]
    assert 2_000 < demands.n_bytes_per_device < 200_000


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_demand_of_damaged_state_equals_a_new_devices(value: float) -> None:
    engine, sound = demand_engine(), demand_engine()
    readings = [one for i in range(40) for one in (Reading("home", MONDAY + i, 1.0), Reading("mill", MONDAY + i, 1.5))]
    process(engine, readings, 2)
    process(sound, readings, 2)
    assert engine.demands.forecaster is not None
    engine.demands.forecaster.power.state.arrays["coefficients"][1] = value
    home, mill = process(engine, [one._replace(minute=MONDAY + 40) for one in readings[:2]], 2)[0]
    _, wanted = process(sound, [one._replace(minute=MONDAY + 40) for one in readings[:2]], 2)[0]
    assert mill == wanted
    assert home.running.lower_kw < home.running.median_kw < home.running.upper_kw < 10
    assert np.isfinite(engine.demands.forecaster.power.state.arrays["coefficients"]).all()


def test_discarding_pending_limits_of_a_device_without_any_adds_no_row() -> None:
    engine = demand_engine()
    process(engine, stream_of([1.0, 1.4] * 7))
    part = engine.demands.forecaster
    assert part is not None
    n_rows = len(part.power.state)
    part.power.discard_pending(n_rows)
    assert len(part.power.state) == n_rows
