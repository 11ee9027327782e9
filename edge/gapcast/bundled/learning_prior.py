"""The bundled prior of the learning state, written by ``gapcast-trainer learning-prior``."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gapcast.core.learning.ensemble.learning_prior import TABLES, LearningPrior
from gapcast.core.learning.online_model.rls_prior import RlsPrior

#: Both in a wheel and in a checkout.
PRIOR_FILE = Path(__file__).resolve().parent / "learning_prior.npz"


@cache
def bundled_prior() -> LearningPrior:
    """Return the bundled prior.

    >>> bundled_prior().rls.horizon_min
    5
    """
    return read_prior(PRIOR_FILE)


def read_prior(path: Path) -> LearningPrior:
    """Return the prior at ``path``, with the content of :func:`encode_prior`."""
    with np.load(path, allow_pickle=False) as arrays:
        names = tuple(arrays["names"].tolist())
        covariance = np.zeros((len(names), len(names)), dtype=np.float32)
        upper = np.triu_indices(len(names))
        covariance[upper] = covariance[upper[::-1]] = arrays["covariance"]
        rls = RlsPrior(names, int(arrays["horizon_min"]), arrays["coefficients"], covariance)
        return LearningPrior(rls, {name: arrays[name] for name in TABLES})


def encode_prior(prior: LearningPrior) -> bytes:
    """Return the file of ``prior``: the tables, the coefficients, and the upper triangle of their covariance."""
    rls = prior.rls
    upper = np.triu_indices(len(rls.names))
    arrays: dict[str, Any] = {
        "names": np.array(rls.names),
        "horizon_min": np.array(rls.horizon_min),
        "coefficients": rls.coefficients.astype(np.float32),
        "covariance": rls.covariance[upper].astype(np.float32),
        **{name: table.astype(np.float32) for name, table in prior.tables.items()},
    }
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    return packed.getvalue()
