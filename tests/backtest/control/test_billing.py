"""Billing windows, month peaks, and the limit while it runs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gapcast.backtest.control.billing import active_at, billed_windows, month_peaks, window_starts
from gapcast.backtest.control.limits import RunningLimit
from gapcast.core.arrays.array_types import I64
from gapcast.core.billing.options import ActiveTimes, DemandOptions
from gapcast.core.windows.features import offset_min

BRUSSELS = ZoneInfo("Europe/Brussels")
QUARTER = DemandOptions(by_month_peak=True)


def minute_at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) // 60


def local_from(text: str, n: int) -> I64:
    """Return the local clock in Brussels from ``text`` (UTC) on."""
    minutes = minute_at(text) + np.arange(n)
    return minutes + offset_min(minutes, BRUSSELS)


def test_windows_begin_on_the_local_clock() -> None:
    assert window_starts(np.arange(7, 40), 15).tolist() == [0, 8, 23]


def test_clock_that_goes_back_begins_a_window_again() -> None:
    local = local_from("2026-10-24T23:30", 180)  # 01:30 to 02:59, then 02:00 again
    starts = window_starts(local, 60)
    assert starts.tolist() == [0, 30, 90, 150]
    assert (local[starts] % 60).tolist() == [30, 0, 0, 0]


def test_clock_that_goes_forward_skips_an_hour() -> None:
    local = local_from("2026-03-29T00:30", 60)  # 01:30, and 03:00 after 01:59
    assert local[window_starts(local, 60)].tolist() == [local[0], local[30]]


def test_windows_with_less_than_half_of_their_minutes_are_left_out() -> None:
    kw = np.repeat([1.0, 2.0, 3.0], 15)
    kw[:8] = math.nan
    kw[15:22] = math.nan
    assert billed_windows(kw, np.arange(45), QUARTER).kw.tolist() == [2.0, 3.0]
    half_known = np.concatenate((np.full(15, math.nan), np.full(15, 3.0)))
    assert billed_windows(half_known, np.arange(30), DemandOptions(window_min=30)).kw.tolist() == [3.0]


def test_month_peak_is_of_active_windows_only() -> None:
    kw = np.concatenate((np.full(15, 9.0), np.full(15, 2.0)))
    local = local_from("2026-01-05T05:45", 30)  # 06:45 and 07:00 on a Monday
    options = DemandOptions(active=ActiveTimes(hours=((420, 1_320),)))
    assert list(month_peaks(billed_windows(kw, local, options), 1).values()) == [2.0]


@pytest.mark.parametrize(
    ("hours", "weekdays", "months", "active"),
    [
        (((0, 1_440),), range(7), range(1, 13), True),
        (((1_320, 360),), range(7), range(1, 13), False),  # passes midnight
        (((1_320, 480),), range(7), range(1, 13), True),
        (((0, 1_440),), {1}, range(1, 13), False),
        (((0, 1_440),), {0}, {2}, False),
    ],
)
def test_active_times_of_a_monday_morning(
    hours: tuple[tuple[int, int], ...], weekdays: Iterable[int], months: Iterable[int], active: bool
) -> None:
    times = ActiveTimes(hours, frozenset(weekdays), frozenset(months))
    assert active_at(local_from("2026-01-05T06:00", 1), times).tolist() == [active]


def follow(kw: list[float], local: I64, options: DemandOptions) -> list[float | None]:
    """Return the limit after each minute."""
    limit, found = RunningLimit(local, options), []
    for i, one in enumerate(kw):
        limit.add(i, one)
        found.append(limit.limit_kw(i + 1))
    return found


def test_running_limit_is_the_highest_window_so_far() -> None:
    local = local_from("2026-01-05T06:00", 60)
    found = follow([3.0] * 15 + [5.0] * 15 + [4.0] * 30, local, QUARTER)
    assert found[:14] == [2.5] * 14
    assert found[14:29] == [3.0] * 15
    assert found[29:59] == [5.0] * 30
    assert found[59] is None  # the recording ends


def test_running_limit_starts_again_with_the_month() -> None:
    local = local_from("2026-01-31T22:30", 60)  # midnight in Brussels after 30 minutes
    found = follow([5.0] * 30 + [1.0] * 30, local, QUARTER)
    assert (found[15], found[29], found[45]) == (5.0, 2.5, 2.5)


def test_running_limit_of_days_is_the_mean_of_their_highest() -> None:
    options = DemandOptions(by_month_peak=True, n_peak_days=2, window_min=15)
    local = local_from("2026-01-05T22:30", 60)
    found = follow([4.0] * 30 + [6.0] * 30, local, options)
    assert (found[30], found[45]) == (4.0, 5.0)


def test_exported_minutes_count_as_nothing_if_only_imports_do() -> None:
    kw, local = [6.0] * 5 + [-3.0] * 10 + [1.0] * 16, local_from("2026-01-05T06:00", 31)
    options = DemandOptions(by_month_peak=True, floor_kw=0.0, imports_only=True)
    assert follow(kw, local, options)[15] == 2.0
    assert billed_windows(np.array(kw), np.array(local), options).kw.tolist() == [2.0, 1.0]
    assert billed_windows(np.array(kw), np.array(local), QUARTER).kw.tolist() == [0.0, 1.0]


def test_running_limit_ignores_incomplete_windows() -> None:
    local = local_from("2026-01-05T06:00", 45)
    kw = [9.0] * 7 + [math.nan] * 8 + [3.0] * 30
    assert follow(kw, local, QUARTER)[29:31] == [3.0, 3.0]


def test_fixed_limit_holds_in_active_times() -> None:
    options = DemandOptions(limit_kw=4.0, active=ActiveTimes(hours=((420, 1_320),)))
    found = follow([9.0] * 20, local_from("2026-01-05T05:50", 40), options)
    assert (found[8], found[9], found[19]) == (None, 4.0, 4.0)


def test_running_limit_without_one_is_none() -> None:
    """A house whose ``[[demand.devices]]`` has no limit, beside houses with a limit."""
    assert follow([9.0] * 20, local_from("2026-01-05T05:50", 40), DemandOptions(fuse_kw=9.0)) == [None] * 20
