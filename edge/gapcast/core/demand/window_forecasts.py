"""The mean of billing windows, from what was drawn so far and the distribution of the rest, and what may be added."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from gapcast.core.demand.demand import F64, WindowDemands
from gapcast.core.demand.distribution import LEVELS, PowerDistributions
from gapcast.core.demand.running_windows import WindowState
from gapcast.core.outlook.flags import is_any, is_every
from gapcast.core.window import I64

#: The levels of lower bound, median and upper bound.
_BOUNDS: Final = np.array([LEVELS.index(level) for level in (0.05, 0.5, 0.95)])
#: Columns of states: the fields of :class:`WindowState`.
SUM, N_KNOWN, START, END, _NEXT_END, _LIMIT, _SOURCE, _NEXT_LIMIT, _NEXT_SOURCE, PEAK, FUSE, _RISK = range(
    len(WindowState._fields)
)
#: Columns of demands: the fields of :class:`WindowDemands`; median and bounds are between expected mean and limit.
(
    _STARTS, _ENDS, _ELAPSED, _KNOWN, _SO_FAR, _EXPECTED, _LIMITS, _SOURCES, _P_EXCEED, _HEADROOM,
) = (*range(6), *range(9, 13))  # fmt: skip


class WindowColumns(NamedTuple):
    """N running windows and the N after them, ``[2, N]``: their minutes, what is known of them, and their limits.

    ``elapsed_min`` minutes are over, at least one is left. ``drawn_kw`` is the sum of those that are over, in kW
    minutes, and ``so_far_kw`` their mean, 0 if no minute is known: unknown minutes count with the mean of the
    ``n_known`` known ones. With more than ``allowed_kw`` in the minutes that are left the limit is exceeded. Power in
    kW, NaN for no limit; ``sources`` are as in :class:`WindowDemands`, ``risk`` ``[N]`` is what the headroom accepts.
    """

    start_minutes: I64
    end_minutes: I64
    elapsed_min: I64
    n_known: I64
    sources: I64
    so_far_kw: F64
    drawn_kw: F64
    limit_kw: F64
    allowed_kw: F64
    risk: F64

    @property
    def lengths_min(self) -> I64:
        """The minutes of the windows."""
        return self.end_minutes - self.start_minutes


def columns_of(states: F64, observed: I64) -> WindowColumns:
    """Return the windows of ``states`` ``[N, 12]`` at the newest minutes ``observed`` ``[N]``.

    The columns of ``states`` are those of :class:`WindowState`.
    """
    columns, n = states.T, len(states)
    integers = np.zeros((5, 2, n), dtype=np.int64)
    integers[0], integers[1] = columns[START : END + 1], columns[END : _NEXT_END + 1]
    integers[3, 0], integers[4] = columns[N_KNOWN], columns[_SOURCE : _NEXT_SOURCE + 1 : 2]
    start, end, elapsed, n_known, sources = integers
    np.subtract(observed + 1, start[0], out=elapsed[0])
    so_far_kw = np.zeros((2, n))
    np.divide(columns[SUM], np.maximum(n_known[0], 1), out=so_far_kw[0])
    limit_kw, length = columns[_LIMIT : _NEXT_LIMIT + 1 : 2], end - start
    drawn_kw = elapsed * so_far_kw
    allowed_kw = (length * limit_kw - drawn_kw) / (length - elapsed)
    return WindowColumns(
        start, end, elapsed, n_known, sources, so_far_kw, drawn_kw, limit_kw, allowed_kw, columns[_RISK]
    )


def minutes_ahead(windows: WindowColumns, observed: I64) -> tuple[I64, I64]:
    """Return how far ahead of the newest minutes ``observed`` the rests of ``windows`` begin and end, ``[2, N]``."""
    return np.maximum(windows.start_minutes - (observed + 1), 0), windows.end_minutes - (observed + 1)


def forecast_windows(
    windows: WindowColumns, remaining: PowerDistributions, remaining_mean_kw: F64, highest_kw: float
) -> F64:
    """Return the demands of ``windows``, ``[2, 13, N]``: the columns are those of :class:`WindowDemands`.

    ``remaining``, of 2 N means, and ``remaining_mean_kw`` ``[2, N]`` are of their minutes that are left. Without a
    limit the headroom is what is left of ``highest_kw``, the highest power of a reading.
    """
    length, quantiles_kw = windows.lengths_min, remaining.kw
    shape, left = length.shape, length - windows.elapsed_min
    share, added_kw = left / length, windows.drawn_kw / length
    unlimited = np.isnan(windows.limit_kw)
    most_kw, any_unlimited = windows.allowed_kw, is_any(unlimited)
    if any_unlimited:
        most_kw = np.where(unlimited, highest_kw, most_kw)
    p_exceed = remaining.exceedance(most_kw.reshape(-1)).reshape(shape)
    used_kw = _quantiles(remaining, 1.0 - windows.risk).reshape(shape)
    if any_unlimited:
        p_exceed[unlimited] = 0.0
        used_kw[unlimited] = quantiles_kw[unlimited.reshape(-1), _BOUNDS[-1]]
    values = np.empty((2, len(WindowDemands.__dataclass_fields__), shape[1]))
    values[:, _STARTS], values[:, _ENDS] = windows.start_minutes, windows.end_minutes
    values[:, _ELAPSED], values[:, _KNOWN] = windows.elapsed_min, windows.n_known
    values[:, _SO_FAR] = np.where(windows.n_known > 0, windows.so_far_kw, np.nan)
    np.add(added_kw, share * remaining_mean_kw, out=values[:, _EXPECTED])
    bounds_kw = quantiles_kw.take(_BOUNDS, axis=1).reshape(*shape, -1).transpose(0, 2, 1)
    np.add(added_kw[:, np.newaxis], share[:, np.newaxis] * bounds_kw, out=values[:, _EXPECTED + 1 : _LIMITS])
    values[:, _LIMITS], values[:, _SOURCES], values[:, _P_EXCEED] = windows.limit_kw, windows.sources, p_exceed
    np.subtract(most_kw, used_kw, out=values[:, _HEADROOM])
    return values


def window_demands(windows: WindowColumns, values: F64) -> tuple[WindowDemands, WindowDemands]:
    """Return the demands ``values`` ``[2, 13, N]`` of the running and of the next ``windows``, as views."""
    running, following = (
        WindowDemands(
            windows.start_minutes[i],
            windows.end_minutes[i],
            windows.elapsed_min[i],
            windows.n_known[i],
            *values[i, _SO_FAR:_SOURCES],
            windows.sources[i],
            *values[i, _P_EXCEED:],
        )
        for i in range(2)
    )
    return running, following


def _quantiles(powers: PowerDistributions, levels: F64) -> F64:
    """Return the quantile ``[M]`` of each of ``powers`` at its level; ``levels`` ``[N]`` repeat."""
    first = levels[0]
    if is_every(levels == first):
        return powers.quantile(float(first))
    found, of = np.empty(len(powers)), np.resize(levels, len(powers))
    for level in np.unique(levels).tolist():
        which = of == level
        found[which] = PowerDistributions(powers.kw[which]).quantile(level)
    return found
