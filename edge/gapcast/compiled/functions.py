"""Calls of the compiled library: functions by name, and the structures that they take.

The convention, also of the C files: a function takes the address of a structure and the number of items of a batch, and
returns a number. The fields of a structure are numbers, addresses of other structures, and pointers to arrays that the
caller holds. The library trusts them, so pointers are set by :func:`set_pointers` alone, which checks the arrays.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.compiled.library import load_library

#: Called with the address of a structure and a number of items.
Function = Callable[[int, int], int]


def load_function(name: str) -> Function | None:
    """Return the function ``name``; None if there is no library for this machine."""
    library = load_library()
    if library is None:
        return None
    function = library[name]
    function.argtypes, function.restype = (ctypes.c_void_p, ctypes.c_int64), ctypes.c_int64
    return function


def set_pointers(structure: ctypes.Structure, **arrays: NDArray[Any]) -> None:
    """Set fields of ``structure``, pointers by their declaration, to ``arrays``. The caller holds the arrays.

    Raises :class:`ValueError` for an array of another type, and for one that is read-only or not C-contiguous.
    """
    declared: dict[str, Any] = {field[0]: field[1] for field in structure._fields_}
    for name, array in arrays.items():
        dtype = np.dtype(declared[name]._type_)
        if array.dtype != dtype or not (array.flags.c_contiguous and array.flags.writeable):
            msg = f"{name} is not a writable C-contiguous array of {dtype}"
            raise ValueError(msg)
        setattr(structure, name, ctypes.cast(array.ctypes.data, declared[name]))
