"""The prior of the online model: regressions on the columns of many houses with equal weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gapcast.core.learning.online_model import rls_model
from gapcast.core.learning.online_model.rls_prior import RlsPrior
from gapcast.predictors.baselines import Persistence
from gapcast_trainer.prior.moments import WARM_UP_MIN, Moments

#: Number of minutes of the average house that the covariance represents.
N_MINUTES = 3_000
#: The column with the variance of a state without a prior: the value of a house's table differs most between houses.
_FREE_COLUMN = "phase"
#: Penalty of a coefficient, relative to the mean square of its column.
_RIDGE = 1e-3
#: For the median: number of passes, and the smallest error that is weighted by its inverse, in units of the scale.
_PASSES, _SMALLEST = 12, 0.1


def fit_coefficients(names: Sequence[str], houses: Sequence[Moments]) -> RlsPrior:
    """Return the prior of all columns ``names`` except the model's columns.

    The mean is a ridge regression, the median a ridge regression reweighted by the inverse errors (Schlossmacher, JASA
    68, 1973); the covariance is the one after :data:`N_MINUTES` of the average house, except for the column ``phase``.
    """
    own = np.array([i for i, name in enumerate(names) if not name.endswith(" mean")])
    squares = np.mean([one.squares / (one.n - WARM_UP_MIN) for one in houses], axis=0)[np.ix_(own, own)]
    products = np.mean([one.products / (one.n - WARM_UP_MIN) for one in houses], axis=0)[own]
    penalty = _RIDGE * np.diag(np.maximum(np.diag(squares), np.finfo(np.float32).tiny))
    mean = median = np.linalg.solve(squares + penalty, products)
    columns = np.concatenate([np.array([columns[own] for columns, _ in one.sample]) for one in houses])
    columns = columns.astype(np.float64)
    changes = np.concatenate([[change for _, change in one.sample] for one in houses])
    weights = np.concatenate([np.full(len(one.sample), 1 / len(one.sample)) for one in houses])
    for _ in range(_PASSES):
        error = np.maximum(np.abs(changes - columns @ median), _SMALLEST)
        weighted = columns * (weights / error / len(houses))[:, np.newaxis]
        median = np.linalg.solve(weighted.T @ columns + penalty, weighted.T @ changes)
    covariance = np.linalg.inv(N_MINUTES * squares + np.eye(len(own)) / rls_model.PRIOR)
    free = [names[i] for i in own].index(_FREE_COLUMN)
    covariance[free, :] = covariance[:, free] = 0.0
    covariance[free, free] = rls_model.PRIOR
    return RlsPrior(
        tuple(names[i] for i in own),
        Persistence().lead_times_min[-1],
        np.stack((mean, median)).astype(np.float32),
        covariance.astype(np.float32),
    )
