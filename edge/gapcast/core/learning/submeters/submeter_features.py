"""Features of the submeters of a device: powers, changes, edges, and cells of the load tables.

A submeter measures one load of the device: a smart plug, a charger, a heat pump. The loads here are the submeters,
followed by the remainder, the mains minus all known submeters. A submeter without a value in the newest minute is
unknown: its columns are zero, a column marks it as missing, and its power stays in the remainder.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64, I64

#: Lags of the changes of power, minutes.
_LAGS = (1, 2, 5, 10)
#: A change of more than this between two minutes is an edge, kW.
EDGE_KW = 0.15
#: Bins of powers, kW: standby, lamps, refrigerators, and so on up to chargers.
_POWER_KW = np.array([0.03, 0.1, 0.25, 0.5, 0.9, 1.4, 2.2], dtype=np.float32)
#: Bins of the minutes since an edge.
_SINCE_MIN = np.array([1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 19, 25, 35, 60, 120])
_N_POWERS, _N_SINCE = len(_POWER_KW) + 1, len(_SINCE_MIN) + 1
#: Stretches of minutes whose mean, and whose maximum, is part of a key: from the first to before the second.
_MEANS, _MAXIMA = (10, 30, 90), ((1, 6), (6, 20))
#: Cells of each table.
N_CELLS = (
    _N_POWERS * _N_SINCE * _N_SINCE,
    _N_POWERS ** (1 + len(_MEANS)),
    _N_POWERS ** (1 + len(_MAXIMA)),
)
N_TABLES = len(N_CELLS)
#: Columns of each load: in kW, and without a unit.
N_KW, N_UNITLESS = 1 + len(_LAGS), 3


class LoadFeatures(NamedTuple):
    """The loads of N windows, C of them; the last load is the remainder.

    ``columns_kw`` ``[N, C, 5]`` are the power and its changes, ``unitless`` ``[N, C, 3]`` the logarithms of the minutes
    since the last edge up and down (0 to 1) and whether the load is unknown, ``cells`` ``[N, C, 3]`` the cells of the
    tables, and ``change_kw`` ``[N, C]`` the change of power over the last horizon (NaN: unknown).
    """

    columns_kw: F64
    unitless: F64
    cells: I64
    change_kw: F64

    def select(self, which: I64 | slice | NDArray[np.bool_]) -> LoadFeatures:
        """Return the loads of the selected windows."""
        return LoadFeatures(self.columns_kw[which], self.unitless[which], self.cells[which], self.change_kw[which])


def load_features(windows: F32, horizon_min: int) -> LoadFeatures:
    """Return the loads of ``windows`` ``[N, context, 1 + K]``: mains and submeters, kW, NaN where missing."""
    mains, submeters = windows[:, :, 0], windows[:, :, 1:]
    known = ~np.isnan(submeters[:, -1])
    loads = powers_of_loads(mains, submeters, known)
    n, n_loads, context = loads.shape
    is_unknown = np.zeros((n, n_loads), dtype=bool)
    is_unknown[:, :-1] = ~known
    newest = loads[..., -1]
    columns_kw = np.empty((n, n_loads, N_KW))
    columns_kw[..., 0] = newest
    for i, lag in enumerate(_LAGS, start=1):
        columns_kw[..., i] = newest - loads[..., max(-1 - lag, -context)]
    steps = loads[..., :0:-1] - loads[..., -2::-1]  # newest first
    up, down = _minutes_since(steps > EDGE_KW), _minutes_since(steps < -EDGE_KW)
    unitless = np.empty((n, n_loads, N_UNITLESS))
    unitless[..., 0], unitless[..., 1] = np.log1p(up), np.log1p(down)
    unitless[..., :2] /= np.log1p(context)
    unitless[..., 2] = is_unknown
    change_kw = newest.astype(np.float64) - loads[..., max(-1 - horizon_min, -context)]
    before = submeters[:, max(-1 - horizon_min, -context)]
    change_kw[:, :-1][np.isnan(before) | ~known] = np.nan
    unitless[is_unknown, :2] = 0.0
    return LoadFeatures(columns_kw, unitless, _cells(loads, newest, up, down), change_kw)


def powers_of_loads(mains: F32, values: F32, known: NDArray[np.bool_]) -> F32:
    """Return ``[N, C, context]``: the known submeters without gaps, 0 for unknown ones, and the remainder."""
    loads = np.empty((len(mains), values.shape[2] + 1, mains.shape[1]), dtype=np.float32)
    submeters = loads[:, :-1]
    submeters[...] = values.transpose(0, 2, 1)
    submeters[~known] = 0.0
    missing = np.isnan(submeters)
    if missing.any():
        _hold(submeters, missing)
    np.subtract(mains, submeters.sum(axis=1), out=loads[:, -1])
    return loads


def _hold(values: F32, missing: NDArray[np.bool_]) -> None:
    """Replace the ``missing`` entries of ``values`` ``[N, K, context]``, in place, by the next value after them."""
    context = values.shape[-1]
    after = np.where(missing, context, np.arange(context))
    after = np.minimum.accumulate(after[..., ::-1], axis=-1)[..., ::-1]
    values[...] = np.take_along_axis(values, after, axis=-1)


def _minutes_since(flags: NDArray[np.bool_]) -> I64:
    """Return the index of the first flag in ``flags`` ``[..., minutes]``; the number of minutes if there is none."""
    first: I64 = flags.argmax(axis=-1)
    return np.where(flags.any(axis=-1), first, flags.shape[-1])


def _cells(loads: F32, newest: F32, up: I64, down: I64) -> I64:
    power = _bins(newest)
    cells = np.empty((*newest.shape, N_TABLES), dtype=np.int64)
    cells[..., 0] = (power * _N_SINCE + _since_bins(up)) * _N_SINCE + _since_bins(down)
    cells[..., 1] = cells[..., 2] = power
    for minutes in _MEANS:
        cells[..., 1] = cells[..., 1] * _N_POWERS + _bins(loads[..., -minutes:].mean(axis=-1))
    for begin, end in _MAXIMA:
        cells[..., 2] = cells[..., 2] * _N_POWERS + _bins(loads[..., -end:-begin].max(axis=-1))
    return cells


def _bins(power_kw: F32) -> I64:
    bins: I64 = np.searchsorted(_POWER_KW, power_kw, side="right")
    return bins


def _since_bins(minutes: I64) -> I64:
    bins: I64 = np.searchsorted(_SINCE_MIN, minutes, side="right")
    return bins
