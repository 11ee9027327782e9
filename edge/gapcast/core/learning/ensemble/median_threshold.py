"""The threshold of the median: a small change from the last reading is published as none.

Where nothing is switched, the median of the ensemble differs from the last reading by less than the noise of a meter,
in a direction that is as often wrong as right, and is worse than persistence. So each device has a threshold. The
change that is published is that of the ensemble, reduced by the threshold in size, and zero below it: *soft
thresholding* (D. L. Donoho, *De-noising by soft-thresholding*, IEEE Transactions on Information Theory 41, 1995).

The threshold is learned from the signs of the errors, as the offsets of :mod:`.median_calibration` are: where a
published change goes further than the outcome, it rises by a step; where it does not go far enough, it falls. This is
gradient descent on the absolute error of the published median. Forecasts without a change teach nothing about it. The
steps shrink with the number of outcomes, to a floor, and are smaller further ahead, where successive outcomes overlap
(:data:`.boa_weights.NEAR_MIN`). The weights and the offsets learn from the median before the threshold: otherwise they
would make up for it. Changes and thresholds are in units of the device's error scale.
"""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.learning.ensemble.boa_weights import NEAR_MIN

#: The array of a device's state.
STATE = "median_threshold"
#: The threshold of a new device, and the largest one.
_FIRST, _LARGEST = 0.05, 0.3
#: The step after n outcomes is _GAIN (n + _SOFT)^-0.75, at least _STEP.
_GAIN, _SOFT, _STEP = 0.1, 100.0, 0.0002


def initial_state() -> F32:
    """Return the state of a new device ``[2]``: its threshold, and the number of outcomes it has learned from."""
    return np.array([_FIRST, 0.0], dtype=np.float32)


def reduced(state: F32, change: F64) -> F64:
    """Return the changes ``[N]`` to publish for those of the ensemble, ``change`` ``[N]``; NaN remains NaN.

    ``state`` ``[N, 2]`` is that of their devices.
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
