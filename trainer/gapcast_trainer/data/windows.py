"""Windows with their targets: the examples that models are fitted to and scored on.

Windows are cut by the edge's code (:func:`gapcast.core.windows.window.cut`), which also selects windows with targets
(:mod:`gapcast.core.windows.examples`); this module assigns them to parts of the split. An :class:`Examples` belongs to
one part.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import Protocol

import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.streams.quarters import STEP_MIN, QuarterMeans, fill_unknown, history_windows, quarter_means
from gapcast.core.windows.examples import WHOLE_MIN, count_recent, with_targets
from gapcast.core.windows.features import GAP, assemble, measured_in
from gapcast.core.windows.window import Windows, WindowSpec, cut
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.data.split import MinuteSplit, SplitPart
from gapcast_trainer.errors import RunError

#: Lead times of an experiment that states no lead times.
DEFAULT_LEAD_TIMES_MIN = (5,)


@dataclass(frozen=True, slots=True)
class WindowTask:
    """The forecasting task of a model: its input window and features, and its lead times, the last one its horizon."""

    window: WindowSpec = WindowSpec()
    lead_times_min: tuple[int, ...] = DEFAULT_LEAD_TIMES_MIN
    features: tuple[str, ...] = (GAP,)

    @property
    def horizon_min(self) -> int:
        """The longest lead time, minutes."""
        return self.lead_times_min[-1]


class Learnable(Protocol):
    """Windows with their targets, as needed by a closed-form solution."""

    @property
    def task(self) -> WindowTask:
        """The forecasting task."""
        ...

    @property
    def n_measured(self) -> int:
        """Number of measured features, which come first."""
        ...

    def __len__(self) -> int:
        """Return the number of windows."""
        ...

    def batches(self, size: int) -> Iterator[tuple[F32, F32]]:
        """Yield inputs ``[n, context, features]`` and targets ``[n, K]``, kW, at most ``size`` at once."""
        ...


@dataclass(frozen=True, slots=True)
class Examples:
    """Windows of one part, in order of time, with their targets.

    ``rows`` ``[N]`` are indices into ``windows``, which are cut on demand, or an array ``[M, context]``;
    ``observed_minute`` ``[N]`` is since the epoch; ``n_observed`` ``[N]`` counts measured readings in the window,
    ``n_recent`` ``[N]`` measured readings in its newest :data:`WHOLE_MIN` minutes; ``target_kw`` ``[N, K]`` holds a
    measured reading for each lead time. ``zone`` is the zone of the time of day and the week, as on the gateway.
    ``quarters`` are the quarter-hours of the series, for models with a history beside the windows.
    """

    part: SplitPart
    task: WindowTask
    windows: Windows | F32
    rows: I64
    observed_minute: I64
    n_observed: I64
    n_recent: I64
    target_kw: F32
    zone: tzinfo = UTC
    quarters: QuarterMeans | None = None

    def __len__(self) -> int:
        """Return the number of examples."""
        return int(self.rows.size)

    @property
    def n_measured(self) -> int:
        """Number of measured features, which come first."""
        return len(measured_in(self.task.features))

    def inputs(self, first: int = 0, until: int | None = None, *, n_kept: int | None = None) -> F32:
        """Return windows ``first`` to ``until`` as model inputs, ``[n, context, features]``.

        With ``n_kept`` each is shortened to its newest ``n_kept`` readings and padded.
        """
        return self.inputs_at(np.s_[first:until], n_kept)

    def inputs_at(self, places: slice | I64, n_kept: int | I64 | None = None) -> F32:
        """Return the windows at ``places`` as model inputs, shortened to ``n_kept`` readings if given."""
        measured = self.measured_at(places)
        if n_kept is not None:
            measured = shorten(measured, n_kept, self.task.window)
        return assemble(measured, self.observed_minute[places], self.task.features, self.zone)

    def histories(self, first: int, until: int, inputs: F32, steps: int, n_kept: int | None = None) -> F32 | None:
        """Return the histories ``[n, steps]``, kW, of the windows ``first`` to ``until``; None for 0 ``steps``.

        ``inputs`` ``[n, context, features]`` are the windows as model inputs. With ``n_kept`` only the quarters that
        lie within the newest ``n_kept`` minutes are known. Raises :class:`ValueError` if these examples have no
        quarters.
        """
        if not steps:
            return None
        if self.quarters is None:
            msg = "these examples have no history, which the model needs"
            raise ValueError(msg)
        minutes = self.observed_minute[first:until]
        window_kw = inputs[:, :, 0].mean(axis=1, dtype=np.float64)
        if n_kept is None:
            return history_windows(self.quarters, minutes, window_kw, steps)
        found = np.full((len(minutes), steps), np.nan, dtype=np.float32)
        n_known = np.clip((n_kept - (minutes + 1) % STEP_MIN) // STEP_MIN, 0, steps)
        for n in np.unique(n_known).tolist():
            rows = n_known == n
            found[rows, steps - n :] = history_windows(self.quarters, minutes[rows], window_kw[rows], n)
        return fill_unknown(found, window_kw)

    def measured_at(self, places: slice | I64) -> F32:
        """Return the measured features of the windows at ``places``, ``[n, context, M]``."""
        measured = self.windows[self.rows[places]]
        return measured.reshape(len(measured), self.task.window.context, self.n_measured)

    def batches(self, size: int, *, n_kept: int | None = None) -> Iterator[tuple[F32, F32]]:
        """Yield ``inputs`` and ``target_kw`` in order of time, ``size`` at once."""
        for first in range(0, len(self), size):
            yield self.inputs(first, first + size, n_kept=n_kept), self.target_kw[first : first + size]

    def select(self, chosen: I64) -> Examples:
        """Return the examples at ``chosen`` (ascending indices into these examples)."""
        return replace(
            self,
            rows=self.rows[chosen],
            observed_minute=self.observed_minute[chosen],
            n_observed=self.n_observed[chosen],
            n_recent=self.n_recent[chosen],
            target_kw=self.target_kw[chosen],
        )

    def whole(self) -> Examples:
        """Return the examples that end with :data:`WHOLE_MIN` consecutive measured readings."""
        return self.select(np.flatnonzero(self.n_recent == WHOLE_MIN).astype(np.int64))


def cut_examples(series: Series, task: WindowTask, split: MinuteSplit, part: SplitPart) -> Examples:
    """Cut the windows of ``part`` from which a stream would forecast and whose targets were all observed."""
    if task.horizon_min > split.embargo_min:
        msg = f"an embargo of {split.embargo_min} min is too short for a horizon of {task.horizon_min} min"
        raise ValueError(msg)
    windows = cut(_columns(series, task.features), task.window)
    rows = np.flatnonzero(split.holds(part, series.first_minute + windows.origin)).astype(np.int64)
    rows, target_kw = with_targets(windows, rows, series.outcome_kw, task.lead_times_min)
    return Examples(
        part=part,
        task=task,
        windows=windows,
        rows=rows,
        observed_minute=series.first_minute + windows.origin[rows],
        n_observed=windows.n_observed[rows],
        n_recent=count_recent(series.gap_kw)[windows.origin[rows]],
        target_kw=target_kw,
        zone=series.zone,
        quarters=quarter_means(series.gap_kw, series.first_minute),
    )


def cut_test(series: Series, task: WindowTask, split: MinuteSplit) -> Examples:
    """Cut the whole windows of the test part with an outcome at the horizon, on which a model of a file is scored."""
    return cut_examples(series, replace(task, lead_times_min=task.lead_times_min[-1:]), split, SplitPart.TEST).whole()


def _columns(series: Series, features: tuple[str, ...]) -> F64:
    """Return the measured features among ``features``: ``[T]``, or ``[T, M]`` if there are several."""
    measured = measured_in(features)
    lacking = [name for name in measured[1:] if name not in series.extra]
    if lacking:
        msg = f"the clean file has no {lacking[0]}, which the model needs: remove the feature, or prepare it"
        raise RunError(msg)
    if len(measured) == 1:
        return series.gap_kw
    return np.column_stack([series.gap_kw, *(series.extra[name] for name in measured[1:])])


def shorten(windows: F32, n_kept: int | I64, spec: WindowSpec) -> F32:
    """Return ``windows`` as if the device had sent only its newest readings.

    ``windows`` is ``[N, context]`` or ``[N, context, M]``, of measured features. The newest ``n_kept`` (2 to
    ``context``, one for all or ``[N]``) minutes stay, and the older ones become the padding of ``spec``, as in
    :func:`gapcast.core.windows.window.pad`.
    """
    n_lost = spec.context - np.broadcast_to(np.asarray(n_kept, dtype=np.int64), len(windows))
    columns = windows.reshape(*windows.shape[:2], math.prod(windows.shape[2:]))
    oldest = columns[np.arange(len(columns)), n_lost]
    pad = (
        np.array([spec.pad_kw(1.0)], dtype=np.float32) * oldest
    )  # both paddings are proportional to the oldest reading
    lost = np.arange(spec.context) < n_lost[:, np.newaxis]
    return np.where(lost[:, :, np.newaxis], pad[:, np.newaxis, :], columns).reshape(windows.shape)
