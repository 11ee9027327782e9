"""A logistic regression of exceedances per device, learned online from a prior of all houses.

Each outcome is a Newton step with the information matrix of all outcomes so far, which is the Laplace approximation of
the posterior (D. J. Spiegelhalter and S. L. Lauritzen's sequential update, 1990; the extended Kalman filter of a
logistic observation). The weight of old outcomes decays towards the prior, so that the model follows a house that
changes.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.demand.distributions.exceedance_features import WIDTH

#: The prior: the model's own log-odds, less confident in the tails. The mean over six houses, rounded; else 0.
PRIOR: Final = np.concatenate(([-0.1, 0.9, 0.6, 0.75], np.zeros(WIDTH - 4)))
#: Prior information of each coefficient: about as many outcomes at even odds, times four.
_PRIOR_INFORMATION: Final = 15.0
#: Decay factor of earlier outcomes' information at each outcome: it halves in 69,000 windows, two years.
_KEPT: Final = 1.0 - 1e-5
#: Factor of the diagonal when equations are solved, so that a damaged matrix can be solved, too.
_MARGIN: Final = 1.0 + 1e-7
#: Largest absolute coefficient, and largest absolute log-odds.
_MOST_COEFFICIENT, _MOST_LOG_ODDS = 20.0, 30.0
_UPPER = np.triu_indices(WIDTH)
_DIAGONAL = np.arange(WIDTH)


def initial_information() -> F32:
    """Return the prior's information matrix as its upper triangle ``[D (D + 1) / 2]``."""
    return np.diag(np.full(WIDTH, _PRIOR_INFORMATION, dtype=np.float32))[_UPPER]


def update(coefficients: F64, information: F32, features: F32, exceeded: F64, weights: F64) -> None:
    """Learn from N outcomes at M limits each, in place.

    ``coefficients`` are ``[N, D]``, ``information`` ``[N, D (D + 1) / 2]``, ``features`` ``[N, M, D]``. ``exceeded``
    ``[N, M]`` is 1 for a limit that was exceeded, else 0; ``weights`` ``[N, M]`` are the weights of the outcomes.
    """
    inputs = features.astype(np.float64)
    log_odds = (inputs @ coefficients[:, :, np.newaxis])[..., 0]
    p = 1.0 / (1.0 + np.exp(-np.minimum(np.maximum(log_odds, -_MOST_LOG_ODDS), _MOST_LOG_ODDS)))
    matrix = np.empty((len(inputs), WIDTH, WIDTH))
    matrix[:, _UPPER[0], _UPPER[1]] = matrix[:, _UPPER[1], _UPPER[0]] = information
    across = inputs.transpose(0, 2, 1)
    matrix *= _KEPT
    matrix += across @ (inputs * (weights * p * (1.0 - p))[..., np.newaxis])
    matrix[:, _DIAGONAL, _DIAGONAL] += (1.0 - _KEPT) * _PRIOR_INFORMATION
    slope = (across @ (weights * (exceeded - p))[..., np.newaxis])[..., 0]
    slope += (1.0 - _KEPT) * _PRIOR_INFORMATION * (PRIOR - coefficients)
    information[:] = matrix[:, _UPPER[0], _UPPER[1]]
    matrix[:, _DIAGONAL, _DIAGONAL] *= _MARGIN
    step = np.linalg.solve(matrix, slope[..., np.newaxis])[..., 0]
    coefficients[:] = np.minimum(np.maximum(coefficients + step, -_MOST_COEFFICIENT), _MOST_COEFFICIENT)
