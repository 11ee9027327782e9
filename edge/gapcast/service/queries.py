"""What other threads may ask of the service while its own serves the stream."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import islice
from threading import Lock
from typing import TypeVar

from gapcast.core.device_status import DeviceStatus, status_of
from gapcast.core.engine import Engine
from gapcast.core.errors import RequestError
from gapcast.core.forecast import Forecast
from gapcast.core.learning.summary import Period, Summary
from gapcast.core.predictor import ModelIdentity, Predictor
from gapcast.core.reading import Reading
from gapcast.core.series import forecast_series
from gapcast.core.statistics import Statistics
from gapcast.service.availability import AvailabilityPublisher
from gapcast.service.engine_swap import EngineSwap
from gapcast.service.persistence import StatePersistence, StateStore
from gapcast.service.ports import Link
from gapcast.service.score_reports import ScoreReports

Answer = TypeVar("Answer")


class ServiceQueries:
    """The questions' half of :class:`gapcast.service.service.Service`, which has these parts."""

    models: Mapping[str, Predictor]
    statistics: Statistics
    _link: Link
    _engine: Engine
    _lock: Lock
    _availability: AvailabilityPublisher
    _score_reports: ScoreReports
    _persistence: StatePersistence
    _engine_swap: EngineSwap
    _forgotten: deque[str]

    @property
    def connected(self) -> bool:
        """Whether readings can come in."""
        return self._link.connected

    @property
    def problem(self) -> str:
        """Why no readings can come in, in a sentence; empty while they can."""
        return self._link.problem

    @property
    def state_store(self) -> StateStore:
        """What keeps readings over a restart."""
        return self._persistence.state_store

    @property
    def n_queued(self) -> int:
        """Messages that came and have not been taken."""
        return self._link.n_queued

    @property
    def n_devices(self) -> int:
        """Devices that have given a reading."""
        return len(self._engine.buffers)

    @property
    def model(self) -> Predictor:
        """The model that speaks for the stream."""
        return self._engine.model

    @property
    def publisher(self) -> ModelIdentity:
        """Whose words the forecasts of the stream are: the model's, or the blend's."""
        return self._engine.publisher

    def status_line(self) -> str:
        """Return how the stream fares, for people."""
        n = sum(self.statistics.readings.values())
        told = f"{n} readings of {self.n_devices} devices, {self.publisher.name} speaks"
        return told if self.connected else f"no broker ({self.problem}); {told}"

    def live_scores(self) -> tuple[dict[Period, Summary], int]:
        """Return the live scores over all devices, and how often something lasting has changed in one."""
        with self._lock:
            return self._engine.scores.overall(), self._score_reports.n_changes

    def look(self, question: Callable[[Engine, AvailabilityPublisher], Answer]) -> Answer:
        """Return what ``question`` finds in the engine, and among those who are there; the stream waits meanwhile."""
        with self._lock:
            return question(self._engine, self._availability)

    def swap_engine(self, engine: Engine, models: Mapping[str, Predictor]) -> Future[float]:
        """Go on with a new ``engine`` and ``models`` between two batches: see :meth:`Exchanging.offer`."""
        return self._engine_swap.offer(engine, models)

    def latest_page(self, limit: int, after: str = "") -> tuple[list[Forecast], int, str | None]:
        """Return the newest forecasts of ``limit`` devices, by name; how many have one; and the last name, if more do.

        It begins with the first name that is greater than ``after``. The stream waits for a copy of columns only.
        """
        with self._lock:
            publisher, (devices, latest) = self._engine.publisher, self._engine.copy_latest()
        rows = latest.rows(devices)
        page = heapq.nsmallest(limit + 1, (row for row in rows if devices[row] > after), key=devices.__getitem__)
        found = (latest.read(row, devices[row], publisher) for row in page[:limit])
        next_ = devices[page[limit - 1]] if len(page) > limit else None
        return [forecast for forecast in found if forecast is not None], len(rows), next_

    def latest_of(self, device: str) -> Forecast | None:
        """Return the device's newest forecast; None where the device is unknown or has none yet.

        It waits for the stream only where forecasts are just being kept, and not while they are made.
        """
        engine = self._engine
        newest = engine.newest
        n_steps = newest.n_steps
        if n_steps % 2 == 0:
            with suppress(LookupError):  # it is being forgotten
                forecast = engine.latest_of(device)
                if newest.n_steps == n_steps:
                    return forecast
        with self._lock:
            return self._engine.latest_of(device)

    def device_statuses(self, n_at_most: int) -> Iterator[DeviceStatus]:
        """Yield where each of the ``n_at_most`` devices stands that came first; the stream waits for one at a time."""
        with self._lock:
            devices = list(islice(self._engine.buffers, n_at_most))
        for device in devices:
            with self._lock:
                standing = status_of(self._engine, device)
            if standing is not None:
                yield standing

    def forget(self, device: str) -> bool:
        """Know nothing of ``device`` any more, until its next reading; tell whether it was known."""
        with self._lock:
            row = self._engine.forget(device)
            if row is None:
                return False
            self._availability.forget(device, row)
            self._score_reports.forget(row)
            self._forgotten.append(device)
        return True

    def predict(self, readings: Sequence[Reading], model: str | None = None) -> Forecast:
        """Forecast one series that is no device's, oldest first, by the rules of the stream.

        Raises :class:`RequestError` where no forecast can be made of it or there is no such model.
        """
        models = self.models
        if model is not None and model not in models:
            msg = f"model: there is no {model!r}; there are {', '.join(sorted(models))}"
            raise RequestError(msg)
        speaking = models[model] if model else self.model
        engine, now_ms = self._engine, time.time_ns() // 1_000_000
        return forecast_series(
            speaking, readings, now_ms, engine.zone, includes_path=engine.includes_path, limits=engine.limits
        )
