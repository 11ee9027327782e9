"""Detects stored month's peaks and set limits that are not used with the present configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from gapcast.core.billing.running_windows import RunningWindows
from gapcast.core.demand.state.stored_state import LIMIT_DEVICE, TRACKED, check_columns, implausible_windows
from gapcast.core.demand.state.stored_windows import Columns, has_other_times, with_later_columns
from gapcast.core.errors import StateError

_NO_DEMAND = "it has no demand now"


def discarded_state(windows: RunningWindows | None, devices: Sequence[str], columns: Columns) -> dict[str, str]:
    """Return the devices whose stored month's peaks or set limit are not used, and why.

    ``windows`` are restored from ``columns``, the state of ``devices``; None if no device has a demand. Damaged columns
    have no result.
    """
    try:
        return dict(_reasons(windows, devices, columns))
    except (StateError, ValueError, IndexError, TypeError):
        return {}


def _reasons(windows: RunningWindows | None, devices: Sequence[str], columns: Columns) -> Iterator[tuple[str, str]]:
    if TRACKED not in columns:
        return
    columns = with_later_columns(columns, len(columns[TRACKED]))
    places = check_columns(columns)
    with_peak = (columns["peak_start"] >= 0).any(axis=1) & ~implausible_windows(columns)
    for i in np.flatnonzero(with_peak).tolist():
        row = int(places[i])
        reason = _reason(windows, row, devices[row], columns, i)
        if reason:
            yield devices[row], reason
    for device in columns.get(LIMIT_DEVICE, np.zeros(0, np.str_)).tolist():
        if not _has_demand(windows, device):
            yield device, _NO_DEMAND


def _reason(windows: RunningWindows | None, row: int, device: str, columns: Columns, i: int) -> str:
    """Return why the peaks in the ``i``-th of ``columns``, of ``device`` in ``row``, are not used; empty if they are.

    Peaks of a month that is over are not reported.
    """
    if windows is None or not _has_demand(windows, device):
        return _NO_DEMAND
    one = windows.for_row(row)
    if one is None or columns["month"][i] != one.window.month:
        return ""
    before_min, now_min = int(columns["window_min"][i]), one.options.window_min
    if before_min != now_min:
        return f"window_min is {now_min}, and was {before_min}"
    window_at, starts = one.calendar.window_at, columns["peak_start"][i]
    if has_other_times(one.calendar, columns, i) and not all(
        window_at(start).is_active for start in starts[starts >= 0].tolist()
    ):
        return "the limit no longer applies to windows with a peak"
    return ""


def _has_demand(windows: RunningWindows | None, device: str) -> bool:
    return windows is not None and windows.site_options.for_device(device).is_limited
