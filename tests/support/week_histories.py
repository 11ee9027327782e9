"""The histories in a week of quarter-hours as one array."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32
from gapcast.core.streams.quarters import STEPS
from gapcast.core.streams.week import WeekHistory, stacked


def histories_in(
    week: WeekHistory, rows: Sequence[int], minutes: Iterable[int], fill_kw: NDArray[np.floating], steps: int = STEPS
) -> F32:
    """Return the histories ``[N, steps]`` in ``week``, ``fill_kw`` ``[N]`` for devices without a known quarter."""
    histories, unknown = week.known_windows(rows, minutes, steps)
    for i in unknown:
        histories[i] = np.full(steps, fill_kw[i], dtype=np.float32)
    return stacked(histories)
