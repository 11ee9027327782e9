"""Columns of the nightly refit for loads that cycle: their phases, and the changes after similar earlier moments.

Compressors of air conditioning, heat pumps, refrigerators and freezers switch on and off all day. The lengths of the
earlier phases show when the next switch is due, and so do the changes after earlier moments with a similar course of
power (:mod:`gapcast.core.learning.online_model.analog_features`). docs/decisions/0036-trees-see-cycles.md has the gain.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.learning.online_model.analog_features import MEAN_CHANGE_NAMES, WIDTHS, EarlierMoments

#: A change after an analog of at least this, kW, counts as a rise or a fall.
_RISE_KW = 0.15
#: The spread of analogs is the mean absolute deviation of the window plus this, kW.
_LEAST_SPREAD_KW = 0.05
#: Index of the width whose analogs have more columns than the mean change.
_DETAILED = 1
ANALOG_NAMES = (*MEAN_CHANGE_NAMES, "analogs absolute", "analogs rising", "analogs falling", "analogs found")

#: A step of a cycle is a change within a minute of at least this, kW, and of this part of the window's second largest.
_LEAST_STEP_KW, _STEP_PART = 0.15, 0.5
#: Number of the newest steps, whose distances are the lengths of phases, and number of lengths that are columns.
_N_STEPS, _N_PHASES = 9, 5
CYCLE_NAMES = (
    "phase direction",
    "minutes in phase",
    *(f"phase {back}" for back in range(1, _N_PHASES + 1)),
    "phase longer than mean",
    "phase longer than last",
)


def analog_columns(windows: F32, horizon_min: int) -> F32:
    """Return the columns ``[N, 7]`` of :data:`ANALOG_NAMES` for ``windows`` ``[N, context]``, kW.

    They are the mean change over ``horizon_min`` minutes after the analogs, with three widths of the kernel, kW; and
    with the middle width the mean absolute change, kW, the shares of rises and falls, and the number of analogs.
    """
    moments = EarlierMoments(windows, _LEAST_SPREAD_KW, horizon_min)
    columns = np.empty((len(windows), len(ANALOG_NAMES)), dtype=np.float32)
    spread_kw, change = moments.spread_kw[:, 0], moments.change
    for i, width in enumerate(WIDTHS):
        resemblance = moments.resemblance(width)
        columns[:, i] = moments.mean(change, resemblance) * spread_kw
        if i == _DETAILED:
            rise = _RISE_KW / moments.spread_kw
            columns[:, -4] = moments.mean(np.abs(change), resemblance) * spread_kw
            columns[:, -3] = moments.mean((change > rise).astype(np.float64), resemblance)
            columns[:, -2] = moments.mean((change < -rise).astype(np.float64), resemblance)
            columns[:, -1] = np.add.reduce(resemblance, axis=1)
    return columns


def cycle_columns(change: F32) -> F32:
    """Return the columns ``[N, 9]`` of :data:`CYCLE_NAMES` for the changes from minute to minute.

    ``change`` is ``[N, context - 1]``, kW, the newest first. The columns are the direction of the last step (1, -1, or
    0 without one), the minutes since then, the lengths of the five phases before, and how much longer the present phase
    is than the mean of the second, fourth, sixth and eighth phase before it, and than the second: these phases are of
    the same kind if a load switches on and off. A length that the window does not show counts as ``context - 1``
    minutes.
    """
    n_rows, longest = change.shape
    heights = np.abs(change)
    largest = heights if longest == 1 else np.partition(heights, longest - 2, axis=1)[:, -2:]
    smallest = np.maximum(_LEAST_STEP_KW, _STEP_PART * largest[:, :1])
    direction = np.sign(change) * (heights >= smallest)
    # Steps in adjacent minutes in the same direction are one step, which begins with the oldest of them.
    is_step = direction != 0
    is_step[:, :-1] &= direction[:, :-1] != direction[:, 1:]
    ages = _newest(is_step)
    lengths = np.where(ages[:, 1:] < longest, np.diff(ages, axis=1), longest).astype(np.float64)
    columns = np.empty((n_rows, len(CYCLE_NAMES)), dtype=np.float32)
    newest = np.minimum(ages[:, 0], longest - 1)
    columns[:, 0] = np.where(ages[:, 0] < longest, direction[np.arange(n_rows), newest], 0)
    columns[:, 1] = ages[:, 0]
    columns[:, 2 : 2 + _N_PHASES] = lengths[:, :_N_PHASES]
    columns[:, -2] = ages[:, 0] - _mean_length(lengths[:, 1::2], longest)
    columns[:, -1] = ages[:, 0] - lengths[:, 1]
    return columns


def _newest(is_step: NDArray[np.bool_]) -> I64:
    """Return the ages of the newest steps ``[N, 9]`` in minutes, or the number of minutes if there are fewer steps."""
    n_rows, longest = is_step.shape
    rows, minutes = np.nonzero(is_step)
    n_steps = np.bincount(rows, minlength=n_rows)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(n_steps) - n_steps, n_steps)  # 0 for a row's newest step
    ages = np.full((n_rows, _N_STEPS), longest, dtype=np.int64)
    kept = place < _N_STEPS
    ages[rows[kept], place[kept]] = minutes[kept]
    return ages


def _mean_length(lengths: F64, longest: int) -> F64:
    """Return the mean of the lengths that the window shows ``[N]``, or ``longest`` if it shows none."""
    is_known = lengths < longest
    n_known = np.add.reduce(is_known, axis=1)
    mean: F64 = np.where(n_known, np.add.reduce(lengths * is_known, axis=1) / np.maximum(n_known, 1), longest)
    return mean
