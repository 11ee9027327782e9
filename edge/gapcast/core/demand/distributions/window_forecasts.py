"""The mean of billing windows, from the power drawn so far and the distribution of the rest, and the headroom."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from gapcast.core.arrays.array_predicates import is_any, is_every
from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.billing.device_windows import WindowState
from gapcast.core.billing.window_demands import WindowDemands
from gapcast.core.demand.distributions.distribution import LEVELS, PowerDistributions
from gapcast.core.demand.distributions.planned_power import means_between

#: The indices of the levels of lower bound, median and upper bound.
_BOUNDS: Final = np.array([LEVELS.index(level) for level in (0.05, 0.5, 0.95)])
#: Columns of states: the fields of :class:`WindowState`.
SUM, N_KNOWN, START, END, _NEXT_END, _LIMIT, _SOURCE, _NEXT_LIMIT, _NEXT_SOURCE, PEAK, FUSE, _RISK, _LEAST = range(
    len(WindowState._fields)
)
#: Columns of demands: the fields of :class:`WindowDemands`; median and bounds are between expected mean and limit.
(
    _STARTS, _ENDS, _ELAPSED, _KNOWN, _SO_FAR, _EXPECTED, _LIMITS, _SOURCES, _P_EXCEED, _HEADROOM,
) = (*range(6), *range(9, 13))  # fmt: skip
_INTEGERS: Final = np.array([_STARTS, _ENDS, _ELAPSED, _KNOWN, _SOURCES])


class WindowColumns(NamedTuple):
    """N running windows and their N next windows: minutes, known values and limits.

    ``values`` ``[2, 13, N]`` are the columns of :class:`WindowDemands`; the columns of forecasts are not written yet.
    At least one minute of each window is left. ``integers`` ``[2, 5, N]`` are the columns of minutes and sources.
    ``length_min`` ``[2, N]`` are the lengths of the windows. ``open_min`` ``[2, N]`` is the number of minutes that are
    left or unmeasured: both are uncertain alike. ``drawn_kw`` ``[2, N]`` is the sum of the known minutes, in kW
    minutes. The limit is exceeded if the open minutes have a mean above ``allowed_kw`` ``[2, N]``; NaN without a limit.
    ``risk`` ``[N]`` is accepted by the headroom. Power below ``least_kw`` ``[N]`` counts as ``least_kw``.
    """

    values: F64
    integers: I64
    length_min: F64
    open_min: F64
    drawn_kw: F64
    allowed_kw: F64
    risk: F64
    least_kw: F64

    @property
    def limit_kw(self) -> F64:
        """The limits of the windows ``[2, N]``, NaN without a limit."""
        limit_kw: F64 = self.values[:, _LIMITS]
        return limit_kw

    @property
    def left_min(self) -> F64:
        """The minutes of the windows that are left, ``[2, N]``."""
        left_min: F64 = self.length_min - self.values[:, _ELAPSED]
        return left_min


def columns_of(states: F64, observed: I64) -> WindowColumns:
    """Return the windows of ``states`` ``[N, 13]`` at the newest minutes ``observed`` ``[N]``.

    The columns of ``states`` are those of :class:`WindowState`.
    """
    columns, n = states.T, len(states)
    values = np.zeros((2, len(WindowDemands.__dataclass_fields__), n))
    values[:, _STARTS], values[:, _ENDS] = columns[START : END + 1], columns[END : _NEXT_END + 1]
    values[0, _ELAPSED], values[0, _KNOWN] = observed + 1 - columns[START], columns[N_KNOWN]
    values[:, _LIMITS] = columns[_LIMIT : _NEXT_LIMIT + 1 : 2]
    values[:, _SOURCES] = columns[_SOURCE : _NEXT_SOURCE + 1 : 2]
    values[:, _SO_FAR] = np.nan
    np.divide(columns[SUM], columns[N_KNOWN], out=values[0, _SO_FAR], where=columns[N_KNOWN] > 0)
    length = values[:, _ENDS] - values[:, _STARTS]
    open_min = length - values[:, _KNOWN]
    drawn_kw = np.zeros((2, n))
    np.multiply(columns[N_KNOWN], values[0, _SO_FAR], out=drawn_kw[0], where=columns[N_KNOWN] > 0)
    allowed_kw = (length * values[:, _LIMITS] - drawn_kw) / open_min
    integers = values.take(_INTEGERS, axis=1).astype(np.int64)
    return WindowColumns(values, integers, length, open_min, drawn_kw, allowed_kw, columns[_RISK], columns[_LEAST])


def minutes_ahead(windows: WindowColumns, observed: I64) -> tuple[I64, I64]:
    """Return the minutes from ``observed`` ``[N]`` to the begin and the end of the open minutes, ``[2, N]``.

    As many coming minutes stand for those that are unmeasured: the end of a running window with unmeasured minutes is
    that much later.
    """
    ahead_from = np.maximum(windows.integers[:, 0] - (observed + 1), 0)
    return ahead_from, ahead_from + windows.open_min.astype(np.int64)


def planned_in(minutes_kw: F64, windows: WindowColumns, observed: I64) -> F64:
    """Return the mean ``[2, N]`` of planned loads of ``minutes_kw`` ``[N, M]`` in the open minutes of ``windows``."""
    ahead_from, ahead_to = minutes_ahead(windows, observed)
    unmeasured_min = (windows.open_min - windows.left_min).astype(np.int64)
    return means_between(minutes_kw, ahead_from, ahead_to - unmeasured_min, unmeasured_min)


def forecast_windows(
    windows: WindowColumns, remaining: PowerDistributions, remaining_mean_kw: F64, highest_kw: float
) -> None:
    """Compute the demands of ``windows`` and write them to their values.

    ``remaining`` (2 N means) and ``remaining_mean_kw`` ``[2, N]`` describe the open minutes of windows. What these may
    draw more is the headroom of the minutes that are left. Without a limit the headroom is relative to ``highest_kw``,
    the highest power of a reading.
    """
    values, length, quantiles_kw = windows.values, windows.length_min, remaining.kw
    shape, added_kw = length.shape, windows.drawn_kw / length
    share = windows.open_min / length
    unlimited = np.isnan(values[:, _LIMITS])
    most_kw, any_unlimited = windows.allowed_kw, is_any(unlimited)
    if any_unlimited:
        most_kw = np.where(unlimited, highest_kw, most_kw)
    p_exceed = remaining.exceedance(most_kw.reshape(-1)).reshape(shape)
    used_kw = _quantiles(remaining, 1.0 - windows.risk).reshape(shape)
    if any_unlimited:
        p_exceed[unlimited] = 0.0
        used_kw[unlimited] = quantiles_kw[unlimited.reshape(-1), _BOUNDS[-1]]
    np.add(added_kw, share * remaining_mean_kw, out=values[:, _EXPECTED])
    bounds_kw = quantiles_kw.take(_BOUNDS, axis=1).reshape(*shape, -1).transpose(0, 2, 1)
    np.add(added_kw[:, np.newaxis], share[:, np.newaxis] * bounds_kw, out=values[:, _EXPECTED + 1 : _LIMITS])
    values[:, _P_EXCEED] = p_exceed
    concentrated = np.where(unlimited, 1.0, windows.open_min / windows.left_min)
    np.multiply(most_kw - used_kw, concentrated, out=values[:, _HEADROOM])


def _quantiles(powers: PowerDistributions, levels: F64) -> F64:
    """Return the quantile ``[M]`` of each of ``powers`` at its level; ``levels`` ``[N]`` repeat."""
    first = levels[0]
    if is_every(levels == first):
        return powers.quantile(float(first))
    found, of = np.empty(len(powers)), np.resize(levels, len(powers))
    for level in sorted(set(levels.tolist())):
        which = of == level
        found[which] = PowerDistributions(powers.kw[which]).quantile(level)
    return found
