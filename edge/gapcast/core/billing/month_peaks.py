"""The highest windows of a device's local month, one for each day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gapcast.core.billing.billing_windows import BillingWindow


class DayPeak(NamedTuple):
    """The highest window of a local day: its mean (kW) and first minute."""

    kw: float
    start_minute: int


class MonthPeaks:
    """The highest complete window of each day of the running month.

    >>> peaks = MonthPeaks()
    >>> for day, kw in ((1, 2.0), (2, 4.0), (2, 3.0)):
    ...     peaks.record(BillingWindow(day * 1440, day * 1440 + 15, month=0, day=day, is_active=True), kw)
    >>> peaks.peak_kw(1), peaks.peak_kw(2)
    (4.0, 3.0)
    """

    __slots__ = ("_before", "by_day", "month")

    def __init__(self) -> None:
        #: The month, as in :class:`BillingWindow`; -1 before the first.
        self.month = -1
        #: The highest window of each day that has one.
        self.by_day: dict[int, DayPeak] = {}
        self._before = self.month, self.by_day

    def copy(self) -> MonthPeaks:
        """Return a copy that does not change with this one."""
        copied = MonthPeaks()
        copied.month, copied.by_day = self.month, dict(self.by_day)
        copied._before = self._before[0], dict(self._before[1])
        return copied

    def begin_month(self, month: int) -> None:
        """Begin ``month`` without a peak, unless it is the running one, or the one before: the clock was set back."""
        if month != self.month:
            of_month = self._before[1] if month == self._before[0] else {}
            self._before = self.month, self.by_day
            self.month, self.by_day = month, of_month

    def record(self, window: BillingWindow, mean_kw: float) -> None:
        """Record the mean of a complete window."""
        self.begin_month(window.month)
        known = self.by_day.get(window.day)
        if known is None or mean_kw > known.kw:
            self.by_day[window.day] = DayPeak(mean_kw, window.start_minute)

    def correct(self, window: BillingWindow, peak_kw: float) -> None:
        """Correct the month's highest window, one of the running month: it is ``window``, with the mean ``peak_kw``.

        The peaks of other days are lowered to it if they are higher.
        """
        lowered = {day: DayPeak(min(one.kw, peak_kw), one.start_minute) for day, one in self.by_day.items()}
        self.by_day = {**lowered, window.day: DayPeak(peak_kw, window.start_minute)}

    def discard_from(self, start_minute: int) -> None:
        """Discard the peaks of windows from ``start_minute`` on: the clock was set back."""
        self.by_day = _until(self.by_day, start_minute)
        self._before = self._before[0], _until(self._before[1], start_minute)

    def highest(self, n_days: int) -> list[DayPeak]:
        """Return the highest peaks of at most ``n_days`` days, highest first."""
        return sorted(self.by_day.values(), key=lambda one: (-one.kw, one.start_minute))[:n_days]

    def peak_kw(self, n_days: int) -> float | None:
        """Return the mean of the highest peaks of ``n_days`` days, or of all if there are fewer; None without one."""
        highest = [one.kw for one in self.highest(n_days)]
        return sum(highest) / len(highest) if highest else None


def _until(by_day: Mapping[int, DayPeak], start_minute: int) -> dict[int, DayPeak]:
    """Return the peaks of windows before ``start_minute``."""
    return {day: one for day, one in by_day.items() if one.start_minute < start_minute}
