"""Outcomes: forecasts whose minute has come, beside what came."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.core.window import I64

F64 = NDArray[np.float64]
#: The last expert of every blend, after the models, and the one before it, where one learns.
PERSISTENCE, LEARNED = "persistence", "learned"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """N forecasts that came due, each of another device. Power in kW, minutes since the epoch.

    ``rows`` ``[N]`` are the devices' rows in :class:`edge.core.buffer.Buffers`, ``minutes`` ``[N]`` the target
    minutes, ``came_kw`` ``[N]`` what was read then, and ``last_kw`` ``[N]`` what was read when the forecast was
    made: persistence's forecast. ``experts_kw`` is ``[N, 2, E]``, mean and median of each expert; ``told_kw``
    ``[N, 4]`` what was published: mean, median, lower and upper bound (NaN where there was none).
    """

    rows: I64
    minutes: I64
    came_kw: F64
    last_kw: F64
    experts_kw: F64
    told_kw: F64

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.rows)
