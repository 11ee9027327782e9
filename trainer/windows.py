"""Windows with what came after them: the examples that models are fitted to and scored on.

Cutting is the edge's (:func:`edge.core.window.cut`); here each window gets its target, a real reading
``lead`` minutes after the newest one, and its part of the time line. An :class:`Examples` is always
of one part.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from edge.core.window import F32, I64, Windows, WindowSpec, cut
from trainer.clean import Series
from trainer.split import Part, Split


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked of a model: the window it sees and the minutes ahead that it speaks for."""

    window: WindowSpec = WindowSpec()
    lead_times_min: tuple[int, ...] = (5,)

    @property
    def horizon_min(self) -> int:
        """The longest lead time, minutes."""
        return self.lead_times_min[-1]


@dataclass(frozen=True, slots=True)
class Examples:
    """Windows of one part, in order of time, with their targets.

    ``rows`` ``[N]`` are places in ``windows``; ``observed_minute`` ``[N]`` is since the epoch;
    ``n_observed`` ``[N]`` counts real readings; ``target_kw`` ``[N, K]`` holds a real reading for each lead time.
    """

    part: Part
    task: Task
    windows: Windows
    rows: I64
    observed_minute: I64
    n_observed: I64
    target_kw: F32

    def __len__(self) -> int:
        """Return how many examples there are."""
        return int(self.rows.size)

    def inputs(self, first: int = 0, until: int | None = None) -> F32:
        """Return windows ``first`` to ``until`` as a model takes them, kW, ``[n, context, 1]``."""
        return self.windows[self.rows[first:until]][:, :, np.newaxis]

    def batches(self, size: int) -> Iterator[tuple[F32, F32]]:
        """Yield ``inputs`` and ``target_kw`` in order of time, ``size`` at once."""
        for first in range(0, len(self), size):
            yield self.inputs(first, first + size), self.target_kw[first : first + size]

    def take(self, chosen: I64) -> Examples:
        """Return the examples at ``chosen`` (places in this one, rising)."""
        return replace(
            self,
            rows=self.rows[chosen],
            observed_minute=self.observed_minute[chosen],
            n_observed=self.n_observed[chosen],
            target_kw=self.target_kw[chosen],
        )

    def whole(self) -> Examples:
        """Return the examples whose windows hold ``context`` real readings: nothing filled, nothing padded."""
        return self.take(np.flatnonzero(self.n_observed == self.task.window.context).astype(np.int64))


def examples(series: Series, task: Task, split: Split, part: Part) -> Examples:
    """Cut the windows of ``part`` that a stream would forecast from and whose targets were all read."""
    if task.horizon_min > split.embargo_min:
        msg = f"an embargo of {split.embargo_min} min is too short for a horizon of {task.horizon_min} min"
        raise ValueError(msg)
    windows = cut(series.gap_kw, task.window)
    rows = np.flatnonzero(split.holds(part, series.first_minute + windows.origin)).astype(np.int64)
    rows = rows[windows.origin[rows] + task.horizon_min < series.gap_kw.size]
    ahead = windows.origin[rows][:, np.newaxis] + np.asarray(task.lead_times_min)
    target_kw = series.gap_kw[ahead].astype(np.float32)
    real = ~np.isnan(target_kw).any(axis=1)
    rows = rows[real]
    return Examples(
        part=part,
        task=task,
        windows=windows,
        rows=rows,
        observed_minute=series.first_minute + windows.origin[rows],
        n_observed=windows.n_observed[rows],
        target_kw=target_kw[real],
    )


def shorten(windows: F32, n_kept: int | I64, spec: WindowSpec) -> F32:
    """Return ``windows`` as they would be if the device had given only its newest readings.

    ``windows`` is ``[N, context]`` or ``[N, context, 1]``; ``n_kept`` (2 to ``context``, one for all or
    ``[N]``) values stay and the older ones become the padding of ``spec``, as :func:`edge.core.window.pad` does.
    """
    n_lost = spec.context - np.broadcast_to(np.asarray(n_kept, dtype=np.int64), len(windows))
    flat = windows.reshape(len(windows), spec.context)
    oldest_kw = flat[np.arange(len(flat)), n_lost]
    pad_kw = np.array([spec.pad_kw(1.0)], dtype=np.float32) * oldest_kw  # both paddings scale with the oldest
    lost = np.arange(spec.context) < n_lost[:, np.newaxis]
    return np.where(lost, pad_kw[:, np.newaxis], flat).reshape(windows.shape)
