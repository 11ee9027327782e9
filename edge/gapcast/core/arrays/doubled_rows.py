"""Arrays with a row per device that double as devices arrive, so that each row is copied about once."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


def doubled(rows: NDArray[Number]) -> NDArray[Number]:
    """Return a copy of ``rows`` ``[N, *]`` with as many zeros after them, which take no memory until written to.

    >>> doubled(np.array([1, 2])).tolist()
    [1, 2, 0, 0]
    """
    twice = np.zeros((2 * len(rows), *rows.shape[1:]), dtype=rows.dtype)
    twice[: len(rows)] = rows
    return twice
