"""The stored form of the online model's covariances: each pair of columns once.

A symmetric matrix of D columns is divided into 5 x 5 blocks of ``[b, b]``, padded with zeros to a multiple of five. Row
I of ``[5, b, 3 b]`` holds the blocks I to I + 2, counted in a circle: each pair of different blocks once, so that the
same computation applies to every row. :mod:`.rls_model` computes with these *blocks*. The *packed* form stores, row by
row, their values that are not padding, and only the upper triangle of the blocks on the diagonal: D (D + 1) / 2
numbers.
"""

from __future__ import annotations

from functools import lru_cache
from math import isqrt, prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32

#: Number of blocks in a row of the matrix, and in a row of the blocks.
N_BLOCKS, N_STORED = 5, 3
#: The block columns that each row of blocks holds.
CIRCLE = (np.arange(N_BLOCKS)[:, np.newaxis] + np.arange(N_STORED)) % N_BLOCKS


class _Places(NamedTuple):
    """Flat indices into blocks ``[5, b, 3 b]``: of the packed values, and of the lower triangles and their mirrors."""

    packed: NDArray[np.intp]
    lower: NDArray[np.intp]
    upper: NDArray[np.intp]


def padded(n_columns: int) -> int:
    """Return the number of columns with padding.

    >>> padded(78)
    80
    """
    return -(-n_columns // N_BLOCKS) * N_BLOCKS


def columns_of(packed: NDArray[np.floating]) -> int:
    """Return the number of columns of ``packed`` ``[N, D (D + 1) / 2]``."""
    return (isqrt(8 * packed.shape[1] + 1) - 1) // 2


@lru_cache(maxsize=8)
def _places_of(n_columns: int) -> _Places:
    size = padded(n_columns) // N_BLOCKS
    block, row, stored, column = np.indices((N_BLOCKS, size, N_STORED, size))
    is_own, is_upper = stored == 0, column >= row
    is_value = (block * size + row < n_columns) & ((block + stored) % N_BLOCKS * size + column < n_columns)
    packed = np.flatnonzero(is_value & (~is_own | is_upper))
    lower = np.flatnonzero(is_value & is_own & ~is_upper)
    blocks, rows, columns = (a.reshape(-1)[lower] for a in (block, row, column))
    return _Places(packed, lower, (blocks * size + columns) * N_STORED * size + rows)


def packed_size(n_columns: int) -> int:
    """Return the number of packed values of a matrix.

    >>> packed_size(78)
    3081
    """
    return n_columns * (n_columns + 1) // 2


def blocks_shape(n_columns: int) -> tuple[int, int, int]:
    """Return the shape of the blocks of a matrix.

    >>> blocks_shape(78)
    (5, 16, 48)
    """
    size = padded(n_columns) // N_BLOCKS
    return N_BLOCKS, size, N_STORED * size


def pack(blocks: F32, n_columns: int) -> F32:
    """Return ``blocks`` ``[N, 5, b, 3 b]`` of matrices of ``n_columns`` in packed form."""
    return np.take(blocks.reshape(len(blocks), prod(blocks.shape[1:])), _places_of(n_columns).packed, axis=1)


def unpack(packed: F32) -> F32:
    """Return ``packed`` ``[N, D (D + 1) / 2]`` in blocks ``[N, 5, b, 3 b]``."""
    n, n_columns = len(packed), columns_of(packed)
    size, places = padded(n_columns) // N_BLOCKS, _places_of(n_columns)
    blocks = np.zeros((n, N_BLOCKS * size * N_STORED * size), dtype=np.float32)
    blocks[:, places.packed] = packed
    blocks[:, places.lower] = blocks[:, places.upper]
    return blocks.reshape(n, N_BLOCKS, size, N_STORED * size)


def from_matrices(matrices: NDArray[np.floating]) -> F32:
    """Return symmetric ``matrices`` ``[N, D, D]`` in packed form."""
    n, n_columns = matrices.shape[:2]
    size = padded(n_columns) // N_BLOCKS
    whole = np.zeros((n, size * N_BLOCKS, size * N_BLOCKS), dtype=np.float32)
    whole[:, :n_columns, :n_columns] = matrices
    blocks = whole.reshape(n, N_BLOCKS, size, N_BLOCKS, size)
    stored = np.empty((n, N_BLOCKS, size, N_STORED, size), dtype=np.float32)
    for row, places in enumerate(CIRCLE):
        stored[:, row] = blocks[:, row][:, :, places]
    return pack(stored, n_columns)


def to_matrices(packed: F32) -> F32:
    """Return the symmetric matrices ``[N, D, D]`` of ``packed`` ``[N, D (D + 1) / 2]``."""
    n_columns, blocks = columns_of(packed), unpack(packed)
    n, _, size, _ = blocks.shape
    stored = blocks.reshape(n, N_BLOCKS, size, N_STORED, size)
    whole = np.empty((n, N_BLOCKS, size, N_BLOCKS, size), dtype=np.float32)
    for row, places in enumerate(CIRCLE):
        for i, place in enumerate(places.tolist()):
            whole[:, row, :, place] = stored[:, row, :, i]
            whole[:, place, :, row] = stored[:, row, :, i].transpose(0, 2, 1)
    return whole.reshape(n, N_BLOCKS * size, N_BLOCKS * size)[:, :n_columns, :n_columns]
