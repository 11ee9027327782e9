"""The service: take what is queued, forecast it in one call, publish, keep, and only then acknowledge.

It knows neither MQTT nor HTTP nor files: the broker is behind :class:`Link`, the models behind
:class:`~gapcast.core.predictor.Predictor`, the disk behind :class:`Keeper`. One thread runs
:meth:`Service.run`; other threads may ask for the latest forecasts, or for one of their own readings.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from threading import Event, Lock

import structlog

from gapcast.core.engine import Accepted, Engine, none_accepted
from gapcast.core.errors import ModelError
from gapcast.core.forecast import Forecasts
from gapcast.core.isolation import ForecastFailed, forecast_apart
from gapcast.core.predictor import Predictor
from gapcast.core.reading import Reading
from gapcast.core.snapshot import Snapshot, capture_snapshot
from gapcast.core.statistics import Statistics
from gapcast.service.acknowledgement import BatchAcknowledgement
from gapcast.service.availability import AvailabilityPublisher, ReportOptions
from gapcast.service.batch_metrics import BatchMetrics
from gapcast.service.containment import PASSED, Containment
from gapcast.service.engine_swap import EngineSwap
from gapcast.service.event_feed import EventFeed
from gapcast.service.forecast_repairs import record_repairs
from gapcast.service.internal_errors import record_internal_error
from gapcast.service.persistence import NoStateStore, StatePersistence, StateStore
from gapcast.service.ports import Link
from gapcast.service.queries import ServiceQueries
from gapcast.service.score_reports import ScoreReports

log = structlog.get_logger(__name__)

#: Readings taken at a time: the batch grows by itself under load, and adds no wait when idle.
MAX_BATCH = 256
_IDLE_S = 0.25
#: After a turn that raised, the next one waits; twice as long after each in a row.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 5.0
#: Turns in a row that may raise before the watchdog is no longer told that the stream lives: half a minute or so.
MAX_FAILED_TURNS = 12
#: Longest that a stop waits for what is queued.
_DRAIN_S = 5.0


class Service(ServiceQueries):
    """Joins a link, an engine and the models, and counts what happens."""

    def __init__(
        self,
        link: Link,
        engine: Engine,
        models: Mapping[str, Predictor],
        *,
        statistics: Statistics | None = None,
        reports: ReportOptions | None = None,
        state_store: StateStore | None = None,
    ) -> None:
        """Serve ``engine``'s model over ``link``; requests may name any of ``models``.

        ``statistics`` may be shared with the link, which counts there what does not come this far. ``reports`` says
        what others are told of the devices; None: nothing but forecasts. ``state_store`` keeps readings over a restart,
        None keeps nothing.
        """
        self.models = models
        self.statistics = statistics or Statistics()
        self._link = link
        self._engine = engine
        self._lock = Lock()  # the engine's state: this service's thread writes, others read and forget
        #: What happens, for whoever listens.
        self.feed = EventFeed()
        reports = reports or ReportOptions()
        self._availability = AvailabilityPublisher(link, self.feed, engine.buffers, reports.presence, self._lock)
        self._score_reports = ScoreReports(link, self.feed, engine, reports.report_every_s, self._lock)
        self._persistence = StatePersistence(state_store or NoStateStore(), self._snapshot)
        self._engine_swap = EngineSwap()
        self._forgotten: deque[str] = deque()  # by others' threads, not in order with the readings yet
        self._batch_metrics = BatchMetrics(self.statistics)
        containment = Containment(self.statistics)
        self._attempt = containment.attempt
        self._acknowledgement = BatchAcknowledgement(link, containment)

    # --- the stream -----------------------------------------------------------------------------

    def run(self, stopping: Event, on_turn: Callable[[], None] = lambda: None) -> bool:
        """Serve until ``stopping`` is set; then finish what is queued. Tell whether all was confirmed.

        ``on_turn`` is called after each turn, a few times a second at least: while it is, the stream lives. A turn that
        raises is recorded, and the next one waits a little, longer each time; after :data:`MAX_FAILED_TURNS` in a row
        ``on_turn`` is not called until one succeeds, so that a watchdog may start the process anew.
        """
        log.info("service.started", model=self._engine.model.name, models=sorted(self.models))
        n_failed = 0
        while not stopping.is_set():
            if self._take_turn():
                n_failed = 0
            else:
                n_failed += 1
                stopping.wait(min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**n_failed))
            if n_failed < MAX_FAILED_TURNS:
                on_turn()
        self._drain()
        self._attempt("persistence", self._persist_forgotten)
        complete = bool(self._attempt("stream", self._link.close, 5.0, self._keep))
        self._attempt("persistence", self._persistence.close)
        log.info("service.stopped", all_confirmed=complete, **self.statistics.readings)
        return complete

    def _drain(self) -> None:
        """Take what is queued now, and not what goes on coming."""
        link, deadline_s = self._link, time.monotonic() + _DRAIN_S
        n_wanted = link.n_taken + link.n_queued
        while link.n_taken < n_wanted and link.connected and time.monotonic() < deadline_s and self._take_turn():
            pass

    def _take_turn(self) -> bool:
        """Take one turn; tell whether it raised nothing."""
        return self._attempt("stream", self.turn, _IDLE_S) is not None

    def turn(self, timeout_s: float) -> int:
        """Take one batch through: decode, accept, forecast, publish, keep, acknowledge. Return its size.

        Each step is taken although one before it raised: what is raised is recorded, and the message or the device
        that it came of is rejected as ``internal_error``.
        """
        attempt, link = self._attempt, self._link
        if self._engine_swap.is_due:
            attempt("models", self._swap_engine)
        arrivals = link.take(0 if self._persistence.pauses_intake else MAX_BATCH, timeout_s)
        attempt("persistence", self._keep, between_batches=not arrivals)
        if not arrivals:
            attempt("persistence", self._persist_forgotten)
            self._tell()
            return 0
        readings = [arrival.reading for arrival in arrivals if arrival.reading is not None]
        with self._lock:
            attempt("persistence", self._persist_forgotten)
            accepted = self._accept(readings)
            attempt("publish", self._availability.record_seen, accepted.first_rows + accepted.rows)
            began_s = time.perf_counter()
            accepted, forecasts = self._forecast(accepted)
            inference_s = time.perf_counter() - began_s
        if forecasts.repairs is not None:
            attempt("forecast", record_repairs, self.statistics, forecasts.repairs)
        receipts = attempt("publish", link.publish, forecasts) or [0] * len(accepted.devices)
        with self._lock:
            attempt("learning", self._learn)
        batch = attempt("persistence", self._begin_persistence, readings, accepted, forecasts, receipts) or 0
        attempt("stream", self._acknowledgement.acknowledge, self._engine, arrivals, accepted, receipts, batch)
        attempt("http", self.feed.publish_batch, readings, accepted, forecasts)
        if accepted.failures:
            self._record_failures(readings, accepted)
        attempt("persistence", self._keep)  # what has no forecast to wait for
        self._tell()
        attempt("stream", self._batch_metrics.count, arrivals, accepted, forecasts, inference_s, link.n_dropped)
        return len(arrivals)

    def _tell(self) -> None:
        """Publish what is new beside forecasts, and hand all that was written to the network."""
        self._attempt("publish", self._availability.publish_changes)
        self._attempt("publish", self._score_reports.publish_changes)
        self._attempt("publish", self._link.flush)

    def _accept(self, readings: list[Reading]) -> Accepted:
        accepted = self._attempt("stream", self._engine.accept, readings)
        return none_accepted(readings) if accepted is None else accepted

    def _learn(self) -> None:
        self._score_reports.record_outcomes(*self._engine.learn())

    def _begin_persistence(
        self, readings: list[Reading], accepted: Accepted, forecasts: Forecasts, receipts: list[int]
    ) -> int:
        samples = self._link.meters.take_samples()
        return self._persistence.add_batch(readings, accepted, forecasts.issued_at_ms, receipts, samples)

    def _record_failures(self, readings: list[Reading], accepted: Accepted) -> None:
        """Record what readings raised, and forget the devices whose state may be damaged by it."""
        damaged = set()
        for i, error in accepted.failures:
            device, is_forecast = readings[i].device, isinstance(error, ForecastFailed)
            cause = error.__cause__ or error
            record_internal_error(self.statistics, "forecast" if is_forecast else "message", cause, device)
            if not is_forecast:
                damaged.add(device)
        for device in damaged:
            self._attempt("stream", self.forget, device)

    def _swap_engine(self) -> None:
        """Go on with the engine that was offered, and have what is kept replayed by no other."""
        with self._lock:
            accepted = self._engine_swap.accept(self._engine)
            if accepted is None:
                return
            offer, pause_s = accepted
            self._engine, self.models = offer.engine, offer.models
            self._availability.buffers, self._score_reports.engine = offer.engine.buffers, offer.engine
        self._persistence.state_store.invalidate()
        offer.taken.set_result(pause_s)

    def _keep(self, *, between_batches: bool = True) -> None:
        """Keep, and then acknowledge, what the broker has confirmed since the last look."""
        persist_confirmed = self._persistence.persist_confirmed
        self._link.mark_persisted(persist_confirmed(self._link.has_confirmed, between_batches=between_batches))

    def _snapshot(self) -> Snapshot:
        with self._lock:
            return capture_snapshot(self._engine, self._link.meters.capture_state())

    def _persist_forgotten(self) -> None:
        """Let those that were forgotten be so in what is kept, too, between the batches that came before and after."""
        while self._forgotten:
            device = self._forgotten.popleft()
            self._link.meters.forget(device)
            self._persistence.forget(device)

    def _forecast(self, accepted: Accepted) -> tuple[Accepted, Forecasts]:
        """Forecast what was accepted; return that, and what was accepted as it is with the forecasts that failed."""
        now_ms = time.time_ns() // 1_000_000
        nothing = Forecasts(self._engine.publisher, now_ms, [], [], [], [])
        try:
            return accepted, self._engine.forecast(accepted, now_ms)
        except ModelError as error:  # the readings are kept, and the next batch may well be forecast
            self.statistics.n_model_failures += 1
            log.exception("model.failed", problem=str(error))
            return accepted, nothing
        except PASSED:
            raise
        except BaseException as error:
            first = error
        try:
            return forecast_apart(self._engine, accepted, now_ms)
        except PASSED:
            raise
        except BaseException:
            record_internal_error(self.statistics, "forecast", first)
            return accepted, nothing
