"""Intervals that hold in this house: one number a device, moved by its own hits and misses.

The interval reaches from the median down and up by ``width x sqrt(spread)``, where the spreads are the distances
from the model's own median to its outer quantiles. ``log(width)`` is a quantile tracker (A. Angelopoulos, E. Candes and
R. Tibshirani, *Conformal PID control for time series prediction*, NeurIPS 2023, the P term; in the logarithm, so that
no width is below zero and powers of any size are followed alike): a miss widens, a hit narrows, in the ratio that
holds where one in ten is missed. Its steps shrink like 1/n to a floor (A. Angelopoulos, R. Barber and S. Bates,
*Online conformal prediction with decaying step sizes*, ICML 2024), so that a new device is followed fast.
Over any T outcomes the share of misses is off by at most the range of log(width) / (step T), whatever the house does.

Why the square root: of all powers of the spread between 0 (the same width always) and 1 (the model's own shape), it
gives nearly the least mean width at the same coverage on houses that the model has not seen.
"""

from __future__ import annotations

import numpy as np

from gapcast.core.forecast import LEVEL
from gapcast.core.learning.outcomes import F64

_MISSES = 1 - LEVEL
#: Least step of log(width); the first are of the order of 2 / (1 + _SOFT).
_STEP, _FIRST_STEP, _SOFT = 0.01, 2.0, 20.0
#: log(width) stays within: a house that stands still has narrow intervals, not none.
LOG_WIDTH_RANGE = (-4.0, 5.0)
#: A spread is at least this, kW.
LEAST_SPREAD_KW = 0.001


def roots(spread_kw: F64) -> F64:
    """Return the square root of spreads, kW, of any shape, where they are large enough to speak of."""
    root: F64 = np.sqrt(np.maximum(spread_kw, LEAST_SPREAD_KW))
    return root


def first_log_width(roots_down_up: F64) -> F64:
    """Return the log(width) ``[N]`` that gives a device's first interval the model's own width."""
    down, up = roots_down_up.T
    first: F64 = np.log((down * down + up * up) / (down + up))
    return first


def bounds(log_width: F64, median_kw: F64, roots_down_up: F64, floor_kw: F64) -> tuple[F64, F64]:
    """Return lower and upper bound ``[N]``, kW, around ``median_kw`` ``[N]``.

    The lower one is not below ``floor_kw`` ``[N]`` but where the median is, and never above it.
    """
    reach = np.exp(log_width)[:, np.newaxis] * roots_down_up
    lower_kw = np.maximum(median_kw - reach[:, 0], np.minimum(floor_kw, median_kw))
    return lower_kw, median_kw + reach[:, 1]


def updated_log_width(log_width: F64, n_outcomes: F64, missed: F64) -> F64:
    """Return the log(width) ``[N]`` after an outcome more; ``missed`` ``[N]`` is 1 where it was outside, else 0."""
    step = np.maximum(_FIRST_STEP / (n_outcomes + _SOFT), _STEP)
    moved: F64 = log_width + step * (missed - _MISSES)
    return np.maximum(np.minimum(moved, LOG_WIDTH_RANGE[1]), LOG_WIDTH_RANGE[0])
