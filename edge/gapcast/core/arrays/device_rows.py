"""State of many devices in columns: one row per device, read and written many rows at a time.

State is saved as :data:`Columns`, which are checked before any column is restored. It may be damaged nevertheless.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_predicates import are_distinct, is_any
from gapcast.core.arrays.array_types import I64

#: Saved state: arrays by name, with one row per device.
Columns = Mapping[str, NDArray[np.generic]]
#: Row 0 holds the initial state. It is read for untracked devices, those beyond the limit, and never written.
UNTRACKED = 0
#: Initial number of rows: the initial state, and the few meters of a household.
_FIRST_ROWS = 4
#: Each further allocation adds this share of the rows, so that at most this share of the memory is unused. The rows of
#: a growing fleet are copied seventeen times in all. Arrays that are extended in place grow more often: a row may have
#: tens of kilobytes.
_GROWTH, _GROWTH_IN_PLACE = 1 / 16, 1 / 64

#: Reference count of an array that only a dictionary holds, including the argument of the function that counts.
_IN_DICTIONARY = 2

#: The index of all entries; it gives views.
ALL = slice(None)

#: Index of one device, or of several distinct ones.
RowIndex = slice | I64
#: One truth value per row.
Mask = NDArray[np.bool_]

Number = TypeVar("Number", bound=np.generic)


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


def grown_size(n_rows: int, n_wanted: int, *, in_place: bool = False) -> int:
    """Return the number of rows to allocate if there are ``n_rows`` and at least ``n_wanted`` are needed.

    >>> grown_size(4, 5), grown_size(1_600, 1_601), grown_size(1_600, 1_601, in_place=True)
    (5, 1700, 1625)
    """
    return max(n_wanted, int(n_rows * (1 + (_GROWTH_IN_PLACE if in_place else _GROWTH))))


def extended(arrays: dict[str, NDArray[Any]], name: str, n_rows: int) -> NDArray[Any]:
    """Remove the array ``name`` from ``arrays`` and return it with ``n_rows``, usually more; new rows are undefined.

    The C library extends it, and moves a large block to other addresses without a copy (``mremap``). An array with
    views is copied, so that the views remain valid. If memory is too short, ``arrays`` stay unchanged.
    """
    shape = (n_rows, *arrays[name].shape[1:])
    # numpy would check the references too, but it counts the reference of a tracer, such as a coverage tool.
    if sys.getrefcount(arrays[name]) <= _IN_DICTIONARY and arrays[name].flags.owndata:
        arrays[name].resize(shape, refcheck=False)
        return arrays.pop(name)
    array = np.empty(shape, arrays[name].dtype)
    before = arrays.pop(name)
    array[: len(before)] = before[:n_rows]  # fewer rows after an attempt for which memory was too short
    return array


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


def _consecutive(rows: I64) -> RowIndex:
    """Return ``rows`` as a slice if they are consecutive."""
    is_range = rows.size > 0 and bool((rows == np.arange(rows[0], rows[0] + rows.size)).all())
    return slice(int(rows[0]), int(rows[-1]) + 1) if is_range else rows


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
            self._grow(n_wanted)
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
        at = rows if copies else _consecutive(rows)
        return {name: array[at] for name, array in self.arrays.items() if name != without}

    def restore_columns(self, rows: I64, columns: dict[str, NDArray[Any]], which: RowIndex | Mask = ALL) -> None:
        """Restore ``which`` of the result of :meth:`columns` into ``rows``, and remove the arrays from ``columns``.

        Each array is allocated, restored and removed before the next one, so that the others are in memory once.
        """

        def restore(name: str, array: NDArray[Any]) -> None:
            array[rows] = columns.pop(name)[which]

        if not rows.size:
            return
        n_wanted = int(rows.max()) + 1
        if n_wanted > self._n_rows:
            self._grow(n_wanted, restore)
        else:
            for name, array in self.arrays.items():
                restore(name, array)

    def _grow(self, n_rows: int, fill: Callable[[str, NDArray[Any]], None] | None = None) -> None:
        """Allocate at least ``n_rows``; if memory is too short, the existing rows remain.

        ``arrays`` is a new dictionary afterwards, also after a failure, because arrays may be at other addresses.
        ``fill`` is called with each array as soon as it has the rows.
        """
        n_rows, n_before, before = grown_size(len(self), n_rows, in_place=True), len(self), self.arrays
        grown: dict[str, NDArray[Any]] = {}
        try:
            for name in [*before]:
                grown[name] = extended(before, name, n_rows)
                grown[name][n_before:] = self._initial[name]
                if fill is not None:
                    fill(name, grown[name])
        finally:
            self.arrays = grown | before
        self._n_rows = n_rows


def doubled(rows: NDArray[Number]) -> NDArray[Number]:
    """Return a copy of ``rows`` ``[N, *]`` followed by N rows of zeros, which take no memory until written to.

    An array that doubles as devices arrive copies each row about once.

    >>> doubled(np.array([1, 2])).tolist()
    [1, 2, 0, 0]
    """
    twice = np.zeros((2 * len(rows), *rows.shape[1:]), dtype=rows.dtype)
    twice[: len(rows)] = rows
    return twice


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
