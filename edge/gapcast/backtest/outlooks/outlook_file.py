"""Writes the outlooks of a back-test to a CSV file: all of them, or none."""

from __future__ import annotations

from math import isnan
from pathlib import Path

import numpy as np

from gapcast.backtest.forecasts.whole_file import WholeFile
from gapcast.core.arrays.array_types import F64
from gapcast.core.forecasts.forecast import DECIMALS
from gapcast.core.grid import minute_label
from gapcast.core.outlook.scores.reference_forecasts import KINDS

HEADER = ("device", "observed_at", "kind", "lead_min", "mean_kw", "lower_kw", "median_kw", "upper_kw")


class OutlookFile(WholeFile):
    """Writes a line for each outlook, kind and lead time, as they are made."""

    def __init__(self, path: Path, lead_times_min: tuple[int, ...]) -> None:
        """Write outlooks at ``lead_times_min``; raise :class:`SettingsError` if ``path`` cannot be written."""
        self._keys = [(kind, lead_min) for kind in KINDS for lead_min in lead_times_min]
        super().__init__("--outlook-out", path, HEADER)

    def add(self, devices: list[str], observed_minutes: list[int], outlooks_kw: F64) -> None:
        """Write N outlooks, ``[N, H, 2, 4]`` by lead time and kind; NaN, a bound that there is none of, is blank."""
        by_kind = np.moveaxis(outlooks_kw, 2, 1).reshape(len(devices), len(self._keys), -1)
        for device, minute, values in zip(devices, observed_minutes, by_kind.round(DECIMALS).tolist(), strict=True):
            observed_at = minute_label(minute)
            self.write_all(
                (device, observed_at, kind, lead_min, *("" if isnan(value) else value for value in of_lead))
                for (kind, lead_min), of_lead in zip(self._keys, values, strict=True)
            )
