"""The demands of a back-test: scored by house, and written to a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gapcast.backtest.demands.house_demands import DemandFile, DemandLine, HouseDemands
from gapcast.core.arrays.array_types import F64
from gapcast.core.billing.infeasible_limit import InfeasibleLimit
from gapcast.core.billing.options import SiteDemandOptions
from gapcast.core.demand.demand import Demands
from gapcast.core.demand.device_demands import DeviceDemands
from gapcast.core.demand.scores import scores
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.core.streams.buffer import ReadingStatus

#: Statuses of readings that enter their window; a held reading enters with the next one.
_KNOWN = (ReadingStatus.READY, ReadingStatus.FIRST, ReadingStatus.HELD)
#: Stands for the fields of the next demand (device, minute, window start and length, values) after the last demand.
_NOTHING: tuple[str, int, int, int, int, list[float]] = ("", -1, 0, 0, 0, [])


@dataclass(frozen=True, slots=True)
class DemandTallies:
    """The sums of each house by name, and the length of its windows, minutes; houses without demands are left out.

    ``infeasible_limits`` are the limits below the lowest draw of their house, at its last reading.
    """

    houses: Mapping[str, tuple[F64, int]]
    infeasible_limits: Mapping[str, InfeasibleLimit] = field(default_factory=dict)

    def for_house(self, house: str) -> scores.DemandScores | None:
        """Return the scores of ``house``; None without a demand."""
        found = self.houses.get(house)
        return None if found is None else scores.scores_of(*found)

    def overall(self) -> scores.DemandScores | None:
        """Return the scores over all houses; None without any, or if houses have windows of different lengths."""
        lengths = {window_min for _, window_min in self.houses.values()}
        if len(lengths) != 1:
            return None
        return scores.scores_of(scores.join_sums([sums for sums, _ in self.houses.values()]), lengths.pop())


@dataclass(frozen=True, slots=True)
class DemandRequest:
    """The demands to score, made by ``options``; ``out`` is a CSV file to write them to."""

    options: SiteDemandOptions
    out: Path | None = None

    def tally(self, scored_from: int | None, stack: ExitStack) -> DemandTally:
        """Return a tally of the demands made from ``scored_from`` on; ``stack`` closes its file."""
        file = None if self.out is None else stack.enter_context(DemandFile(self.out))
        return DemandTally(self.options, scored_from, file)


class DemandTally:
    """Scores the demands made from the minute ``scored_from`` on."""

    def __init__(
        self, options: SiteDemandOptions, scored_from: int | None = None, file: DemandFile | None = None
    ) -> None:
        """Score demands by ``options`` made from ``scored_from`` on (None: all); write them to ``file``."""
        self._options, self._scored_from = options, scored_from
        self._file = file
        self._houses: dict[str, HouseDemands] = {}

    def add(self, accepted: AcceptedBatch, readings: Sequence[Reading], demands: Demands | None) -> None:
        """Add a batch of ``readings``, and the ``demands`` made at them (None: no demands).

        As for outcomes, a minute counts as measured unless it was filled or its reading is held or starts a window.
        """
        waiting = iter(()) if demands is None else _lines(demands)
        device, minute, start_minute, window_min, elapsed_min, values = next(waiting, _NOTHING)
        for reading, status in zip(readings, accepted.statuses, strict=True):
            if status not in _KNOWN:
                continue
            house = self._houses.get(reading.device)
            if house is None:
                options = self._options.for_device(reading.device)
                house = HouseDemands(reading.device, options, self._file, self._options.zone)
                self._houses[reading.device] = house
            is_measured = status is ReadingStatus.READY and not reading.is_filled
            house.add_reading(reading.minute, reading.gap_kw, is_measured=is_measured)
            if minute == reading.minute and device == reading.device:
                if self._scored_from is None or minute >= self._scored_from:
                    line: DemandLine = (minute, elapsed_min, values, reading.gap_kw)
                    house.add_demand(start_minute, window_min, line)
                device, minute, start_minute, window_min, elapsed_min, values = next(waiting, _NOTHING)

    def finish(self, made: DeviceDemands) -> DemandTallies:
        """Score the demands that still wait, if the mean of their window is known; return the sums of each house.

        ``made`` are the engine's demands, with the limits that are too low.
        """
        for house in self._houses.values():
            house.finish()
        found = {name: (house.sums, house.window_min) for name, house in self._houses.items() if house.window_min}
        infeasible_limits = {name: low for name in found if (low := made.infeasible_limit(name)) is not None}
        return DemandTallies(found, infeasible_limits)


def _lines(demands: Demands) -> Iterator[tuple[str, int, int, int, int, list[float]]]:
    """Yield device, minute, window, its length, minutes elapsed and values of each of ``demands``, in order."""
    running, following = demands.running, demands.next
    values = np.column_stack(
        (
            running.limit_kw, running.so_far_kw, running.expected_kw, running.lower_kw, running.upper_kw,
            running.p_exceed, running.headroom_kw, following.limit_kw, following.expected_kw, following.lower_kw,
            following.upper_kw, following.p_exceed, following.headroom_kw,
        )
    )  # fmt: skip
    return zip(
        demands.devices,
        demands.observed_minutes.tolist(),
        running.start_minutes.tolist(),
        (running.end_minutes - running.start_minutes).tolist(),
        running.elapsed_min.tolist(),
        values.tolist(),
        strict=True,
    )
