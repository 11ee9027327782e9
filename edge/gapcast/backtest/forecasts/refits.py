"""The refits of a back-test: at the simulated nights of each house, while the readings wait."""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import structlog

from gapcast.config.machine.processors import n_usable_processors
from gapcast.core.engine import Engine
from gapcast.core.errors import ModelError
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.submeters import measured_name
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.refit.forest_file import RefitResult
from gapcast.refit.minutes import MAX_MINUTES, RecordedMinutes
from gapcast.refit.schedule import LastRefit, NightWatch, is_due
from gapcast.refit.worker import FitOptions, FormerForest, refit_confined

log = structlog.get_logger(__name__)

#: A night begins at 3:00 local time.
_NIGHT_BEGINS_MIN = 180
#: Minutes of one house that are processed between two checks for a new night.
CHECK_EVERY_MIN = 240

Fit = Callable[[RecordedMinutes, FitOptions, FormerForest | None], RefitResult]


def fit_at_once(house: RecordedMinutes, options: FitOptions, former: FormerForest | None) -> RefitResult:
    """Fit in a child process of ordinary priority: the back-test waits for it."""
    return refit_confined(house, options, former, niceness=0)


class SimulatedRefits:
    """Records the readings of all houses, and refits each of them at its own nights."""

    def __init__(self, engine: Engine, every_days: int, fit: Fit = fit_at_once) -> None:
        """Refit the forests of ``engine`` every ``every_days``, with ``fit``."""
        self._engine = engine
        self._every_days = every_days
        self._fit = fit
        self._houses: dict[str, _Recorded] = {}
        self.n_refits = self.n_refused = 0
        self.took_s = 0.0

    def document(self) -> dict[str, float]:
        """Return the numbers of refits and of unused refits, and the time of all refits, s."""
        return {"n": self.n_refits, "n_refused": self.n_refused, "took_s": round(self.took_s, 3)}

    def add(self, accepted: AcceptedBatch, readings: Sequence[Reading]) -> None:
        """Record the ``readings`` of a batch; refit the houses that were due when a night began, as in a gateway."""
        due: dict[str, None] = {}
        for reading in accepted.window_readings(readings):
            house = self._houses.get(reading.device)
            if house is None:
                submeters = self._engine.horizons.main.forests.features_of(reading.device).submeters
                watch = NightWatch(self._engine.zone, _NIGHT_BEGINS_MIN)
                house = self._houses[reading.device] = _Recorded(submeters, watch)
            if house.begin_nights(reading.minute, self._every_days):
                due[reading.device] = None
            house.append(reading)
        if due:
            self._refit([*due])

    def _refit(self, due: Sequence[str]) -> None:
        began_s, engine = time.perf_counter(), self._engine
        with ThreadPoolExecutor(n_usable_processors()) as pool:
            waiting = {}
            for device in due:
                house, options = self._houses[device], FitOptions.for_device(engine, device, engine.zone)
                waiting[device] = pool.submit(self._fit, house.copied(), options, house.former)
        for device, future in waiting.items():
            house = self._houses[device]
            try:
                result = future.result()
            except ModelError as error:
                log.warning("refit.failed", device=device, problem=str(error))
                self.n_refused += 1
                continue
            if result.forest is None:
                self.n_refused += 1
            else:
                engine.forecaster_of(device).forests.use(device, result.forest)
                house.former = FormerForest(result.forest, result.fitted_at_min)
                self.n_refits += 1
        self.took_s += time.perf_counter() - began_s


class _Recorded:
    """The newest readings of a house, and its last refit."""

    def __init__(self, submeters: Sequence[str], watch: NightWatch) -> None:
        self.minutes, self._gap_kw, self._is_filled = array("q"), array("f"), array("b")
        self._submeters_kw = {name: array("f") for name in submeters}
        self.last: LastRefit | None = None
        self.former: FormerForest | None = None
        self._watch = watch

    def begin_nights(self, minute: int, every_days: int) -> bool:
        """Begin the nights until ``minute``, the next reading's; return whether the house was due in one of them."""
        was_due = False
        for night in self._watch.begun(minute):
            n_readings = min(len(self.minutes), MAX_MINUTES)
            if is_due(night, n_readings, self.last, every_days):
                self.last = LastRefit(night, n_readings)
                was_due = True
        return was_due

    def append(self, reading: Reading) -> None:
        self.minutes.append(reading.minute)
        self._gap_kw.append(reading.gap_kw)
        self._is_filled.append(reading.is_filled)
        measured = reading.measured or {}
        for name, powers_kw in self._submeters_kw.items():
            powers_kw.append(measured.get(measured_name(name), math.nan))
        if len(self.minutes) >= 2 * MAX_MINUTES:
            del self.minutes[:-MAX_MINUTES], self._is_filled[:-MAX_MINUTES]
            for powers_kw in (self._gap_kw, *self._submeters_kw.values()):
                del powers_kw[:-MAX_MINUTES]

    def copied(self) -> RecordedMinutes:
        """Return a copy."""
        return RecordedMinutes(
            np.array(self.minutes, dtype=np.int64),
            np.array(self._gap_kw, dtype=np.float32),
            np.array(self._is_filled, dtype=bool),
            {name: np.array(kw, dtype=np.float32) for name, kw in self._submeters_kw.items()},
        )
