"""Tests of small arrays that are cheaper than those of numpy: whether values are distinct, and flags any or all set.

``np.unique`` imports ``numpy.ma``, 1.1 MB of code and objects that nothing else needs. The tests of flags take a tenth
of the time of numpy's reductions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import I64


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
