"""Each forecast with its outcome, as lines of a CSV."""

from __future__ import annotations

import csv
from pathlib import Path
from types import TracebackType

from edge.core.errors import SettingsError
from edge.core.forecast import DECIMALS, Forecasts
from edge.core.grid import minute_label
from edge.core.online.outcomes import Outcomes

HEADER = (
    "device", "observed_at", "target_at", "gap_kw", "median_kw", "lower_kw", "upper_kw", "last_kw", "came_kw",
)  # fmt: skip
#: A forecast, and where it is to go: (row of the device, target minute) -> its line so far.
_Waiting = dict[tuple[int, int], list[object]]


class WrittenOutcomes:
    """Writes a line once the target minute has come, or has passed without a reading: then without ``came_kw``."""

    def __init__(self, path: Path) -> None:
        """Write to ``path``, in place of what is there; raise :class:`SettingsError` where that cannot be done."""
        try:
            self._file = path.open("w", newline="", encoding="utf-8")
        except OSError as error:
            msg = f"--out {path}: cannot be written ({error.strerror})"
            raise SettingsError(msg) from error
        self._lines = csv.writer(self._file)
        self._lines.writerow(HEADER)
        self._waiting: _Waiting = {}

    def __enter__(self) -> WrittenOutcomes:
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
            self._waiting[row, target] = [*stamps, *told, round(last, DECIMALS), ""]
            newest[row] = minute
        if outcomes is not None:
            columns = (outcomes.rows, outcomes.minutes, outcomes.came_kw)
            for row, minute, came in zip(*(column.tolist() for column in columns), strict=True):
                self._waiting[row, minute][-1] = round(came, DECIMALS)
                self._write([(row, minute)])
        self._write([key for key in self._waiting if key[1] <= newest.get(key[0], key[1] - 1)])

    def _write(self, keys: list[tuple[int, int]]) -> None:
        for key in keys:
            self._lines.writerow(self._waiting.pop(key))
