"""Features of loads that cycle: the changes after earlier moments of the window that resemble the newest one.

A moment is compared with the newest one by the course of the power in the 48 minutes before it, as means of six minutes
relative to its own power. The changes after the earlier moments are averaged with weights that decay with the
difference of both courses (a kernel regression: E. Nadaraya, *On estimating regression*, 1964; analogs: E. Lorenz,
*Atmospheric predictability as revealed by naturally occurring analogues*, 1969). So a compressor is expected to stop at
the point where it stopped in its last cycles, whatever its power and its times. The kernel is the density of Student's
t distribution with seven degrees of freedom, which needs no exponential.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from gapcast.core.arrays.array_types import F32, F64

#: Number of the newest minutes of the window that are used.
_LONGEST_MIN: Final = 180
#: Number of means of a course, minutes of each, and the weight of a mean relative to the next newer one.
_N_MEANS, _STEP_MIN, _DECAY = 8, 6, 0.8
#: Number of minutes before a moment in its course.
_COURSE_MIN = _N_MEANS * _STEP_MIN - 1
#: Widths of the kernel, in units of the window's spread; a column for each.
WIDTHS = (0.1, 0.25, 0.6)
#: The spread is the mean absolute deviation of the window, plus this many scales of the device.
_LEAST_SCALES = 0.5
#: Limit of the changes that are averaged, in units of the spread.
_LIMIT = 8.0
#: Weight of the assumption that nothing changes.
_NO_CHANGE = 0.05
#: Minimum number of earlier moments for analogs.
_LEAST_MOMENTS = 60
#: Mean changes, kW, from the narrowest kernel to the widest.
MEAN_CHANGE_NAMES = ("close analogs", "analogs", "distant analogs")
N_KW = len(MEAN_CHANGE_NAMES)


def has_analogs(context: int, horizon_min: int) -> bool:
    """Return whether windows of ``context`` minutes are long enough for forecasts ``horizon_min`` minutes ahead."""
    return min(context, _LONGEST_MIN) - horizon_min - _COURSE_MIN >= _LEAST_MOMENTS


def write_analogs(windows: F32, scale_kw: F32, horizon_min: int, kw: F32) -> None:
    """Write the mean change after the analogs of ``windows`` ``[N, context]``, kW, to ``kw`` ``[N, 3]``.

    ``scale_kw`` ``[N]`` are the devices' scales. The change is over ``horizon_min`` minutes.
    """
    moments = EarlierMoments(windows, scale_kw.astype(np.float64) * _LEAST_SCALES, horizon_min)
    for column, width in enumerate(WIDTHS):
        kw[:, column] = moments.mean(moments.change, moments.resemblance(width)) * moments.spread_kw[:, 0]


class EarlierMoments:
    """The earlier moments of windows, their differences from the newest moment, and the change after each."""

    def __init__(self, windows: F32, least_kw: F64 | float, horizon_min: int) -> None:
        """Compare the moments of ``windows`` ``[N, context]``, kW, long enough for :func:`has_analogs`.

        The spread is the mean absolute deviation of a window plus ``least_kw`` (a number, or ``[N]``).
        """
        minutes_kw = windows[:, -_LONGEST_MIN:].astype(np.float64)
        first, end = _COURSE_MIN, minutes_kw.shape[1] - horizon_min  # the moments whose later changes are known
        moments_kw, last_kw = minutes_kw[:, first:end], minutes_kw[:, -1:]
        n_means = minutes_kw.shape[1] - _STEP_MIN + 1
        means_kw = minutes_kw[:, :n_means].copy()
        for later in range(1, _STEP_MIN):
            means_kw += minutes_kw[:, later : later + n_means]
        means_kw /= _STEP_MIN
        difference, weight, total = np.zeros_like(moments_kw), 1.0, 0.0
        for back in range(0, _N_MEANS * _STEP_MIN, _STEP_MIN):
            of_newest = means_kw[:, n_means - 1 - back, np.newaxis] - last_kw
            begin = first - (_STEP_MIN - 1) - back
            apart = means_kw[:, begin : begin + end - first] - moments_kw - of_newest
            difference += weight * (apart * apart)
            total += weight
            weight *= _DECAY
        center_kw = np.add.reduce(minutes_kw, axis=1, keepdims=True) / minutes_kw.shape[1]
        spread_kw = np.add.reduce(np.abs(minutes_kw - center_kw), axis=1, keepdims=True) / minutes_kw.shape[1]
        spread_kw += np.reshape(least_kw, (-1, 1))
        difference *= 1 / (total * (spread_kw * spread_kw))
        change = (minutes_kw[:, first + horizon_min :] - moments_kw) / spread_kw
        np.maximum(np.minimum(change, _LIMIT, out=change), -_LIMIT, out=change)
        #: Unit of the changes, kW ``[N, 1]``.
        self.spread_kw: F64 = spread_kw
        #: The change after each moment, in units of the spread, limited ``[N, M]``.
        self.change: F64 = change
        self._difference = difference

    def resemblance(self, width: float) -> F64:
        """Return the weight of each moment ``[N, M]``, 1 if its course equals the newest one."""
        kernel: F64 = 1 / (1 + self._difference * (1 / (8 * width * width)))
        kernel *= kernel
        kernel *= kernel
        return kernel

    @staticmethod
    def mean(values: F64, resemblance: F64) -> F64:
        """Return the mean ``[N]`` of ``values`` ``[N, M]``, weighted by ``resemblance`` ``[N, M]``, shrunk to zero."""
        mean: F64 = np.add.reduce(resemblance * values, axis=1) / (np.add.reduce(resemblance, axis=1) + _NO_CHANGE)
        return mean
