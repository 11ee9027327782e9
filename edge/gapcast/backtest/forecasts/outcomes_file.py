"""Writes each forecast with its outcome to a CSV file, which is complete or absent."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from gapcast.backtest.forecasts.whole_file import WholeFile
from gapcast.core.forecasts.forecast import DECIMALS, Forecasts
from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.time_grid import minute_label

HEADER = (
    "device", "observed_at", "target_at", "gap_kw", "median_kw", "lower_kw", "upper_kw", "last_kw",
    "came_kw",  # the name of actual_kw in 0.1.0, for one more version
    "actual_kw",
)  # fmt: skip
#: The key of a forecast: row of the device, target minute.
_Key = tuple[int, int]
#: The unfinished lines for a minute: several if a device repeats its minutes.
_Pending = dict[_Key, list[list[object]]]
_GAP_KW, _FIRST_ACTUAL = HEADER.index("gap_kw"), HEADER.index("came_kw")


class OutcomesFile(WholeFile):
    """Writes a line when the outcome is known, or with an empty ``actual_kw`` when the target minute has no reading."""

    def __init__(self, path: Path) -> None:
        """Raise :class:`SettingsError` if ``path`` cannot be written."""
        super().__init__("--out", path, HEADER)
        self._pending: _Pending = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the pending lines, close the file and rename it to its final name; remove it after an error."""
        is_complete = False
        try:
            if kind is None:
                self._write_pending(list(self._pending))
                is_complete = True
        finally:
            self.close(is_complete=is_complete)

    def add(self, rows: list[int], last_kw: list[float], forecasts: Forecasts, outcomes: Outcomes | None) -> None:
        """Add the ``forecasts`` of a batch, for the devices of ``rows``, and its ``outcomes``."""
        newest: dict[int, int] = {}
        for places, of_horizon in forecasts.by_horizon():
            self._add_pending([rows[i] for i in places], [last_kw[i] for i in places], of_horizon, newest)
        if outcomes is not None:
            columns = (outcomes.rows, outcomes.minutes, outcomes.actual_kw, outcomes.published_kw[:, 0])
            for row, minute, actual_kw, published_kw in zip(*(column.tolist() for column in columns), strict=True):
                self._write_outcome((row, minute), actual_kw, published_kw)
        self._write_pending([key for key in self._pending if key[1] <= newest.get(key[0], key[1] - 1)])

    def _add_pending(self, rows: list[int], last_kw: list[float], forecasts: Forecasts, newest: dict[int, int]) -> None:
        """Add the lines of ``forecasts``, all of one horizon, and set the ``newest`` minute of each row."""
        horizon_min = forecasts.model.lead_times_min[-1]
        nothing: list[float | str] = [""] * len(forecasts)
        for row, device, minute, last, *published in zip(
            rows,
            forecasts.devices,
            forecasts.observed_minutes,
            last_kw,
            forecasts.gap_kw,
            nothing if forecasts.median_kw is None else forecasts.median_kw,
            nothing if forecasts.lower_kw is None else forecasts.lower_kw,
            nothing if forecasts.upper_kw is None else forecasts.upper_kw,
            strict=True,
        ):
            target = minute + horizon_min
            stamps = [device, minute_label(minute), minute_label(target)]
            self._pending.setdefault((row, target), []).append([*stamps, *published, round(last, DECIMALS), "", ""])
            newest[row] = minute

    def _write_outcome(self, key: _Key, actual_kw: float, published_kw: float) -> None:
        """Write the line of the forecast of ``published_kw`` with its outcome."""
        lines = self._pending[key]
        line = (
            min(lines, key=lambda line: abs(float(str(line[_GAP_KW])) - published_kw)) if len(lines) > 1 else lines[0]
        )
        line[_FIRST_ACTUAL:] = [round(actual_kw, DECIMALS)] * 2
        self.write(line)
        lines.remove(line)
        if not lines:
            del self._pending[key]

    def _write_pending(self, keys: list[_Key]) -> None:
        for key in keys:
            self.write_all(self._pending.pop(key))
