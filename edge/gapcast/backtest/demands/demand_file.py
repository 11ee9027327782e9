"""Writes the demands of a back-test with the outcome of their window to a CSV file: all of them, or none."""

from __future__ import annotations

from collections.abc import Iterable
from math import isnan
from pathlib import Path

from gapcast.backtest.forecasts.whole_file import WholeFile
from gapcast.core.forecasts.forecast import DECIMALS
from gapcast.core.grid import minute_label

HEADER = (
    "device", "observed_at", "window_start", "elapsed_min", "limit_kw", "so_far_kw", "expected_kw", "lower_kw",
    "upper_kw", "p_exceed", "headroom_kw", "actual_kw", "exceeded",
)  # fmt: skip


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
        ``limit_kw`` to ``headroom_kw``, in the order of the columns; NaN is blank.
        """
        start_at, actual = minute_label(window_start), round(actual_kw, DECIMALS)
        for minute, elapsed_min, values in lines:
            limit_kw = values[0]
            exceeded = "" if isnan(limit_kw) else int(actual_kw > limit_kw)
            shown = ("" if isnan(value) else round(value, DECIMALS) for value in values)
            self.write((device, minute_label(minute), start_at, elapsed_min, *shown, actual, exceeded))
