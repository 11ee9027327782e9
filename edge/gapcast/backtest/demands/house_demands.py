"""The demands of one house, which wait for the mean of their window, and the whole CSV file of demands."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, tzinfo
from math import isnan
from pathlib import Path

import numpy as np

from gapcast.backtest.forecasts.whole_file import WholeFile
from gapcast.core.arrays.array_types import F64
from gapcast.core.billing.options import DemandOptions
from gapcast.core.demand.scores import score_sums, scores
from gapcast.core.forecasts.forecast import DECIMALS
from gapcast.core.time_grid import minute_label
from gapcast.core.windows.features import local_day_at
from gapcast.core.windows.window import MAX_FILL_MIN

#: The columns of the file of demands.
HEADER = (
    "device", "observed_at", "window_start", "elapsed_min", "limit_kw", "so_far_kw", "expected_kw", "lower_kw",
    "upper_kw", "p_exceed", "headroom_kw", "actual_kw", "exceeded", "next_limit_kw", "next_expected_kw",
    "next_lower_kw", "next_upper_kw", "next_p_exceed", "next_headroom_kw",
)  # fmt: skip
#: A demand: observed minute, minutes elapsed, the values of the file's columns, and the last reading, kW.
DemandLine = tuple[int, int, list[float], float]
#: Columns of a demand's values.
_LIMIT, _SO_FAR, _P_EXCEED = 0, 1, 5
#: Number of values of the running window; those of the next window follow.
_N_RUNNING = 7
#: Readings between two removals of the readings before the longest window.
_N_KNOWN = 4 * scores.LONGEST_MIN


class DemandFile(WholeFile):
    """Writes a line for each demand of a window, once the window's mean is known."""

    def __init__(self, path: Path) -> None:
        """Raise :class:`SettingsError` if ``path`` cannot be written."""
        super().__init__("--demand-out", path, HEADER)

    def add(
        self, device: str, window_start: int, lines: Iterable[tuple[int, int, list[float]]], actual_kw: float
    ) -> None:
        """Write the demands of the window from ``window_start`` on, whose mean is ``actual_kw``.

        Each of ``lines`` has the observed minute, the minutes elapsed, and the powers and the probability from
        ``limit_kw`` to ``headroom_kw``, then those of the next window, in the order of the columns; NaN is blank.
        """
        start_at, actual = minute_label(window_start), round(actual_kw, DECIMALS)
        for minute, elapsed_min, values in lines:
            limit_kw = values[0]
            exceeded = "" if isnan(limit_kw) else int(actual_kw > limit_kw)
            shown = ["" if isnan(value) else round(value, DECIMALS) for value in values]
            running, following = shown[:_N_RUNNING], shown[_N_RUNNING:]
            self.write((device, minute_label(minute), start_at, elapsed_min, *running, actual, exceeded, *following))


class HouseDemands:
    """Scores the demands of one house, window by window.

    The mean of a window is taken over its known minutes, as in the engine: measured, held, and interpolated in a short
    gap. If less than half of its minutes were measured, or the readings end within it, its demands are left out.
    """

    def __init__(self, device: str, options: DemandOptions, file: DemandFile | None = None, zone: tzinfo = UTC) -> None:
        """Score demands by ``options`` in ``zone``, and write them with their outcomes to ``file``."""
        self._device, self._options, self._file, self._zone = device, options, file, zone
        self.sums: F64 = scores.initial_sums()
        #: Minutes of a window; 0 before the first demand.
        self.window_min = 0
        self._known_kw: dict[int, float] = {}
        self._measured: set[int] = set()
        self._last_minute: int | None = None
        self._start_minute = 0
        self._waiting: list[DemandLine] = []

    def add_reading(self, minute: int, kw: float, *, is_measured: bool) -> None:
        """Add the newest reading; a reading not newer than the last one ends the outcomes of earlier demands."""
        last = self._last_minute
        if last is not None and minute <= last:
            self.finish()
            self._known_kw.clear()
            self._measured.clear()
        elif last is not None and minute - last <= MAX_FILL_MIN + 1:
            before_kw = self._known_kw[last]
            for between in range(last + 1, minute):
                self._known_kw[between] = before_kw + (kw - before_kw) * (between - last) / (minute - last)
        self._last_minute = minute
        self._known_kw[minute] = kw
        if is_measured:
            self._measured.add(minute)
        if len(self._known_kw) > _N_KNOWN:
            first = minute - 2 * scores.LONGEST_MIN
            self._known_kw = {one: kw for one, kw in self._known_kw.items() if one >= first}
            self._measured = {one for one in self._measured if one >= first}

    def add_demand(self, start_minute: int, window_min: int, line: DemandLine) -> None:
        """Add the demand made at the newest reading, of the window of ``window_min`` minutes from ``start_minute``."""
        if start_minute != self._start_minute:
            self.finish()
        self._start_minute, self.window_min = start_minute, window_min
        self._waiting.append(line)

    def finish(self) -> None:
        """Score the waiting demands if their window is over and its mean is known."""
        waiting, self._waiting = self._waiting, []
        if not waiting or (self._last_minute or 0) < self._start_minute + self.window_min - 1:
            return
        minutes = range(self._start_minute, self._start_minute + self.window_min)
        known_kw = [self._options.counted_kw(self._known_kw[one]) for one in minutes if one in self._known_kw]
        if 2 * len(self._measured.intersection(minutes)) < self.window_min:
            return
        actual_kw = math.fsum(known_kw) / len(known_kw)
        elapsed = np.array([line[1] for line in waiting])
        values = np.array([line[2] for line in waiting])
        power_kw = np.column_stack((values[:, _SO_FAR], [self._options.counted_kw(line[3]) for line in waiting]))
        demands = scores.initial_demands()
        demands[elapsed] = score_sums.waiting(
            elapsed, np.full(len(elapsed), self.window_min), values[:, _P_EXCEED], values[:, _LIMIT], power_kw
        )
        closed = score_sums.ClosedWindows(
            np.array([local_day_at(self._start_minute, self._zone)]),
            np.array([self.window_min]),
            np.array([actual_kw]),
            demands[np.newaxis],
        )
        score_sums.add(self.sums[np.newaxis], closed)
        if self._file is not None:
            self._file.add(self._device, self._start_minute, (line[:3] for line in waiting), actual_kw)
