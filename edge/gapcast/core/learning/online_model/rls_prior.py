"""The prior fitted to many houses: the coefficients and covariance that a new device's online model starts with.

The initial forecast is a mixture of the primary model's forecast and that of a linear model fitted to many houses. The
covariance is that of a device after some thousand minutes of the average house, except for the phase table's column,
which has the variance without a prior. So the first outcomes change most what differs between houses (an empirical
Bayes prior: H. Robbins 1956; for regressions D. Lindley and A. Smith, *Bayes estimates for the linear model*, JRSS B
34, 1972).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.errors import StateError
from gapcast.core.learning.online_model import packed_covariance

#: Shares in the initial forecast, of the primary model and, for mean and median, of many houses; the rest: persistence.
MODEL_SHARE = 0.5
MANY_HOUSES_SHARES = (0.5, 0.4)


@dataclass(frozen=True, slots=True)
class RlsPrior:
    """The prior of the columns ``names``, for forecasts ``horizon_min`` minutes ahead.

    ``coefficients`` ``[2, D]`` are for mean and median, ``covariance`` is ``[D, D]``. Raises
    :class:`~gapcast.core.errors.StateError` if they do not fit each other, or contain a value that is not finite.
    """

    names: tuple[str, ...]
    horizon_min: int
    coefficients: F32
    covariance: F32

    def __post_init__(self) -> None:
        """Check the shapes and values."""
        n = len(self.names)
        shapes = self.coefficients.shape, self.covariance.shape
        if shapes != ((2, n), (n, n)) or not all(np.isfinite(a).all() for a in (self.coefficients, self.covariance)):
            msg = f"the prior of {n} columns has arrays of shape {shapes[0]} and {shapes[1]}, or is not finite"
            raise StateError(msg)

    def fits(self, names: Sequence[str], horizon_min: int) -> bool:
        """Return whether a model with the columns ``names`` has all columns of the prior, and the same horizon."""
        return horizon_min == self.horizon_min and {*self.names} <= {*names}

    def apply(self, state: dict[str, F32], names: Sequence[str], horizon_min: int) -> dict[str, F32]:
        """Return the initial ``state`` of a model with the columns ``names``, changed to start from the prior.

        If the model has another horizon or lacks a column of the prior, its ``state`` is returned unchanged.
        """
        if not self.fits(names, horizon_min):
            return state
        places = np.array([names.index(name) for name in self.names])
        coefficients = state["coefficients"] * np.float32(MODEL_SHARE)
        coefficients[:, places] = self.coefficients * np.array([MANY_HOUSES_SHARES], dtype=np.float32).T
        whole = packed_covariance.to_matrices(state["covariance"][np.newaxis])
        whole[:, places[:, np.newaxis], places] = self.covariance
        return {**state, "coefficients": coefficients, "covariance": packed_covariance.from_matrices(whole)[0]}
