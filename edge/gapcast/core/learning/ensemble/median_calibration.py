"""Calibration of the median: an offset that depends on the predicted change, learned from the signs of its errors.

While an appliance cycles, the outcome has two modes: it stays on, or it is switched off. The mean moves gradually with
the probability of a switch. The median, however, jumps from one mode to the other where the probability exceeds one
half; no weighted sum of gradually changing medians can follow it. So each device has offsets of the median at fixed
values of the predicted change of the mean (*knots*), with linear interpolation between them.

Each offset is a quantile tracker for the quantile 0.5, like the width in :mod:`.conformal_interval`: an outcome above
the published median raises the offsets of the two knots beside its prediction, an outcome below it lowers them, in
proportion to the knot's share and to the size of the predicted change. This is gradient descent on the absolute error
(R. Koenker and G. Bassett, *Regression quantiles*, Econometrica 1978). The steps shrink with the number of outcomes at
the knot, to a floor, because houses change; they are smaller at longer horizons, where successive outcomes overlap
(:data:`.boa_weights.NEAR_MIN`). Changes and offsets are in units of the device's error scale.
"""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.learning.ensemble.boa_weights import NEAR_MIN

#: The name of the array in a device's state.
STATE = "median_calibration"
#: The middle knot is for changes up to this size, in scales; the next ones are a factor of the root of 2 apart.
_FIRST, _PER_OCTAVE = 0.25, 2.0
#: Knots on each side of the middle one: the last is at 64 scales.
_N_SIDE = 16
_LARGEST = _FIRST * 2.0 ** (_N_SIDE / _PER_OCTAVE)
#: Number of knots.
N_KNOTS = 2 * _N_SIDE + 1
#: A knot's step after n outcomes is (n + _SOFT)^-0.75 of the size of the predicted change, at least _STEP of it.
_SOFT, _STEP = 100.0, 0.003


def initial_state() -> F32:
    """Return the state without a prior ``[2, N_KNOTS]``: the offset of each knot, and its number of outcomes."""
    return np.zeros((2, N_KNOTS), dtype=np.float32)


def offsets(state: F32, change: F64) -> F64:
    """Return the offsets of the medians ``[N]``, in scales, for the ``state`` ``[N, 2, N_KNOTS]`` of their devices.

    ``change`` ``[N]`` is the mean forecast minus the last reading, in scales; NaN counts as no change.
    """
    entries, (lower, share) = np.arange(len(state)), _places(change)
    at_lower, at_upper = (state[entries, 0, knot].astype(np.float64) for knot in (lower, lower + 1))
    found: F64 = (1.0 - share) * at_lower + share * at_upper
    return found


def update(state: F32, change: F64, error: F64, horizon_min: int) -> None:
    """Learn from outcomes ``horizon_min`` ahead: update ``state`` ``[N, 2, N_KNOTS]`` in place.

    ``change`` ``[N]`` is as in :func:`offsets`, ``error`` ``[N]`` the outcome minus the published median.
    """
    entries, (lower, share) = np.arange(len(state)), _places(change)
    direction = np.where(np.isnan(error), 0.0, np.sign(error)) * _sizes(change)
    by_horizon = min(NEAR_MIN / horizon_min, 1.0)
    for knot, part in ((lower, 1.0 - share), (lower + 1, share)):
        n_outcomes = state[entries, 1, knot].astype(np.float64) + part
        root = np.sqrt(n_outcomes + _SOFT)
        step = np.maximum(1.0 / (root * np.sqrt(root)), _STEP) * by_horizon
        state[entries, 0, knot] = state[entries, 0, knot].astype(np.float64) + part * step * direction
        state[entries, 1, knot] = n_outcomes


def _sizes(change: F64) -> F64:
    """Return the sizes of ``change`` ``[N]`` within the range of the knots; NaN counts as no change."""
    size: F64 = np.fmin(np.fmax(np.abs(change), _FIRST), _LARGEST)
    return size


def _places(change: F64) -> tuple[I64, F64]:
    """Return the knot below each of ``change`` ``[N]``, and the share of the knot above it, 0 to 1."""
    position = _PER_OCTAVE * np.log(_sizes(change) / _FIRST) / np.log(2.0)
    position = np.where(change < 0, -position, position) + _N_SIDE
    lower = np.maximum(np.minimum(np.floor(position), N_KNOTS - 2.0), 0.0)
    return lower.astype(np.int64), position - lower
