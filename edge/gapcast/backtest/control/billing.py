"""Billing windows of a whole recording, and the power billed for each month."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.billing.options import ActiveTimes, DemandOptions
from gapcast.core.time_grid import DAY_MIN, EPOCH_WEEKDAY

_MONTHS = 12


@dataclass(frozen=True, slots=True)
class BilledWindows:
    """The K complete windows of a recording, in order. A window is complete if at least half of its minutes are known.

    ``kw`` ``[K]`` are their means, ``days`` and ``months`` ``[K]`` the local days and months since the epoch at their
    start, and ``is_active`` ``[K]`` whether the tariff counts them.
    """

    kw: F64
    days: I64
    months: I64
    is_active: NDArray[np.bool_]


def billed_windows(kw: F64, local: I64, options: DemandOptions) -> BilledWindows:
    """Return the windows of the power ``kw`` ``[T]`` (NaN: unknown) by the local clock ``local`` ``[T]``."""
    if options.imports_only:
        kw = np.maximum(kw, 0.0)
    starts = window_starts(local, options.window_min)
    known = ~np.isnan(kw)
    n_known = np.add.reduceat(known.astype(np.int64), starts)
    sums = np.add.reduceat(np.where(known, kw, 0.0), starts)
    complete = 2 * n_known >= options.window_min
    first_local = local[starts[complete]] // options.window_min * options.window_min
    days = first_local // DAY_MIN
    return BilledWindows(
        sums[complete] / n_known[complete], days, months_of(days), active_at(first_local, options.active)
    )


def window_starts(local: I64, window_min: int) -> I64:
    """Return the index of each window's first minute; a clock change also begins a window."""
    in_window = local % window_min
    first = np.diff(local // window_min, prepend=local[0] // window_min - 1) != 0
    return np.flatnonzero(first | (np.diff(in_window, prepend=in_window[0]) < 0))


def months_of(days: I64) -> I64:
    """Return the months since January 1970 of ``days`` since 1 January 1970."""
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def active_at(local: I64, active: ActiveTimes) -> NDArray[np.bool_]:
    """Return whether the ``active`` times contain each minute of the local clock."""
    of_day, days = local % DAY_MIN, local // DAY_MIN
    in_hours = np.zeros(len(local), dtype=bool)
    for first, end in active.hours:
        in_hours |= ((of_day >= first) & (of_day < end)) if first < end else ((of_day >= first) | (of_day < end))
    weekdays = np.isin((days + EPOCH_WEEKDAY) % 7, sorted(active.weekdays))
    return in_hours & weekdays & np.isin(months_of(days) % _MONTHS + 1, sorted(active.months))


def month_peaks(windows: BilledWindows, n_peak_days: int) -> dict[int, float]:
    """Return the highest mean of each month, or the mean of its highest days; months without a window are left out.

    >>> import numpy as np
    >>> one = BilledWindows(np.array([2.0, 3.0, 5.0]), np.array([0, 0, 1]), np.zeros(3, int), np.ones(3, bool))
    >>> month_peaks(one, 1), month_peaks(one, 3)
    ({0: 5.0}, {0: 4.0})
    """
    highest: dict[int, dict[int, float]] = {}
    columns = (windows.months, windows.days, windows.kw)
    for month, day, kw in zip(*(column[windows.is_active].tolist() for column in columns), strict=True):
        of_month = highest.setdefault(month, {})
        of_month[day] = max(of_month.get(day, kw), kw)
    return {month: mean_of_highest(of_month.values(), n_peak_days) for month, of_month in highest.items()}


def mean_of_highest(powers_kw: Iterable[float], n_days: int) -> float:
    """Return the mean of the ``n_days`` highest of ``powers_kw``, or of all if there are fewer."""
    highest = sorted(powers_kw, reverse=True)[:n_days]
    return sum(highest) / len(highest)
