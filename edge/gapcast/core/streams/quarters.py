"""Means of quarter-hours: the compact history that a model may take besides its window.

A quarter-hour is the minutes ``m`` with the same ``m // 15`` since the epoch, on the UTC clock. Its mean is the mean of
its known minutes, at least one: readings, and minutes of a short gap, which the window contract fills by a straight
line. The history of a window is the newest complete quarters at its observed minute, oldest first. Unknown quarters (a
new device, gaps) are replaced by the mean of the known ones, or by the mean of the window's power if none is known.

Elapsed time counts, not local time: after a clock change, the same local time yesterday is an hour earlier or later.

:func:`history_windows` applies this to a whole series at once (training, back-tests),
:class:`gapcast.core.streams.week.WeekHistory` reading by reading. A property test checks that both agree.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_predicates import is_any
from gapcast.core.arrays.array_types import F32, I64
from gapcast.core.windows.window import fill_short_gaps

#: Minutes of a step of the history.
STEP_MIN = 15
#: Number of steps in a week.
STEPS = 7 * 24 * 60 // STEP_MIN


class QuarterMeans(NamedTuple):
    """The quarters of a series: the number of the first since the epoch, and the means ``[Q]``, kW, NaN if unknown."""

    first: int
    kw: F32


def quarter_means(gap_kw: NDArray[np.floating], first_minute: int) -> QuarterMeans:
    """Return the means of the quarter-hours of ``gap_kw`` ``[T]``, kW, which begins at ``first_minute``.

    The series has one value per minute, NaN for a missing one.

    >>> means = quarter_means(np.array([1.0, np.nan, 2.0, np.nan]), first_minute=28)
    >>> means.first, means.kw.tolist()
    (1, [1.25, 2.0])
    """
    series = np.asarray(gap_kw, dtype=np.float64)
    known = np.where(np.isnan(series), fill_short_gaps(series.astype(np.float32)), series)
    first, n_before = divmod(first_minute, STEP_MIN)
    grid = np.full((-(-(n_before + series.size) // STEP_MIN), STEP_MIN), np.nan)
    grid.reshape(-1)[n_before : n_before + series.size] = known
    total_kw = np.zeros(len(grid))
    for minute in range(STEP_MIN):  # minute by minute, as a stream adds them
        total_kw += np.nan_to_num(grid[:, minute], nan=0.0)
    n_known = np.count_nonzero(~np.isnan(grid), axis=1)
    with np.errstate(invalid="ignore"):
        return QuarterMeans(first, (total_kw / n_known).astype(np.float32))


def history_windows(quarters: QuarterMeans, minutes: I64, fill_kw: NDArray[np.floating], steps: int = STEPS) -> F32:
    """Return the histories ``[N, steps]``, kW, of windows observed at ``minutes`` ``[N]`` (since the epoch).

    ``fill_kw`` ``[N]`` is the mean power of each window. Raises :class:`ValueError` if a minute is not in the series.
    """
    end = (np.asarray(minutes, dtype=np.int64) + 1) // STEP_MIN - quarters.first
    if end.size and (end.min() < 0 or end.max() > quarters.kw.size):
        msg = "minutes: each must be in the series that the quarters are of"
        raise ValueError(msg)
    padded = np.concatenate((np.full(steps, np.nan, dtype=np.float32), quarters.kw))
    return fill_unknown(padded[end[:, np.newaxis] + np.arange(steps)], fill_kw)


def fill_unknown(history: F32, fill_kw: NDArray[np.floating]) -> F32:
    """Return ``history`` ``[N, steps]`` with NaN replaced by the mean of the row's known values, or by ``fill_kw``.

    ``history`` is overwritten.
    """
    unknown = np.isnan(history)
    if not is_any(unknown):
        return history
    n_known = history.shape[1] - np.add.reduce(unknown, axis=1)
    np.copyto(history, 0.0, where=unknown)
    total_kw = np.add.reduce(history, axis=1, dtype=np.float64)
    mean_kw = np.where(n_known > 0, total_kw / np.maximum(n_known, 1), fill_kw).astype(np.float32)
    np.copyto(history, mean_kw[:, np.newaxis], where=unknown)
    return history
