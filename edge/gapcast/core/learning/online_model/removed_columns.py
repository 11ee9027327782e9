"""Removes columns from learned coefficients, as if they had never existed.

Least squares without some columns is least squares with their coefficients fixed at zero: the other coefficients take
over the effect of the removed ones as far as the columns are correlated (conditioning of a normal distribution; C.
Bishop, *Pattern recognition and machine learning*, section 2.3.1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32

Places = NDArray[np.int64]
#: Directions of the removed columns whose variance is below this part of the largest carry no information.
_TOLERANCE = 1e-9


def without_columns(coefficients: F32, covariance: F32, kept: Places) -> tuple[F32, F32]:
    """Return coefficients ``[N, C, K]`` and covariances ``[N, K, K]`` of the columns ``kept`` ``[K]``.

    ``coefficients`` are ``[N, C, D]`` (kW per kW, or per 1), ``covariance`` ``[N, D, D]``. If a device's values, such
    as damaged ones, cannot be conditioned, the values of its columns stay unchanged.
    """
    removed = np.setdiff1d(np.arange(covariance.shape[-1]), kept)
    new_coefficients, new_covariance = coefficients[..., kept].copy(), covariance[:, kept[:, np.newaxis], kept]
    if not removed.size:
        return new_coefficients, new_covariance
    whole, values = covariance.astype(np.float64), coefficients.astype(np.float64)
    between = whole[:, kept[:, np.newaxis], removed]
    inverse = np.linalg.pinv(whole[:, removed[:, np.newaxis], removed], rcond=_TOLERANCE, hermitian=True)
    share = between @ inverse
    with np.errstate(over="ignore", invalid="ignore"):
        own = (values[..., kept] - values[..., removed] @ share.swapaxes(1, 2)).astype(np.float32)
        spread = whole[:, kept[:, np.newaxis], kept] - share @ between.swapaxes(1, 2)
        spread = ((spread + spread.swapaxes(1, 2)) / 2).astype(np.float32)
    sound = np.isfinite(own).all((1, 2)) & np.isfinite(spread).all((1, 2))
    sound &= (np.diagonal(spread, axis1=1, axis2=2) >= 0).all(1)
    new_coefficients[sound], new_covariance[sound] = own[sound], spread[sound]
    return new_coefficients, new_covariance
