"""Correction of the mean: an offset that depends on the situation, learned from what is left of the errors.

The members' means, and so their weighted sum, follow a cycling load only as far as their inputs show it. What they have
in common is still wrong in the same direction in like situations: when the online model expects a drop of so much, the
house is so active, and so much is switched on. So each device has a table of offsets by three quantities: the change
that the last member before persistence predicts (*knots* a factor of two apart, on both sides of none), and the levels
of rise and activity of the :mod:`.situations`. Between the entries it is interpolated linearly.

Each outcome moves the eight entries around its forecast towards the error that remained, in proportion to their shares:
stochastic approximation of a mean (H. Robbins and S. Monro, *A stochastic approximation method*, Annals of Mathematical
Statistics 22, 1951), with steps that shrink with the number of outcomes of an entry, to a floor, because houses change;
they are smaller further ahead, where successive outcomes overlap (:data:`.boa_weights.NEAR_MIN`). Changes, offsets and
errors are in units of the device's error scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.learning.ensemble.boa_weights import NEAR_MIN
from gapcast.core.learning.ensemble.situations import ACTIVITY, N_LEVELS, RISE

#: The middle knot is for changes up to this size, in scales; each further one is this many times the last.
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


def initial_state() -> F32:
    """Return the state of a new device ``[2, N_KNOTS, L, L]``, by knot, rise and activity.

    It is the offset of each entry of the table, and its number of outcomes.
    """
    return np.zeros((2, N_KNOTS, N_LEVELS, N_LEVELS), dtype=np.float32)


def offsets(state: F32, change: F64, levels: F64) -> F64:
    """Return what to add to the means ``[N]``, in scales, by the ``state`` ``[N, 2, N_KNOTS, L, L]`` of the devices.

    ``change`` ``[N]`` is what the last member before persistence predicts, in scales, ``levels`` ``[N, 3]`` the
    result of :func:`.situations.levels`. NaN counts as no change, and as the lowest level.
    """
    entries, found = np.arange(len(state)), np.zeros(len(state))
    for (knot, rise, activity), share in _corners(change, levels):
        found += share * state[entries, 0, knot, rise, activity]
    return found


def update(state: F32, change: F64, levels: F64, error: F64, horizon_min: int) -> None:
    """Learn from outcomes ``horizon_min`` ahead: update ``state`` ``[N, 2, N_KNOTS, L, L]`` in place.

    ``change`` and ``levels`` are those of :func:`offsets`, ``error`` ``[N]`` is the outcome minus the published mean.
    """
    entries = np.arange(len(state))
    remaining = np.maximum(np.minimum(np.nan_to_num(error, nan=0.0), _LIMIT), -_LIMIT)
    by_horizon = min(NEAR_MIN / horizon_min, 1.0)
    for (knot, rise, activity), share in _corners(change, levels):
        n_outcomes = state[entries, 1, knot, rise, activity].astype(np.float64) + share
        step = np.maximum(1.0 / (n_outcomes + _SOFT), _STEP) * by_horizon
        moved = state[entries, 0, knot, rise, activity].astype(np.float64) + share * step * remaining
        state[entries, 0, knot, rise, activity] = moved
        state[entries, 1, knot, rise, activity] = n_outcomes


def _corners(change: F64, levels: F64) -> Iterator[tuple[tuple[I64, I64, I64], F64]]:
    """Yield the eight entries around each forecast, by their indices ``[N]``, and their shares ``[N]``."""
    size = np.minimum(np.maximum(np.nan_to_num(np.abs(change), nan=0.0), _FIRST), _LARGEST)
    position = np.log(size / _FIRST) / np.log(_FACTOR)
    position = np.where(change < 0, -position, position) + _N_SIDE
    sides = [
        _between(position, N_KNOTS),
        *(_between(levels[:, quantity], N_LEVELS) for quantity in (RISE, ACTIVITY)),
    ]
    for upper in product((0, 1), repeat=len(sides)):
        (knot, rise, activity), (by_knot, by_rise, by_activity) = zip(
            *((lower + up, share if up else 1.0 - share) for (lower, share), up in zip(sides, upper, strict=True)),
            strict=True,
        )
        yield (knot, rise, activity), by_knot * by_rise * by_activity


def _between(position: F64, n: int) -> tuple[I64, F64]:
    """Return the place of ``n`` below each of ``position`` ``[N]``, and the share of the place above it, 0 to 1."""
    within = np.maximum(np.minimum(np.nan_to_num(position, nan=0.0), n - 1.0), 0.0)
    lower = np.minimum(np.floor(within), n - 2.0)
    return lower.astype(np.int64), within - lower
