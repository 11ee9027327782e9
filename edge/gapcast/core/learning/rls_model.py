"""The expert that learns the house: two linear models of each device, learnt online, one for each thing told.

The mean by recursive least squares with exponential forgetting (Haykin, *Adaptive Filter Theory*, chapter 10). The
median by the same recursion with each error weighted by the inverse of its size: iteratively reweighted least
squares (Schlossmacher, JASA 68, 1973), taken online. Both begin as the model that speaks, word for word, and move
away from it as the house gives them reason: the prior is a ridge around that model, not around nothing.

All is in units of the device's own scale, the mean size of its change over the horizon, so that a flat and a farm
learn alike; what is beyond :data:`LIMIT` of them is cut there, so that one absurd reading weighs as a large one does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapcast.core.learning.outcomes import F64

#: Largest value of a column and of an outcome, in units of the device's scale.
LIMIT = 50.0
#: Variance of the coefficients before the first outcome, in units of an error's variance: how firm the start is.
PRIOR = 0.002
#: Below this, in units of the scale, an error's inverse does not grow further.
_SMALLEST_ERROR = 0.3
#: Forgetting stops while the recursion is less certain than this many priors: a house that stands still teaches
#: nothing, and would let the covariance grow until it bursts.
_MAX_PRIORS = 10.0


def initial_state(n_columns: int, mean_column: int, median_column: int) -> tuple[F64, F64]:
    """Return what a device begins with: coefficients ``[2, D]`` and their covariance ``[2, D, D]``."""
    coefficients = np.zeros((2, n_columns))
    coefficients[0, mean_column] = coefficients[1, median_column] = 1.0
    return coefficients, np.stack([np.eye(n_columns) * PRIOR] * 2)


def predict(coefficients: F64, columns: F64) -> F64:
    """Return the expected change, mean and median ``[N, 2]``, in units of the scale, within what is learnt."""
    return _within_limit(_product(coefficients, columns))


def update(
    coefficients: F64, covariance: F64, columns: F64, actual: F64, forgetting: float
) -> NDArray[np.bool_] | None:
    """Learn in place from what came.

    ``coefficients`` is ``[N, 2, D]``, ``covariance`` ``[N, 2, D, D]``, ``columns`` ``[N, D]`` as they were when the
    forecast was made, and ``actual`` ``[N]`` the change that came, in units of the scale. ``forgetting`` is the weight
    that an outcome keeps from one to the next. Return None where all went well, else which of N did: the others'
    arithmetic broke down, and they are to begin anew.
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
    within: F64 = np.maximum(np.minimum(values, LIMIT), -LIMIT)
    return within
