"""The windows of a house for an outlook, the week before them, and the outcomes of the hour after them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.streams.quarters import STEP_MIN, STEPS, QuarterMeans, quarter_means
from gapcast.core.windows.examples import WHOLE_MIN, count_recent
from gapcast.core.windows.window import Windows, WindowSpec, cut


@dataclass(frozen=True, slots=True)
class HouseWindows:
    """A house minute by minute from ``first_minute`` on: ``gap_kw`` ``[T]``, NaN where missing, and its windows.

    ``outcome_kw`` ``[T]`` is the power of minutes that can be outcomes, which excludes filled minutes.
    """

    first_minute: int
    gap_kw: F64
    outcome_kw: F64
    windows: Windows
    quarters: QuarterMeans

    @classmethod
    def from_series(
        cls, first_minute: int, gap_kw: F64, spec: WindowSpec, outcome_kw: F64 | None = None
    ) -> HouseWindows:
        """Cut the windows of a series and average its quarter-hours; ``outcome_kw`` None: each minute was measured."""
        outcome_kw = gap_kw if outcome_kw is None else outcome_kw
        return cls(first_minute, gap_kw, outcome_kw, cut(gap_kw, spec), quarter_means(gap_kw, first_minute))

    @property
    def observed_minute(self) -> I64:
        """The observed minute of each window, since the epoch."""
        return self.first_minute + self.windows.origin

    def windows_kw(self, rows: I64) -> F32:
        """Return the windows of ``rows`` ``[n]``, kW, ``[n, context]``."""
        return self.windows[rows].reshape(len(rows), self.windows.spec.context)

    def history_kw(self, rows: I64) -> F32:
        """Return the 672 complete quarters before each of ``rows``, ``[n, 672]``, kW, NaN where unknown."""
        padded = np.concatenate([np.full(STEPS, np.nan, np.float32), self.quarters.kw])
        end = (self.observed_minute[rows] + 1) // STEP_MIN - self.quarters.first
        found: F32 = sliding_window_view(padded, STEPS)[end]
        return found

    def outcomes_kw(self, rows: I64, lead_times_min: tuple[int, ...]) -> tuple[F32, F32]:
        """Return the power at each lead time, and the mean of all minutes until it, ``[n, K]``, NaN if not measured."""
        horizon_min = lead_times_min[-1]
        padded = np.concatenate([self.outcome_kw, np.full(horizon_min, np.nan)])
        ahead = padded[self.windows.origin[rows][:, np.newaxis] + np.arange(1, horizon_min + 1)]
        at = np.array(lead_times_min) - 1
        until = np.cumsum(ahead, axis=1)[:, at] / (at + 1)
        return ahead[:, at].astype(np.float32), until.astype(np.float32)

    def whole(self, rows: I64) -> I64:
        """Return the ``rows`` that end with :data:`~gapcast.core.windows.examples.WHOLE_MIN` consecutive readings."""
        found: I64 = rows[count_recent(self.gap_kw)[self.windows.origin[rows]] == WHOLE_MIN]
        return found
