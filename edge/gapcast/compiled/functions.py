"""Calls of the compiled library: functions by name, and their argument structures.

The convention, shared with the C files: a function takes the address of a structure and the number of items of a batch,
and returns a number. The fields of a structure are numbers, addresses of other structures, and pointers to arrays that
the caller holds. The library does not check them, so only :func:`set_pointers`, which checks the arrays, sets
pointers.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.compiled.library import load_library

#: Called with the address of a structure and the number of items.
Function = Callable[[int, int], int]
#: Fields of structures that point to an array, by item type.
POINTERS: dict[str, Any] = {
    "f4": ctypes.POINTER(ctypes.c_float),
    "f8": ctypes.POINTER(ctypes.c_double),
    "i2": ctypes.POINTER(ctypes.c_int16),
    "i4": ctypes.POINTER(ctypes.c_int32),
    "i8": ctypes.POINTER(ctypes.c_int64),
    "u1": ctypes.POINTER(ctypes.c_uint8),
}
#: Arrays of a batch: item type, and shape of one item, in numbers and names of fields of the structure.
BatchArrays = Mapping[str, tuple[str, tuple[int | str, ...]]]


def load_function(name: str) -> Function | None:
    """Return the function ``name``; None if there is no library for this machine."""
    library = load_library()
    if library is None:
        return None
    function = library[name]
    function.argtypes, function.restype = (ctypes.c_void_p, ctypes.c_int64), ctypes.c_int64
    return function


def byte_array(content: bytes) -> NDArray[np.uint8]:
    """Return a writable copy of ``content`` as an array."""
    return np.frombuffer(content, dtype=np.uint8).copy()


def set_pointers(structure: ctypes.Structure, **arrays: NDArray[Any]) -> None:
    """Set fields of ``structure``, pointers by their declaration, to ``arrays``, which the caller must keep alive.

    Raises :class:`ValueError` for an array of another type, and for one that is read-only or not C-contiguous.
    """
    declared: dict[str, Any] = {field[0]: field[1] for field in structure._fields_}
    for name, array in arrays.items():
        dtype = np.dtype(declared[name]._type_)
        if array.dtype != dtype or not (array.flags.c_contiguous and array.flags.writeable):
            msg = f"{name} is not a writable C-contiguous array of {dtype}"
            raise ValueError(msg)
        setattr(structure, name, ctypes.cast(array.ctypes.data, declared[name]))


class ResizableArrays:
    """The arrays that fields of a structure point to, and their views of ``n`` items; ``n`` is 0 at first."""

    def __init__(self, structure: ctypes.Structure, declared: BatchArrays) -> None:
        """Allocate the ``declared`` arrays for one item; the sizes in their shapes must be set in ``structure``."""
        self._structure, self._declared = structure, declared
        self._allocate(1)
        self.resize(0)

    def resize(self, n: int) -> bool:
        """Resize to batches of ``n`` items; return whether the arrays are new, and therefore zero."""
        is_new = n > self._capacity
        if is_new:
            self._allocate(n)
        self.n, self.views = n, {name: array[:n] for name, array in self.arrays.items()}
        return is_new

    def _allocate(self, capacity: int) -> None:
        arrays: dict[str, NDArray[Any]] = {}
        for name, (kind, shape) in self._declared.items():
            item = tuple(size if isinstance(size, int) else int(getattr(self._structure, size)) for size in shape)
            arrays[name] = np.zeros((capacity, *item), dtype=kind)
        set_pointers(self._structure, **arrays)
        self.arrays, self._capacity = arrays, capacity  # the former arrays live as long as the structure points to them
