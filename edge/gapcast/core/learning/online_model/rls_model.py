"""The online model: two linear models per device, learned by recursive least squares (RLS), for mean and median.

The mean uses recursive least squares with exponential forgetting (Haykin, *Adaptive Filter Theory*, chapter 10). The
median has the same inputs and uses the same covariance: its coefficients move along the same gain, by the error clipped
to :data:`SMALL_ERROR` (Huber's score function, *Robust Statistics*, chapter 7) divided by the share of errors below
that size, which is the curvature of its loss, and multiplied by a gain that grows with the number of outcomes
(:func:`median_gain`). So both share one covariance.

The covariance is symmetric, and each pair of columns is stored once (:mod:`.packed_covariance`). The arithmetic uses
its blocks, so that the same computation applies to each row; columns are padded with zeros to a multiple of five.

The state is stored in single precision, and sums over columns are computed in double, in numpy's order of addition: the
stored digits do not depend on the machine, nor on whether numpy or the compiled step
(:mod:`gapcast.core.learning.ensemble.compiled_step`) computes them.

All values are in units of the device's scale, the mean size of its changes over the horizon that are not zero, so that
a flat and a farm learn alike; values beyond :data:`LIMIT` are clipped, so that one absurd reading has no more weight
than a large one.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.learning.online_model.packed_covariance import (
    CIRCLE,
    N_BLOCKS,
    N_STORED,
    columns_of,
    from_matrices,
    pack,
    padded,
    to_matrices,
    unpack,
)

#: The names of the arrays of a device's state.
STATE = ("coefficients", "covariance", "inside")
#: Largest value of a column and of an outcome, in units of the device's scale: an electric shower in a house that
#: hardly changes otherwise reaches a hundred. At twice this value, the covariance does not stay positive in single
#: precision.
LIMIT = 100.0
#: Variance of the coefficients before the first outcome, in units of an error's variance, in a model without a bundled
#: prior: the strength of the prior.
PRIOR = 0.002
#: Errors of the median below this size count in full, in units of the scale.
SMALL_ERROR = 0.3
#: The share of small errors is averaged over about this many outcomes, and is at least :data:`MIN_SHARE`.
_SHARE_N, _SHARE_FIRST_N, MIN_SHARE = 1_000.0, 20.0, 0.02
#: The median's gain grows from 1 to this value, halfway after this many outcomes: where power changes much, the loss
#: is flatter than the share of small errors suggests.
_MEDIAN_GAIN, _MEDIAN_GAIN_N = 8.0, 2_000.0
#: Added to all variances of a covariance that is not positive definite; doubled until it is.
_RIDGE = PRIOR / 1_000
#: Number of outcomes, about three days, between checks of a covariance: a factorization costs more than an update.
_N_CHECKED = 4_096
#: Variances are limited to :data:`PRIOR` if they exceed it by this factor: at most once in a thousand outcomes.
TOLERANCE = 1.01


def initial_state(n_columns: int, mean_column: int, median_column: int) -> dict[str, F32]:
    """Return a device's initial state by the names of :data:`STATE`.

    The ``coefficients`` ``[2, padded D]`` select these two columns. ``covariance`` is packed, and ``inside`` ``[]`` is
    the share of small errors of the median.
    """
    coefficients = np.zeros((2, padded(n_columns)), dtype=np.float32)
    coefficients[0, mean_column] = coefficients[1, median_column] = 1.0
    covariance = from_matrices(np.eye(n_columns, dtype=np.float32)[np.newaxis] * PRIOR)[0]
    return dict(zip(STATE, (coefficients, covariance, np.ones((), dtype=np.float32)), strict=True))


def predict(coefficients: F32, columns: F32) -> F64:
    """Return the expected change, mean and median ``[N, 2]``, in units of the scale, clipped to :data:`LIMIT`."""
    return _within_limit(_product(coefficients, columns), LIMIT)


def update(
    state: Mapping[str, F32], columns: F32, actual: F64, n_outcomes: F64, forgetting: float
) -> NDArray[np.bool_] | None:
    """Learn from outcomes, in place.

    ``state`` has the arrays of :data:`STATE` as in :func:`initial_state`, for N devices. ``columns`` ``[N, D]`` are the
    features when the forecast was made, ``actual`` ``[N]`` the observed change, in units of the scale, and
    ``n_outcomes`` ``[N]`` the number of outcomes before. ``forgetting`` is the factor by which an outcome's weight
    decays per outcome. Return None if all N updates are numerically sound, else which are: the others must be reset.
    """
    coefficients, covariance, inside = (state[name] for name in STATE)
    error = _within_limit(actual, LIMIT)[:, np.newaxis] - _product(coefficients, columns)
    blocks = unpack(covariance)
    direction = _times(blocks, columns)
    spread = np.add.reduce(direction * columns, axis=-1)
    sound = spread >= 0
    spread = np.maximum(spread, 0)
    noise = float(np.float32(forgetting))
    small = _within_limit(error[:, 1], SMALL_ERROR)
    inside += (share_step(n_outcomes) * ((small == error[:, 1]) - inside)).astype(np.float32)
    step = np.empty_like(error)
    step[:, 0] = error[:, 0] / (noise + spread)
    share = np.maximum(inside.astype(np.float64), MIN_SHARE)
    step[:, 1] = median_gain(n_outcomes) * small / (noise * share + spread)
    coefficients[...] = coefficients + direction[:, np.newaxis] * step[..., np.newaxis]
    _reduce(blocks, (direction / np.sqrt(noise + spread)[:, np.newaxis]).astype(np.float32))
    blocks *= 1 / np.float32(noise)
    _limit(blocks)
    covariance[...] = pack(blocks, columns_of(covariance))
    checked = (n_outcomes + 1) % _N_CHECKED == 0
    if checked.any():
        some = covariance[checked]
        restore_positive_definite(some)
        covariance[checked] = some
    return None if sound.all() else sound


def share_step(n_outcomes: F64) -> F64:
    """Return the weight of the next outcome in the share of small errors, after ``n_outcomes`` outcomes."""
    step: F64 = 1 / np.minimum(n_outcomes + _SHARE_FIRST_N, _SHARE_N)
    return step


def median_gain(n_outcomes: F64) -> F64:
    """Return the gain of the median after ``n_outcomes`` outcomes."""
    return 1 + (_MEDIAN_GAIN - 1) * n_outcomes / (n_outcomes + _MEDIAN_GAIN_N)


def restore_positive_definite(covariance: F32) -> None:
    """Increase all variances of each ``covariance`` ``[N, packed]`` that is not positive definite, in place.

    Single precision rounds each update. With many columns, or if power repeats itself exactly, the errors add up within
    a year to a direction of negative variance, which forgetting then amplifies (Haykin, chapter 12, on finite-precision
    effects).
    """
    ridge = from_matrices(np.eye(columns_of(covariance))[np.newaxis] * _RIDGE)[0]
    for i, matrix in enumerate(to_matrices(covariance).astype(np.float64)):
        added, is_finite = 0.0, np.isfinite(matrix).all()
        while is_finite and not _is_positive(matrix + np.eye(len(matrix)) * added * _RIDGE):
            added = 2 * added or 1.0
        if added:
            covariance[i] += np.float32(added) * ridge


def _is_positive(matrix: F64) -> bool:
    """Return whether ``matrix`` ``[D, D]`` is positive definite."""
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True


def _times(blocks: F32, columns: F32) -> F64:
    """Return the product of each matrix of ``blocks`` with its columns ``[N, D]``.

    It uses no matrix product, whose last digits depend on the machine.
    """
    n, _, size, _ = blocks.shape
    parts = columns.astype(np.float64).reshape(n, N_BLOCKS, size)
    product: F64 = np.add.reduce(blocks * parts[:, CIRCLE].reshape(n, N_BLOCKS, 1, -1), axis=-1)
    mirrored = np.add.reduce(blocks[..., size:] * parts[..., np.newaxis], axis=-2).reshape(n, N_BLOCKS, -1, size)
    for i in range(N_STORED - 1):
        product += mirrored[:, np.arange(-1 - i, N_BLOCKS - 1 - i), i]
    return product.reshape(n, -1)


def _reduce(blocks: F32, direction: F32) -> None:
    """Subtract the outer product of each ``direction`` ``[N, D]`` with itself from its matrix, in place."""
    n, _, size, _ = blocks.shape
    parts = direction.reshape(n, N_BLOCKS, size)
    blocks -= parts[..., np.newaxis] * parts[:, CIRCLE].reshape(n, N_BLOCKS, 1, -1)


def _limit(blocks: F32) -> None:
    """Scale columns whose variance exceeds :data:`PRIOR` back to it, in place.

    Forgetting would let the variance of a column without information (constant power, a load that the house does not
    have) grow without bound (covariance windup). Scaling rows and columns alike leaves the matrix positive definite.
    """
    n, _, size, width = blocks.shape
    variance = blocks.reshape(n, N_BLOCKS, -1)[..., :: width + 1][..., :size]
    excessive = variance > PRIOR * TOLERANCE
    if excessive.any():
        factor = np.sqrt(PRIOR / np.where(excessive, variance, PRIOR)).astype(np.float32)
        blocks *= factor[..., np.newaxis]
        blocks *= factor[:, CIRCLE].reshape(n, N_BLOCKS, 1, -1)


def _product(coefficients: F32, columns: F32) -> F64:
    product: F64 = np.add.reduce(np.multiply(coefficients, columns[:, np.newaxis], dtype=np.float64), axis=-1)
    return product


def _within_limit(values: F64, limit: float) -> F64:
    clipped: F64 = np.maximum(np.minimum(values, limit), -limit)
    return clipped
