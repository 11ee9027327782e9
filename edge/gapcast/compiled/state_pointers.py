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
        """The arrays by name, in a new mapping whenever one is replaced."""

    def __len__(self) -> int:
        """Return the number of rows."""


class StatePointers:
    """Fields of a structure that point to arrays of states, and its ``newest_entry``, -1 for each of their rows.

    Within a batch the library stores the newest entry of each row there.
    """

    def __init__(self, structure: ctypes.Structure, *fields: Mapping[str, str]) -> None:
        """Set ``fields`` of ``structure``: for each state, its array names by field name."""
        self._structure = structure
        self._fields = fields
        #: The arrays whose addresses the structure holds.
        self._bound: tuple[Mapping[str, NDArray[Any]], ...] = tuple({} for _ in fields)
        self._first = self._bound[0]  # a single state is compared directly, in a quarter of the time
        self._newest_entry: NDArray[np.int32] = np.full(0, -1, dtype=np.int32)

    def update(self, state: StateRows, *others: StateRows) -> None:
        """Point to the arrays of all states, in the order of their fields, if they have changed."""
        if state.arrays is self._first and not (others and self._have_changed(others)):
            return
        states = (state, *others)
        self._bound, self._first = tuple(one.arrays for one in states), state.arrays
        new = np.full(max(min(map(len, states)) - len(self._newest_entry), 0), -1, dtype=np.int32)
        self._newest_entry = np.concatenate((self._newest_entry, new))
        pointers = {
            field: arrays[name]
            for names, arrays in zip(self._fields, self._bound, strict=True)
            for field, name in names.items()
        }
        set_pointers(self._structure, newest_entry=self._newest_entry, **pointers)

    def _have_changed(self, others: tuple[StateRows, ...]) -> bool:
        return any(one.arrays is not bound for one, bound in zip(others, self._bound[1:], strict=True))
