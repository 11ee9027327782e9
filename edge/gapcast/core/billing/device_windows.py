"""The billing windows of one device: the running one, with its limit, and the peaks of the month."""

from __future__ import annotations

import math
from typing import NamedTuple

from gapcast.core.billing.billing_windows import BillingCalendar, BillingWindow
from gapcast.core.billing.low_limit import LowestWindow
from gapcast.core.billing.month_peaks import MonthPeaks
from gapcast.core.billing.options import DemandOptions
from gapcast.core.billing.window_limits import WindowLimit, limit_of

#: Memory of the objects of a device, with a month's peaks: windows are shared. Measured.
BYTES_PER_DEVICE = 1_630
_new_tuple = tuple.__new__


class ClosedWindow(NamedTuple):
    """A billing window that is over, of the device of ``row``.

    ``mean_kw`` is the mean of its ``n_known`` known minutes, ``limit_kw`` its limit (NaN: none).
    """

    row: int
    start_minute: int
    end_minute: int
    n_known: int
    mean_kw: float
    limit_kw: float

    @property
    def is_complete(self) -> bool:
        """Whether at least half of its minutes are known."""
        return 2 * self.n_known >= self.end_minute - self.start_minute


class WindowState(NamedTuple):
    """The running window after a reading, with its limits and the next window's. Power in kW; NaN for unknown.

    ``start_minute``, ``end_minute`` and ``next_end_minute`` bound it and the next one. ``sum_kw`` is that of the
    ``n_known`` known minutes so far, in kW minutes. ``source`` and ``next_source`` are indices of
    :data:`gapcast.core.billing.window_demands.SOURCES`.
    """

    sum_kw: float
    n_known: int
    start_minute: int
    end_minute: int
    next_end_minute: int
    limit_kw: float
    source: float
    next_limit_kw: float
    next_source: float
    month_peak_kw: float
    fuse_kw: float
    risk: float


class DeviceWindows:
    """The running window of one device, its month's peaks, and the limit that was set while running (None: none)."""

    __slots__ = (
        "_unchanging", "calendar", "following", "lowest", "n_known", "options", "peaks", "set_limit_kw", "sum_kw",
        "window",
    )  # fmt: skip

    def __init__(self, options: DemandOptions, calendar: BillingCalendar, set_limit_kw: float | None) -> None:
        """Begin without a window: :meth:`open` one before reading :attr:`state`."""
        self.options = options
        self.calendar = calendar
        self.set_limit_kw = set_limit_kw
        self.peaks = MonthPeaks()
        self.lowest = LowestWindow()
        self.sum_kw = 0.0
        self.n_known = 0

    def open(self, minute: int) -> None:
        """Begin the window that contains ``minute``, without a known minute."""
        self.window: BillingWindow = self.calendar.window_at(minute)
        self.following: BillingWindow = self.calendar.window_at(self.window.end_minute)
        self.sum_kw, self.n_known = 0.0, 0
        self.peaks.begin_month(self.window.month)
        self.refresh()

    def refresh(self) -> None:
        """Update the limits and the month's peak in :attr:`state`, after one of them has changed."""
        options, window, following = self.options, self.window, self.following
        peak_kw = self.peaks.peak_kw(options.n_peak_days)
        #: The fields of :class:`WindowState` that do not change with a reading.
        self._unchanging = (
            window.start_minute,
            window.end_minute,
            following.end_minute,
            *self._limit(window),
            *self._limit(following),
            math.nan if peak_kw is None else peak_kw,
            math.nan if options.fuse_kw is None else options.fuse_kw,
            options.risk,
        )

    def _limit(self, window: BillingWindow) -> WindowLimit:
        return limit_of(window, self.options, self.peaks, self.set_limit_kw)

    def window_from(self, minute: int) -> tuple[int, float | None]:
        """Return the end of the window that contains ``minute``, and its limit, kW, None without one."""
        window = self.calendar.window_at(minute)
        limit_kw, _ = self._limit(window)
        return window.end_minute, None if math.isnan(limit_kw) else limit_kw

    @property
    def state(self) -> WindowState:
        """The running window after the newest minute."""
        # As WindowState(...), in less time: there is one for each reading.
        return _new_tuple(WindowState, (self.sum_kw, self.n_known, *self._unchanging))
