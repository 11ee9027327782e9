"""Checks and sets limits, and checks and corrects month's peaks, while the stream runs."""

from __future__ import annotations

from gapcast.core.billing.running_windows import RunningWindows
from gapcast.core.documents.message_format import listed
from gapcast.core.errors import PayloadError
from gapcast.core.time_grid import minute_label

#: Reason code of the error for a device without a demand.
NO_DEMAND = "no_demand"
#: Maximum number of devices that an error names.
_MAX_NAMED = 3


def no_demand(device: str, fix: str) -> PayloadError:
    """Return the error for ``device`` without a demand; ``fix`` is appended to the keys to set."""
    return PayloadError(NO_DEMAND, f"{device} has no demand: set demand.limit_kw or demand.fuse_kw{fix}")


def beyond_max_devices(device: str, n_devices: int) -> str:
    """Return the reason why ``device``, which is not among the first ``n_devices``, has no demand."""
    return f"device {device!r} has no demand: only the first {n_devices} devices have one (outlook.max_devices)"


def set_limit(windows: RunningWindows, highest_kw: float, row: int | None, device: str, limit_kw: float | None) -> None:
    """Set the limit of ``device``, whose row is ``row`` (None: no readings yet); None restores the configured limit.

    Raises :class:`PayloadError` if the device has no demand, if the limit is not above 0 and at most ``highest_kw``, or
    if too many devices have a set limit. A limit that was set before the device was known to have no demand can be
    cleared.
    """
    _require_demand(windows, None if limit_kw is None else row, device)
    if limit_kw is not None:
        if not 0 < limit_kw <= highest_kw:
            detail = f"the limit is {limit_kw:g} kW: set one from above 0 to limits.max_kw ({highest_kw:g})"
            raise PayloadError("out_of_range", detail)
        if device not in windows.set_limits_kw and len(windows.set_limits_kw) >= windows.max_rows:
            detail = f"{windows.max_rows} devices have runtime limits, the maximum (outlook.max_devices): clear one of"
            raise PayloadError("too_many_devices", f"{detail} {listed(list(windows.set_limits_kw), _MAX_NAMED)}")
    windows.set_limit(row, device, limit_kw)


def correct_month_peak(
    windows: RunningWindows, highest_kw: float, row: int | None, device: str, peak_kw: float, minute: int | None
) -> None:
    """Correct the highest window of the running month of ``device``: the window of ``minute``.

    None stands for the last window that is over and to which the limit applies. If the newest reading may have begun
    another month by a wrong time, ``minute`` is needed, and can be in the month before. Raises :class:`PayloadError` if
    the device has no demand, if the peak is below 0 or above ``highest_kw``, or if the window is not over, belongs to
    another month, or has no limit at its time.
    """
    _require_demand(windows, row, device)
    one = None if row is None else windows.for_row(row)
    if one is None:
        raise PayloadError("unknown_device", f"{device} has no window yet: wait for its first reading")
    if not 0 <= peak_kw <= highest_kw:
        detail = f"the peak is {peak_kw:g} kW: send one from 0 to limits.max_kw ({highest_kw:g})"
        raise PayloadError("out_of_range", detail)
    running, before = one.window, one.window_of_previous_month
    if before is not None and minute is None:
        detail = "the newest reading begins another month after missing minutes, and may have a wrong time"
        later = f"send the peak again when the window from {minute_label(running.start_minute)} has ended"
        raise PayloadError("bad_time", f'{detail}: add "at", a minute of the window with the peak, or {later}')
    window = one.last_window_over() if minute is None else one.calendar.window_at(minute)
    if before is not None and window.month == before.month:
        running = before
    at = f"the window from {minute_label(window.start_minute)}"
    if window.start_minute >= running.start_minute:
        newest = f"by the newest reading, the running window is that from {minute_label(running.start_minute)}"
        raise PayloadError("bad_time", f"{at} has not ended: {newest}; use a minute of an earlier one")
    if window.month != running.month:
        newest = minute_label(running.start_minute)
        raise PayloadError(
            "bad_time", f"{at} is outside the current month (that of {newest}): only this one can be corrected"
        )
    if minute is None:
        window = one.calendar.last_active(window) or window
    if not window.is_active:
        times = f"the limit applies in {one.options.active.text}"
        raise PayloadError("bad_time", f"{at} has no limit: use a minute of a window that has one ({times})")
    one.peaks.correct(window, peak_kw)
    one.refresh()


def _require_demand(windows: RunningWindows, row: int | None, device: str) -> None:
    """Raise :class:`PayloadError` if ``device`` has no limit, or its ``row`` (None: not known) has no demand."""
    if not windows.site_options.for_device(device).is_limited:
        raise no_demand(device, " for it")
    if row is not None and row >= windows.max_rows:
        raise PayloadError(NO_DEMAND, beyond_max_devices(device, windows.max_rows))
