"""Calibrated prediction intervals by online conformal prediction: one width per device, adjusted by each outcome.

The interval reaches from the median down and up by ``width x sqrt(spread)``, where the spreads are the distances from
the model's own median to its outer quantiles. ``log(width)`` is a quantile tracker (A. Angelopoulos, E. Candes and R.
Tibshirani, *Conformal PID control for time series prediction*, NeurIPS 2023, the P term; in the logarithm, so that no
width is below zero and powers of any size adapt alike): a miss widens the interval, a hit narrows it, in the ratio that
balances at one miss in ten. The steps shrink like 1/n to a floor (A. Angelopoulos, R. Barber and S. Bates, *Online
conformal prediction with decaying step sizes*, ICML 2024), so that a new device adapts fast. As long as the width is
within :data:`LOG_WIDTH_RANGE`, the miss rate over T outcomes deviates by at most (the range of log(width) + one step) /
(smallest step x T), whatever the house does. At a limit there is no such guarantee: with constant power even the
narrowest interval contains every outcome.

Why the square root: of all powers of the spread between 0 (constant width) and 1 (the model's own shape), it
gives nearly the smallest mean width at the same coverage on houses that the model was not trained on.
"""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.core.forecasts.forecast import LEVEL

_MISSES = 1 - LEVEL
#: Smallest step of log(width); the first steps are of the order of 2 / (1 + _SOFT).
_STEP, _FIRST_STEP, _SOFT = 0.01, 2.0, 20.0
#: Range of log(width): a house with constant power has narrow intervals, not empty ones.
LOG_WIDTH_RANGE = (-5.0, 5.0)
#: Minimum spread, kW.
MIN_SPREAD_KW = 0.001


def roots(spread_kw: F64) -> F64:
    """Return the square roots of spreads, kW, of any shape, each at least :data:`MIN_SPREAD_KW`."""
    root: F64 = np.sqrt(np.maximum(spread_kw, MIN_SPREAD_KW))
    return root


def first_log_width(roots_down_up: F64) -> F64:
    """Return the initial log(width) ``[N]``, at which the interval has the model's own width."""
    down, up = roots_down_up.T
    first: F64 = np.log((down * down + up * up) / (down + up))
    return first


def bounds(log_width: F64, median_kw: F64, roots_down_up: F64, floor_kw: F64) -> tuple[F64, F64]:
    """Return lower and upper bound ``[N]``, kW, around ``median_kw`` ``[N]``.

    The lower bound is at least ``floor_kw`` ``[N]``, or the median if the median is below the floor.
    """
    distance_kw = np.exp(log_width)[:, np.newaxis] * roots_down_up
    lower_kw = np.maximum(median_kw - distance_kw[:, 0], np.minimum(floor_kw, median_kw))
    return lower_kw, median_kw + distance_kw[:, 1]


def updated_log_width(log_width: F64, n_outcomes: F64, missed: F64) -> F64:
    """Return the log(width) ``[N]`` after one more outcome; ``missed`` ``[N]`` is 1 for outcomes outside, else 0."""
    step = np.maximum(_FIRST_STEP / (n_outcomes + _SOFT), _STEP)
    moved: F64 = log_width + step * (missed - _MISSES)
    return np.maximum(np.minimum(moved, LOG_WIDTH_RANGE[1]), LOG_WIDTH_RANGE[0])
