"""Indices of rows that read views instead of copies where the rows allow it."""

from __future__ import annotations

from gapcast.core.arrays.array_types import I64
from gapcast.core.arrays.device_rows import RowIndex
from gapcast.core.arrays.flags import is_any


def row_index(rows: I64) -> RowIndex:
    """Return the index of ``rows`` ``[N]``: a slice if they follow each other, as those of a batch mostly do.

    Without rows it is an empty slice.

    >>> import numpy as np
    >>> row_index(np.array([3, 4, 5])), row_index(np.array([4, 3])).tolist()
    (slice(3, 6, None), [4, 3])
    """
    n = len(rows)
    first = int(rows[0]) if n else 0
    if n > 1 and (int(rows[-1]) - first != n - 1 or is_any(rows[1:] - rows[:-1] != 1)):
        return rows
    return slice(first, first + n)
