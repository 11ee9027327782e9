"""State as columns: named arrays with a row for each device, checked before any of it is taken over."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[np.generic]]


def check_columns(columns: Columns, own: Columns, needed: tuple[str, ...]) -> int:
    """Return how many rows ``columns`` have, which are to be taken over where ``own`` are.

    Raises :class:`ValueError` where one of ``needed`` is missing, or one has another shape than its own.
    """
    for name in needed:
        if name not in columns:
            msg = f"there is no column {name!r}"
            raise ValueError(msg)
    n_rows = len(columns[needed[0]])
    for name in own.keys() & columns.keys():
        wanted = (n_rows, *own[name].shape[1:])
        if columns[name].shape != wanted:
            msg = f"column {name!r} is of shape {columns[name].shape}, not {wanted}"
            raise ValueError(msg)
    return n_rows
