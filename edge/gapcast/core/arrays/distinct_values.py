"""Tests whether all values of an array are distinct.

``np.unique`` imports ``numpy.ma`` for this question, 1.1 MB of code and objects that nothing else needs.
"""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import I64


def are_distinct(values: I64) -> bool:
    """Return whether no value of ``values`` ``[N]`` occurs twice.

    >>> are_distinct(np.array([3, 1, 2])), are_distinct(np.array([3, 1, 3])), are_distinct(np.array([], np.int64))
    (True, False, True)
    """
    ordered = np.sort(values)
    return not bool((ordered[1:] == ordered[:-1]).any())
