"""The outlooks of a back-test: scored by house, lead time and kind, and written to a whole CSV file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import isnan
from pathlib import Path

import numpy as np

from gapcast.backtest.forecasts.whole_file import WholeFile
from gapcast.backtest.outlooks.house_outlooks import HouseOutlooks
from gapcast.backtest.outlooks.lead_scores import LeadScores
from gapcast.core.arrays.array_types import F64
from gapcast.core.errors import SettingsError
from gapcast.core.forecasts.forecast import DECIMALS
from gapcast.core.outlook.interpolation import interpolate
from gapcast.core.outlook.outlook import Outlooks
from gapcast.core.outlook.scores.reference_forecasts import KINDS
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.core.streams.buffer import ReadingStatus
from gapcast.core.time_grid import DAY_MIN, minute_label

#: The longest lead time of ``--horizons``, minutes.
LONGEST_MIN = 60
_FIX = f"use whole minutes from 1 to {LONGEST_MIN}, each once, such as --horizons 5,15,30,60"
#: The columns of the file of outlooks.
HEADER = ("device", "observed_at", "kind", "lead_min", "mean_kw", "lower_kw", "median_kw", "upper_kw")
#: Stands for the fields of the next outlook (device, minute, values) after the last outlook.
_NOTHING: tuple[str, int, F64] = ("", -1, np.empty(0))


def parse_horizons(text: str) -> tuple[int, ...]:
    """Return the rising lead times in ``text``, of ``--horizons``; raise :class:`SettingsError` if one is invalid.

    >>> parse_horizons("15, 5,60")
    (5, 15, 60)
    """
    horizons: list[int] = []
    for word in text.split(","):
        name = word.strip()
        if not (name.isascii() and name.isdigit()):
            msg = f"--horizons: {name!r} is not a number of minutes: {_FIX}"
            raise SettingsError(msg)
        lead_min = int(name)
        if not 1 <= lead_min <= LONGEST_MIN:
            msg = f"--horizons: {lead_min} min is not between 1 and {LONGEST_MIN}: {_FIX}"
            raise SettingsError(msg)
        if lead_min in horizons:
            msg = f"--horizons: {lead_min} is listed twice: {_FIX}"
            raise SettingsError(msg)
        horizons.append(lead_min)
    return tuple(sorted(horizons))


class OutlookFile(WholeFile):
    """Writes a line for each outlook, kind and lead time, as they are made."""

    def __init__(self, path: Path, lead_times_min: tuple[int, ...]) -> None:
        """Write outlooks at ``lead_times_min``; raise :class:`SettingsError` if ``path`` cannot be written."""
        self._keys = [(kind, lead_min) for kind in KINDS for lead_min in lead_times_min]
        super().__init__("--outlook-out", path, HEADER)

    def add(self, devices: list[str], observed_minutes: list[int], outlooks_kw: F64) -> None:
        """Write N outlooks, ``[N, H, 2, 4]`` by lead time and kind; NaN, a missing bound, is blank."""
        by_kind = np.moveaxis(outlooks_kw, 2, 1).reshape(len(devices), len(self._keys), -1)
        for device, minute, values in zip(devices, observed_minutes, by_kind.round(DECIMALS).tolist(), strict=True):
            observed_at = minute_label(minute)
            self.write_all(
                (device, observed_at, kind, lead_min, *("" if isnan(value) else value for value in of_lead))
                for (kind, lead_min), of_lead in zip(self._keys, values, strict=True)
            )


@dataclass(frozen=True, slots=True)
class OutlookRequest:
    """The outlooks to score, at ``lead_times_min``, rising; ``out`` is a CSV file to write them to."""

    lead_times_min: tuple[int, ...]
    out: Path | None = None

    def tally(self, scored_from: int | None, stack: ExitStack) -> OutlookTally:
        """Return a tally of the outlooks made from ``scored_from`` on; ``stack`` closes its file."""
        file = None if self.out is None else stack.enter_context(OutlookFile(self.out, self.lead_times_min))
        return OutlookTally(self.lead_times_min, scored_from, file)


class OutlookTally:
    """Scores the outlooks made from the minute ``scored_from`` on, at some lead times."""

    def __init__(
        self, lead_times_min: tuple[int, ...], scored_from: int | None = None, file: OutlookFile | None = None
    ) -> None:
        """Score outlooks at ``lead_times_min``, made from ``scored_from`` on (None: all); write all to ``file``."""
        self.lead_times_min = lead_times_min
        self._scored_from = scored_from
        self._file = file
        self._houses: dict[str, HouseOutlooks] = {}
        #: The newest reading of a device if it came more than a day after the one before.
        self._held: dict[str, Reading] = {}

    def add(self, accepted: AcceptedBatch, readings: Sequence[Reading], outlooks: Outlooks | None) -> None:
        """Add a batch of ``readings``, and the ``outlooks`` made at them (None: no outlooks).

        As for forecasts, outcomes are neither filled minutes nor readings that start a new window. A held reading is
        known from the reading on that confirms it.
        """
        waiting = iter(()) if outlooks is None else self._written(outlooks)
        device, minute, outlook_kw = next(waiting, _NOTHING)
        for reading, status in zip(readings, accepted.statuses, strict=True):
            if status is ReadingStatus.HELD:
                self._held[reading.device] = reading
            if status is not ReadingStatus.READY and status is not ReadingStatus.FIRST:
                continue
            house = self._houses.get(reading.device)
            if house is None:
                house = self._houses[reading.device] = HouseOutlooks(self.lead_times_min)
            held = self._held.pop(reading.device, None)
            if held is not None and 0 < reading.minute - held.minute <= DAY_MIN:
                house.add_reading(held, is_outcome=False)
            house.add_reading(reading, is_outcome=status is ReadingStatus.READY and not reading.is_filled)
            if minute == reading.minute and device == reading.device:
                if self._scored_from is None or minute >= self._scored_from:
                    house.add_outlook(outlook_kw)
                device, minute, outlook_kw = next(waiting, _NOTHING)

    def _written(self, outlooks: Outlooks) -> Iterator[tuple[str, int, F64]]:
        """Write ``outlooks`` at the lead times to the file; yield device, minute and values ``[H, 2, 4]`` of each."""
        leads, both = outlooks.lead_times_min, (outlooks.point_kw, outlooks.mean_kw)
        exact = np.stack([interpolate(leads, kw, self.lead_times_min) for kw in both], axis=2)
        values: F64 = exact.round(DECIMALS)  # as published
        if self._file is not None:
            self._file.add(outlooks.devices, outlooks.observed_minutes, values)
        return iter(zip(outlooks.devices, outlooks.observed_minutes, values, strict=True))

    def finish(self) -> LeadScores:
        """Score the outlooks that still wait, with the outcomes known so far, and return the scores of each house."""
        for house in self._houses.values():
            house.finish()
        return LeadScores(self.lead_times_min, {name: house.sums for name, house in self._houses.items()})
