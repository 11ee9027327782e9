"""Arrays with one row per device that are resized, in place if possible, so that they are in memory once."""

from __future__ import annotations

import sys
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import I64

#: Each further allocation adds this share of the rows, so that at most this share of the memory is unused: a row may
#: have tens of kilobytes.
_GROWTH = 1 / 64
#: Number of rows that are moved at once.
_BLOCK_ROWS = 64
#: Reference count of an array that only a dictionary holds, including the argument of the function that counts.
_IN_DICTIONARY = 2

Number = TypeVar("Number", bound=np.generic)


def grown_size(n_rows: int, n_wanted: int) -> int:
    """Return the number of rows to allocate if there are ``n_rows`` and at least ``n_wanted`` are needed.

    >>> grown_size(4, 5), grown_size(1_600, 1_601)
    (5, 1625)
    """
    return max(n_wanted, int(n_rows * (1 + _GROWTH)))


def extended(arrays: dict[str, NDArray[Any]], name: str, n_rows: int) -> NDArray[Any]:
    """Remove the array ``name`` from ``arrays`` and return it with ``n_rows``, usually more; new rows are undefined.

    The C library extends it, and moves a large block to other addresses without a copy (``mremap``). An array with
    views is copied, so that the views remain valid. If memory is too short, ``arrays`` stay unchanged.
    """
    shape = (n_rows, *arrays[name].shape[1:])
    if _is_resizable(arrays, name):
        arrays[name].resize(shape, refcheck=False)
        return arrays.pop(name)
    array = np.empty(shape, arrays[name].dtype)
    before = arrays.pop(name)
    array[: len(before)] = before[:n_rows]  # fewer rows after an attempt for which memory was too short
    return array


def _is_resizable(arrays: dict[str, NDArray[Any]], name: str) -> bool:
    """Return whether only ``arrays`` refers to the array ``name``, which has no views.

    numpy would check the references too, but it counts the reference of a tracer, such as a coverage tool.
    """
    is_sole = sys.getrefcount(arrays[name]) <= _IN_DICTIONARY
    return is_sole and arrays[name].flags.owndata and arrays[name].flags.c_contiguous


def move_rows(array: NDArray[Any], rows: I64, columns: dict[str, NDArray[Any]], name: str) -> None:
    """Move the array ``name`` of ``columns`` to ``rows`` of ``array``; each block is released before the next one."""
    n = len(rows)
    if _is_resizable(columns, name):
        while n > _BLOCK_ROWS:
            first = n - _BLOCK_ROWS
            array[rows[first:n]] = columns[name][first:]
            columns[name].resize((first, *columns[name].shape[1:]), refcheck=False)
            n = first
    array[rows[:n]] = columns.pop(name)


def doubled(rows: NDArray[Number]) -> NDArray[Number]:
    """Return a copy of ``rows`` ``[N, *]`` followed by N rows of zeros, which take no memory until written to.

    An array that doubles as devices arrive copies each row about once.

    >>> doubled(np.array([1, 2])).tolist()
    [1, 2, 0, 0]
    """
    twice = np.zeros((2 * len(rows), *rows.shape[1:]), dtype=rows.dtype)
    twice[: len(rows)] = rows
    return twice
