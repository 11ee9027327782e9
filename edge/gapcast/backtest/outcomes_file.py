"""Each forecast with its outcome, as lines of a CSV."""

from __future__ import annotations

import csv
from pathlib import Path
from types import TracebackType

from gapcast.core.errors import SettingsError
from gapcast.core.forecast import DECIMALS, Forecasts
from gapcast.core.grid import minute_label
from gapcast.core.learning.outcomes import Outcomes

HEADER = (
    "device", "observed_at", "target_at", "gap_kw", "median_kw", "lower_kw", "upper_kw", "last_kw", "came_kw",
)  # fmt: skip
#: Where a forecast is to go: row of the device, target minute.
_Key = tuple[int, int]
#: The lines so far of the forecasts for a minute: several where a device's time went back.
_Waiting = dict[_Key, list[list[object]]]
_GAP_KW, _ACTUAL_KW = HEADER.index("gap_kw"), HEADER.index("came_kw")


class OutcomesFile:
    """Writes a line once the target minute has come, or has passed without a reading: then without ``actual_kw``."""

    def __init__(self, path: Path) -> None:
        """Write to ``path``, in place of what is there; raise :class:`SettingsError` where that cannot be."""
        try:
            self._file = path.open("w", newline="", encoding="utf-8")
        except OSError as error:
            msg = f"--out {path}: cannot be written ({error.strerror})"
            raise SettingsError(msg) from error
        self._lines = csv.writer(self._file)
        self._lines.writerow(HEADER)
        self._waiting: _Waiting = {}

    def __enter__(self) -> OutcomesFile:
        """Return this."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what still waits, and close the file."""
        self._write(list(self._waiting))
        self._file.close()

    def add(self, rows: list[int], last_kw: list[float], forecasts: Forecasts, outcomes: Outcomes | None) -> None:
        """Take the ``forecasts`` of a batch, for the devices of ``rows``, and the ``outcomes`` that it brought."""
        horizon_min = forecasts.model.lead_times_min[-1]
        nothing: list[float | str] = [""] * len(forecasts)
        newest: dict[int, int] = {}
        for row, device, minute, last, *told in zip(
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
            self._waiting.setdefault((row, target), []).append([*stamps, *told, round(last, DECIMALS), ""])
            newest[row] = minute
        if outcomes is not None:
            columns = (outcomes.rows, outcomes.minutes, outcomes.actual_kw, outcomes.published_kw[:, 0])
            for row, minute, came, published_kw in zip(*(column.tolist() for column in columns), strict=True):
                self._came((row, minute), came, published_kw)
        self._write([key for key in self._waiting if key[1] <= newest.get(key[0], key[1] - 1)])

    def _came(self, key: _Key, actual_kw: float, published_kw: float) -> None:
        """Write the line of the forecast that told ``published_kw``, with what came."""
        lines = self._waiting[key]
        line = (
            min(lines, key=lambda line: abs(float(str(line[_GAP_KW])) - published_kw)) if len(lines) > 1 else lines[0]
        )
        line[_ACTUAL_KW] = round(actual_kw, DECIMALS)
        self._lines.writerow(line)
        lines.remove(line)
        if not lines:
            del self._waiting[key]

    def _write(self, keys: list[_Key]) -> None:
        for key in keys:
            self._lines.writerows(self._waiting.pop(key))
