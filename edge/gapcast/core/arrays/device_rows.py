"""State of many devices in columns: one row per device, read and written many rows at a time.

State is saved as :data:`Columns`, which are checked before any column is restored. It may be damaged nevertheless.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_predicates import are_distinct, is_any
from gapcast.core.arrays.array_types import I64
from gapcast.core.arrays.resized_arrays import extended, grown_size, move_rows

#: Saved state: arrays by name, with one row per device.
Columns = Mapping[str, NDArray[np.generic]]
#: Row 0 holds the initial state. It is read for untracked devices, those beyond the limit, and never written.
UNTRACKED = 0
#: Initial number of rows: the initial state, and the few meters of a household.
_FIRST_ROWS = 4

#: The index of all entries; it gives views.
ALL = slice(None)

#: Index of one device, or of several distinct ones.
RowIndex = slice | I64
#: One truth value per row.
Mask = NDArray[np.bool_]


class ErrstateOptions(TypedDict):
    """Options of :func:`numpy.errstate`."""

    over: Literal["ignore"]
    divide: Literal["ignore"]
    invalid: Literal["ignore"]


#: For arithmetic with state that may be damaged and overflow: bad results are detected and replaced.
DAMAGED: ErrstateOptions = {"over": "ignore", "divide": "ignore", "invalid": "ignore"}


def check_columns(columns: Columns, own: Columns, needed: tuple[str, ...]) -> int:
    """Return the number of rows of ``columns``, which are restored into ``own``.

    Raises :class:`ValueError` if a column of ``needed`` is missing, or if a column has another shape than in ``own``.
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


def rounds_of(rows: I64) -> Iterator[slice | I64]:
    """Yield indices of ``rows`` ``[N]``, N >= 1, in rounds: no row occurs twice in a round, and each stays in order."""
    n = len(rows)
    if n == 1 or are_distinct(rows):
        yield ALL
    elif rows.min() == rows.max():
        for i in range(n):
            yield slice(i, i + 1)
    else:
        n_before: dict[int, int] = {}
        nth = np.empty(n, dtype=np.int64)
        for i, row in enumerate(rows.tolist()):
            nth[i] = n_before.get(row, 0)
            n_before[row] = nth[i] + 1
        for round_number in range(int(nth.max()) + 1):
            yield np.flatnonzero(nth == round_number)


class DeviceRows:
    """Arrays with one row per device. The row of a new device is the initial state.

    Indexing a single device gives a view, so that changes are in place; indexing several devices gives copies, which
    :meth:`write_back` stores.
    """

    def __init__(self, initial: Mapping[str, NDArray[Any]], n_rows: int = _FIRST_ROWS) -> None:
        """Create one array ``[rows, *]`` for each array ``[*]`` of ``initial``, the initial state of a device."""
        self._initial = {name: np.asarray(value) for name, value in initial.items()}
        self._n_rows = n_rows
        self.arrays = {name: np.repeat(value[np.newaxis], n_rows, axis=0) for name, value in self._initial.items()}

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._n_rows

    def index(self, rows: I64) -> RowIndex:
        """Return the index for ``rows`` ``[N]``; allocate the rows if needed."""
        n_wanted = int(rows[0] if len(rows) == 1 else rows.max()) + 1
        if n_wanted > self._n_rows:
            self.grow(n_wanted)
        return slice(n_wanted - 1, n_wanted) if len(rows) == 1 else rows

    def write_back(self, name: str, at: RowIndex, values: NDArray[Any]) -> None:
        """Store ``values``, read at index ``at``, if they are a copy."""
        if not isinstance(at, slice):
            self.arrays[name][at] = values

    def initial(self, name: str) -> NDArray[Any]:
        """Return the initial state of a device in the array ``name``."""
        return self._initial[name]

    def forget(self, row: int) -> None:
        """Reset ``row`` to the initial state, if it is allocated."""
        if row < len(self):
            self.reset(row)

    def reset(self, rows: int | I64) -> None:
        """Reset ``rows``, all allocated, to the initial state."""
        for name, value in self._initial.items():
            self.arrays[name][rows] = value

    def columns(self, rows: I64, *, without: str = "", copies: bool = True) -> dict[str, NDArray[Any]]:
        """Return a copy of ``rows``, ``without`` an array that is derived from the others.

        Unless ``copies``, consecutive rows are views of the state, and change with it.
        """
        if rows.size:
            self.index(rows)
        at = rows if copies else row_index(rows)
        return {name: array[at] for name, array in self.arrays.items() if name != without}

    def tracked_columns(self, rows: I64, max_rows: int, *, copies: bool = True) -> dict[str, NDArray[Any]]:
        """Return :meth:`columns` of ``rows``; rows from ``max_rows`` on, and rows not allocated, equal new ones."""
        unknown = rows >= min(len(self), max_rows)
        if not unknown.any():
            return self.columns(rows, copies=copies)
        columns = self.columns(np.where(unknown, 0, rows))
        for name, column in columns.items():
            column[unknown] = self._initial[name]
        return columns

    def restore_columns(self, rows: I64, columns: dict[str, NDArray[Any]], which: RowIndex | Mask = ALL) -> None:
        """Restore ``which`` of the result of :meth:`columns` into ``rows``, and remove the arrays from ``columns``.

        Each array is allocated, restored and removed before the next one, and block by block if ``columns`` alone holds
        it, so that all are in memory once.
        """
        if not rows.size:
            return
        n_rows = n_before = len(self)
        if (n_wanted := int(rows.max()) + 1) > n_before:
            n_rows = grown_size(n_before, n_wanted)
        is_initial = np.arange(n_rows) >= n_before
        is_initial[rows] = False
        before, restored = self.arrays, dict[str, NDArray[Any]]()
        try:
            for name in [*before]:
                array = before[name]
                if n_rows > n_before:
                    array = np.empty((n_rows, *array.shape[1:]), array.dtype)  # takes memory as rows are written
                    array[:n_before], array[is_initial] = before[name][:n_before], self._initial[name]
                if which is ALL:
                    move_rows(array, rows, columns, name)
                else:
                    array[rows] = columns.pop(name)[which]
                del before[name]
                restored[name] = array
        finally:
            self.arrays = restored | before
        self._n_rows = n_rows

    def grow(self, n_rows: int) -> None:
        """Allocate at least ``n_rows``; if memory is too short, the existing rows remain.

        If arrays may be at other addresses afterwards, also after a failure, ``arrays`` is a new dictionary.
        """
        if n_rows <= len(self):
            return
        n_rows, n_before, before = grown_size(len(self), n_rows), len(self), self.arrays
        grown: dict[str, NDArray[Any]] = {}
        try:
            for name in [*before]:
                grown[name] = extended(before, name, n_rows)
                grown[name][n_before:] = self._initial[name]
        finally:
            self.arrays = grown | before
        self._n_rows = n_rows


def row_index(rows: I64) -> RowIndex:
    """Return the index of ``rows`` ``[N]``: a slice if they are consecutive, as they mostly are in a batch.

    A slice reads a view instead of a copy. The index of no rows is an empty slice.

    >>> import numpy as np
    >>> row_index(np.array([3, 4, 5])), row_index(np.array([4, 3])).tolist()
    (slice(3, 6, None), [4, 3])
    """
    n = len(rows)
    first = int(rows[0]) if n else 0
    if n > 1 and (int(rows[-1]) - first != n - 1 or is_any(rows[1:] - rows[:-1] != 1)):
        return rows
    return slice(first, first + n)
