"""The online correction of an outlook: a linear model per lead time, kind and statistic, by recursive least squares.

Mean and median of every lead time have the same inputs, so that one covariance serves them all (Haykin, *Adaptive
Filter Theory*, chapter 10): the covariance and the gain depend only on the inputs when the outlook is made. Each later
outcome moves the coefficients of its own lead time along the gain of its outlook, which is the same recursion, delayed
by the lead time. The median moves by its error clipped to a small size, with the constants of
:mod:`gapcast.core.learning.online_model.rls_model`.

The model learns the deviation of the outcomes from the outlook model, in units of the device's scale: a new device
starts at the outlook model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_predicates import is_any
from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.learning.online_model.rls_model import MIN_SHARE, SMALL_ERROR, TOLERANCE, median_gain, share_step
from gapcast.core.outlook.correction.correction_features import LIMIT
from gapcast.core.outlook.correction.pending_outlooks import DueOutlooks

#: Variance of the coefficients before the first outcome, in units of an error's variance. Outcomes an hour ahead
#: overlap, and each adds little information.
PRIOR = 0.00005
#: Factor by which an outcome's weight decays per outcome.
FORGETTING = 0.99999


def initial_covariance(n_columns: int) -> F64:
    """Return a device's initial covariance ``[D, D]``."""
    return np.eye(n_columns) * PRIOR


def symmetric(covariance: F64) -> F64:
    """Return stored covariances ``[N, D, D]``, made exactly symmetric."""
    transposed = covariance.swapaxes(-1, -2)
    return covariance if np.array_equal(covariance, transposed) else (covariance + transposed) / 2


def predict(coefficients: F32, columns: F32) -> F64:
    """Return the corrections ``[N, J]`` in units of the scale, for ``coefficients`` ``[N, J, D]``."""
    corrections: F64 = np.minimum(np.maximum(_sums_of_products(coefficients, columns[:, np.newaxis]), -LIMIT), LIMIT)
    return corrections


def add_inputs(covariance: F64, columns: F32) -> tuple[F32, F32]:
    """Add inputs ``columns`` ``[N, D]`` to ``covariance`` ``[N, D, D]``, in place; return gains and spreads.

    The gain ``[N, D]`` is the direction in which an error moves the coefficients, the spread ``[N]`` the variance of
    the prediction, in units of an error's variance.
    """
    inputs = columns.astype(np.float64)
    direction = _sums_of_products(covariance, inputs[:, np.newaxis])
    spread = np.maximum(_sums_of_products(direction, inputs), 0.0)
    noise = (FORGETTING + spread)[:, np.newaxis]
    gain = direction / noise
    # The same for (i, j) and (j, i): forgetting would amplify a difference until it exceeds the covariance after years.
    covariance -= direction[:, :, np.newaxis] * direction[:, np.newaxis] * (1 / noise)[:, :, np.newaxis]
    covariance *= 1 / FORGETTING
    variance = covariance.reshape(len(covariance), -1)[:, :: covariance.shape[-1] + 1]
    excessive = variance > PRIOR * TOLERANCE
    if is_any(excessive):
        # Forgetting would let the variance of a constant column grow without bound (covariance windup).
        factor = np.sqrt(PRIOR / np.where(excessive, variance, PRIOR))
        covariance *= factor[:, :, np.newaxis] * factor[:, np.newaxis]
    return gain.astype(np.float32), spread.astype(np.float32)


def update(coefficients: F32, inside: F32, due: DueOutlooks, actual: F64, n_outcomes: F64) -> None:
    """Learn from outcomes of the outlooks ``due``, in place.

    ``coefficients`` are ``[N, K, 2, 2, D]``, by lead time, kind and mean or median; ``inside`` ``[N, K, 2]`` is the
    share of small errors of the median. ``actual`` ``[N, K, 2, 2]`` are the deviations of the outcomes, in units of the
    scale, and ``n_outcomes`` ``[N, K]`` the number of outcomes before.
    """
    n, k = coefficients.shape[:2]
    predicted = _sums_of_products(coefficients, due.columns[:, :, np.newaxis, np.newaxis])
    error = np.minimum(np.maximum(actual, -LIMIT), LIMIT) - predicted
    error *= due.is_due[:, :, np.newaxis, np.newaxis]
    small = np.minimum(np.maximum(error[..., 1], -SMALL_ERROR), SMALL_ERROR)
    share = due.is_due * share_step(n_outcomes)
    inside += (share[..., np.newaxis] * ((small == error[..., 1]) - inside)).astype(np.float32)
    noise = FORGETTING + due.spread
    step = np.empty((n, k, 2, 2), dtype=np.float32)
    step[..., 0] = error[..., 0]
    scaled = (median_gain(n_outcomes) * noise)[..., np.newaxis] * small
    step[..., 1] = scaled / (FORGETTING * np.maximum(inside, MIN_SHARE) + due.spread[..., np.newaxis])
    coefficients += step[..., np.newaxis] * due.gains[:, :, np.newaxis, np.newaxis]


def _sums_of_products(values: NDArray[np.floating], columns: NDArray[np.floating]) -> F64:
    """Return the sums of products over the last axis, in double precision and in the same order on every machine."""
    sums: F64 = np.add.reduce(np.multiply(values, columns, dtype=np.float64), axis=-1)
    return sums
