"""Error measures of single forecasts: errors, pinball loss, CRPS, and interval coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.forecasts.forecast import LOWER, MEDIAN, UPPER


@dataclass(frozen=True, slots=True)
class Measures:
    """Measures of N forecasts of one lead time, kW; columns ``[N]`` by name.

    ``error``, ``squared`` (kW^2) and ``absolute`` are of the mean, ``persistence_squared`` and ``persistence_absolute``
    of persistence. With quantiles: ``pinball LEVEL`` and ``below LEVEL`` (1 where the outcome was at most that
    quantile), and with several quantiles ``crps``; with the median ``median_squared`` and ``median_absolute``; with
    both bounds of the interval ``inside`` (0 or 1) and ``width``.
    """

    levels: tuple[float, ...]
    columns: dict[str, F64]

    def __len__(self) -> int:
        """Return the number of measured forecasts."""
        return int(self.columns["error"].size)


def pinball(quantiles: F64, levels: Sequence[float], target: F64) -> F64:
    """Return the pinball loss of each quantile, kW, ``[N, Q]``.

    ``quantiles`` is ``[N, Q]``, ``target`` ``[N]``. The loss (Koenker and Bassett 1978) is least, in
    the mean, for the true quantile; at the median it is half the absolute error.

    >>> pinball(np.array([[1.0]]), [0.9], np.array([2.0])).tolist()
    [[0.9]]
    """
    short = target[:, np.newaxis] - quantiles
    level = np.asarray(levels, dtype=np.float64)
    loss: F64 = np.maximum(level * short, (level - 1) * short)
    return loss


def crps(quantiles: F64, levels: Sequence[float], target: F64) -> F64:
    """Return the continuous ranked probability score of each forecast, kW, ``[N]``.

    CRPS (Gneiting and Raftery 2007, Strictly proper scoring rules, section 4.2) is twice the integral of the pinball
    loss over all levels (its quantile decomposition: Laio and Tamea 2007). Between the given levels it is integrated by
    the trapezoidal rule. Below the lowest and above the highest level the quantile is assumed to be constant, and that
    part is integrated exactly: the tails are point masses at the outermost quantiles. A forecast without spread
    therefore scores its absolute error, and CRPS can be compared with the MAE of a point forecast.

    >>> crps(np.array([[1.0, 1.0, 1.0]]), [0.05, 0.5, 0.95], np.array([3.0])).round(9).tolist()
    [2.0]
    """
    level = np.asarray(levels, dtype=np.float64)
    loss = pinball(quantiles, levels, target)
    inner = np.trapezoid(loss, level, axis=1)
    low, high = target - quantiles[:, 0], target - quantiles[:, -1]
    first, last = level[0], level[-1]
    below = np.where(low >= 0, low * first**2 / 2, -low * (first - first**2 / 2))
    above = np.where(high >= 0, high * (1 - last**2) / 2, -high * (1 - last) ** 2 / 2)
    score: F64 = 2 * (below + inner + above)
    return score


def measure(
    mean: F32, quantiles: F32 | None, levels: Sequence[float], target_kw: NDArray[np.floating], last_kw: F32
) -> Measures:
    """Measure N forecasts of one lead time: ``mean`` ``[N]`` and ``quantiles`` ``[N, Q]`` at ``levels``.

    ``target_kw`` ``[N]`` are the outcomes, ``last_kw`` ``[N]`` the newest reading of each forecast.
    """
    actual = target_kw.astype(np.float64)
    error = mean.astype(np.float64) - actual
    naive = last_kw.astype(np.float64) - actual
    columns = {
        "error": error,
        "squared": error**2,
        "absolute": np.abs(error),
        "persistence_squared": naive**2,
        "persistence_absolute": np.abs(naive),
    }
    if quantiles is None:
        return Measures((), columns)
    predicted = quantiles.astype(np.float64)
    index_of = {level: k for k, level in enumerate(levels)}
    if len(levels) > 1:
        columns["crps"] = crps(predicted, levels, actual)
    loss = pinball(predicted, levels, actual)
    for level, k in index_of.items():
        columns[f"pinball {level}"] = loss[:, k]
        columns[f"below {level}"] = (actual <= predicted[:, k]).astype(np.float64)
    if MEDIAN in index_of:
        median_error = predicted[:, index_of[MEDIAN]] - actual
        columns["median_squared"], columns["median_absolute"] = median_error**2, np.abs(median_error)
    if LOWER in index_of and UPPER in index_of:
        lower, upper = predicted[:, index_of[LOWER]], predicted[:, index_of[UPPER]]
        columns["inside"] = ((lower <= actual) & (actual <= upper)).astype(np.float64)
        columns["width"] = upper - lower
    return Measures(tuple(levels), columns)
