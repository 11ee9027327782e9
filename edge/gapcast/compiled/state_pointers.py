"""Pointers of a structure to the state of devices, whose arrays are replaced when they grow or are restored."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gapcast.compiled.functions import set_pointers


class StateRows(Protocol):
    """State with one row per device."""

    @property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """The arrays by name, in another mapping whenever one is replaced."""

    def __len__(self) -> int:
        """Return the number of rows."""


class StatePointers:
    """Fields of a structure that point to arrays of states, and ``newest_entry``: -1 for each of their rows.

    The library uses the latter within a batch: the newest entry of each row.
    """

    def __init__(self, structure: ctypes.Structure, *fields: Mapping[str, str]) -> None:
        """Set ``fields`` of ``structure``: of each state, the names of its arrays by field."""
        self._structure = structure
        self._fields = fields
        #: The arrays that the structure has the addresses of.
        self._bound: list[Mapping[str, NDArray[Any]]] = [{} for _ in fields]
        self._newest_entry: NDArray[np.int32] = np.full(0, -1, dtype=np.int32)

    def update(self, *states: StateRows) -> None:
        """Point to the arrays of ``states``, in the order of their fields, if they have changed."""
        for bound, state in zip(self._bound, states, strict=True):
            if state.arrays is not bound:
                break
        else:
            return
        self._bound = [state.arrays for state in states]
        new = np.full(max(min(map(len, states)) - len(self._newest_entry), 0), -1, dtype=np.int32)
        self._newest_entry = np.concatenate((self._newest_entry, new))
        pointers = {
            field: arrays[name]
            for names, arrays in zip(self._fields, self._bound, strict=True)
            for field, name in names.items()
        }
        set_pointers(self._structure, newest_entry=self._newest_entry, **pointers)
