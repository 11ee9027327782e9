"""Outcomes: forecasts with the readings of their target minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_predicates import are_distinct
from gapcast.core.arrays.array_types import F64, I64

#: Names of ensemble members. Persistence is the last member of every ensemble. Before it come the RLS model if the
#: ensemble learns, the forest of the nightly refit if there is one, and the model of devices with submeters if any are
#: configured.
PERSISTENCE, LEARNED, REFIT, SUBMETERED = "persistence", "learned", "refit", "submetered"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """N forecasts whose target minute was observed, in order for each device. Power in kW, minutes since the epoch.

    ``rows`` ``[N]`` are the devices' rows in :class:`gapcast.core.streams.buffer.Buffers`, ``minutes`` ``[N]`` the
    target minutes, ``actual_kw`` ``[N]`` their readings, and ``last_kw`` ``[N]`` the last readings when the forecasts
    were made, which persistence forecasts. ``members_kw`` ``[N, 2, E]`` are the mean and the median of each member,
    ``published_kw`` ``[N, 4]`` the published mean, median, lower and upper bound (NaN if not published).
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


def tracked_outcomes(outcomes: Outcomes, max_devices: int) -> tuple[Outcomes, int]:
    """Return the outcomes with a row below ``max_devices``, and the number of rows that they need."""
    n_rows = int(outcomes.rows.max(initial=-1)) + 1
    if n_rows <= max_devices:
        return outcomes, n_rows
    outcomes = outcomes.select(outcomes.rows < max_devices)
    return outcomes, int(outcomes.rows.max(initial=-1)) + 1


def groups_in_order(rows: I64, keys: I64) -> list[NDArray[np.intp]] | None:
    """Return the indices of outcomes in groups to handle one after the other; None if no row occurs twice.

    ``rows`` and ``keys`` are ``[N]``. In a group, each row has one key, and the outcomes are in order.
    """
    if len(rows) == 1 or are_distinct(rows):
        return None
    order = np.argsort(rows, kind="stable")
    other_row = np.diff(rows[order], prepend=-1) != 0
    runs = np.cumsum(other_row | (np.diff(keys[order], prepend=0) != 0))
    groups = np.empty(len(rows), dtype=np.int64)
    groups[order] = runs - np.maximum.accumulate(np.where(other_row, runs, 0))
    return [np.flatnonzero(groups == group) for group in range(int(groups.max()) + 1)]
