"""The highest windows of a device's local month, one for each day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from gapcast.core.billing.billing_windows import BillingWindow

#: Number of replaced peaks that are stored: a reading with a wrong time ends at most two windows.
N_REPLACED = 8
#: Number of measured windows that are compared with a register: a faulty reading raises one, or two if it is next to a
#: gap.
N_MEASURED = 3


class DayPeak(NamedTuple):
    """The highest window of a local day: its mean (kW) and first minute."""

    kw: float
    start_minute: int


class ReplacedPeak(NamedTuple):
    """A former highest window of a local day; ``month`` and ``day`` as in :class:`BillingWindow`."""

    month: int
    day: int
    peak: DayPeak

    @classmethod
    def from_window(cls, window: BillingWindow, peak: DayPeak) -> ReplacedPeak:
        """Return ``peak`` with the month and day of ``window``, its window."""
        return cls(window.month, window.day, peak)


class MonthPeaks:
    """The highest complete window of each day of the running month.

    >>> peaks = MonthPeaks()
    >>> for day, kw in ((1, 2.0), (2, 4.0), (2, 3.0)):
    ...     peaks.record(BillingWindow(day * 1440, day * 1440 + 15, month=0, day=day, is_active=True), kw)
    >>> peaks.peak_kw(1), peaks.peak_kw(2)
    (4.0, 3.0)
    >>> peaks.confirmed_kw
    2.0
    """

    __slots__ = ("_before", "_measured_kw", "by_day", "month", "replaced")

    def __init__(self) -> None:
        #: The month, as in :class:`BillingWindow`; -1 before the first.
        self.month = -1
        #: The highest window of each day that has one.
        self.by_day: dict[int, DayPeak] = {}
        #: The newest peaks that higher ones replaced: they become the highest again if the higher ones are discarded.
        self.replaced: tuple[ReplacedPeak, ...] = ()
        self._before = self.month, self.by_day
        #: The highest windows of the running month as measured, kW, highest first, at most N_MEASURED: not persisted.
        self._measured_kw: list[float] = []

    @property
    def confirmed_kw(self) -> float | None:
        """A power that several windows of the month reached as measured since the start; None before them.

        A single faulty reading does not change it much, unlike the highest window.
        """
        return self._measured_kw[-1] if len(self._measured_kw) == N_MEASURED else None

    @property
    def previous_month(self) -> int:
        """The month that ran before, whose peaks are those of the running month again if the clock is set back."""
        return self._before[0]

    def begin_month(self, month: int) -> None:
        """Begin ``month`` unless it runs; its peaks are known if the clock was set back to the month before."""
        if month != self.month:
            of_month = self._before[1] if month == self._before[0] else {}
            self._before = self.month, self.by_day
            self.month, self.by_day = month, of_month
            self._measured_kw = []

    def record(self, window: BillingWindow, mean_kw: float) -> None:
        """Record the mean of a complete window."""
        self.begin_month(window.month)
        self._measured_kw = sorted((*self._measured_kw, mean_kw), reverse=True)[:N_MEASURED]
        known = self.by_day.get(window.day)
        if known is None or mean_kw > known.kw:
            self._replace(window, mean_kw)

    def correct(self, window: BillingWindow, peak_kw: float) -> None:
        """Make ``window``, of the running or the previous month, its highest window with the mean ``peak_kw``.

        Higher peaks of other days are lowered to ``peak_kw``.
        """
        by_day = self._days_of(window)
        if window.month == self.month:
            self._measured_kw = [min(kw, peak_kw) for kw in self._measured_kw]
        by_day.update({day: _lowered(one, peak_kw) for day, one in by_day.items()})
        self.replaced = tuple(
            one._replace(peak=_lowered(one.peak, peak_kw)) if one.month == window.month else one
            for one in self.replaced
        )
        self._replace(window, peak_kw)

    def discard_from(self, start_minute: int) -> None:
        """Discard the peaks of windows from ``start_minute`` on: the clock was set back."""
        self._measured_kw = []
        self.by_day = _until(self.by_day, start_minute)
        self._before = self._before[0], _until(self._before[1], start_minute)
        self.replaced = tuple(one for one in self.replaced if one.peak.start_minute < start_minute)
        self._restore_replaced()

    def change_times(self, window_at: Callable[[int], BillingWindow]) -> None:
        """Discard the peaks of windows that are not active by ``window_at``: the active times or the zone have changed.

        The others are those of their days and month by ``window_at``.
        """
        ascending = [(window_at(one.start_minute), one) for one in sorted(self.by_day.values())]
        self.by_day = {window.day: one for window, one in ascending if window.is_active and window.month == self.month}
        self.replaced = tuple(one for one in self.replaced if window_at(one.peak.start_minute).is_active)
        self._restore_replaced()

    def _restore_replaced(self) -> None:
        """Make the newest replaced peak of each day without a peak its highest window."""
        for month, day, peak in reversed(self.replaced):
            for of_month, by_day in ((self.month, self.by_day), self._before):
                if month == of_month:
                    by_day.setdefault(day, peak)

    def _replace(self, window: BillingWindow, peak_kw: float) -> None:
        """Make ``window``, of the running or the previous month, the highest window of its day."""
        by_day = self._days_of(window)
        known = by_day.get(window.day)
        if known is not None:
            self.replaced = (*self.replaced, ReplacedPeak.from_window(window, known))[-N_REPLACED:]
        by_day[window.day] = DayPeak(peak_kw, window.start_minute)

    def _days_of(self, window: BillingWindow) -> dict[int, DayPeak]:
        return self.by_day if window.month == self.month else self._before[1]

    def highest(self, n_days: int) -> list[DayPeak]:
        """Return the highest peaks of at most ``n_days`` days, highest first."""
        return sorted(self.by_day.values(), key=lambda one: (-one.kw, one.start_minute))[:n_days]

    def peak_kw(self, n_days: int) -> float | None:
        """Return the mean of the highest peaks of ``n_days`` days, or of all if there are fewer; None without one."""
        highest = [one.kw for one in self.highest(n_days)]
        return sum(highest) / len(highest) if highest else None


def _lowered(peak: DayPeak, highest_kw: float) -> DayPeak:
    return DayPeak(min(peak.kw, highest_kw), peak.start_minute)


def _until(by_day: Mapping[int, DayPeak], start_minute: int) -> dict[int, DayPeak]:
    """Return the peaks of windows before ``start_minute``."""
    return {day: one for day, one in by_day.items() if one.start_minute < start_minute}
