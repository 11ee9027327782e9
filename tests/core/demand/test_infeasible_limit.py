"""A limit below every window of a day is detected, whichever kind it is, and restarts do not forget it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gapcast.core.billing.options import ActiveTimes, DemandOptions, SiteDemandOptions
from gapcast.core.demand.state.stored_state import TRACKED
from gapcast.core.engine import Engine
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.core.time_grid import DAY_MIN
from tests.core.demand.runs import MONDAY, demand_engine, stream_of

SITE = SiteDemandOptions(DemandOptions(window_min=60, limit_kw=0.25))
LOWEST = ("lowest_n", "lowest_kw", "lowest_before_kw")


def run(engine: Engine, kw: float, n: int = DAY_MIN, first: int = 0) -> None:
    """Accept ``n`` minutes of ``kw``."""
    engine.accept(stream_of([kw] * n, MONDAY + first))


def found_in(engine: Engine) -> tuple[float, float] | None:
    """Return the limit that is too low, and the lowest window."""
    low = engine.demands.infeasible_limit("home")
    return None if low is None else (low.limit_kw, low.lowest_kw)


def test_infeasible_limit_is_found_after_a_day_of_windows() -> None:
    engine = demand_engine(SITE)
    assert found_in(engine) is None
    run(engine, 0.5, DAY_MIN - 1)
    assert found_in(engine) is None
    run(engine, 0.5, 1, DAY_MIN - 1)
    assert found_in(engine) == (0.25, 0.5)


def test_infeasible_limit_ends_with_a_window_below_it() -> None:
    engine = demand_engine(SITE)
    run(engine, 0.5)
    run(engine, 0.125, 60, DAY_MIN)
    assert found_in(engine) is None
    run(engine, 0.5, 2 * DAY_MIN - 60, DAY_MIN + 60)  # until the day of the low window is over, and another one
    assert found_in(engine) == (0.25, 0.5)


def test_set_limit_is_compared_with_the_past_day_at_once() -> None:
    engine = demand_engine(SITE)
    run(engine, 0.375)
    engine.demands.set_limit("home", 0.375)
    assert found_in(engine) is None
    engine.demands.set_limit("home", 0.3125)
    assert found_in(engine) == (0.3125, 0.375)


@pytest.mark.parametrize(
    "options", [DemandOptions(60, by_month_peak=True, floor_kw=0.25), DemandOptions(60, fuse_kw=0.25)]
)
def test_only_a_fixed_limit_is_too_low(options: DemandOptions) -> None:
    engine = demand_engine(SiteDemandOptions(options))
    run(engine, 0.5)
    assert found_in(engine) is None


def test_windows_without_a_limit_and_incomplete_ones_do_not_count() -> None:
    active = ActiveTimes(hours=((0, 720),))
    engine = demand_engine(SiteDemandOptions(replace(SITE.default, active=active)))
    run(engine, 0.5, 720)
    run(engine, 0.125, 720, 720)
    run(engine, 0.125, 20, DAY_MIN)  # of an hour
    run(engine, 0.5, 660, DAY_MIN + 60)
    assert found_in(engine) is None
    run(engine, 0.5, 60, 2 * DAY_MIN)
    assert found_in(engine) == (0.25, 0.5)


def test_new_infeasible_limit_is_returned_once_for_each_limit() -> None:
    engine = demand_engine(SITE)
    assert engine.demands.new_infeasible_limit("home") is None
    run(engine, 0.5)
    found = []
    for limit_kw in (None, 0.25, 0.375, 0.375, 1.0, 0.375):
        engine.demands.set_limit("home", limit_kw)
        low = engine.demands.new_infeasible_limit("home")
        found.append(low and low.limit_kw)
    assert found == [0.25, None, 0.375, None, None, 0.375]


def test_engine_without_demands_has_no_infeasible_limit() -> None:
    engine = demand_engine(None)
    run(engine, 0.5)
    assert engine.demands.infeasible_limit("home") is engine.demands.new_infeasible_limit("home") is None


def test_infeasible_limit_survives_a_restart() -> None:
    before, after = demand_engine(SITE), demand_engine(SITE)
    run(before, 0.5)
    assert restore_snapshot(after, capture_snapshot(before)) == ("", [])
    assert found_in(after) == (0.25, 0.5)
    run(after, 0.125, 60, DAY_MIN)
    assert found_in(after) is None


def test_state_of_a_version_without_it_is_restored_and_begins_a_day() -> None:
    before, after = demand_engine(SITE), demand_engine(SITE)
    run(before, 0.5)
    captured = capture_snapshot(before)
    assert captured.demand.keys() >= {TRACKED, *LOWEST}
    older = {name: column for name, column in captured.demand.items() if name not in LOWEST}
    assert restore_snapshot(after, replace(captured, demand=older)) == ("", [])
    assert [one.kw for one in after.demands.month_peaks("home", 1)] == [0.5]
    assert found_in(after) is None
    run(after, 0.5, DAY_MIN, DAY_MIN)
    assert found_in(after) == (0.25, 0.5)
