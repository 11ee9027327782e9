"""Billing windows on the clock of a time zone: their minutes, their local day and month, and when a limit applies.

A window begins where the local minute of the hour is divisible by the window length. The windows partition time: where
the offset from UTC changes by a part of a window (Lord Howe Island changes by half an hour), the window of the change
ends early or begins late. A change by an hour moves no window, because every length divides the hour: a day of 23 or 25
hours has 23 or 25 hours of windows.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

from gapcast.core.billing.options import ActiveTimes

#: Number of windows that a calendar caches: the clocks of its devices may differ.
_N_REMEMBERED = 512
_MONTHS = 12


class BillingWindow(NamedTuple):
    """The minutes from ``start_minute`` (inclusive) to ``end_minute`` (exclusive), since the epoch.

    ``month`` is 12 times the local year plus the month of the year from 0, ``day`` the local day of the month; both are
    taken at the start. ``is_active``: whether the limit applies.
    """

    start_minute: int
    end_minute: int
    month: int
    day: int
    is_active: bool


class BillingCalendar:
    """The windows of ``window_min`` minutes in ``zone``.

    >>> from datetime import UTC
    >>> calendar = BillingCalendar(UTC, 15, ActiveTimes())
    >>> calendar.window_at(44)[:2]
    (30, 45)
    """

    def __init__(self, zone: tzinfo, window_min: int, active: ActiveTimes) -> None:
        self.window_min = window_min
        self._zone = zone
        self._active = active
        #: A checksum of what decides which windows are active: stored with peaks, so that a change is detected.
        self.times_key = zlib.crc32(_times_text(zone, active).encode())
        #: Returns the window that contains a minute.
        self.window_at: Callable[[int], BillingWindow] = lru_cache(_N_REMEMBERED)(self._window_at)

    def _window_at(self, minute: int) -> BillingWindow:
        offset = self._offset_min(minute)
        start = minute - (minute + offset) % self.window_min
        end = start + self.window_min
        if self._offset_min(start) != offset:
            start += bisect_left(range(start, minute), True, key=lambda one: self._offset_min(one) == offset)
        if self._offset_min(end - 1) != offset:
            end = minute + bisect_left(range(minute, end), True, key=lambda one: self._offset_min(one) != offset)
        local = self._local(start)
        active = self._active
        minute_of_day = local.hour * 60 + local.minute
        is_active = (
            local.month in active.months
            and local.weekday() in active.weekdays
            and any(_contains(hours, minute_of_day) for hours in active.hours)
        )
        return BillingWindow(start, end, local.year * _MONTHS + local.month - 1, local.day, is_active)

    def last_active(self, window: BillingWindow) -> BillingWindow | None:
        """Return ``window``, or the last one before it in its month, to which the limit applies; None without one."""
        month = window.month
        if month % _MONTHS + 1 not in self._active.months:
            return None
        while not window.is_active and window.month == month:
            window = self._window_at(window.start_minute - 1)
        return window if window.month == month else None

    def _local(self, minute: int) -> datetime:
        return datetime.fromtimestamp(minute * 60, self._zone)

    def _offset_min(self, minute: int) -> int:
        offset = self._local(minute).utcoffset() or timedelta()
        return offset // timedelta(minutes=1)


def _times_text(zone: tzinfo, active: ActiveTimes) -> str:
    return f"{zone} {sorted(active.hours)} {sorted(active.weekdays)} {sorted(active.months)}"


def _contains(hours: tuple[int, int], minute_of_day: int) -> bool:
    """Return whether ``hours`` contain ``minute_of_day``; the hours may pass midnight."""
    start, end = hours
    if start < end:
        return start <= minute_of_day < end
    return minute_of_day >= start or minute_of_day < end


@lru_cache(_N_REMEMBERED)
def calendar_of(zone: tzinfo, window_min: int, active: ActiveTimes) -> BillingCalendar:
    """Return the calendar with this zone, window length and active times; devices with the same ones share it."""
    return BillingCalendar(zone, window_min, active)
