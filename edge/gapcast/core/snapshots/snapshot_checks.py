"""Checks of the rows of a snapshot: devices with implausible values start again.

Each row is checked separately, so that the damaged state of one device does not cost the windows of all others. The
limits are those of :mod:`gapcast.core.readings.state_limits`; learned values may be as large as the arithmetic can make
them from readings within the limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_predicates import are_rows_within
from gapcast.core.learning.ensemble.learning_state import TRACKED
from gapcast.core.readings.reading import is_device_id
from gapcast.core.readings.state_limits import FIRST_MINUTE, LAST_MINUTE, MOST
from gapcast.core.readings.submeters import is_submeter
from gapcast.core.snapshots.snapshot import Snapshot
from gapcast.core.time_grid import LATEST_MS

Mask = NDArray[np.bool_]

_N_QUANTILES = 3
#: Maximum magnitude of a forecast, kW.
_MAX_FORECAST_KW = 1e9
#: Minimum and maximum of learned columns, and whether NaN is allowed for "unknown".
_LEARNT: Mapping[str, tuple[float, float, bool]] = {
    "lowest_powers": (-MOST, MOST, False),
    "memory": (-1e60, 1e60, False),
    "coefficients": (-1e6, 1e6, False),
    "covariance": (-1e6, 1e6, False),
    "inside": (0.0, 1.0, False),
    "usual": (-MOST, MOST, False),
    "due": (-1e9, 1e9, True),
    "due_columns": (-1e6, 1e6, False),
    "due_levels": (0.0, 3.0, False),
    "due_minute": (-1, LAST_MINUTE + 60, False),
}
#: Minimum and maximum of ``seen``: scale (kW), number of outcomes, log(width) of the interval, lowest power (kW).
_SEEN_MIN, _SEEN_MAX = np.array([1e-3, 0.0, -20.0, -MOST]), np.array([1e7, 1e12, 20.0, 0.0])
#: Indices into ``memory``: variance and largest regret are not negative. Earlier versions also stored the learning
#: rate, which is positive.
_VARIANCE, _LARGEST, _RATE = 1, 2, 3
_MAX_RATE = 1e13
#: Maximum magnitude of the memory in this version, in units of the device's scale.
_MAX_SCALED = 1e13
#: Maximum magnitude of a sum of scores, and of the drift detector's state.
_MAX_SUM, _MAX_DRIFT = 1e30, 1e12


def implausible_devices(snapshot: Snapshot) -> Mask:
    """Return which devices have an implausible window or newest forecast, ``[N]``."""
    has_forecast = snapshot.latest_when[:, 0] != 0
    kw = np.where(has_forecast[:, np.newaxis], snapshot.latest_kw, np.float32(0))
    quantiles_kw, path_kw = kw[:, :_N_QUANTILES], kw[:, _N_QUANTILES:]
    of_submeter = np.array([is_submeter(name) for name in snapshot.channels], dtype=np.bool_)
    plausible: Mask = (
        np.array([is_device_id(device) for device in snapshot.devices], dtype=np.bool_)
        & are_rows_within(snapshot.values[:, :, ~of_submeter], -MOST, MOST)
        & are_rows_within(snapshot.values[:, :, of_submeter], -MOST, MOST, allows_nan=True)
        & are_rows_within(snapshot.last_minute, FIRST_MINUTE, LAST_MINUTE)
        & (snapshot.n_seen >= 0)
        & (snapshot.observed[:, 0] & 1 == 1)  # the newest minute is always a reading
        & are_rows_within(quantiles_kw, -_MAX_FORECAST_KW, _MAX_FORECAST_KW, allows_nan=True)
        & are_rows_within(path_kw, -_MAX_FORECAST_KW, _MAX_FORECAST_KW)
        & (~has_forecast | are_rows_within(snapshot.latest_when[:, 0], FIRST_MINUTE, LAST_MINUTE))
        & are_rows_within(snapshot.latest_when[:, 1], 0, LATEST_MS)
        & are_rows_within(snapshot.latest_n_observed, 0, snapshot.spec.context)
        & are_rows_within(snapshot.latest_shares, 0, 1.01)
    )
    return ~plausible


def implausible_learning(learning_state: Mapping[str, NDArray[Any]]) -> Mask:
    """Return which rows of the learning state are implausible, ``[F]`` in the order of its array :data:`TRACKED`.

    An array with another number of rows is not checked here: restoring it raises an error.
    """
    bad = np.zeros(len(learning_state[TRACKED]), dtype=np.bool_)
    for name, (low, high, allows_nan) in _LEARNT.items():
        if name in learning_state and learning_state[name].shape[:1] == bad.shape:
            bad |= ~are_rows_within(learning_state[name], low, high, allows_nan=allows_nan)
    seen, memory = learning_state.get("seen"), learning_state.get("memory")
    if seen is not None and seen.shape == (len(bad), 4):
        seen = np.where(np.isnan(seen) & (np.arange(4) == 2), 0.0, seen)  # noqa: PLR2004 - log(width) still unknown
        bad |= ~((seen >= _SEEN_MIN) & (seen <= _SEEN_MAX)).all(axis=1)
    if memory is not None and memory.ndim > 1 and memory.shape[0] == len(bad) and memory.shape[1] > _LARGEST:
        bad |= ~are_rows_within(memory[:, [_VARIANCE, _LARGEST]], 0, np.inf)
        if memory.shape[1] > _RATE:
            bad |= ~are_rows_within(memory[:, _RATE], np.finfo(np.float64).tiny, _MAX_RATE)
        else:
            bad |= ~are_rows_within(memory, -_MAX_SCALED, _MAX_SCALED)
    return bad


def implausible_sums(columns: Mapping[str, NDArray[Any]], *, of_drift: bool = False) -> Mask:
    """Return which rows of scores, or of the drift detector's state, are implausible."""
    limit = _MAX_DRIFT if of_drift else _MAX_SUM
    bad = np.zeros(min(len(column) for column in columns.values()), dtype=np.bool_)
    for column in columns.values():
        bad |= ~are_rows_within(column[: len(bad)], -limit, limit)
    for name in ("newest_minute", "day"):
        if name in columns:
            bad |= ~are_rows_within(columns[name][: len(bad)], -1, LAST_MINUTE)
    return bad
