"""Outcomes in the arrays of a compiled step, which other compiled functions read in place."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from gapcast.compiled.functions import POINTERS, set_pointers
from gapcast.core.forecasts.outcomes import Outcomes

#: The arrays of outcomes in order, with the types of their values.
KINDS = {
    "rows": "i8", "minutes": "i8", "actual_kw": "f8", "last_kw": "f8", "members_kw": "f8", "published_kw": "f8",
}  # fmt: skip


class OutcomesStruct(ctypes.Structure):
    """``struct outcomes`` of ``edge/native/outcomes.h``."""

    _fields_ = tuple((name, POINTERS[kind]) for name, kind in KINDS.items())


class StepOutcomes(Outcomes):
    """Outcomes that are valid until the next forecasts of their step; :meth:`copied` returns permanent ones.

    ``address`` is the address of their :class:`OutcomesStruct`.
    """

    __slots__ = ("_struct", "address")
    address: int
    _struct: OutcomesStruct

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], n: int) -> StepOutcomes:
        """Return the first ``n`` outcomes in ``arrays``, C-contiguous and named as in :data:`KINDS`."""
        made = cls(*(arrays[name][:n] for name in KINDS))
        struct = OutcomesStruct()
        set_pointers(struct, **arrays)
        object.__setattr__(made, "_struct", struct)  # the class above is frozen
        object.__setattr__(made, "address", ctypes.addressof(struct))
        return made

    def copied(self) -> Outcomes:
        """Return a copy that stays valid."""
        return Outcomes(*(getattr(self, name).copy() for name in KINDS))
