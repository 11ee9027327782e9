"""The service: receive a batch of messages, forecast it in one call, publish, persist, and only then acknowledge.

It depends neither on MQTT nor on HTTP nor on files: the broker is behind :class:`Link`, the models behind
:class:`~gapcast.core.models.predictor.Predictor`, the disk behind :class:`StateStore`. One thread runs
:meth:`Service.run`; others read through :attr:`Service.queries`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from threading import Event

import structlog

from gapcast.compiled.library import load_library
from gapcast.core.engine import Engine
from gapcast.core.learning.forests.forest import Forest
from gapcast.core.models.predictor import Predictor
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.plans.plan import LoadPlan
from gapcast.core.snapshots.state_changes import ForgottenDevice, ReplacedPlan, StateChange
from gapcast.service.batch_pipeline import BatchPipeline
from gapcast.service.batches.served_batch import ServedBatch
from gapcast.service.containment import Containment, Step
from gapcast.service.demand_control import DemandControl
from gapcast.service.persistence.batch_persistence import BatchPersistence
from gapcast.service.persistence.persistence import NoStateStore, StateStore
from gapcast.service.ports.broker_link import Link
from gapcast.service.ports.minute_recorder import MinuteRecorder, NoMinuteRecorder
from gapcast.service.queries.queries import ServiceQueries
from gapcast.service.reports.availability import ReportOptions
from gapcast.service.reports.event_feed import EventFeed
from gapcast.service.reports.reports import Reports, log_set_limits
from gapcast.service.running_engine import EngineSwap, RunningEngine

log = structlog.get_logger(__name__)

#: Maximum batch size: batches grow under load, and add no wait when idle.
MAX_BATCH = 256
_IDLE_S = 0.25
#: Pause after a failed iteration, doubled for each further failed one in a row.
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
        ``recorder`` records readings for the nightly refit (None: no recording).
        """
        self.statistics = statistics or Statistics()
        self._link = link
        self._running = running = RunningEngine(engine, models, recorder=recorder or NoMinuteRecorder())
        #: Events for ``GET /events``.
        self.feed = EventFeed()
        self._containment = containment = Containment(self.statistics)
        self._attempt = containment.attempt
        self._reports = Reports(link, self.feed, running, reports or ReportOptions(), containment)
        self._engine_swap = EngineSwap()
        #: Forgotten devices, new plans and changed demands, by any thread; not persisted yet.
        self._changes: deque[StateChange] = deque()
        #: Changes of limits and month's peaks. Thread-safe.
        self.demand_changes = DemandControl(running, self._changes)
        self._persistence = persistence = BatchPersistence(
            link, running, state_store or NoStateStore(), self._changes, self._reports.availability.is_clearing
        )
        self._pipeline = BatchPipeline(link, running, containment, persistence, self._reports, self.forget)
        self._idle_steps: tuple[Step[int], ...] = (  # with the number of readings
            ("persistence", lambda _: persistence.persist_confirmed()),
            ("persistence", lambda _: persistence.add_changes()),
            ("persistence", lambda _: persistence.add_samples()),
            ("publish", self._reports.publish),
        )
        #: Thread-safe read access, for HTTP and metrics.
        self.queries = ServiceQueries(
            running, link, self._reports.availability, self._reports.scores, persistence.state, self.statistics
        )

    # --- other threads --------------------------------------------------------------------------

    def swap_engine(self, engine: Engine, models: Mapping[str, Predictor]) -> Future[float]:
        """Continue with a new ``engine`` and ``models`` between two batches: see :meth:`EngineSwap.offer`."""
        return self._engine_swap.offer(engine, models)

    def use_forest(self, device: str, forest: Forest) -> bool:
        """Also forecast ``device`` with ``forest`` from the next batch on; return False if it was forgotten meanwhile.

        Raises :class:`StateError` if the engine has other features than the forest.
        """
        with self._running.lock:
            engine = self._running.engine
            if device not in engine.buffers:
                return False
            engine.forecaster_of(device).forests.use(device, forest)
        self._persistence.state.state_store.invalidate()  # batches from here on are forecast differently
        return True

    def forget(self, device: str) -> bool:
        """Discard the state of ``device``; it starts again with its next reading. Return whether it was known."""
        with self._running.lock:
            was_changed = self._running.engine.is_changed(device)
            row = self._running.engine.forget(device)
            if row is not None:
                self._reports.forget(device, row)
            elif not was_changed:
                return False
            self._changes.append(ForgottenDevice(device))
        self._attempt("refit", self._running.recorder.forget, device)
        with self._running.lock:  # a reading in between may have restored the old trees
            self._running.engine.forecaster_of(device).forests.forget(device)
        return True

    def replace_plan(self, device: str, plan: LoadPlan) -> None:
        """Replace the announced loads of ``device``, which may be unknown yet.

        Raises :class:`~gapcast.core.errors.PayloadError` if there are too many loads in all plans.
        """
        with self._running.lock:
            self._running.engine.replace_plan(device, plan)
            self._changes.append(ReplacedPlan(device, plan))

    # --- the stream -----------------------------------------------------------------------------

    def run(
        self,
        stopping: Event,
        on_iteration: Callable[[], None] = lambda: None,
        on_drained: Callable[[], object] = lambda: None,
    ) -> bool:
        """Serve until ``stopping`` is set, then process queued messages. Return whether all forecasts were confirmed.

        ``on_iteration`` is called after each iteration, at least a few times a second, as a sign of life. A failed
        iteration is recorded and the next one waits, longer each time; after :data:`MAX_FAILED_ITERATIONS` in a row
        ``on_iteration`` is not called until one succeeds, so that a watchdog may restart the process. ``on_drained`` is
        called when the queue is processed: changes that other threads make later are not persisted.
        """
        # No reference to the engine: it may be replaced, and would then occupy memory until the stop.
        model, models = self._running.engine.model.name, sorted(self._running.models)
        log.info("service.started", model=model, models=models, compiled=load_library() is not None)
        with self._running.lock:
            log_set_limits(self._running.engine.demands)
            forgotten = self._persistence.state.state_store.forgotten
            self._reports.availability.clear([one for one in forgotten if one not in self._running.engine.buffers])
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
        self._attempt("http", on_drained)
        self._attempt("persistence", self._persistence.add_changes)
        self._attempt("publish", self._reports.publish, 0)  # clears retained messages of devices forgotten meanwhile
        complete = bool(self._attempt("stream", self._link.close, 5.0, self._persistence.persist_confirmed))
        self._attempt("persistence", self._persistence.close)
        if problem := self._persistence.state.state_store.problem:
            log.warning("service.stopped", all_confirmed=complete, problem=problem, **self.statistics.readings)
        else:
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
        """Process one batch, see :mod:`.batch_pipeline`; return its size. Waits up to ``timeout_s`` for one."""
        persistence = self._persistence
        if self._engine_swap.is_due:
            self._attempt("models", self._swap_engine)
        messages = self._link.receive_messages(0 if persistence.state.pauses_intake else MAX_BATCH, timeout_s)
        if messages:
            if persistence.state.has_pending:
                self._attempt("persistence", persistence.persist_confirmed, between_batches=False)
            readings = [message.reading for message in messages if message.reading is not None]
            self._pipeline.process(ServedBatch(messages, readings))
        else:
            self._containment.run_steps(self._idle_steps, 0)
        return len(messages)

    def _swap_engine(self) -> None:
        """Replace the engine with the offered one, and invalidate the persisted batches of the old engine."""
        with self._running.lock:
            accepted = self._engine_swap.accept(self._running.engine)
            if accepted is None:
                return
            offer, pause_s = accepted
            self._running.engine, self._running.models = offer.engine, offer.models
        self._persistence.state.state_store.invalidate()
        offer.taken.set_result(pause_s)
