"""The online model: two linear models per device, learned by recursive least squares (RLS), for mean and median.

The mean uses recursive least squares with exponential forgetting (Haykin, *Adaptive Filter Theory*, chapter 10). The
median uses the same recursion with each error weighted by the inverse of its magnitude: iteratively reweighted least
squares (Schlossmacher, JASA 68, 1973), online. Both start as an exact copy of the primary model and move away from it
as outcomes suggest: the prior is a ridge around that model, not around zero.

All values are in units of the device's scale, the mean absolute change over the horizon, so that a flat and a farm
learn alike; values beyond :data:`LIMIT` are clipped, so that one absurd reading weighs no more than a large one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapcast.core.learning.outcomes import F64

#: Largest value of a column and of an outcome, in units of the device's scale.
LIMIT = 50.0
#: Variance of the coefficients before the first outcome, in units of an error's variance: the strength of the prior.
PRIOR = 0.002
#: Smallest error for the inverse weight, in units of the scale.
_SMALLEST_ERROR = 0.3
#: Forgetting stops while the covariance exceeds this many priors: with constant power there is nothing to learn, and
#: the covariance would grow without bound (covariance windup).
_MAX_PRIORS = 10.0


def initial_state(n_columns: int, mean_column: int, median_column: int) -> tuple[F64, F64]:
    """Return a device's initial state: coefficients ``[2, D]`` and their covariance ``[2, D, D]``."""
    coefficients = np.zeros((2, n_columns))
    coefficients[0, mean_column] = coefficients[1, median_column] = 1.0
    return coefficients, np.stack([np.eye(n_columns) * PRIOR] * 2)


def predict(coefficients: F64, columns: F64) -> F64:
    """Return the expected change, mean and median ``[N, 2]``, in units of the scale, clipped to :data:`LIMIT`."""
    return _within_limit(_product(coefficients, columns))


def update(
    coefficients: F64, covariance: F64, columns: F64, actual: F64, forgetting: float
) -> NDArray[np.bool_] | None:
    """Learn from outcomes, in place.

    ``coefficients`` is ``[N, 2, D]``, ``covariance`` ``[N, 2, D, D]``, ``columns`` ``[N, D]`` the features when the
    forecast was made, and ``actual`` ``[N]`` the observed change, in units of the scale. ``forgetting`` is the factor
    by which an outcome's weight decays per outcome. Return None if all N updates are numerically sound, else which
    are: the others are to be reset.
    """
    error = _within_limit(actual)[:, np.newaxis] - _product(coefficients, columns)
    noise = np.full(error.shape, forgetting)
    noise[:, 1] *= np.maximum(np.abs(error[:, 1]), _SMALLEST_ERROR)
    direction = (covariance @ columns[:, np.newaxis, :, np.newaxis])[..., 0]
    spread = noise + (direction * columns[:, np.newaxis]).sum(-1)
    sound = spread >= noise
    spread = np.maximum(spread, noise)
    coefficients += direction * (error / spread)[..., np.newaxis]
    direction /= np.sqrt(spread)[..., np.newaxis]
    covariance -= direction[..., :, np.newaxis] * direction[..., np.newaxis, :]
    n_columns = columns.shape[-1]
    trace = covariance.reshape(*error.shape, -1)[..., :: n_columns + 1].sum(-1)
    certain = trace < _MAX_PRIORS * PRIOR * n_columns
    covariance *= np.where(certain, 1 / forgetting, 1.0)[..., np.newaxis, np.newaxis]
    return None if sound.all() else sound.all(-1)


def _product(coefficients: F64, columns: F64) -> F64:
    product: F64 = np.add.reduce(coefficients * columns[:, np.newaxis], axis=-1)
    return product


def _within_limit(values: F64) -> F64:
    clipped: F64 = np.maximum(np.minimum(values, LIMIT), -LIMIT)
    return clipped
