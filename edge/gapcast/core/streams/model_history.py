"""Collects the history of quarter-hours of each window, for models that take a history besides the window."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.models.predictor import Predictor, history_steps_of
from gapcast.core.streams.week import WeekHistory, stacked


def history_of(
    model: Predictor, week: WeekHistory | None, rows: Sequence[int], minutes: Iterable[int], kw: F32
) -> F32 | None:
    """Return the history for ``model``, ``[N, steps]``, which must not be changed; None if the model takes none.

    ``rows`` and the observed ``minutes`` belong to N windows with the power ``kw`` ``[N, context]``. Without a ``week``
    all quarters are unknown.
    """
    steps = history_steps_of(model)
    if not steps:
        return None
    histories, unknown = (week or WeekHistory(0)).known_windows(rows, minutes, steps)
    if unknown:
        context = model.spec.context
        means_kw = np.add.reduce(kw[unknown, -context:], axis=1, dtype=np.float64) / context
        for i, mean_kw in zip(unknown, means_kw.tolist(), strict=True):
            histories[i] = np.full(steps, mean_kw, dtype=np.float32)
    return stacked(histories)
