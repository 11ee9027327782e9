"""State of many devices in columns: one row a device, taken and put back many rows at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.window import I64

#: Row 0 is that of a device of which nothing is known yet: it is read for those beyond the limit, and never written.
UNTRACKED = 0
_FIRST_ROWS = 16

#: One device, or several, each once.
RowIndex = slice | I64


class DeviceRows:
    """Arrays of one row a device. A new device's row is as the stranger's.

    A single device is taken as a view, which is in place when it changes; several are copies that
    :meth:`write_back` writes back.
    """

    def __init__(self, initial: Mapping[str, NDArray[Any]]) -> None:
        """Keep one array for each of ``initial``, which says what a device begins with: ``[*]`` gives ``[rows, *]``."""
        self._initial = {name: np.asarray(value) for name, value in initial.items()}
        self._n_rows = _FIRST_ROWS
        self.arrays = {name: np.repeat(value[np.newaxis], _FIRST_ROWS, axis=0) for name, value in self._initial.items()}

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self._n_rows

    def index(self, rows: I64) -> RowIndex:
        """Return how ``rows`` ``[N]`` are taken, and have room for them."""
        n_wanted = int(rows[0] if len(rows) == 1 else rows.max()) + 1
        if n_wanted > self._n_rows:
            self._grow(n_wanted)
        return slice(n_wanted - 1, n_wanted) if len(rows) == 1 else rows

    def write_back(self, name: str, at: RowIndex, values: NDArray[Any]) -> None:
        """Write back what was taken ``at``, where it was a copy."""
        if not isinstance(at, slice):
            self.arrays[name][at] = values

    def initial(self, name: str) -> NDArray[Any]:
        """Return what a device begins with."""
        return self._initial[name]

    def forget(self, row: int) -> None:
        """Let ``row`` be as a stranger's."""
        if row < len(self):
            self.reset(row)

    def reset(self, rows: int | I64) -> None:
        """Give ``rows``, all of which there are, the values that a device begins with."""
        for name, value in self._initial.items():
            self.arrays[name][rows] = value

    def columns(self, rows: I64, *, without: str = "") -> dict[str, NDArray[Any]]:
        """Return a copy of ``rows``, ``without`` an array that follows from the others."""
        if rows.size:
            self.index(rows)
        return {name: array[rows] for name, array in self.arrays.items() if name != without}

    def restore_columns(self, rows: I64, columns: Mapping[str, NDArray[Any]]) -> None:
        """Put what :meth:`columns` gave into ``rows``."""
        if rows.size:
            self.index(rows)
            for name, array in self.arrays.items():
                array[rows] = columns[name]

    def _grow(self, n_rows: int) -> None:
        n_rows = max(n_rows, 2 * len(self))
        for name, array in self.arrays.items():
            grown = np.empty((n_rows, *array.shape[1:]), dtype=array.dtype)
            grown[: len(array)] = array
            grown[len(array) :] = self._initial[name]
            self.arrays[name] = grown
        self._n_rows = n_rows
