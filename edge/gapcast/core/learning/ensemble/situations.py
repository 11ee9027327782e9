"""Situations: the state of a house when a forecast is made, as a few numbers, each between two of four levels.

Which member is best depends on the situation: persistence while power is constant, the online model while an appliance
cycles. So the ensemble has weights for each level of three quantities, in units of the device's error scale:

- the activity: the mean change from minute to minute, weighted towards the last minutes (half-life 7 minutes),
- the rise: how far the last reading is above the lowest of the last three hours, a measure of the load switched on,
- the predicted change: the difference of the last member before persistence, one that learns, from the last reading.

Levels are equidistant in the logarithm. A value between two levels belongs to both, according to its distance
(triangular membership), so that weights do not jump. One more situation is always present: *any*.
"""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import F32, F64

#: Number of quantities, and of levels of each.
N_QUANTITIES, N_LEVELS = 3, 4
#: Indices of two of the quantities.
ACTIVITY, RISE = range(2)
#: Number of situations: each level of each quantity, then *any*.
N_SITUATIONS = N_QUANTITIES * N_LEVELS + 1
#: The lowest level of each quantity, in units of the device's scale; each further level is this many times the last
#: one.
_LOWEST = np.array([0.05, 0.3, 0.1])
_STEP = 4.0
#: Minutes of the activity, its half-life, and minutes of the rise.
_N_ACTIVE_MIN, _HALF_LIFE_MIN = 60, 7.0
_N_RISE_MIN = 180
_TINY = 1e-9
_LEVELS = np.arange(N_LEVELS)
_LOG_LOWEST, _LOG_STEP = np.log(_LOWEST), np.log(_STEP)
#: Weights of the changes of the last hour in the activity ``[60]``, oldest first.
RECENT = 0.5 ** (np.arange(_N_ACTIVE_MIN)[::-1] / _HALF_LIFE_MIN)
RECENT /= RECENT.sum()


def of_windows(windows: F32) -> F64:
    """Return activity and rise ``[N, 2]``, kW, of ``windows`` ``[N, context]``, kW, oldest first."""
    recent = windows[:, -_N_ACTIVE_MIN - 1 :].astype(np.float64)
    found = np.empty((len(windows), 2))
    steps = np.abs(recent[:, 1:] - recent[:, :-1])
    # No matrix product: its last digits depend on the number of windows in the batch.
    found[:, 0] = np.add.reduce(steps * RECENT[_N_ACTIVE_MIN - steps.shape[1] :], axis=-1)
    found[:, 1] = recent[:, -1] - windows[:, -_N_RISE_MIN:].min(-1)
    return found


def levels(window_kw: F64, predicted_change_kw: F64, scale_kw: F64) -> F64:
    """Return the situations as positions between the levels ``[N, 3]``, each from 0 to 3.

    ``window_kw`` ``[N, 2]`` is the result of :func:`of_windows`, ``predicted_change_kw`` and ``scale_kw`` are ``[N]``.
    """
    found = np.empty((len(window_kw), N_QUANTITIES))
    found[:, :2] = window_kw
    found[:, 2] = np.abs(predicted_change_kw)
    found /= scale_kw[:, np.newaxis]
    level: F64 = (np.log(np.maximum(found, _TINY)) - _LOG_LOWEST) / _LOG_STEP
    return np.maximum(np.minimum(level, N_LEVELS - 1), 0.0)


def memberships(level: F64) -> F64:
    """Return the membership of ``level`` ``[N, 3]`` in each situation ``[N, S]``, 0 to 1; in *any*, the last, it is 1.

    >>> memberships(np.array([[0.0, 1.25, 3.0]]))[0].tolist()
    [1.0, 0.0, 0.0, 0.0, 0.0, 0.75, 0.25, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]
    """
    found = np.ones((len(level), N_SITUATIONS))
    distance = np.abs(level[:, :, np.newaxis] - _LEVELS)
    found[:, :-1] = np.maximum(1.0 - distance, 0.0).reshape(len(level), -1)
    return found
