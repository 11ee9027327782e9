"""Arrays of a batch, which are allocated for the largest one so far."""

from __future__ import annotations

import ctypes
from typing import Any

from numpy.typing import NDArray

from gapcast.compiled.functions import BatchArrays, allocate_batch


class ResizableArrays:
    """The arrays that fields of a structure point to, and their views of ``n`` items; ``n`` is 0 at first."""

    def __init__(self, structure: ctypes.Structure, declared: BatchArrays) -> None:
        """Allocate the ``declared`` arrays for one item; the sizes that they name must be set in ``structure``."""
        self._structure, self._declared = structure, declared
        self.arrays = allocate_batch(structure, declared, 1)
        self.views: dict[str, NDArray[Any]] = {}
        self._capacity, self.n = 1, 0

    def resize(self, n: int) -> bool:
        """Take batches of ``n`` items from now on; return whether the arrays are new, and zero."""
        is_new = n > self._capacity
        if is_new:
            self.arrays = allocate_batch(self._structure, self._declared, n)
            self._capacity = n
        self.n, self.views = n, {name: array[:n] for name, array in self.arrays.items()}
        return is_new
