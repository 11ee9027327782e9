"""The limit of the running window that the rules apply: fixed, or the month's peak so far."""

from __future__ import annotations

import math

from gapcast.backtest.control.billing import active_at, mean_of_highest, months_of, window_starts
from gapcast.core.arrays.array_types import I64
from gapcast.core.billing.options import DemandOptions
from gapcast.core.time_grid import DAY_MIN


class RunningLimit:
    """Tracks the windows of a house; each minute is added once."""

    def __init__(self, local: I64, options: DemandOptions) -> None:
        """Track windows of the minutes ``local`` ``[T]`` of the local clock."""
        self._options = options
        days = local // DAY_MIN
        self._starts = set(window_starts(local, options.window_min).tolist())
        self._days: list[int] = days.tolist()
        self._months: list[int] = months_of(days).tolist()
        self._is_active: list[bool] = active_at(
            local // options.window_min * options.window_min, options.active
        ).tolist()
        self._sum_kw, self._n_known = 0.0, 0
        self._month = self._months[0]
        self._highest: dict[int, float] = {}

    def add(self, index: int, total_kw: float) -> None:
        """Add the power of the minute ``index``, NaN if it is unknown; minutes are added in order."""
        if index in self._starts:
            self._close(index - 1)
        if not math.isnan(total_kw):
            self._sum_kw += self._options.counted_kw(total_kw)
            self._n_known += 1

    def limit_kw(self, index: int) -> float | None:
        """Return the limit of the window of the minute ``index``, the minute after the last one added."""
        if index >= len(self._days) or not self._is_active[index]:
            return None
        if self._options.limit_kw is not None:
            return self._options.limit_kw
        if not self._options.by_month_peak:
            return None
        if index in self._starts:
            self._close(index - 1)
        if self._months[index] != self._month or not self._highest:
            return self._options.floor_kw
        return max(self._options.floor_kw, mean_of_highest(self._highest.values(), self._options.n_peak_days))

    def _close(self, last: int) -> None:
        """Close the window that ends with the minute ``last``, if it is complete."""
        sum_kw, n_known = self._sum_kw, self._n_known
        self._sum_kw, self._n_known = 0.0, 0
        if last < 0 or 2 * n_known < self._options.window_min or not self._is_active[last]:
            return
        if self._months[last] != self._month:
            self._month = self._months[last]
            self._highest.clear()
        day, mean_kw = self._days[last], sum_kw / n_known
        self._highest[day] = max(self._highest.get(day, mean_kw), mean_kw)
