"""Writes the outlooks of a back-test to a CSV file: all of them, or none."""

from __future__ import annotations

import csv
from math import isnan
from pathlib import Path
from types import TracebackType

import numpy as np

from gapcast.core.errors import SettingsError
from gapcast.core.forecast import DECIMALS
from gapcast.core.grid import minute_label
from gapcast.core.outlook.reference_forecasts import F64, KINDS

HEADER = ("device", "observed_at", "kind", "lead_min", "mean_kw", "lower_kw", "median_kw", "upper_kw")
#: Ends the name of a file that is not complete yet.
_PART = ".part"


class OutlookFile:
    """Writes a line for each outlook, kind and lead time, as they are made.

    The lines go to a file beside ``path``, which takes its name once all are written. If the run fails, it is removed,
    and what was at ``path`` stays.
    """

    def __init__(self, path: Path, lead_times_min: tuple[int, ...]) -> None:
        """Write outlooks at ``lead_times_min``; raise :class:`SettingsError` if ``path`` cannot be written."""
        self._path, self._part = path, path.with_name(path.name + _PART)
        self._keys = [(kind, lead_min) for kind in KINDS for lead_min in lead_times_min]
        try:
            if path.is_dir():
                raise IsADirectoryError(None, "Is a directory")
            self._file = self._part.open("w", newline="", encoding="utf-8")
        except OSError as error:
            msg = f"--outlook-out {path}: cannot be written ({error.strerror})"
            raise SettingsError(msg) from error
        self._lines = csv.writer(self._file)
        self._lines.writerow(HEADER)

    def __enter__(self) -> OutlookFile:
        """Return this."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file, and give it its name; remove it after an error."""
        self._file.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink()

    def add(self, devices: list[str], observed_minutes: list[int], outlooks_kw: F64) -> None:
        """Write N outlooks, ``[N, H, 2, 4]`` by lead time and kind; NaN, a bound that there is none of, is blank."""
        by_kind = np.moveaxis(outlooks_kw, 2, 1).reshape(len(devices), len(self._keys), -1)
        for device, minute, values in zip(devices, observed_minutes, by_kind.round(DECIMALS).tolist(), strict=True):
            observed_at = minute_label(minute)
            self._lines.writerows(
                (device, observed_at, kind, lead_min, *("" if isnan(value) else value for value in of_lead))
                for (kind, lead_min), of_lead in zip(self._keys, values, strict=True)
            )
