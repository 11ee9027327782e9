"""The minutes from which a refit learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, I64

#: Maximum number of newest minutes of a house from which a refit learns: eight weeks.
MAX_MINUTES = 8 * 7 * 24 * 60


@dataclass(frozen=True, slots=True)
class RecordedMinutes:
    """Readings of one house: ``minutes`` ``[T]`` since the epoch, their ``gap_kw``, and whether each was filled.

    ``submeters_kw`` are the powers of submeters by name, each ``[T]``, NaN where unknown. Minutes may be in any order
    and occur twice; the last one counts.
    """

    minutes: I64
    gap_kw: F32
    is_filled: NDArray[np.bool_]
    submeters_kw: Mapping[str, F32] = field(default_factory=lambda: MappingProxyType({}))

    def __len__(self) -> int:
        """Return the number of readings."""
        return self.minutes.size

    def newest(self) -> RecordedMinutes:
        """Return the readings of the :data:`MAX_MINUTES` up to the last reading, in order, each minute once.

        Minutes after the last reading's are left out: they are from a clock that was ahead, and was set back.
        """
        if not len(self):
            return self
        last = self.minutes[-1]
        recent = np.flatnonzero((self.minutes > last - MAX_MINUTES) & (self.minutes <= last))[::-1]
        _, first = np.unique(self.minutes[recent], return_index=True)  # the last one of each minute
        return self.select(recent[first])

    def select(self, which: I64 | slice) -> RecordedMinutes:
        """Return the readings ``which``."""
        submeters_kw = {name: kw[which] for name, kw in self.submeters_kw.items()}
        return RecordedMinutes(self.minutes[which], self.gap_kw[which], self.is_filled[which], submeters_kw)

    def with_submeters(self, names: Sequence[str]) -> RecordedMinutes:
        """Return the readings with exactly the submeters ``names``, in this order; NaN for one never recorded."""
        unknown = np.full(len(self), np.nan, dtype=np.float32)
        submeters_kw = {name: self.submeters_kw.get(name, unknown) for name in names}
        return RecordedMinutes(self.minutes, self.gap_kw, self.is_filled, submeters_kw)

    def without_unknown(self) -> RecordedMinutes:
        """Return the readings without the submeters that have no known value."""
        return self.with_submeters([name for name, kw in self.submeters_kw.items() if not np.isnan(kw).all()])

    def series(self) -> tuple[F32, NDArray[np.bool_]]:
        """Return the power of each minute, NaN where none was read, and whether it is an outcome: read and not filled.

        The minutes run from the first to the last reading; call this on the result of :meth:`newest`.
        """
        gap_kw, at = self._placed(self.gap_kw), self.minutes - self.minutes[0]
        is_outcome = np.zeros(len(gap_kw), dtype=bool)
        is_outcome[at] = ~self.is_filled
        return gap_kw, is_outcome

    def channels(self) -> F32:
        """Return the powers of :meth:`series` and of the submeters in the same minutes, ``[M, 1 + submeters]``."""
        return np.stack([self._placed(kw) for kw in (self.gap_kw, *self.submeters_kw.values())], axis=1)

    def _placed(self, values: F32) -> F32:
        at = self.minutes - self.minutes[0]
        placed = np.full(int(at[-1]) + 1, np.nan, dtype=np.float32)
        placed[at] = values
        return placed
