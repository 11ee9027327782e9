"""Outcomes: forecasts with the readings of their target minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.window import I64

F64 = NDArray[np.float64]
#: The last member of every ensemble; before it the RLS model, if the ensemble learns, the forest of the night's refit,
#: if there is one, and the model of devices with submeters, if any are configured.
PERSISTENCE, LEARNED, REFIT, SUBMETERED = "persistence", "learned", "refit", "submetered"


class Runs(NamedTuple):
    """Outcomes sorted by row, in runs of one row and one key each: run ``i`` begins at ``first[i]``.

    ``order`` is the sorting order; ``nth[i]`` is the number of runs of the same row before run ``i``.
    """

    order: I64
    first: I64
    nth: I64

    @classmethod
    def of(cls, rows: I64, keys: I64) -> Runs | None:
        """Return the runs of ``rows`` and ``keys`` ``[N]``; None if no row occurs twice."""
        if len(rows) == 1 or np.unique(rows).size == len(rows):
            return None
        order = np.argsort(rows, kind="stable")
        rows, keys = rows[order], keys[order]
        other_row = np.diff(rows, prepend=-1) != 0
        first = np.flatnonzero(other_row | (np.diff(keys, prepend=0) != 0))
        begins_row = other_row[first]
        at = np.arange(first.size)
        return cls(order, first, at - np.maximum.accumulate(np.where(begins_row, at, 0)))


@dataclass(frozen=True, slots=True)
class Outcomes:
    """N forecasts that came due, those of one device in order. Power in kW, minutes since the epoch.

    ``rows`` ``[N]`` are the devices' rows in :class:`gapcast.core.buffer.Buffers`, ``minutes`` ``[N]`` the target
    minutes, ``actual_kw`` ``[N]`` their readings, and ``last_kw`` ``[N]`` the last readings when the forecasts were
    made, which persistence forecasts. ``members_kw`` is ``[N, 2, E]``, mean and median of each member;
    ``published_kw`` ``[N, 4]`` the published mean, median, lower and upper bound (NaN if there was none).
    """

    rows: I64
    minutes: I64
    actual_kw: F64
    last_kw: F64
    members_kw: F64
    published_kw: F64

    @classmethod
    def joined(cls, parts: Sequence[Outcomes]) -> Outcomes:
        """Return ``parts``, at least one, concatenated."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def select(self, chosen: NDArray[np.bool_]) -> Outcomes:
        """Return the outcomes with ``chosen`` ``[N]`` set."""
        return Outcomes(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def __len__(self) -> int:
        """Return the number of outcomes."""
        return len(self.rows)
