"""Which rows of a snapshot hold values that no gateway stores: their devices start afresh.

One device's broken arithmetic is no reason to forget the windows of all others, so that each row is judged by itself.
The limits are those of :mod:`.state_limits`; learnt values may be as large as their arithmetic makes them from
readings within the limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.grid import LATEST_MS
from gapcast.core.learning.learning_state import TRACKED
from gapcast.core.reading import is_device_id
from gapcast.core.state_limits import FIRST_MINUTE, LAST_MINUTE, MOST

if TYPE_CHECKING:
    from gapcast.core.snapshot import Snapshot

Mask = NDArray[np.bool_]

_N_QUANTILES = 3
#: Largest size of a forecast, kW.
_MOST_FORECAST_KW = 1e9
#: Least and largest value of learnt columns; the last says whether NaN stands for "not known".
_LEARNT: Mapping[str, tuple[float, float, bool]] = {
    "memory": (-1e60, 1e60, False),
    "coefficients": (-1e6, 1e6, False),
    "covariance": (-1e6, 1e6, False),
    "usual": (-MOST, MOST, False),
    "due": (-1e9, 1e9, True),
    "due_minute": (-1, LAST_MINUTE + 60, False),
}
#: Of ``seen``: scale (kW), outcomes learnt, log(width) of the interval, lowest power (kW).
_SEEN_LEAST, _SEEN_MOST = np.array([1e-3, 0.0, -20.0, -MOST]), np.array([1e7, 1e12, 20.0, 0.0])
#: Of ``memory``: variance, largest regret and learning rate are not below zero, and the rate is above it.
_VARIANCE, _LARGEST, _RATE = 1, 2, 3
_MOST_RATE = 1e13
#: Largest size of a sum of scores, and of what drift is found by.
_MOST_SUM, _MOST_DRIFT = 1e30, 1e12


def implausible_devices(snapshot: Snapshot) -> Mask:
    """Return which devices' windows or newest forecasts cannot be, ``[N]``."""
    has_forecast = snapshot.latest_when[:, 0] != 0
    kw = np.where(has_forecast[:, np.newaxis], snapshot.latest_kw, np.float32(0))
    quantiles_kw, path_kw = kw[:, :_N_QUANTILES], kw[:, _N_QUANTILES:]
    plausible: Mask = (
        np.array([is_device_id(device) for device in snapshot.devices], dtype=np.bool_)
        & _are_within(snapshot.values, -MOST, MOST)
        & _are_within(snapshot.last_minute, FIRST_MINUTE, LAST_MINUTE)
        & (snapshot.n_seen >= 0)
        & (snapshot.observed[:, 0] & 1 == 1)  # the newest minute is always a reading
        & _are_within(quantiles_kw, -_MOST_FORECAST_KW, _MOST_FORECAST_KW, allows_nan=True)
        & _are_within(path_kw, -_MOST_FORECAST_KW, _MOST_FORECAST_KW)
        & (~has_forecast | _are_within(snapshot.latest_when[:, 0], FIRST_MINUTE, LAST_MINUTE))
        & _are_within(snapshot.latest_when[:, 1], 0, LATEST_MS)
        & _are_within(snapshot.latest_n_observed, 0, snapshot.spec.context)
        & _are_within(snapshot.latest_shares, 0, 1.01)
    )
    return ~plausible


def implausible_learning(learnt: Mapping[str, NDArray[Any]]) -> Mask:
    """Return which rows of what was learnt cannot be, ``[F]`` as ``followed`` has them.

    An array of another number of rows is left to whoever takes it over.
    """
    bad = np.zeros(len(learnt[TRACKED]), dtype=np.bool_)
    for name, (least, most, allows_nan) in _LEARNT.items():
        if name in learnt and learnt[name].shape[:1] == bad.shape:
            bad |= ~_are_within(learnt[name], least, most, allows_nan=allows_nan)
    seen, memory = learnt.get("seen"), learnt.get("memory")
    if seen is not None and seen.shape == (len(bad), 4):
        seen = np.where(np.isnan(seen) & (np.arange(4) == 2), 0.0, seen)  # noqa: PLR2004 - log(width) not known yet
        bad |= ~((seen >= _SEEN_LEAST) & (seen <= _SEEN_MOST)).all(axis=1)
    if memory is not None and memory.ndim > 1 and memory.shape[:2] == (len(bad), _RATE + 1):
        bad |= ~_are_within(memory[:, [_VARIANCE, _LARGEST]], 0, np.inf)
        bad |= ~_are_within(memory[:, _RATE], np.finfo(np.float64).tiny, _MOST_RATE)
    return bad


def implausible_sums(columns: Mapping[str, NDArray[Any]], *, of_drift: bool = False) -> Mask:
    """Return which rows of scores, or of what drift is found by, cannot be; the columns have equally many rows."""
    most = _MOST_DRIFT if of_drift else _MOST_SUM
    bad = np.zeros(min(len(column) for column in columns.values()), dtype=np.bool_)
    for column in columns.values():
        bad |= ~_are_within(column[: len(bad)], -most, most)
    for name in ("newest_minute", "day"):
        if name in columns:
            bad |= ~_are_within(columns[name][: len(bad)], -1, LAST_MINUTE)
    return bad


def _are_within(values: NDArray[Any], least: float, most: float, *, allows_nan: bool = False) -> Mask:
    """Return for each row of ``values`` ``[N, *]`` whether all of it is within; of text nothing is."""
    if values.dtype.kind not in "fiu":
        return np.zeros(len(values), dtype=np.bool_)
    within: Any = (values >= least) & (values <= most)
    if allows_nan:
        within = np.asarray(within | np.isnan(values))
    result: Mask = within.reshape(len(values), -1).all(axis=1) if values.size else np.ones(len(values), dtype=np.bool_)
    return result
