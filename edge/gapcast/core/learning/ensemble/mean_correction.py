"""Correction of the mean: an offset that depends on the situation, learned from the remaining errors.

The members' means, and so their weighted sum, follow a cycling load only as far as their inputs show it. Their common
error has the same direction in similar situations: at the same drop that the online model expects, the same activity of
the house, and the same power switched on. So each device has a table of offsets by three quantities: the change that
the last member before persistence predicts (*knots* a factor of two apart, on both sides of zero), and the levels of
rise and activity of the :mod:`.situations`. Offsets are interpolated linearly between the entries.

Each outcome moves the eight entries around its forecast towards the remaining error, in proportion to their shares:
stochastic approximation of a mean (H. Robbins and S. Monro, *A stochastic approximation method*, Annals of Mathematical
Statistics 22, 1951). The steps shrink with the number of outcomes of an entry, to a floor, because houses change; they
are smaller at longer horizons, where successive outcomes overlap (:data:`.boa_weights.NEAR_MIN`). Changes, offsets and
errors are in units of the device's error scale.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.learning.ensemble.boa_weights import NEAR_MIN
from gapcast.core.learning.ensemble.situations import ACTIVITY, N_LEVELS, RISE

#: The name of the array in a device's state.
STATE = "mean_correction"
#: The middle knot is for changes up to this size, in scales; each further knot is this many times the last one.
_FIRST, _FACTOR = 0.25, 2.0
#: Knots on each side of the middle one: the last is at 64 scales.
_N_SIDE = 8
_LARGEST = _FIRST * _FACTOR**_N_SIDE
#: Number of knots.
N_KNOTS = 2 * _N_SIDE + 1
#: The step of an entry after n outcomes is 1 / (n + _SOFT), at least _STEP.
_SOFT, _STEP = 200.0, 0.002
#: Errors are clipped to this many scales.
_LIMIT = 25.0
#: The last index of each of the three quantities, and the side of each on which the eight entries around a place are.
_LAST = np.array([N_KNOTS - 1.0, N_LEVELS - 1.0, N_LEVELS - 1.0])
_UPPER = np.array(list(product((False, True), repeat=3)))


def initial_state() -> F32:
    """Return the state of a device without a prior ``[2, N_KNOTS, L, L]``, by knot, rise and activity.

    The first axis holds the offset of each entry of the table, and its number of outcomes.
    """
    return np.zeros((2, N_KNOTS, N_LEVELS, N_LEVELS), dtype=np.float32)


def offsets(state: F32, change: F64, levels: F64) -> F64:
    """Return the offsets of the means ``[N]``, in scales, for the ``state`` ``[N, 2, N_KNOTS, L, L]`` of the devices.

    ``change`` ``[N]`` is the prediction of the last member before persistence, in scales, ``levels`` ``[N, 3]`` the
    result of :func:`.situations.levels`. NaN counts as no change, and as the lowest level.
    """
    rows, ((knot, rise, activity), shares) = np.arange(len(state))[:, np.newaxis], _corners(change, levels)
    # Sequentially, as in the compiled step: `sum` adds in another order.
    found: F64 = np.add.accumulate(shares * state[rows, 0, knot, rise, activity], axis=1)[:, -1]
    return found


def update(state: F32, change: F64, levels: F64, error: F64, horizon_min: int) -> None:
    """Learn from outcomes ``horizon_min`` ahead: update ``state`` ``[N, 2, N_KNOTS, L, L]`` in place.

    ``change`` and ``levels`` are as in :func:`offsets`, ``error`` ``[N]`` is the outcome minus the published mean.
    """
    rows, ((knot, rise, activity), shares) = np.arange(len(state))[:, np.newaxis], _corners(change, levels)
    remaining = np.where(np.isnan(error), 0.0, np.maximum(np.minimum(error, _LIMIT), -_LIMIT))
    n_outcomes = state[rows, 1, knot, rise, activity].astype(np.float64) + shares
    step = np.maximum(1.0 / (n_outcomes + _SOFT), _STEP) * min(NEAR_MIN / horizon_min, 1.0)
    moved = state[rows, 0, knot, rise, activity].astype(np.float64) + shares * step * remaining[:, np.newaxis]
    state[rows, 0, knot, rise, activity] = moved
    state[rows, 1, knot, rise, activity] = n_outcomes


def _corners(change: F64, levels: F64) -> tuple[I64, F64]:
    """Return the indices ``[3, N, 8]`` of the eight entries around each forecast, and their shares ``[N, 8]``."""
    size = np.fmin(np.fmax(np.abs(change), _FIRST), _LARGEST)
    knots = np.log(size / _FIRST) / np.log(_FACTOR)
    position = np.stack((np.where(change < 0, -knots, knots) + _N_SIDE, levels[:, RISE], levels[:, ACTIVITY]), axis=1)
    within = np.minimum(np.fmax(position, 0.0), _LAST)
    lower = np.minimum(np.floor(within), _LAST - 1.0)
    above = (within - lower)[:, np.newaxis]
    by_knot, by_rise, by_activity = np.moveaxis(np.where(_UPPER, above, 1.0 - above), -1, 0)
    indices: I64 = np.moveaxis(lower.astype(np.int64)[:, np.newaxis] + _UPPER, -1, 0)
    return indices, by_knot * by_rise * by_activity
