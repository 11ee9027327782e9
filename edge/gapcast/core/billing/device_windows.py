"""The billing windows of one device: the running window with its limit, and the peaks of the month."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from gapcast.core.billing.billing_windows import BillingCalendar, BillingWindow
from gapcast.core.billing.infeasible_limit import LowestWindow
from gapcast.core.billing.month_peaks import MonthPeaks
from gapcast.core.billing.options import DemandOptions, LimitSource
from gapcast.core.billing.window_demands import SOURCES

#: A limit, kW (NaN: none), and the index of its source in :data:`.window_demands.SOURCES`.
WindowLimit = tuple[float, float]
_NO_LIMIT: Final[WindowLimit] = (math.nan, float(SOURCES.index(LimitSource.NONE)))
#: Measured size of the objects of a device, with the peaks of two months and replaced peaks. Devices share windows.
BYTES_PER_DEVICE = 8_300
_new_tuple = tuple.__new__


def limit_of(
    window: BillingWindow, options: DemandOptions, peaks: MonthPeaks, set_limit_kw: float | None
) -> WindowLimit:
    """Return the limit of ``window``: ``set_limit_kw`` unless it is None, else the month's peak or a fixed limit."""
    if not window.is_active:
        return _NO_LIMIT
    if set_limit_kw is not None:
        return set_limit_kw, SOURCES.index(LimitSource.SET)
    if options.by_month_peak:
        peak_kw = peaks.peak_kw(options.n_peak_days) if window.month == peaks.month else None
        return max(options.floor_kw, peak_kw or 0.0), SOURCES.index(LimitSource.MONTH_PEAK)
    if options.limit_kw is not None:
        return options.limit_kw, SOURCES.index(LimitSource.FIXED)
    return _NO_LIMIT


class ClosedWindow(NamedTuple):
    """A billing window that is over, of the device of ``row``.

    ``mean_kw`` is the mean of its ``n_known`` known minutes, ``limit_kw`` its limit (NaN: none). ``local_day`` is the
    day of the local clock at its start, since 1970-01-01.
    """

    row: int
    start_minute: int
    end_minute: int
    n_known: int
    mean_kw: float
    limit_kw: float
    local_day: int

    @property
    def is_complete(self) -> bool:
        """Whether at least half of the minutes are known."""
        return 2 * self.n_known >= self.end_minute - self.start_minute


class WindowState(NamedTuple):
    """The running window after a reading, its limit, and the limit of the next window. Power in kW; NaN for unknown.

    The running window is from ``start_minute`` to ``end_minute``, the next one ends at ``next_end_minute``. ``sum_kw``
    is the sum of the ``n_known`` known minutes so far, in kW minutes. ``source`` and ``next_source`` are indices of
    :data:`gapcast.core.billing.window_demands.SOURCES`. Power below ``least_kw`` counts as ``least_kw``: 0 if only
    imports count, otherwise minus infinity.
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
    least_kw: float


class WindowBeforeJump(NamedTuple):
    """The running window before a reading that came after missing minutes; its newest minute was ``newest_minute``.

    It has ``n_known`` minutes with the sum ``sum_kw``, kW minutes; ``next_minute`` is the minute of the reading.
    """

    newest_minute: int
    next_minute: int
    sum_kw: float
    n_known: int


class DeviceWindows:
    """The running window of one device, its month's peaks, and the limit that was set at run time (None: not set)."""

    __slots__ = (
        "_unchanging", "before_jump", "calendar", "following", "is_export_reported", "lowest", "n_known", "options",
        "peaks", "set_limit_kw", "sum_kw", "window",
    )  # fmt: skip

    def __init__(self, options: DemandOptions, calendar: BillingCalendar, set_limit_kw: float | None) -> None:
        """Create the object without a window: call :meth:`open` before reading :attr:`state`."""
        self.options = options
        self.calendar = calendar
        self.set_limit_kw = set_limit_kw
        self.peaks = MonthPeaks()
        self.lowest = LowestWindow()
        #: Whether the export of the device was reported already: not persisted.
        self.is_export_reported = False
        self.sum_kw = 0.0
        self.n_known = 0
        #: The window before the newest missing minutes; None if there were none, or if the clock was set back since.
        self.before_jump: WindowBeforeJump | None = None

    def open(self, minute: int) -> None:
        """Begin the window that contains ``minute``, without known minutes."""
        self.window: BillingWindow = self.calendar.window_at(minute)
        self.following: BillingWindow = self.calendar.window_at(self.window.end_minute)
        self.sum_kw, self.n_known = 0.0, 0
        self.peaks.begin_month(self.window.month)
        self.refresh()

    def begin_again(self, minute: int) -> None:
        """Begin the window of ``minute`` again after the clock was set back to it.

        If this discards only readings after missing minutes, the window before the missing minutes continues.
        """
        before, self.before_jump = self.before_jump, None
        if before is None or not before.newest_minute < minute < before.next_minute:
            before = WindowBeforeJump(minute - 1, minute, 0.0, 0)
        first = before.newest_minute + 1
        self.peaks.discard_from(self.calendar.window_at(first).start_minute)
        self.open(first)
        self.sum_kw, self.n_known = before.sum_kw, before.n_known

    def last_window_over(self) -> BillingWindow:
        """Return the last closed window, or the one before missing minutes if the next reading may be mistimed."""
        window_at, before, start = self.calendar.window_at, self.before_jump, self.window.start_minute
        if before is not None and before.next_minute >= start - 1:
            known = window_at(window_at(before.newest_minute + 1).start_minute - 1)
            if known.month == self.window.month:
                return known
        return window_at(start - 1)

    @property
    def window_of_previous_month(self) -> BillingWindow | None:
        """The running window before missing minutes if their reading may have begun another month by a wrong time."""
        before = self.before_jump
        if before is None or before.next_minute < self.window.start_minute - 1:
            return None
        window = self.calendar.window_at(before.newest_minute + 1)
        return window if window.month == self.peaks.previous_month != self.window.month else None

    def refresh(self) -> None:
        """Update the limits and the month's peak in :attr:`state` after a change of either."""
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
            0.0 if options.imports_only else -math.inf,
        )

    def _limit(self, window: BillingWindow) -> WindowLimit:
        return limit_of(window, self.options, self.peaks, self.set_limit_kw)

    def window_from(self, minute: int) -> tuple[int, float | None]:
        """Return the end of the window that contains ``minute``, and its limit, kW; None without a limit."""
        window = self.calendar.window_at(minute)
        limit_kw, _ = self._limit(window)
        return window.end_minute, None if math.isnan(limit_kw) else limit_kw

    @property
    def state(self) -> WindowState:
        """The running window after the newest minute."""
        # Equal to WindowState(...), but faster: every reading creates one.
        return _new_tuple(WindowState, (self.sum_kw, self.n_known, *self._unchanging))
