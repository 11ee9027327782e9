"""State as columns: named arrays with one row per device, checked before any of them is restored."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[np.generic]]


def check_columns(columns: Columns, own: Columns, needed: tuple[str, ...]) -> int:
    """Return the number of rows of ``columns``, which are to be restored into ``own``.

    Raises :class:`ValueError` if one of ``needed`` is missing, or a column does not have the shape of its own.
    """
    for name in needed:
        if name not in columns:
            msg = f"column {name!r} is missing"
            raise ValueError(msg)
    n_rows = len(columns[needed[0]])
    for name in own.keys() & columns.keys():
        wanted = (n_rows, *own[name].shape[1:])
        if columns[name].shape != wanted:
            msg = f"column {name!r} is of shape {columns[name].shape}, not {wanted}"
            raise ValueError(msg)
    return n_rows
