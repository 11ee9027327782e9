"""State of many devices in columns: one row per device, read and written many rows at a time.

State is saved as :data:`Columns`, which are checked before any of them is restored. It may be damaged nevertheless.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_predicates import are_distinct, is_any
from gapcast.core.arrays.array_types import I64

#: State as saved: arrays by name, with one row per device.
Columns = Mapping[str, NDArray[np.generic]]
#: Row 0 holds the initial state. It is read for untracked devices, which are beyond the limit, and never written.
UNTRACKED = 0
#: Rows at first: of the initial state, and of a household's few meters.
_FIRST_ROWS = 4
#: Each further allocation is larger by this share of the rows, and at most so much of the memory is unused. The rows of
#: a growing fleet are copied seventeen times in all. Those that are extended in place grow more often: a row may have
#: tens of kilobytes.
_GROWTH, _GROWTH_IN_PLACE = 1 / 16, 1 / 64

#: References to an array that a dictionary alone has, with the argument of the function that counts them.
_IN_DICTIONARY = 2

#: The index of all entries; it makes views.
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


#: For arithmetic with state that may be damaged and overflow: the results are detected and replaced.
DAMAGED: ErrstateOptions = {"over": "ignore", "divide": "ignore", "invalid": "ignore"}


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


def grown_size(n_rows: int, n_wanted: int, *, in_place: bool = False) -> int:
    """Return the number of rows to allocate where there are ``n_rows`` and at least ``n_wanted`` are needed.

    >>> grown_size(4, 5), grown_size(1_600, 1_601), grown_size(1_600, 1_601, in_place=True)
    (5, 1700, 1625)
    """
    return max(n_wanted, int(n_rows * (1 + (_GROWTH_IN_PLACE if in_place else _GROWTH))))


def extended(arrays: dict[str, NDArray[Any]], name: str, n_rows: int) -> NDArray[Any]:
    """Remove an array from ``arrays`` and return it with ``n_rows``, which are usually more; new rows are undefined.

    It is extended by the C library, which moves a large block to other addresses without a copy (``mremap``). An array
    that has views is copied, so that these remain valid. If memory is too short, ``arrays`` stay as they are.
    """
    shape = (n_rows, *arrays[name].shape[1:])
    # numpy would check the references too, but it counts that of a tracer, such as one that measures coverage.
    if sys.getrefcount(arrays[name]) <= _IN_DICTIONARY and arrays[name].flags.owndata:
        arrays[name].resize(shape, refcheck=False)
        return arrays.pop(name)
    array = np.empty(shape, arrays[name].dtype)
    before = arrays.pop(name)
    array[: len(before)] = before[:n_rows]  # fewer, after an attempt for which memory was too short
    return array


def rounds_of(rows: I64) -> Iterator[slice | I64]:
    """Yield indices of ``rows`` ``[N]``, N >= 1, in rounds: no row twice in a round, and each row's in order."""
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
    """Return ``rows`` as a slice, if they are consecutive."""
    is_range = rows.size > 0 and bool((rows == np.arange(rows[0], rows[0] + rows.size)).all())
    return slice(int(rows[0]), int(rows[-1]) + 1) if is_range else rows


class DeviceRows:
    """Arrays with one row per device. A new device's row is the initial state.

    Indexing a single device gives a view, so that changes are in place; indexing several gives copies that
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
        """Store the values read at index ``at``, if they are a copy."""
        if not isinstance(at, slice):
            self.arrays[name][at] = values

    def initial(self, name: str) -> NDArray[Any]:
        """Return the initial state of a device for the array ``name``."""
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

        Unless ``copies``, consecutive rows are views, which later changes of the state change.
        """
        if rows.size:
            self.index(rows)
        at = rows if copies else _consecutive(rows)
        return {name: array[at] for name, array in self.arrays.items() if name != without}

    def restore_columns(self, rows: I64, columns: dict[str, NDArray[Any]], which: RowIndex | Mask = ALL) -> None:
        """Restore ``which`` of the result of :meth:`columns` into ``rows``, and remove the arrays from ``columns``.

        Each array is allocated, restored and removed before the next: the others are in memory once.
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
        """Allocate ``n_rows`` at least; if memory is too short, the rows that there are remain.

        ``arrays`` is another dictionary afterwards, also then: the arrays may be at other addresses. ``fill`` is called
        with each array as soon as it has the rows.
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
    """Return a copy of ``rows`` ``[N, *]`` with as many zeros after them, which take no memory until written to.

    An array that doubles as devices arrive copies each row about once.

    >>> doubled(np.array([1, 2])).tolist()
    [1, 2, 0, 0]
    """
    twice = np.zeros((2 * len(rows), *rows.shape[1:]), dtype=rows.dtype)
    twice[: len(rows)] = rows
    return twice


def row_index(rows: I64) -> RowIndex:
    """Return the index of ``rows`` ``[N]``: a slice if they follow each other, as those of a batch mostly do.

    A slice reads a view instead of a copy. Without rows it is an empty one.

    >>> import numpy as np
    >>> row_index(np.array([3, 4, 5])), row_index(np.array([4, 3])).tolist()
    (slice(3, 6, None), [4, 3])
    """
    n = len(rows)
    first = int(rows[0]) if n else 0
    if n > 1 and (int(rows[-1]) - first != n - 1 or is_any(rows[1:] - rows[:-1] != 1)):
        return rows
    return slice(first, first + n)
