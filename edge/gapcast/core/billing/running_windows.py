"""The running windows of all devices: the sums of their known minutes, built reading by reading.

The known minutes are those that enter a device's window of readings (:class:`gapcast.core.streams.buffer.Buffers`),
under the same rules: duplicates, late and held readings do not count; minutes of a short gap count as interpolated, as
do minutes that a held value covers (``Reading.is_filled``). Power is the total, with announced loads; with
``DemandOptions.imports_only``, exported power counts as 0. Minutes of a longer gap are unknown. If the clock is set
back, the window of the new minute starts again, without the minutes before it, and the month's peaks from that window
on are discarded. If it is set back into missing minutes, as after one reading with a wrong time, the window before the
missing minutes continues, and the month's peaks until then stay.

After a minute, the running window is the one that contains the next minute. A window is complete if at least half of
its minutes are known. Only complete windows in the active times count as a peak of their month.
"""

from __future__ import annotations

from gapcast.core.arrays.array_types import F32
from gapcast.core.billing.billing_windows import calendar_of
from gapcast.core.billing.device_windows import ClosedWindow, DeviceWindows, WindowBeforeJump, WindowState
from gapcast.core.billing.options import SiteDemandOptions
from gapcast.core.windows.features import local_day_at


class RunningWindows:
    """The running windows of the devices with a limit in the first ``max_rows`` rows of the buffers.

    >>> from gapcast.core.billing.options import DemandOptions
    >>> windows = RunningWindows(SiteDemandOptions(DemandOptions(limit_kw=2.0)), max_rows=1)
    >>> for minute in range(31, 45):
    ...     windows.add(0, "home", minute, 1.5)
    >>> [(one.start_minute, one.n_known, one.mean_kw) for one in windows.take_closed()]
    [(30, 14, 1.5)]
    >>> windows.state(0).start_minute, windows.state(0).n_known
    (45, 0)
    """

    def __init__(self, options: SiteDemandOptions, max_rows: int) -> None:
        self.site_options = options
        self.max_rows = max_rows
        #: Limits that were set at run time, kW, by device; a device may be unknown yet.
        self.set_limits_kw: dict[str, float] = {}
        #: By row; None for a device without a limit.
        self._devices: dict[int, DeviceWindows | None] = {}
        self._closed: list[ClosedWindow] = []

    def begin(self, row: int, device: str) -> DeviceWindows | None:
        """Return new windows of ``device`` in ``row``; None if the device has no demand."""
        options = self.site_options.for_device(device)
        if row >= self.max_rows or not options.is_limited:
            self._devices[row] = None
            return None
        calendar = calendar_of(self.site_options.zone, options.window_min, options.active)
        one = self._devices[row] = DeviceWindows(options, calendar, self.set_limits_kw.get(device))
        return one

    def begin_after(self, row: int, device: str, last_minute: int, known_kw: F32) -> None:
        """Begin the window of ``device`` that follows ``last_minute``.

        ``known_kw`` ``[n]`` are the known minutes up to ``last_minute``, oldest first; the ones in the window count.
        """
        one = self.begin(row, device)
        if one is not None:
            one.open(last_minute + 1)
            one.n_known = min(len(known_kw), last_minute + 1 - one.window.start_minute)
            one.sum_kw = float(sum(map(one.options.counted_kw, known_kw[len(known_kw) - one.n_known :].tolist())))

    def add(self, row: int, device: str, minute: int, gap_kw: float) -> None:
        """Add a known minute of ``device`` in ``row``, kW: later than all earlier minutes except discarded ones."""
        try:
            one = self._devices[row]
            if one is None:
                return
        except KeyError:
            one = self.begin(row, device)
            if one is None:
                return
            one.open(minute)
        if minute >= one.window.end_minute:  # minutes are unknown: known minutes end their window below
            self._close(row, one)
            one.open(minute)
        one.sum_kw += one.options.counted_kw(gap_kw)
        one.n_known += 1
        if minute + 1 == one.window.end_minute:
            self._close(row, one)
            one.open(minute + 1)

    def prepare_jump(self, row: int, newest_minute: int, next_minute: int) -> None:
        """Store the running window of ``row`` at ``newest_minute``, before a reading of ``next_minute`` is added.

        The minutes between the two are missing: the reading may have a wrong time.
        """
        one = self._devices.get(row)
        if one is not None:
            one.before_jump = WindowBeforeJump(newest_minute, next_minute, one.sum_kw, one.n_known)

    def _close(self, row: int, one: DeviceWindows) -> None:
        """Close the running window, which is over, and record it."""
        if not one.n_known:
            return
        day = local_day_at(one.window.start_minute, self.site_options.zone)
        closed = ClosedWindow(row, *one.window[:2], one.n_known, one.sum_kw / one.n_known, one.state.limit_kw, day)
        self._closed.append(closed)
        if closed.is_complete and one.window.is_active:
            one.peaks.record(one.window, closed.mean_kw)
            one.lowest.record(closed.mean_kw, one.options.window_min)

    def discard_from(self, row: int, minute: int) -> None:
        """Begin the window of ``minute`` again after the clock was set back to it."""
        one = self._devices.get(row)
        if one is not None:
            one.begin_again(minute)

    def set_limit(self, row: int | None, device: str, limit_kw: float | None) -> None:
        """Set the limit of ``device`` in ``row`` (None: no readings yet), kW; None restores the configured limit."""
        if limit_kw is None:
            self.set_limits_kw.pop(device, None)
        else:
            self.set_limits_kw[device] = limit_kw
        one = None if row is None else self._devices.get(row)
        if one is not None:
            one.set_limit_kw = limit_kw
            one.refresh()

    def for_row(self, row: int) -> DeviceWindows | None:
        """Return the windows of the device in ``row``; None if it has no demand."""
        return self._devices.get(row)

    def state(self, row: int) -> WindowState | None:
        """Return the running window of the device in ``row`` after its newest minute; None if it has no demand."""
        one = self._devices.get(row)
        return None if one is None else one.state

    def take_closed(self) -> list[ClosedWindow]:
        """Return the windows that were closed since the last call, in the order of their readings."""
        closed, self._closed = self._closed, []
        return closed

    def adopt(self, before: RunningWindows) -> None:
        """Continue with the windows and the set limits of ``before``, which has the same rows.

        If the options differ, the windows begin again. ``before`` must not be used afterwards.
        """
        self.set_limits_kw = before.set_limits_kw
        if (self.site_options, self.max_rows) == (before.site_options, before.max_rows):
            self._devices, self._closed = before._devices, before._closed

    def forget(self, row: int) -> None:
        """Remove the windows of ``row``."""
        self._devices.pop(row, None)
