"""Tests of arrays that are cheaper than those of numpy: distinct values, flags any or all set, values within a range.

``np.unique`` imports ``numpy.ma``, 1.1 MB of code and objects that nothing else needs. The tests of flags take a tenth
of the time of numpy's reductions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import I64, Flags

#: Number of values that are compared at once: the comparison takes two to four bytes of memory for each.
_BLOCK_VALUES = 1 << 16


def are_distinct(values: I64) -> bool:
    """Return whether no value of ``values`` ``[N]`` occurs twice.

    >>> are_distinct(np.array([3, 1, 2])), are_distinct(np.array([3, 1, 3])), are_distinct(np.array([], np.int64))
    (True, False, True)
    """
    ordered = np.sort(values)
    return not bool((ordered[1:] == ordered[:-1]).any())


def is_any(flags: NDArray[np.bool_]) -> bool:
    """Return whether any of ``flags``, of any shape, is set.

    >>> is_any(np.array([[False, True]])), is_any(np.array([False])), is_any(np.zeros(0, dtype=np.bool_))
    (True, False, False)
    """
    return b"\1" in flags.tobytes()


def is_every(flags: NDArray[np.bool_]) -> bool:
    """Return whether all of ``flags``, of any shape, are set.

    >>> is_every(np.array([[False, True]])), is_every(np.array([True])), is_every(np.zeros(0, dtype=np.bool_))
    (False, True, True)
    """
    return b"\0" not in flags.tobytes()


def are_rows_within(values: NDArray[Any], low: float, high: float, *, allows_nan: bool = False) -> Flags:
    """Return for each row of ``values`` ``[N, *]`` whether all of it is within the range; text never is.

    >>> are_rows_within(np.array([[1.0, 2.0], [1.0, np.nan]]), 0, 2).tolist(), are_rows_within(np.array(["1"]), 0, 2)
    ([True, False], array([False]))
    """
    if values.dtype.kind not in "fiu":
        return np.zeros(len(values), dtype=np.bool_)
    result = np.ones(len(values), dtype=np.bool_)
    n_rows = max(1, _BLOCK_VALUES // max(1, math.prod(values.shape[1:])))
    for first in range(0, len(values), n_rows):
        block = values[first : first + n_rows]
        # As float64, because a float32 cannot hold every limit.
        inside: Any = (block >= np.float64(low)) & (block <= np.float64(high))
        if allows_nan:
            inside = np.asarray(inside | np.isnan(block))
        result[first : first + n_rows] = inside.all(axis=tuple(range(1, values.ndim)))
    return result
