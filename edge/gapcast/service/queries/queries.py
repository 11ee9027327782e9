"""Thread-safe read access to the state of the running service."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import TypeVar

from gapcast.core.device_status import DeviceStatus, status_of
from gapcast.core.engine import Engine
from gapcast.core.errors import RequestError
from gapcast.core.forecasts.forecast import Forecast
from gapcast.core.learning.scores.summary import Period, Summary
from gapcast.core.models.predictor import ModelIdentity, Predictor
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.outlook.outlook import Outlook
from gapcast.core.plans.plan import NO_LOADS, LoadPlan
from gapcast.core.readings.reading import Reading
from gapcast.core.series import forecast_series_with_outlook
from gapcast.service.persistence.persistence import StatePersistence, StateStore
from gapcast.service.ports.broker_link import Link
from gapcast.service.ports.intake import IntakeStatus, intake_status
from gapcast.service.ports.minute_recorder import RefitStatus
from gapcast.service.queries.demand_queries import DemandQueries
from gapcast.service.queries.name_page import name_page
from gapcast.service.queries.outlook_queries import NO_OUTLOOKS, OutlookQueries
from gapcast.service.queries.unknown_device import no_forecast, unknown_device
from gapcast.service.reports.availability import AvailabilityPublisher
from gapcast.service.reports.score_reports import ScoreReports
from gapcast.service.running_engine import RunningEngine

Answer = TypeVar("Answer")


class ServiceQueries:
    """Reads the state of the service for REST, metrics and status lines, from any thread."""

    def __init__(
        self,
        running: RunningEngine,
        link: Link,
        availability: AvailabilityPublisher,
        score_reports: ScoreReports,
        persistence: StatePersistence,
        statistics: Statistics,
    ) -> None:
        """Read ``running`` and the state of the service's components."""
        self._running = running
        self._link = link
        self._availability = availability
        self._score_reports = score_reports
        self._persistence = persistence
        #: The newest outlooks.
        self.outlooks = OutlookQueries(running)
        #: The newest demands, and answers to headroom requests.
        self.demands = DemandQueries(running)
        #: Counters of the service.
        self.statistics = statistics

    @property
    def connected(self) -> bool:
        """Whether the broker is connected and has granted the subscriptions of readings."""
        return self._link.connected

    @property
    def problem(self) -> str:
        """Why there is no connection, in a sentence; empty while there is one."""
        return self._link.problem

    @property
    def n_disconnects(self) -> int:
        """Number of lost connections to the broker, since the start."""
        return self._link.n_disconnects

    def intake(self) -> IntakeStatus:
        """Return the subscriptions and the messages received so far."""
        samples, now_ms = self._link.meters.sample_counts(), time.time_ns() // 1_000_000
        problem = "" if self.connected else self.problem
        with self._running.lock:
            engine = self._running.engine
            return intake_status(self._link.subscriptions, problem, self.statistics, samples, engine, now_ms)

    @property
    def state_store(self) -> StateStore:
        """Where readings and state are persisted."""
        return self._persistence.state_store

    @property
    def refit_status(self) -> RefitStatus | None:
        """The nightly refits so far; None if this gateway does not refit."""
        return self._running.recorder.status

    @property
    def n_queued(self) -> int:
        """Number of received messages that wait to be processed."""
        return self._link.n_queued

    @property
    def n_devices(self) -> int:
        """Number of devices that have sent a reading."""
        return len(self._running.engine.buffers)

    @property
    def models(self) -> Mapping[str, Predictor]:
        """All loaded models, by name."""
        return self._running.models

    @property
    def model(self) -> Predictor:
        """The primary model."""
        return self._running.engine.model

    @property
    def published_model(self) -> ModelIdentity:
        """Identity of the published model: the primary model's, or the ensemble's."""
        return self._running.engine.published_model

    def published_model_of(self, device: str) -> ModelIdentity:
        """Identity of the model under which forecasts of ``device`` are published, at its horizon."""
        return self._running.engine.forecaster_of(device).published_model

    def exceeds_device_limit(self, device: str, n_devices: int) -> bool:
        """Return whether ``device`` is known but not one of the first ``n_devices``; a restart does not change this."""
        with self._running.lock:
            buffers = self._running.engine.buffers
            return device in buffers and buffers.row(device) >= n_devices

    def status_line(self) -> str:
        """Return the state of the stream in a sentence, for ``systemctl status``."""
        n = sum(self.statistics.readings.values())
        counts = f"{n} readings of {self.n_devices} devices, forecasts of {self.published_model.name}"
        return counts if self.connected else f"no broker ({self.problem}); {counts}"

    def live_scores(self) -> tuple[dict[Period, Summary], int]:
        """Return the live scores over all devices, and the number of lasting changes detected in their errors."""
        with self._running.lock:
            engine = self._running.engine
            return engine.horizons.overall_scores(), self._score_reports.n_changes

    def read(self, query: Callable[[Engine, AvailabilityPublisher], Answer]) -> Answer:
        """Return the result of ``query`` on the engine and the devices' availability; the stream waits meanwhile."""
        with self._running.lock:
            return query(self._running.engine, self._availability)

    def latest_page(self, limit: int, after: str = "") -> tuple[list[Forecast], int, str | None]:
        """Return the latest forecasts of ``limit`` devices by name, their number, and the last name if more follow.

        Starts with the first name after ``after``. The stream waits only while columns are copied.
        """
        with self._running.lock:
            engine = self._running.engine
            newest = engine.copy_newest_forecasts()
        rows = {newest.devices[row]: row for row in newest.rows()}
        page, next_ = name_page(rows, limit, after)
        found = (newest.read(rows[device]) for device in page)
        return [forecast for forecast in found if forecast is not None], len(rows), next_

    def latest_of(self, device: str) -> Forecast | None:
        """Return the device's latest forecast; None if the device is unknown or has none yet.

        Waits for the stream only while it writes forecasts to the columns, not while models run.
        """
        engine = self._running.engine
        newest = engine.forecaster_of(device).newest
        n_steps = newest.n_steps
        if n_steps % 2 == 0:
            with suppress(LookupError):  # the device is being forgotten
                forecast = engine.latest_of(device)
                if newest.n_steps == n_steps:
                    return forecast
        with self._running.lock:
            return self._running.engine.latest_of(device)

    def explain_absence(self, device: str) -> str:
        """Return why ``device`` has no forecast, in a sentence.

        Takes no lock, so that the event loop does not wait for the stream: it only looks up one key.
        """
        return no_forecast(device) if device in self._running.engine.buffers else unknown_device(device)

    def device_statuses(self, n_at_most: int) -> Iterator[DeviceStatus]:
        """Yield the status of the first ``n_at_most`` devices; the stream waits for one at a time."""
        with self._running.lock:
            devices = list(islice(self._running.engine.buffers, n_at_most))
        for device in devices:
            with self._running.lock:
                status = status_of(self._running.engine, device)
            if status is not None:
                yield status

    def predict(
        self,
        readings: Sequence[Reading],
        model: str | None = None,
        plan: LoadPlan = NO_LOADS,
        *,
        device: str | None = None,
        has_outlook: bool = False,
    ) -> tuple[Forecast, Outlook | None]:
        """Forecast a series of readings, oldest first, by the rules of the stream; no device's state changes.

        The forecast contains the announced loads of ``plan``. Without a ``model`` it has the horizon of ``device``,
        which need not be known; None: the main horizon. ``has_outlook``: return its outlook too, else None.

        Raises :class:`RequestError` if the readings do not allow a forecast, or the model does not exist.
        """
        models = self._running.models
        if model is not None and model not in models:
            msg = f"model: there is no {model!r}; there are {', '.join(sorted(models))}"
            raise RequestError(msg)
        engine, now_ms = self._running.engine, time.time_ns() // 1_000_000
        primary = engine.model if device is None else engine.forecaster_of(device).model
        chosen = primary if model in {None, primary.name} else models[model]
        outlooks = engine.outlooks if has_outlook else None
        if has_outlook and outlooks is None:
            raise RequestError(f"outlook: {NO_OUTLOOKS}")
        return forecast_series_with_outlook(
            chosen,
            None if outlooks is None else outlooks.model,
            readings,
            now_ms,
            engine.zone,
            plan=plan,
            includes_path=engine.includes_path,
            limits=engine.limits,
        )
