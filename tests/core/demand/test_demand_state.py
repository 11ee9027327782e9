"""Windows, month's peaks and limits survive restarts, crashes and engine swaps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gapcast.core.billing.changes import CorrectedMonthPeak, LimitChange, MonthPeak
from gapcast.core.billing.month_peaks import DayPeak
from gapcast.core.billing.options import ActiveTimes, DemandOptions, LimitSource, SiteDemandOptions
from gapcast.core.demand.demand import FIRST
from gapcast.core.demand.distributions.exceedance_model import PRIOR
from gapcast.core.demand.state.later_regression import LEARNED, WAITING
from gapcast.core.demand.state.stored_state import LIMIT_DEVICE, LIMIT_KW, SIGNATURE, TRACKED
from gapcast.core.engine import Engine
from gapcast.core.outlook.options import OutlookOptions
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.journal_replay import JournalReplay
from gapcast.core.snapshots.snapshot import Snapshot, capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.core.snapshots.state_transfer import transfer_state
from gapcast.storage.checkpoints import checkpoint
from tests.core.demand.runs import MONDAY, demand_engine, process, stream_of

JUMP = ("jump_from", "jump_to", "jump_sum_kw", "jump_n_known", "replaced_kw", "replaced_start")
SITE = SiteDemandOptions(DemandOptions(by_month_peak=True, floor_kw=0.5, fuse_kw=8.0))
READINGS = [
    Reading(device, MONDAY + i, 1.0 + (i * factor % 11) / 4)
    for i in range(120)
    for device, factor in (("home", 3), ("mill", 7))
]


def run(n: int, engine: Engine | None = None, begin: int = 0) -> Engine:
    engine = engine or demand_engine(SITE)
    process(engine, READINGS[begin : begin + n], 2)
    return engine


def same(one: Engine, other: Engine) -> bool:
    """Return whether windows, peaks, limits, newest demands and learned state are equal, bit for bit."""
    assert one.demands.forecaster is not None
    assert other.demands.forecaster is not None
    left, right = one.demands.forecaster.columns([0, 1]), other.demands.forecaster.columns([0, 1])
    return left.keys() == right.keys() and all(
        np.array_equal(left[name], right[name], equal_nan=left[name].dtype.kind == "f") for name in left
    )


def through_file(snapshot: Snapshot, folder: Path) -> Snapshot:
    path = folder / "checkpoint.npz"
    path.write_bytes(checkpoint.encode(snapshot))
    return checkpoint.read(path)


def change(engine: Engine) -> None:
    engine.demands.set_limit("home", 2.25)
    engine.demands.set_limit("later", 3.0)
    engine.demands.correct_month_peak("mill", 1.75, MONDAY + 3)


@pytest.mark.long
@pytest.mark.parametrize("n", [60, 61, 74, 150])
def test_restored_engine_continues_exactly(n: int, tmp_path: Path) -> None:
    alone, before, after = run(n), run(n), demand_engine(SITE)
    change(alone)
    change(before)
    assert restore_snapshot(after, through_file(capture_snapshot(before), tmp_path)) == ("", [])
    assert same(before, after)
    assert after.demands.newest("home") == before.demands.newest("home")
    run(80, alone, n)
    run(80, after, n)
    assert same(alone, after)
    assert after.demands.newest("mill") == alone.demands.newest("mill")
    home = after.demands.newest("home")
    assert home is not None
    assert home.running.limit_source is LimitSource.SET


POWERS_KW = [*[4.75] * 15, *[0.5] * 30, *[3.5] * 11]
AFTER = [Reading("home", MONDAY + 56 + i, 0.75) for i in range(5)]


def run_to_wrong_time(engine: Engine, ahead: int) -> list[Reading]:
    """Process a quarter-hour that is the month's peak, one that is not, and a reading with a wrong time."""
    readings = [*stream_of(POWERS_KW), Reading("home", MONDAY + 55 + ahead, 9.0)]
    process(engine, readings)
    return readings


@pytest.mark.parametrize("n_after", [0, 2, 3])
@pytest.mark.parametrize("ahead", [4, 5, 20, 1_000])
def test_restart_after_a_wrong_time_costs_neither_window_nor_peak(ahead: int, n_after: int, tmp_path: Path) -> None:
    alone, before, after = (demand_engine(SITE) for _ in range(3))
    run_to_wrong_time(before, ahead)
    process(before, AFTER[:n_after])
    process(alone, [*stream_of(POWERS_KW), *AFTER])
    assert restore_snapshot(after, through_file(capture_snapshot(before), tmp_path)) == ("", [])
    assert same(before, after)
    process(after, AFTER[n_after:])  # if the stream was not set back yet, another three late ones are needed
    process(after, [Reading("home", MONDAY + 61 + i, 0.75) for i in range(3)])
    process(alone, [Reading("home", MONDAY + 61 + i, 0.75) for i in range(3)])
    found, wanted = after.demands.newest("home"), alone.demands.newest("home")
    assert found is not None
    assert wanted is not None
    assert (found.month_peak_kw, found.running.so_far_kw) == (wanted.month_peak_kw, wanted.running.so_far_kw)


@pytest.mark.parametrize("at_a_time", [1, 3, 200])
def test_replayed_wrong_time_gives_the_same_windows(at_a_time: int) -> None:
    alone, after = demand_engine(SITE), demand_engine(SITE)
    readings = [*run_to_wrong_time(alone, 5), *AFTER]
    process(alone, AFTER)
    replay = JournalReplay(after)
    for first in range(0, len(readings), at_a_time):
        replay.replay_batch(readings[first : first + at_a_time], 7)
    replay.finish()
    assert same(alone, after)


def test_replayed_wrong_time_learns_the_same_outcomes() -> None:
    alone, after, readings = demand_engine(SITE), demand_engine(SITE), stream_of([1.0, 1.4] * 8)
    readings.insert(10, Reading("home", MONDAY + 40, 1.0))
    process(alone, readings)
    replay = JournalReplay(after)
    for reading in readings:
        replay.replay_batch([reading], 7)
    replay.finish()
    assert same(alone, after)


def test_state_of_a_version_without_jumps_is_restored() -> None:
    before, after = demand_engine(SITE), demand_engine(SITE)
    run_to_wrong_time(before, 5)
    snapshot = capture_snapshot(before)
    for name in JUMP:
        del snapshot.demand[name]
    assert restore_snapshot(after, snapshot) == ("", [])
    assert after.demands.newest("home") == before.demands.newest("home")
    process(after, AFTER)
    home = after.demands.newest("home")
    assert home is not None
    assert home.running.n_known == 1  # the window before the jump is unknown: it begins again


def test_state_without_the_regression_of_later_windows_is_restored() -> None:
    before, after = run(150), demand_engine(SITE)
    snapshot = capture_snapshot(before)
    for name in (*LEARNED, *WAITING):
        snapshot.demand[f"power/{name}"] = snapshot.demand[f"power/{name}"][:, :-1]
    for name in ("due_kw", "due_features"):
        snapshot.demand[f"power/{name}"] = snapshot.demand[f"power/{name}"][:, :, :-1]
    assert restore_snapshot(after, snapshot) == ("", [])
    assert after.demands.newest("home") == before.demands.newest("home")
    assert after.demands.forecaster is not None
    restored = after.demands.forecaster.columns([0, 1])
    coefficients = restored["power/coefficients"]
    assert (coefficients[:, :-1] == snapshot.demand["power/coefficients"]).all()
    assert (coefficients[:, :-1] != PRIOR).any(axis=2).all()
    assert (coefficients[:, -1] == PRIOR).all()
    assert (restored["power/due_minute"] == -1).all()
    process(after, READINGS[150:])
    assert after.demands.newest("home") is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [("jump_from", MONDAY + 70), ("jump_to", MONDAY + 1_000), ("jump_n_known", 30), ("jump_from", -1)],
)
def test_impossible_jump_is_left_out(name: str, value: int) -> None:
    before, after = demand_engine(SITE), demand_engine(SITE)
    run_to_wrong_time(before, 5)
    snapshot = capture_snapshot(before)
    snapshot.demand[name][0] = value
    assert restore_snapshot(after, snapshot) == ("", [])
    assert after.demands.forecaster is not None
    restored = after.demands.forecaster.windows.for_row(0)
    assert restored is not None
    assert restored.before_jump is None


def test_demands_that_are_not_learned_yet_are_in_the_state() -> None:
    alone, captured, replaced, forgotten = (run(60) for _ in range(4))
    for engine in (alone, captured, replaced, forgotten):
        accepted = engine.accept(READINGS[60:62])
        engine.demand(accepted, engine.outlook(accepted, engine.forecast(accepted, 7)))
    alone.learn()
    assert same(alone, captured)
    after = demand_engine(SITE)
    transfer_state(replaced, after)
    assert same(alone, after)
    forgotten.forget("home")
    forgotten.learn()
    assert forgotten.demands.forecaster is not None
    assert forgotten.demands.forecaster.power.state.arrays["newest_minute"][1:3].tolist() == [-1, READINGS[61].minute]


@pytest.mark.long
@pytest.mark.parametrize("at_a_time", [2, 5, 200])
def test_replayed_journal_gives_the_same_windows(at_a_time: int) -> None:
    alone, after = run(0), demand_engine(SITE)
    replay = JournalReplay(after)
    first, second = READINGS[:100], READINGS[100:]
    process(alone, first, 2)
    change(alone)
    alone.forget("mill")
    process(alone, second, 2)
    for at in range(0, 100, at_a_time):
        replay.replay_batch(first[at : min(at + at_a_time, 100)], 7)
    replay.change_demand(LimitChange("home", 2.25))
    replay.change_demand(LimitChange("later", 3.0))
    replay.change_demand(CorrectedMonthPeak("mill", MonthPeak(1.75, MONDAY + 3)))
    replay.forget("mill")
    for at in range(0, len(second), at_a_time):
        replay.replay_batch(second[at : at + at_a_time], 7)
    replay.finish()
    assert same(alone, after)
    assert after.demands.newest("home") == alone.demands.newest("home")


def test_replayed_change_without_a_limit_is_left_out() -> None:
    engine = demand_engine(None)
    replay = JournalReplay(engine)
    replay.change_demand(LimitChange("home", 2.25))
    replay.finish()
    assert engine.demands.newest("home") is None


def test_snapshot_without_demands_begins_with_the_known_minutes(tmp_path: Path) -> None:
    before = run(74)  # 37 minutes of each
    for captured in (capture_snapshot(before), capture_snapshot(run(74, demand_engine(None)))):
        after = demand_engine(SITE)
        snapshot = through_file(replace(captured, demand={}), tmp_path)
        assert restore_snapshot(after, snapshot) == ("", [])
        assert after.demands.newest("home") is None
        run(2, after, 74)
        home = after.demands.newest("home")
        assert home is not None
        assert (home.running.elapsed_min, home.running.n_known, home.month_peak_kw) == (8, 8, None)
    without = demand_engine(None)
    assert restore_snapshot(without, capture_snapshot(before)) == ("", [])


def test_snapshot_of_a_short_history_has_unknown_minutes(tmp_path: Path) -> None:
    before = demand_engine(None)
    process(before, [Reading("home", MONDAY + i, 1.0) for i in (4, 6)])
    after = demand_engine(SITE)
    restore_snapshot(after, through_file(capture_snapshot(before), tmp_path))
    process(after, [Reading("home", MONDAY + 7, 1.0)])
    home = after.demands.newest("home")
    assert home is not None
    assert (home.running.elapsed_min, home.running.n_known) == (8, 4)


def test_snapshot_of_another_model_keeps_windows_and_peaks() -> None:
    before, after = run(74), demand_engine(SITE, version="2")
    assert restore_snapshot(after, capture_snapshot(before)) == ("", [])
    assert after.demands.newest("home") is None
    run(2, after, 74)
    alone = run(76)
    found, wanted = after.demands.newest("home"), alone.demands.newest("home")
    assert found is not None
    assert wanted is not None
    assert (found.running.so_far_kw, found.month_peak_kw) == (wanted.running.so_far_kw, wanted.month_peak_kw)


def test_snapshot_of_windows_of_another_length_begins_again() -> None:
    before, after = run(74), demand_engine(SiteDemandOptions(replace(SITE.default, window_min=30)))
    assert restore_snapshot(after, capture_snapshot(before)) == ("", [])
    run(2, after, 74)
    home = after.demands.newest("home")
    assert home is not None
    assert (home.running.n_known, home.month_peak_kw) == (8, None)


def test_peaks_outside_of_new_active_times_are_left_out(tmp_path: Path) -> None:
    site = SiteDemandOptions(replace(SITE.default, active=ActiveTimes(hours=((0, 30),))))
    powers_kw = [*[2.0] * 15, *[3.0] * 15, *[5.0] * 15, 1.0]
    before, after = demand_engine(SITE), demand_engine(site)
    process(before, stream_of(powers_kw))
    assert before.demands.month_peaks("home", 5) == [DayPeak(5.0, MONDAY + 30)]
    assert restore_snapshot(after, through_file(capture_snapshot(before), tmp_path)) == ("", [])
    assert after.demands.month_peaks("home", 5) == [DayPeak(3.0, MONDAY + 15)]
    later = demand_engine(SiteDemandOptions(replace(SITE.default, active=ActiveTimes(hours=((45, 1_440),)))))
    restore_snapshot(later, capture_snapshot(after))
    assert later.demands.month_peaks("home", 5) == []


def test_peak_outside_of_the_same_active_times_stays() -> None:
    """An earlier version accepted corrections of windows without a limit."""
    site = SiteDemandOptions(replace(SITE.default, active=ActiveTimes(hours=((15, 30),))))
    before, after, changed = demand_engine(site), demand_engine(site), demand_engine(SITE)
    process(before, stream_of([1.0] * 50))
    assert before.demands.forecaster is not None
    windows = before.demands.forecaster.windows.for_row(0)
    assert windows is not None
    windows.peaks.correct(windows.calendar.window_at(MONDAY + 40), 4.0)
    for engine in (after, changed):
        restore_snapshot(engine, capture_snapshot(before))
        assert engine.demands.month_peaks("home", 5) == [DayPeak(4.0, MONDAY + 30)]
    older = capture_snapshot(before)
    del older.demand["times_key"]
    narrower = demand_engine(SiteDemandOptions(replace(SITE.default, active=ActiveTimes(hours=((15, 45),)))))
    assert restore_snapshot(narrower, older) == ("", [])
    assert narrower.demands.month_peaks("home", 5) == [DayPeak(4.0, MONDAY + 30)]


def test_peaks_of_another_time_zone_are_of_its_days(tmp_path: Path) -> None:
    options = DemandOptions(by_month_peak=True, n_peak_days=2, floor_kw=0.5)
    before = demand_engine(SiteDemandOptions(options))
    process(before, stream_of([*[1.0] * 1_380, *[5.0] * 15, *[1.0] * 105, *[4.0] * 15, 1.0]), 500)
    late, early = DayPeak(5.0, MONDAY + 1_380), DayPeak(4.0, MONDAY + 1_500)
    assert before.demands.month_peaks("home", 5) == [late, early]
    after = demand_engine(SiteDemandOptions(options, zone=ZoneInfo("Europe/Oslo")))
    assert restore_snapshot(after, through_file(capture_snapshot(before), tmp_path)) == ("", [])
    assert after.demands.month_peaks("home", 5) == [late, DayPeak(1.0, MONDAY)]


def test_lowest_window_begins_again_with_new_active_times() -> None:
    options = DemandOptions(limit_kw=0.5, window_min=60)
    weekdays = replace(options, active=ActiveTimes(weekdays=frozenset(range(5))))
    before = demand_engine(SiteDemandOptions(options))
    process(before, stream_of([1.0] * 1_441), 1_441)
    same_times, changed = (demand_engine(SiteDemandOptions(one)) for one in (options, weekdays))
    for engine in (same_times, changed):
        restore_snapshot(engine, capture_snapshot(before))
    assert same_times.demands.infeasible_limit("home") is not None
    assert changed.demands.infeasible_limit("home") is None


def test_snapshot_of_another_month_or_minute_leaves_peaks_and_windows_out() -> None:
    snapshot = capture_snapshot(run(74))
    snapshot.demand["month"][0] += 1
    snapshot.demand["start"][1] -= 15
    snapshot.demand["sum_kw"][1] = 90.0
    after = demand_engine(SITE)
    assert restore_snapshot(after, snapshot) == ("", [])
    run(2, after, 74)
    home, mill = after.demands.newest("home"), after.demands.newest("mill")
    assert home is not None
    assert mill is not None
    assert home.month_peak_kw is None
    assert mill.month_peak_kw is not None
    alone = run(76).demands.newest("mill")
    assert alone is not None
    assert (mill.running.n_known, mill.running.so_far_kw) == (8, alone.running.so_far_kw)


def test_snapshot_with_fewer_devices_restores_the_first() -> None:
    after = demand_engine(SITE, options=OutlookOptions(max_devices=1))
    assert restore_snapshot(after, capture_snapshot(run(60))) == ("", [])
    assert after.demands.newest("home") is not None
    assert after.demands.newest("mill") is None


def test_snapshot_of_a_device_without_a_limit_now_is_left_out() -> None:
    before = run(60)
    change(before)
    after = demand_engine(SiteDemandOptions(devices={"mill": DemandOptions(limit_kw=1.0)}))
    assert restore_snapshot(after, capture_snapshot(before)) == ("", [])
    assert after.demands.forecaster is not None
    assert after.demands.forecaster.windows.set_limits_kw == {}
    assert after.demands.newest("home") is None
    run(2, after, 60)
    assert after.demands.newest("mill") is not None


@pytest.mark.parametrize(
    "options",
    [
        {"limit_kw": 2.5},
        {"by_month_peak": True},
        {"window_min": 30},
        {"fuse_kw": 8.0},
        {"risk": 0.1},
        {"active": ActiveTimes(hours=((0, 30),))},
        {"imports_only": True},
    ],
)
def test_newest_demand_of_other_options_is_left_out(options: dict[str, Any]) -> None:
    limited = DemandOptions(limit_kw=2.0)
    before, same_options = run(74, demand_engine(SiteDemandOptions(limited))), demand_engine(SiteDemandOptions(limited))
    changed = demand_engine(SiteDemandOptions(limited, {"home": replace(limited, **options)}))
    for after in (same_options, changed):
        assert restore_snapshot(after, capture_snapshot(before)) == ("", [])
    assert changed.demands.newest("home") is None
    assert changed.demands.newest("mill") == before.demands.newest("mill") is not None
    assert same_options.demands.newest("home") == before.demands.newest("home")
    run(2, changed, 74)
    assert changed.demands.newest("home") is not None


def test_newest_demand_of_an_older_version_stays_with_imports_only() -> None:
    """The older version did not store the option."""
    snapshot = capture_snapshot(run(60, demand_engine(SiteDemandOptions(DemandOptions(limit_kw=2.0)))))
    del snapshot.demand["imports_only"]
    after = demand_engine(SiteDemandOptions(DemandOptions(limit_kw=2.0, imports_only=True)))
    assert restore_snapshot(after, snapshot) == ("", [])
    assert after.demands.newest("home") is not None


@pytest.mark.parametrize(("floor_kw", "stays"), [(0.1, True), (9.0, False)])
def test_newest_demand_by_the_months_peak_is_not_below_another_floor(floor_kw: float, stays: bool) -> None:
    before, after = run(74), demand_engine(SiteDemandOptions(replace(SITE.default, floor_kw=floor_kw)))
    assert restore_snapshot(after, capture_snapshot(before)) == ("", [])
    assert (after.demands.newest("home") == before.demands.newest("home")) is stays
    assert (after.demands.newest("home") is not None) is stays


def test_newest_demand_of_an_impossible_window_is_left_out() -> None:
    snapshot, after = capture_snapshot(run(60)), demand_engine(SITE)
    snapshot.demand["newest"][0, FIRST] = 1e12  # a window after the year 9999
    assert restore_snapshot(after, snapshot) == ("", [])
    assert after.demands.newest("home") is None
    assert after.demands.newest("mill") is not None


def test_newest_demand_with_a_set_limit_stays_with_another_limit() -> None:
    before = run(60)
    change(before)
    run(2, before, 60)
    after = demand_engine(SiteDemandOptions(replace(SITE.default, by_month_peak=False, limit_kw=4.0)))
    assert restore_snapshot(after, capture_snapshot(before)) == ("", [])
    assert after.demands.newest("home") == before.demands.newest("home") is not None
    assert after.demands.newest("mill") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sum_kw", 1e35),
        ("n_known", 61),
        ("start", -1),
        ("month", 10**6),
        ("window_min", 4),
        ("newest", 1e35),
        ("jump_sum_kw", np.nan),
        ("jump_from", -2),
        ("replaced_kw", 1e9),
    ],
)
def test_damaged_demand_row_is_dropped_without_the_others(name: str, value: float) -> None:
    snapshot = capture_snapshot(run(60))
    snapshot.demand[name][0] = value
    after = demand_engine(SITE)
    assert restore_snapshot(after, snapshot).learning == "1 rows of demands are out of range"
    assert after.demands.newest("home") is None
    assert after.demands.newest("mill") is not None


@pytest.mark.parametrize(("name", "value"), [("peak_kw", np.nan), ("peak_kw", 1e9), ("peak_start", -2)])
def test_damaged_peak_is_left_out(name: str, value: float) -> None:
    snapshot = capture_snapshot(run(60))
    snapshot.demand[name][0, 1] = value
    after = demand_engine(SITE)
    assert restore_snapshot(after, snapshot).learning == "1 rows of demands are out of range"
    run(2, after, 60)
    home = after.demands.newest("home")
    assert home is not None
    assert home.month_peak_kw is None


def test_peak_from_the_future_is_left_out() -> None:
    snapshot = capture_snapshot(run(60))
    snapshot.demand["peak_start"][0, 1] = MONDAY + 500
    after = demand_engine(SITE)
    assert restore_snapshot(after, snapshot) == ("", [])
    run(2, after, 60)
    home = after.demands.newest("home")
    assert home is not None
    assert home.month_peak_kw is None


def without_column(columns: dict[str, Any]) -> None:
    del columns["sum_kw"]


def without_row(columns: dict[str, Any]) -> None:
    columns["sum_kw"] = columns["sum_kw"][:1]


def of_other_type(columns: dict[str, Any]) -> None:
    columns["newest"] = columns["newest"].astype(np.float32)


def without_newest(columns: dict[str, Any]) -> None:
    del columns["newest"]


def twice(columns: dict[str, Any]) -> None:
    columns[TRACKED] = np.zeros(2, dtype=np.int64)


def of_no_device(columns: dict[str, Any]) -> None:
    del columns[TRACKED]


def with_another_limit(columns: dict[str, Any]) -> None:
    columns[LIMIT_KW] = np.ones(3)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (without_column, "sum_kw of the stored demands is missing"),
        (without_row, r"sum_kw of the stored demands is float64 (1,)"),
        (of_other_type, "newest of the stored demands is missing, or not float64"),
        (without_newest, "newest of the stored demands is missing"),
        (twice, "name no devices, or one twice"),
        (of_no_device, "name no devices"),
        (with_another_limit, "limits of demands do not fit"),
    ],
)
def test_columns_that_do_not_fit_are_left_out(damage: Callable[[dict[str, Any]], None], problem: str) -> None:
    snapshot = capture_snapshot(run(60))
    damage(snapshot.demand)
    after = demand_engine(SITE)
    assert problem in restore_snapshot(after, snapshot).learning
    assert after.demands.newest("home") is None
    run(2, after, 60)
    assert after.demands.newest("home") is not None


def test_limits_that_are_impossible_are_left_out() -> None:
    snapshot = capture_snapshot(run(60))
    names = ["home", "a/b", "x", "y", "z"]
    snapshot.demand[LIMIT_DEVICE] = np.array(names)
    snapshot.demand[LIMIT_KW] = np.array([2.0, 2.0, np.nan, 101.0, 0.0])
    after = demand_engine(SITE)
    assert restore_snapshot(after, snapshot) == ("", [])
    assert after.demands.forecaster is not None
    assert after.demands.forecaster.windows.set_limits_kw == {"home": 2.0}


def test_signature_of_another_form_leaves_newest_demands_out() -> None:
    snapshot = capture_snapshot(run(60))
    del snapshot.demand[SIGNATURE]
    after = demand_engine(SITE)
    assert restore_snapshot(after, snapshot) == ("", [])
    assert after.demands.newest("home") is None


def test_state_without_a_demand_is_restored_without_a_problem() -> None:
    snapshot = capture_snapshot(demand_engine(SITE))
    assert not snapshot.demand[TRACKED].size
    after = demand_engine(SITE)
    assert restore_snapshot(after, snapshot) == ("", [])
    run(60, after)
    assert after.demands.newest("home") is not None
