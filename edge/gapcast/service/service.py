"""The service: receive a batch of messages, forecast it in one call, publish, persist, and only then acknowledge.

It depends neither on MQTT nor on HTTP nor on files: the broker is behind :class:`Link`, the models behind
:class:`~gapcast.core.predictor.Predictor`, the disk behind :class:`StateStore`. One thread runs :meth:`Service.run`;
others read through :attr:`Service.queries`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from threading import Event

import structlog

from gapcast.compiled.library import load_library
from gapcast.core.accepted_batch import AcceptedBatch, none_accepted
from gapcast.core.demand.demand import Demands
from gapcast.core.engine import Engine
from gapcast.core.errors import ModelError
from gapcast.core.forecast import Forecasts
from gapcast.core.isolation import ForecastFailed, forecast_apart
from gapcast.core.learning.forest import Forest
from gapcast.core.outlook.outlook import Outlooks
from gapcast.core.plan import LoadPlan
from gapcast.core.predictor import Predictor
from gapcast.core.reading import Reading
from gapcast.core.snapshot import Snapshot, capture_snapshot
from gapcast.core.statistics import Statistics
from gapcast.service.acknowledgement import BatchAcknowledgement
from gapcast.service.availability import AvailabilityPublisher, ReportOptions
from gapcast.service.batch_metrics import BatchMetrics
from gapcast.service.containment import PROPAGATED_ERRORS, Containment
from gapcast.service.demand_control import DemandControl
from gapcast.service.engine_swap import EngineSwap
from gapcast.service.event_feed import EventFeed
from gapcast.service.forecast_repairs import record_repairs
from gapcast.service.internal_errors import record_internal_error
from gapcast.service.persistence import NoStateStore, StatePersistence, StateStore
from gapcast.service.ports import Link, MinuteRecorder, NoMinuteRecorder
from gapcast.service.queries import ServiceQueries
from gapcast.service.running_engine import RunningEngine
from gapcast.service.score_reports import ScoreReports
from gapcast.service.state_changes import ForgottenDevice, PlanChange, StateChange

log = structlog.get_logger(__name__)

#: Largest batch: batches grow under load, and add no wait when idle.
MAX_BATCH = 256
_IDLE_S = 0.25
#: Pause after a failed iteration: doubled for each further one in a row.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
#: Failed iterations in a row after which the watchdog is no longer notified: about half a minute.
MAX_FAILED_ITERATIONS = 12
#: Longest time that a stop waits for queued messages.
_DRAIN_S = 5.0


class Service:
    """Moves readings from a link through an engine, and forecasts back."""

    def __init__(  # noqa: PLR0913 - all but three have a default
        self,
        link: Link,
        engine: Engine,
        models: Mapping[str, Predictor],
        *,
        statistics: Statistics | None = None,
        reports: ReportOptions | None = None,
        state_store: StateStore | None = None,
        recorder: MinuteRecorder | None = None,
    ) -> None:
        """Serve ``engine`` over ``link``; requests may name any of ``models``.

        ``statistics`` may be shared with the link, which counts messages that do not reach the service. ``reports``
        selects what is published beside forecasts (None: nothing). ``state_store`` persists state (None: not), and
        ``recorder`` records readings for the night's refit (None: there is none).
        """
        self.statistics = statistics or Statistics()
        self._link = link
        self._running = running = RunningEngine(engine, models, recorder=recorder or NoMinuteRecorder())
        #: Events for ``GET /events``.
        self.feed = EventFeed()
        reports = reports or ReportOptions()
        self._availability = AvailabilityPublisher(link, self.feed, running, reports.presence)
        self._score_reports = ScoreReports(link, self.feed, running, reports.report_every_s)
        self._persistence = StatePersistence(state_store or NoStateStore(), self._snapshot)
        self._engine_swap = EngineSwap()
        #: Forgotten devices, new plans and changed demands, by any thread; not persisted yet.
        self._changes: deque[StateChange] = deque()
        #: Changes of limits and month's peaks. Thread-safe.
        self.demand_changes = DemandControl(running, self._changes)
        self._batch_metrics = BatchMetrics(self.statistics)
        containment = Containment(self.statistics)
        self._attempt = containment.attempt
        self._acknowledgement = BatchAcknowledgement(link, containment)
        #: Thread-safe read access, for HTTP and metrics.
        self.queries = ServiceQueries(
            running, link, self._availability, self._score_reports, self._persistence, self.statistics
        )

    # --- other threads --------------------------------------------------------------------------

    def swap_engine(self, engine: Engine, models: Mapping[str, Predictor]) -> Future[float]:
        """Continue with a new ``engine`` and ``models`` between two batches: see :meth:`EngineSwap.offer`."""
        return self._engine_swap.offer(engine, models)

    def use_forest(self, device: str, forest: Forest) -> bool:
        """Forecast ``device`` with ``forest`` too, from the next batch on; return False if it was forgotten meanwhile.

        Raises :class:`StateError` if the engine takes other features than the forest.
        """
        with self._running.lock:
            engine = self._running.engine
            if device not in engine.buffers:
                return False
            engine.forecaster_of(device).forests.use(device, forest)
        self._persistence.state_store.invalidate()  # batches from here on are forecast otherwise than before
        return True

    def forget(self, device: str) -> bool:
        """Discard the state of ``device``; it starts again with its next reading. Return whether it was known."""
        with self._running.lock:
            was_changed = self._running.engine.is_changed(device)
            row = self._running.engine.forget(device)
            if row is not None:
                self._availability.forget(device, row)
                self._score_reports.forget(row)
            elif not was_changed:
                return False
            self._changes.append(ForgottenDevice(device))
        self._attempt("refit", self._running.recorder.forget, device)
        return True

    def replace_plan(self, device: str, plan: LoadPlan) -> None:
        """Replace the announced loads of ``device``, which may be unknown yet.

        Raises :class:`~gapcast.core.errors.PayloadError` if there are too many loads in all plans.
        """
        with self._running.lock:
            self._running.engine.replace_plan(device, plan)
            self._changes.append(PlanChange(device, plan))

    # --- the stream -----------------------------------------------------------------------------

    def run(self, stopping: Event, on_iteration: Callable[[], None] = lambda: None) -> bool:
        """Serve until ``stopping`` is set, then process what is queued. Return whether all forecasts were confirmed.

        ``on_iteration`` is called after each iteration, at least a few times a second, as a sign of life. A failed
        iteration is recorded and the next one waits, longer each time; after :data:`MAX_FAILED_ITERATIONS` in a row
        ``on_iteration`` is not called until one succeeds, so that a watchdog may restart the process.
        """
        engine, models = self._running.engine, sorted(self._running.models)
        log.info("service.started", model=engine.model.name, models=models, compiled=load_library() is not None)
        n_failed = 0
        while not stopping.is_set():
            if self._try_run_once():
                n_failed = 0
            else:
                n_failed += 1
                stopping.wait(min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (n_failed - 1)))
            if n_failed < MAX_FAILED_ITERATIONS:
                on_iteration()
        self._drain()
        self._attempt("persistence", self._persist_changes)
        complete = bool(self._attempt("stream", self._link.close, 5.0, self._persist_confirmed))
        self._attempt("persistence", self._persistence.close)
        log.info("service.stopped", all_confirmed=complete, **self.statistics.readings)
        return complete

    def _drain(self) -> None:
        """Process the messages that are queued now, not later ones."""
        link, deadline_s = self._link, time.monotonic() + _DRAIN_S
        n_wanted = link.n_taken + link.n_queued
        while link.n_taken < n_wanted and link.connected and time.monotonic() < deadline_s and self._try_run_once():
            pass

    def _try_run_once(self) -> bool:
        """Run one iteration; return whether it succeeded."""
        return self._attempt("stream", self.run_once, _IDLE_S) is not None

    def run_once(self, timeout_s: float) -> int:
        """Process one batch: decode, accept, forecast, publish, learn, persist, acknowledge. Return its size.

        A step that fails does not prevent the next: the error is recorded, and the message or device that caused it is
        rejected as ``internal_error``.
        """
        attempt, link = self._attempt, self._link
        if self._engine_swap.is_due:
            attempt("models", self._swap_engine)
        messages = link.receive_messages(0 if self._persistence.pauses_intake else MAX_BATCH, timeout_s)
        attempt("persistence", self._persist_confirmed, between_batches=not messages)
        if not messages:
            attempt("persistence", self._persist_changes)
            attempt("persistence", self._persist_samples)
            self._publish_reports(0)
            return 0
        readings = [message.reading for message in messages if message.reading is not None]
        with self._running.lock:
            attempt("persistence", self._persist_changes)
            accepted = self._accept(readings)
            attempt("publish", self._availability.record_seen, accepted.first_rows + accepted.rows)
            began_s = time.perf_counter()
            accepted, forecasts = self._forecast(accepted)
            inference_s = time.perf_counter() - began_s
        if forecasts.repairs is not None:
            attempt("forecast", record_repairs, self.statistics, forecasts.repairs)
        forecast_ids = attempt("publish", link.publish, forecasts) or [0] * len(accepted.devices)
        entered = accepted.entered(readings)
        attempt("publish", link.publish_measured, entered)
        with self._running.lock:
            attempt("refit", self._record, accepted.uncontrolled(readings))
            outlooks = attempt("outlook", self._outlook, accepted, forecasts)
            demands = None
            if self._running.engine.demands is not None:
                demands = attempt("demand", self._running.engine.demand, accepted, outlooks)
            attempt("learning", self._learn)
        if outlooks is not None:
            attempt("outlook", self._publish_outlooks, outlooks)
        if demands is not None:
            attempt("demand", self._publish_demands, demands)
        batch = attempt("persistence", self._begin_persistence, readings, accepted, forecasts, forecast_ids) or 0
        attempt(
            "stream", self._acknowledgement.acknowledge, self._running.engine, messages, accepted, forecast_ids, batch
        )
        attempt("http", self.feed.publish_batch, readings, accepted, forecasts)
        if outlooks is not None:
            attempt("http", self.feed.publish_outlooks, outlooks)
        if demands is not None:
            attempt("http", self.feed.publish_demands, demands)
        if accepted.failures:
            self._record_failures(readings, accepted)
        attempt("persistence", self._persist_confirmed)  # batches without a forecast
        self._publish_reports(len(messages))
        attempt("stream", self._batch_metrics.count, messages, accepted, forecasts, inference_s, link.n_dropped)
        return len(messages)

    def _publish_reports(self, n_readings: int) -> None:
        """Publish availability and scores after an iteration with ``n_readings``, and flush the link."""
        self._attempt("publish", self._availability.publish_changes)
        self._attempt("publish", self._score_reports.publish_changes, n_readings)
        self._attempt("publish", self._link.flush)

    def _accept(self, readings: list[Reading]) -> AcceptedBatch:
        accepted = self._attempt("stream", self._running.engine.accept, readings)
        return none_accepted(readings) if accepted is None else accepted

    def _record(self, entered: Sequence[Reading]) -> None:
        """Record ``entered`` for the night's refit, but for devices forgotten since their forecast was published."""
        buffers = self._running.engine.buffers
        self._running.recorder.record([reading for reading in entered if reading.device in buffers])

    def _outlook(self, accepted: AcceptedBatch, forecasts: Forecasts) -> Outlooks | None:
        """Return the outlooks of the devices that have one, None if there are none. The caller holds the lock."""
        if not len(forecasts):
            return None
        try:
            return self._running.engine.outlook(accepted, forecasts)
        except ModelError as error:
            self.statistics.n_model_failures += 1
            log.exception("model.failed", problem=str(error))
            return None

    def _publish_outlooks(self, outlooks: Outlooks) -> None:
        self._link.publish_outlooks(outlooks)
        self.statistics.n_outlooks += len(outlooks)

    def _publish_demands(self, demands: Demands) -> None:
        self._link.publish_demands(demands)
        self.statistics.n_demands += len(demands)

    def _learn(self) -> None:
        self._score_reports.record_outcomes(*self._running.engine.learn())

    def _begin_persistence(
        self, readings: list[Reading], accepted: AcceptedBatch, forecasts: Forecasts, forecast_ids: list[int]
    ) -> int:
        samples = self._link.meters.take_samples()
        return self._persistence.add_batch(readings, accepted, forecasts.issued_at_ms, forecast_ids, samples)

    def _record_failures(self, readings: list[Reading], accepted: AcceptedBatch) -> None:
        """Record the errors of readings, and forget the devices whose state they may have damaged."""
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
        """Replace the engine by the offered one, and invalidate the persisted batches of the old one."""
        with self._running.lock:
            accepted = self._engine_swap.accept(self._running.engine)
            if accepted is None:
                return
            offer, pause_s = accepted
            self._running.engine, self._running.models = offer.engine, offer.models
        self._persistence.state_store.invalidate()
        offer.taken.set_result(pause_s)

    def _persist_confirmed(self, *, between_batches: bool = True) -> None:
        """Persist, and then acknowledge, the batches that the broker has confirmed."""
        persist_confirmed = self._persistence.persist_confirmed
        self._link.mark_persisted(persist_confirmed(self._link.has_confirmed, between_batches=between_batches))

    def _snapshot(self) -> Snapshot:
        with self._running.lock:
            return capture_snapshot(self._running.engine, self._link.meters.capture_state())

    def _persist_samples(self) -> None:
        """Persist that the clock closed minutes, if no message arrived with them."""
        if samples := self._link.meters.take_samples():
            self._persistence.add_batch([], none_accepted([]), time.time_ns() // 1_000_000, [], samples)

    def _persist_changes(self) -> None:
        """Persist the changes by other threads, between the batches before and after."""
        while self._changes:
            change = self._changes.popleft()
            if isinstance(change, ForgottenDevice):
                self._link.meters.forget(change.device)
            self._persistence.add_change(change)

    def _forecast(self, accepted: AcceptedBatch) -> tuple[AcceptedBatch, Forecasts]:
        """Forecast the accepted readings; return them with the failures that forecasting added, and the forecasts."""
        now_ms = time.time_ns() // 1_000_000
        nothing = Forecasts(self._running.engine.published_model, now_ms, [], [], [], [])
        try:
            return accepted, self._running.engine.forecast(accepted, now_ms)
        except ModelError as error:  # the readings stay in the windows; the next batch may succeed
            self.statistics.n_model_failures += 1
            log.exception("model.failed", problem=str(error))
            return accepted, nothing
        except PROPAGATED_ERRORS:
            raise
        except BaseException as error:
            first = error
        try:
            return forecast_apart(self._running.engine, accepted, now_ms)
        except PROPAGATED_ERRORS:
            raise
        except BaseException:
            record_internal_error(self.statistics, "forecast", first)
            return accepted, nothing
