"""The bundled prior of the online model, written by ``gapcast-trainer learning-prior``.

Three random functions that were among its columns then were removed, as
:mod:`gapcast.core.learning.online_model.removed_columns` removes columns from learned state.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from gapcast.core.learning.online_model.rls_prior import RlsPrior

#: In a wheel and in a checkout.
PRIOR_FILE = Path(__file__).resolve().parent / "learning_prior.npz"


@cache
def bundled_prior() -> RlsPrior:
    """Return the bundled prior.

    >>> bundled_prior().horizon_min
    5
    """
    return read_prior(PRIOR_FILE)


def read_prior(path: Path) -> RlsPrior:
    """Return the prior at ``path``, which :func:`write_prior` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        names = tuple(arrays["names"].tolist())
        covariance = np.zeros((len(names), len(names)), dtype=np.float32)
        upper = np.triu_indices(len(names))
        covariance[upper] = covariance[upper[::-1]] = arrays["covariance"]
        return RlsPrior(names, int(arrays["horizon_min"]), arrays["coefficients"], covariance)


def write_prior(path: Path, prior: RlsPrior) -> None:
    """Write ``prior`` to ``path``: coefficients, and the upper triangle of its covariance."""
    upper = np.triu_indices(len(prior.names))
    np.savez(
        path,
        names=np.array(prior.names),
        horizon_min=np.array(prior.horizon_min),
        coefficients=prior.coefficients.astype(np.float32),
        covariance=prior.covariance[upper].astype(np.float32),
    )
