"""The threshold of the median: small changes from the last reading are published as no change.

When nothing is switched, the median of the ensemble differs from the last reading by less than the noise of a meter, in
a direction that is as often wrong as right, and is worse than persistence. So each device has a threshold. The
published change is the ensemble's change reduced by the threshold in size, and zero below it: *soft thresholding* (D.
L. Donoho, *De-noising by soft-thresholding*, IEEE Transactions on Information Theory 41, 1995).

The threshold is learned from the signs of the errors, like the offsets of :mod:`.median_calibration`: if a published
change goes further than the outcome, the threshold rises by a step; if it does not go far enough, it falls. This is
gradient descent on the absolute error of the published median. Nothing is learned from forecasts without a change. The
steps shrink with the number of outcomes, to a floor, and are smaller at longer horizons, where successive outcomes
overlap (:data:`.boa_weights.NEAR_MIN`). Weights and offsets learn from the median before the threshold, since they
would compensate for the threshold otherwise. Changes and thresholds are in units of the device's error scale.
"""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.learning.ensemble.boa_weights import NEAR_MIN

#: The name of the array in a device's state.
STATE = "median_threshold"
#: The threshold of a new device, and the largest one.
_FIRST, _LARGEST = 0.05, 0.3
#: The step after n outcomes is _GAIN (n + _SOFT)^-0.75, at least _STEP.
_GAIN, _SOFT, _STEP = 0.1, 100.0, 0.0002


def initial_state() -> F32:
    """Return the state of a new device ``[2]``: its threshold, and the number of outcomes it has learned from."""
    return np.array([_FIRST, 0.0], dtype=np.float32)


def reduced(state: F32, change: F64) -> F64:
    """Return the changes ``[N]`` to publish for the ensemble's changes ``change`` ``[N]``; NaN remains NaN.

    ``state`` ``[N, 2]`` is the state of the devices.
    """
    threshold = np.minimum(state[:, 0].astype(np.float64), _LARGEST)  # damaged state may have a larger one
    beyond = np.maximum(np.abs(change) - threshold, 0.0)
    published: F64 = np.copysign(beyond, change)
    return published


def update(state: F32, change: F64, error: F64, horizon_min: int) -> None:
    """Learn from outcomes ``horizon_min`` ahead: update ``state`` ``[N, 2]`` in place.

    ``change`` ``[N]`` is the published median minus the last reading, ``error`` ``[N]`` the outcome minus the published
    median; only their signs count.
    """
    is_changed = change != 0
    n_outcomes = state[:, 1].astype(np.float64)
    root = np.sqrt(n_outcomes + _SOFT)
    step = np.maximum(_GAIN / (root * np.sqrt(root)), _STEP) * min(NEAR_MIN / horizon_min, 1.0)
    direction = np.where(is_changed & ~np.isnan(error), -np.sign(change) * np.sign(error), 0.0)
    moved = state[:, 0].astype(np.float64) + direction * step
    state[:, 0] = np.maximum(np.minimum(moved, _LARGEST), 0.0)
    state[:, 1] = n_outcomes + is_changed
