"""Checks of the stored state of outlooks before it is restored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_predicates import are_distinct, are_rows_within
from gapcast.core.arrays.array_types import I64
from gapcast.core.arrays.device_rows import DeviceRows
from gapcast.core.errors import StateError
from gapcast.core.readings.state_limits import LAST_MINUTE, MOST
from gapcast.core.time_grid import LATEST_MS

#: Stored besides the arrays: the key ``[1]`` of the state's validity, and the places of tracked devices.
SIGNATURE, TRACKED = "signature", "tracked"
#: Minimum and maximum of the arrays, and whether NaN is allowed for "unknown".
_LIMITS: Mapping[str, tuple[float, float, bool]] = {
    "lowest_powers": (-MOST, MOST, False),
    "log_width": (-20.0, 20.0, True),
    "n_outcomes": (0.0, 1e12, False),
    "recent": (-100.0, 100.0, False),
    "coefficients": (-1e6, 1e6, False),
    "covariance": (-1e6, 1e6, False),
    "inside": (0.0, 1.0, False),
    "share_gains": (-1e15, 1e15, False),
    "usual": (-MOST, MOST, False),
    "sums": (-1e30, 1e30, False),
    "newest_kw": (-1e9, 1e9, False),
    "newest_when": (-1, LATEST_MS, False),
    "issued_minute": (-1, LAST_MINUTE, False),
    "inputs": (-1e6, 1e6, False),
    "values": (-1e9, 1e9, False),
}
#: Minimum and maximum of ``seen``: scale (kW), number of readings, lowest power (kW), newest minute.
_SEEN_MIN, _SEEN_MAX = np.array([1e-3, 0.0, -MOST, -1.0]), np.array([1e7, 1e12, 0.0, LAST_MINUTE])


def check_columns(columns: Mapping[str, NDArray[Any]], state: DeviceRows) -> I64:
    """Return the places of tracked devices in ``columns``, stored state to be restored into ``state``.

    Raises :class:`StateError` if an array is missing, has another shape or type than in ``state``, or if a device
    occurs twice.
    """
    missing = [name for name in (TRACKED, *state.arrays) if name not in columns]
    if missing:
        msg = f"the stored state of outlooks has no {missing[0]}"
        raise StateError(msg)
    tracked = columns[TRACKED]
    if tracked.ndim != 1 or tracked.dtype.kind != "i" or not are_distinct(tracked) or (tracked < 0).any():
        msg = "the stored state of outlooks names a device twice, or one that does not exist"
        raise StateError(msg)
    for name, array in state.arrays.items():
        wanted = (len(tracked), *array.shape[1:])
        found = columns[name].shape
        if found != wanted or columns[name].dtype != array.dtype:
            msg = f"{name} of the stored outlooks is {columns[name].dtype} {found}, not {array.dtype} {wanted}"
            raise StateError(msg)
    return tracked


def implausible_outlooks(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Return which rows of the stored state of outlooks are out of range, ``[F]`` in the order of tracked devices.

    An array with another number of rows is not checked here: restoring it raises an error.
    """
    bad = np.zeros(len(columns.get(TRACKED, ())), dtype=np.bool_)
    for name, (low, high, allows_nan) in _LIMITS.items():
        values = columns.get(name)
        if values is not None and values.shape[:1] == bad.shape and values.dtype.kind in "fi":
            bad |= ~are_rows_within(values, low, high, allows_nan=allows_nan)
    seen = columns.get("seen")
    if seen is not None and seen.shape == (len(bad), 4):
        bad |= ~((seen >= _SEEN_MIN) & (seen <= _SEEN_MAX)).all(axis=1)
    return bad
