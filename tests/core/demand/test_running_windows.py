"""Running windows in the buffers follow the same rules as windows of readings, for any split into batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.billing.device_windows import ClosedWindow, WindowState
from gapcast.core.billing.limit_changes import correct_month_peak
from gapcast.core.billing.month_peaks import DayPeak
from gapcast.core.billing.options import ActiveTimes, DemandOptions, SiteDemandOptions
from gapcast.core.billing.running_windows import RunningWindows
from gapcast.core.errors import PayloadError
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.buffer import Buffers, ReadingStatus
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.window import MAX_FILL_MIN, WindowSpec
from tests.core.demand.runs import MONDAY

SITE = SiteDemandOptions(DemandOptions(by_month_peak=True, floor_kw=0.5))


def buffers_with(windows: RunningWindows) -> Buffers:
    buffers = Buffers(WindowSpec(60), max_devices=10)
    buffers.billing = windows
    return buffers


def accepted(
    readings: Sequence[Reading], site: SiteDemandOptions = SITE
) -> tuple[RunningWindows, list[ReadingStatus], list[ClosedWindow]]:
    windows = RunningWindows(site, max_rows=2)
    buffers = buffers_with(windows)
    statuses = [buffers.accept(reading) for reading in readings]
    return windows, statuses, windows.take_closed()


def state_of(readings: Sequence[Reading], site: SiteDemandOptions = SITE) -> WindowState:
    state = accepted(readings, site)[0].state(0)
    assert state is not None
    return state


def month_peaks(windows: RunningWindows, n_days: int) -> list[DayPeak]:
    one = windows.for_row(0)
    assert one is not None
    return one.peaks.highest(n_days)


def at(minute: int, kw: float, *, is_filled: bool = False) -> Reading:
    return Reading("home", MONDAY + minute, kw, is_filled=is_filled)


def test_window_counts_interpolated_minutes() -> None:
    state = state_of([at(0, 1.0), at(3, 4.0)])
    assert state.n_known == 4
    assert state.sum_kw == pytest.approx(10.0)


def test_window_counts_minutes_that_a_held_value_covers() -> None:
    state = state_of([at(0, 1.0), at(1, 1.0, is_filled=True)])
    assert (state.n_known, state.sum_kw) == (2, 2.0)


def test_window_ignores_duplicates_late_and_held_readings() -> None:
    readings = [at(4, 1.0), at(5, 2.0), at(5, 9.0), at(2, 9.0), at(3_000, 9.0)]
    windows, statuses, closed = accepted(readings)
    state = windows.state(0)
    assert statuses[2:] == [ReadingStatus.DUPLICATE, ReadingStatus.LATE, ReadingStatus.HELD]
    assert state is not None
    assert (state.start_minute, state.n_known, state.sum_kw, closed) == (MONDAY, 2, 3.0, [])


def test_window_after_a_longer_gap_has_unknown_minutes() -> None:
    windows, _, closed = accepted([at(0, 1.0), at(1, 1.0), at(1 + MAX_FILL_MIN + 2, 2.0)])
    state = windows.state(0)
    assert state is not None
    assert (state.n_known, state.sum_kw, closed) == (3, 4.0, [])


def test_window_that_a_gap_ends_counts_if_half_of_it_is_known() -> None:
    for window_min, n_known, is_complete in ((15, 7, False), (15, 8, True), (30, 14, False), (30, 15, True)):
        site = replace(SITE, default=replace(SITE.default, window_min=window_min))
        windows, _, closed = accepted([*(at(i, 3.0) for i in range(n_known)), at(40, 1.0)], site)
        assert [(one.start_minute, one.n_known, one.mean_kw, one.is_complete) for one in closed] == [
            (MONDAY, n_known, 3.0, is_complete)
        ]
        state = windows.state(0)
        assert state is not None
        assert state.start_minute == MONDAY + 30
        assert (state.month_peak_kw == 3.0) is is_complete


def test_window_that_a_gap_skips_is_not_closed() -> None:
    closed = accepted([*(at(i, 1.0) for i in range(15)), at(50, 1.0), at(75, 1.0)])[2]
    assert [one.start_minute - MONDAY for one in closed] == [0, 45]


def test_window_of_a_clock_set_back_begins_again() -> None:
    before = [at(i, 5.0) for i in range(35)]
    windows, statuses, closed = accepted([*before, at(20, 1.0), at(21, 1.0), at(22, 1.0)])
    assert statuses[-1] is ReadingStatus.READY
    state = windows.state(0)
    assert state is not None
    assert (state.start_minute, state.n_known, state.sum_kw) == (MONDAY + 15, 3, 3.0)
    assert state.month_peak_kw == 5.0  # of the previous window; the one from minute 15 is measured again
    assert len(closed) == 2


def test_device_without_a_limit_may_be_set_back() -> None:
    site = SiteDemandOptions(devices={"mill": DemandOptions(limit_kw=1.0)})
    windows, statuses, _ = accepted([*(at(i, 5.0) for i in range(9)), *(at(i, 1.0) for i in (2, 3, 4))], site)
    assert statuses[-1] is ReadingStatus.READY
    assert windows.state(0) is None


def test_month_peak_of_a_clock_set_back_is_not_from_the_future() -> None:
    before = [at(i, 5.0) for i in range(35)]
    windows = accepted([*before, *(at(i, 1.0) for i in range(-30, -27))])[0]
    state = windows.state(0)
    assert state is not None
    assert math.isnan(state.month_peak_kw)
    assert state.limit_kw == 0.5


@pytest.mark.parametrize("end", [15, -DAY_MIN], ids=["of this month", "of the month before"])
def test_month_peak_of_a_window_measured_again_is_discarded(end: int) -> None:
    day_before, last = range(end - 15 - DAY_MIN, end - DAY_MIN), range(end - 15, end)
    readings = [at(i, 2.0) for i in day_before] + [at(i, 9.0) for i in last] + [at(end, 1.0)]
    state = state_of([*readings, *(at(i, 1.0) for i in last[3:6])])
    assert (state.start_minute, state.month_peak_kw) == (MONDAY + end - 15, 2.0)


def test_month_peak_returns_after_a_clock_was_a_month_ahead() -> None:
    """Peaks of the month to which the clock returned count again; peaks of the future month do not when it begins."""
    ahead = 40 * DAY_MIN
    readings = (
        [at(i, 5.0) for i in range(35)] + [at(ahead + i, 9.0) for i in range(35)] + [at(40 + i, 1.0) for i in range(3)]
    )
    states = []
    for later in ([], [at(ahead, 1.0), at(ahead + 1, 1.0)]):
        state = state_of([*readings, *later])
        states.append((state.start_minute - MONDAY, state.month_peak_kw))
    assert states[0] == (30, 5.0)
    assert states[1][0] == ahead
    assert math.isnan(states[1][1])


@pytest.mark.parametrize("n_before", [6, 10, 15], ids=["few minutes", "most minutes", "all minutes of its window"])
def test_reading_with_a_wrong_time_costs_neither_window_nor_peak(n_before: int) -> None:
    """The reading is 20 hours ahead. After three correct ones, the window continues, and the day's peak counts."""
    earlier, window = [at(i, 4.9) for i in range(15)], [at(600 + i, 6.0) for i in range(n_before)]
    wrong, later = at(600 + n_before + 1_200, 6.0), [at(600 + n_before + i, 0.5) for i in range(1, 4)]
    state = state_of([*earlier, *window, wrong, *later])
    n_running, start = (0, 615) if n_before == 15 else (n_before, 600)
    assert (state.start_minute - MONDAY, state.n_known) == (start, n_running + 3)
    assert state.sum_kw == pytest.approx(6.0 * n_running + 1.5)
    assert state.month_peak_kw == (6.0 if n_before == 15 else 4.9)


def test_window_that_ended_before_a_wrong_time_is_closed_once_more() -> None:
    """Correct readings resume after its end: it is closed with its known minutes."""
    window, later = [at(i, 6.0) for i in range(9)], [at(20 + i, 0.5) for i in range(3)]
    windows, _, closed = accepted([*window, at(1_000, 6.0), *later])
    assert [(one.start_minute - MONDAY, one.n_known) for one in closed] == [(0, 9), (0, 9)]
    state = windows.state(0)
    assert state is not None
    assert (state.start_minute - MONDAY, state.n_known, state.month_peak_kw) == (15, 3, 6.0)


@pytest.mark.parametrize(
    ("window_min", "newest"), [(15, 3), (15, 10), (15, 14), (60, 20), (60, 44), (60, 57), (60, 59)]
)
@pytest.mark.parametrize("ahead", [4, 5, 6, 7, 11, 25, 93, 1_440])
def test_window_and_peak_are_those_without_a_wrong_time(window_min: int, newest: int, ahead: int) -> None:
    """The wrong time is in the window, across its end, or far ahead; up to five minutes before are interpolated."""
    site = replace(SITE, default=replace(SITE.default, window_min=window_min))
    earlier = [at(i, 4.9 if i < 60 else 0.5) for i in range(600)]
    before, wrong = [at(600 + i, 3.5) for i in range(newest + 1)], at(600 + newest + ahead, 9.0)
    after = [at(601 + newest + i, 0.75) for i in range(20)]
    for n in (3, 20):
        with_wrong = accepted([*earlier, *before, wrong, *after[:n]], site)[0]
        without = accepted([*earlier, *before, *after[:n]], site)[0]
        assert with_wrong.state(0) == without.state(0)
        assert month_peaks(with_wrong, 31) == month_peaks(without, 31)


@pytest.mark.parametrize("ahead", [1, 2, 3])
def test_wrong_time_that_readings_catch_up_with_counts_as_a_gap(ahead: int) -> None:
    """Fewer than three late readings precede it: nothing is discarded, as after a minute without a reading."""
    before, wrong = [at(i, 1.0) for i in range(13)], at(12 + ahead, 5.0)
    after = [at(13 + i, 1.0) for i in range(6)]
    windows, _, closed = accepted([*before, wrong, *after])
    expected, _, as_gap = accepted([*before, wrong, *after[ahead:]])
    assert windows.state(0) == expected.state(0)
    assert closed == as_gap
    assert len(closed) == 1


@given(data=st.data(), window_min=st.sampled_from((5, 15, 60)), first=st.integers(-2 * DAY_MIN, 0))
def test_reading_with_a_wrong_time_leaves_windows_and_peaks(data: st.DataObject, window_min: int, first: int) -> None:
    site = SiteDemandOptions(DemandOptions(by_month_peak=True, window_min=window_min), zone=UTC)
    powers = st.sampled_from((0.25, 0.5, 1.0, 3.0, 6.0))
    blocks = data.draw(st.lists(st.tuples(powers, st.integers(1, 90)), min_size=1, max_size=8))
    readings = [at(first + i, kw) for i, kw in enumerate(kw for kw, n in blocks for _ in range(n))]
    after = [at(first + len(readings) + i, kw) for i, kw in enumerate(data.draw(st.lists(powers, min_size=3)))]
    wrong = at(first + len(readings) - 1 + data.draw(st.integers(4, DAY_MIN)), data.draw(powers))
    last = min(len(after), wrong.minute - after[0].minute)
    with_wrong, without = (accepted([*readings, *some, *after[:last]], site)[0] for some in ([wrong], []))
    assert with_wrong.state(0) == without.state(0)
    assert month_peaks(with_wrong, 31) == month_peaks(without, 31)


def test_month_peak_of_a_day_is_that_before_discarded_ones() -> None:
    """A clock that was an hour ahead measured higher windows of the same day, which are discarded one by one."""
    earlier, ahead = [at(i, 2.0) for i in range(15)], [at(60 + i, 2.0 + i // 15) for i in range(60)]
    for back_to, peak_kw in ((106, 4.0), (91, 3.0), (61, 2.0)):
        state = state_of([*earlier, *ahead, *(at(back_to + i, 0.5) for i in range(3))])
        assert state.month_peak_kw == peak_kw


@pytest.mark.parametrize("minute", [0, None], ids=["of a window", "of an unknown window"])
def test_corrected_month_peak_outlasts_a_clock_set_back(minute: int | None) -> None:
    """It was corrected after a reading with a wrong time, before the next readings proved that."""
    readings = [at(i, 0.75) for i in range(37)]
    for ahead in (5, 93, 1_000):
        windows = RunningWindows(SITE, max_rows=1)
        buffers = buffers_with(windows)
        for reading in (*readings, at(36 + ahead, 0.75)):
            buffers.accept(reading)
        at_minute = None if minute is None else MONDAY + minute
        correct_month_peak(windows, 100.0, 0, "home", 4.25, at_minute)
        for i in range(3):
            buffers.accept(at(37 + i, 0.75))
        state = windows.state(0)
        assert state is not None
        assert (state.n_known, state.month_peak_kw) == (10, 4.25)


def test_corrected_month_peak_lowers_peaks_that_were_replaced() -> None:
    readings = [at(i, 4.0 + i // 15) for i in range(60)]
    windows = RunningWindows(SITE, max_rows=1)
    buffers = buffers_with(windows)
    for reading in readings:
        buffers.accept(reading)
    correct_month_peak(windows, 100.0, 0, "home", 3.0, MONDAY + 45)
    for i in range(3):
        buffers.accept(at(35 + i, 0.5))
    state = windows.state(0)
    assert state is not None
    assert state.month_peak_kw == 3.0


#: 30 November, 12:00, and the same evening: a wrong time after that is of December.
LAST_NOON = 28 * DAY_MIN + 720
TOMORROW = LAST_NOON + 65 + 800


def on_the_last_day(*later: Reading) -> tuple[RunningWindows, Buffers]:
    """Return the windows after 65 minutes of 30 November, and ``later`` readings."""
    windows = RunningWindows(SITE, max_rows=1)
    buffers = buffers_with(windows)
    for reading in (*(at(LAST_NOON + i, 1.0 + i // 15) for i in range(65)), *later):
        buffers.accept(reading)
    return windows, buffers


def test_month_peak_corrected_after_a_time_of_the_next_month_is_restored() -> None:
    windows, buffers = on_the_last_day(at(TOMORROW, 1.0))
    correct_month_peak(windows, 100.0, 0, "home", 3.25, MONDAY + LAST_NOON + 30)
    assert month_peaks(windows, 1) == []
    for i in range(3):
        buffers.accept(at(LAST_NOON + 65 + i, 0.5))
    assert month_peaks(windows, 2) == [(3.25, MONDAY + LAST_NOON + 30)]
    for i in range(3):  # the clock is set back: the peaks of later windows, and what they replaced
        buffers.accept(at(LAST_NOON + 25 + i, 0.5))
    assert month_peaks(windows, 2) == [(1.0, MONDAY + LAST_NOON)]


@pytest.mark.parametrize(
    ("minute", "why"),
    [
        (None, 'begins another month after missing minutes, and may have a wrong time: add "at"'),
        (LAST_NOON + 64, "has not ended"),
        (TOMORROW, "has not ended"),
        (-2 * DAY_MIN, "is outside the current month"),
    ],
)
def test_month_peak_after_a_time_of_the_next_month_is_rejected(minute: int | None, why: str) -> None:
    windows, _ = on_the_last_day(at(TOMORROW, 1.0))
    with pytest.raises(PayloadError, match=why):
        correct_month_peak(windows, 100.0, 0, "home", 3.25, None if minute is None else MONDAY + minute)


def test_month_peak_after_a_gap_until_the_next_month_is_of_that() -> None:
    """Readings until the end of the window have shown that the time was right."""
    windows, _ = on_the_last_day(*(at(TOMORROW + i, 1.0) for i in range(20)))
    with pytest.raises(PayloadError, match="is outside the current month"):
        correct_month_peak(windows, 100.0, 0, "home", 3.25, MONDAY + LAST_NOON + 30)
    correct_month_peak(windows, 100.0, 0, "home", 3.25, None)
    assert month_peaks(windows, 1) == [(3.25, MONDAY + 29 * DAY_MIN + 150)]


def test_month_peak_without_a_time_is_of_a_window_of_the_month() -> None:
    """No window of this month was over before the gap: the peak belongs to the last window that is over now."""
    gap_after_the_first = [at(-DAY_MIN, 1.0), at(-DAY_MIN + 40, 1.0)]
    windows = accepted(gap_after_the_first)[0]
    correct_month_peak(windows, 100.0, 0, "home", 4.25, None)
    assert month_peaks(windows, 1) == [(4.25, MONDAY - DAY_MIN + 15)]


def test_window_of_a_clock_set_forward_starts_there() -> None:
    readings = [at(0, 1.0), at(5_000, 2.0), at(5_001, 2.0)]
    state = state_of(readings)
    assert (state.start_minute, state.n_known) == (MONDAY + 4_995, 2)


def test_windows_are_of_the_first_devices_with_a_limit() -> None:
    site = SiteDemandOptions(devices={"mill": DemandOptions(limit_kw=1.0, window_min=30, fuse_kw=3.0, risk=0.2)})
    windows = RunningWindows(site, max_rows=2)
    buffers = buffers_with(windows)
    for device in ("home", "mill", "car"):
        for minute in (MONDAY, MONDAY + 1):
            buffers.accept(Reading(device, minute, 1.0))
    assert [windows.state(row) is None for row in range(3)] == [True, False, True]
    assert [row for row in range(3) if windows.for_row(row) is not None] == [1]
    state = windows.state(1)
    assert state is not None
    assert (state.end_minute, state.limit_kw, state.fuse_kw, state.risk) == (MONDAY + 30, 1.0, 3.0, 0.2)
    for device in ("home", "mill"):
        row = buffers.forget(device)
        assert row is not None
        assert windows.for_row(row) is None


def test_limit_of_a_fuse_alone_is_none_until_it_is_set() -> None:
    site = SiteDemandOptions(DemandOptions(fuse_kw=3.0))
    windows, _, _ = accepted([at(0, 1.0)], site)
    state = windows.state(0)
    assert state is not None
    assert math.isnan(state.limit_kw)
    windows.set_limit(None, "mill", 3.0)
    windows.set_limit(0, "home", 2.0)
    state = windows.state(0)
    assert state is not None
    assert state.limit_kw == 2.0


def test_set_limit_applies_in_the_active_times_only() -> None:
    site = SiteDemandOptions(DemandOptions(limit_kw=1.0, active=ActiveTimes(hours=((15, 30),))))
    windows = accepted([at(0, 1.0)], site)[0]
    windows.set_limit(0, "home", 2.0)
    state = windows.state(0)
    assert state is not None
    assert math.isnan(state.limit_kw)
    assert state.next_limit_kw == 2.0


@st.composite
def streams(draw: st.DrawFn) -> list[Reading]:
    """Readings with gaps of any length, of one device."""
    steps = draw(st.lists(st.sampled_from((1, 1, 1, 1, 2, 4, 6, 7, 16, 40)), min_size=1, max_size=80))
    minute, readings = MONDAY + draw(st.integers(0, 60)), []
    for step in steps:
        minute += step
        readings.append(Reading("home", minute, draw(st.floats(-5, 20, width=32))))
    return readings


def recomputed(readings: list[Reading], window_min: int) -> tuple[float, int, int]:
    """The running window after the last of ``readings``, computed from its minutes."""
    known = {}
    before = None
    for reading in readings:
        n_missing = 0 if before is None else reading.minute - before.minute - 1
        if before is not None and n_missing <= MAX_FILL_MIN:
            for i in range(1, n_missing + 1):
                share = i / (n_missing + 1)
                known[before.minute + i] = before.gap_kw + share * (reading.gap_kw - before.gap_kw)
        known[reading.minute] = reading.gap_kw
        before = reading
    following = readings[-1].minute + 1
    start = following - following % window_min
    inside = [kw for minute, kw in known.items() if start <= minute]
    return sum(inside), len(inside), start


@given(readings=streams(), window_min=st.sampled_from((5, 15, 60)))
def test_window_equals_one_recomputed_from_its_minutes(readings: list[Reading], window_min: int) -> None:
    site = SiteDemandOptions(DemandOptions(limit_kw=1.0, window_min=window_min), zone=UTC)
    windows = RunningWindows(site, max_rows=1)
    buffers = buffers_with(windows)
    for i, reading in enumerate(readings):
        buffers.accept(reading)
        state = windows.state(0)
        total_kw, n_known, start = recomputed(readings[: i + 1], window_min)
        assert state is not None
        assert (state.n_known, state.start_minute) == (n_known, start)
        assert state.sum_kw == pytest.approx(total_kw, abs=1e-4)
