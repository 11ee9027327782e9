"""Live scores: windows of devices, in batches of any size."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gapcast.core.billing.device_windows import ClosedWindow
from gapcast.core.billing.options import ActiveTimes, DemandOptions, SiteDemandOptions
from gapcast.core.billing.window_demands import WindowDemands
from gapcast.core.demand.demand import Demands
from gapcast.core.demand.scores.live_scores import LiveScores
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.core.time_grid import DAY_MIN
from tests.core.demand.runs import MONDAY, demand_engine, process, stream_of
from tests.support.outlook_model import OutlookModel
from tests.support.window_demands import demands_from_columns

WINDOW_MIN = 5


def demands(minutes: list[int], p_exceed: float = 0.7) -> Demands:
    """Demands at ``minutes``, of windows of five minutes, with a limit of 2 kW."""
    observed = np.array(minutes)
    start = (observed + 1) // WINDOW_MIN * WINDOW_MIN
    elapsed, n = observed + 1 - start, len(minutes)
    kw, none = np.full(n, 1.0), np.zeros(n, dtype=np.int64)
    so_far_kw = np.where(elapsed > 0, 1.0, np.nan)
    powers = so_far_kw, kw, kw, kw, kw, np.full(n, 2.0)
    windows = WindowDemands(
        start, start + WINDOW_MIN, elapsed, elapsed, *powers, none, np.full(n, p_exceed), kw
    )  # fmt: skip
    return demands_from_columns(OutlookModel(), 7, ["home"] * n, observed, windows, windows, (kw, kw, kw, kw))


def closed(start: int, mean_kw: float = 3.0, n_known: int = WINDOW_MIN) -> ClosedWindow:
    return ClosedWindow(0, start, start + WINDOW_MIN, n_known, mean_kw, 2.0, 0)


def record(live: LiveScores, minutes: list[int]) -> None:
    live.record(np.full(len(minutes), 1), demands(minutes).columns, np.full(len(minutes), 1.0))


@pytest.mark.parametrize("at_once", [1, 4, 12])
def test_windows_are_scored_with_the_next_demand(at_once: int) -> None:
    live, minutes = LiveScores(), list(range(99, 111))
    for at in range(0, len(minutes), at_once):
        batch = minutes[at : at + at_once]
        live.close(closed(minute - 4) for minute in batch if minute % WINDOW_MIN == 4 and minute > 99)
        record(live, batch)
    found = live.scores_of(1, WINDOW_MIN)
    assert (found.n_windows, found.n_events) == (2, 2)
    assert found.by_elapsed[0].brier == pytest.approx(0.3**2)


def test_window_of_a_forgotten_device_is_not_that_of_the_next() -> None:
    live = LiveScores()
    record(live, [99, 100])
    live.close([closed(100)])
    live.forget(1)
    record(live, [101, 105])  # of the device that has the row now: its window began at the same time
    assert live.scores_of(1, WINDOW_MIN).n_windows == 0


def test_incomplete_window_does_not_count() -> None:
    live = LiveScores()
    record(live, [99, 100])
    live.close([closed(100, n_known=2)])
    record(live, [109])
    assert live.scores_of(1, WINDOW_MIN).n_windows == 0
    assert np.isnan(live.state.arrays["waiting"][1, 1:]).all()


def test_window_that_demands_have_not_seen_does_not_count() -> None:
    live = LiveScores()
    live.close([closed(90)])
    record(live, [99])
    record(live, [104])
    assert live.scores_of(1, WINDOW_MIN).n_windows == 0


def test_window_closed_before_the_next_demand_counts() -> None:
    live = LiveScores()
    record(live, [99, 100])
    live.close([closed(100)])
    live.record(np.array([2]), demands([120]).columns, np.array([1.0]))  # another device
    record(live, [130])
    assert live.scores_of(1, WINDOW_MIN).n_windows == 1


def test_forgotten_device_has_no_scores() -> None:
    live = LiveScores()
    record(live, [99])
    live.close([closed(100)])
    live.forget(1)
    record(live, [104])
    assert live.scores_of(1, WINDOW_MIN).n_windows == 0
    assert live.scores_of(99, WINDOW_MIN).n_windows == 0


def test_engine_scores_its_demands() -> None:
    engine = demand_engine()
    process(engine, stream_of([1.0] * 14 + [3.0] * 30))
    found = engine.demands.scores_of("home")
    assert found is not None
    assert (found.n_windows, found.n_events) == (2, 1)
    assert engine.demands.scores_of("unknown") is None
    assert demand_engine(None).demands.scores_of("home") is None


def test_days_follow_the_local_clock() -> None:
    """16:00 to 19:00 in Phoenix, which includes midnight UTC, on two days."""
    zone = ZoneInfo("America/Phoenix")
    active = ActiveTimes(hours=((16 * 60, 19 * 60),))
    engine = demand_engine(SiteDemandOptions(DemandOptions(limit_kw=2.0, active=active), zone=zone), zone=zone)
    process(engine, stream_of([1.0] * 28 * 60, MONDAY + 22 * 60 + 30), at_a_time=DAY_MIN)
    found = engine.demands.scores_of("home")
    assert found is not None
    assert (found.n_windows, found.n_days) == (2 * 12, 2)


def test_live_scores_are_the_same_for_any_batch_size() -> None:
    powers = [1.0, 3.0, 1.5, 2.2] * 25
    one, many = demand_engine(), demand_engine()
    process(one, stream_of(powers))
    process(many, stream_of(powers), at_a_time=40)
    assert one.demands.scores_of("home") == many.demands.scores_of("home")


def test_device_without_demand_has_no_scores() -> None:
    site = SiteDemandOptions(DemandOptions(), {"other": DemandOptions(limit_kw=2.0)})
    engine = demand_engine(site)
    process(engine, stream_of([1.0] * 20))
    assert engine.demands.scores_of("home") is None


def test_forgotten_device_loses_its_scores() -> None:
    engine = demand_engine()
    process(engine, stream_of([3.0] * 40))
    engine.forget("home")
    process(engine, stream_of([1.0] * 5))
    found = engine.demands.scores_of("home")
    assert found is not None
    assert found.n_windows == 0


def test_scores_survive_a_restart() -> None:
    before = demand_engine()
    process(before, stream_of([3.0] * 40))
    after = demand_engine()
    restore_snapshot(after, capture_snapshot(before))
    assert after.demands.scores_of("home") == before.demands.scores_of("home")
    rest = stream_of([3.0] * 60)[40:]
    process(before, rest)
    process(after, rest)
    found = after.demands.scores_of("home")
    assert found is not None
    assert found == before.demands.scores_of("home")
    assert found.n_windows == 4
