"""The service: take what is queued, forecast it in one call, publish, keep, and only then acknowledge.

It knows neither MQTT nor HTTP nor files: the broker is behind :class:`Link`, the models behind
:class:`~edge.core.predictor.Predictor`, the disk behind :class:`~edge.keeping.Keeper`. One thread runs
:meth:`Service.run`; other threads may ask for the latest forecasts, or for one of their own readings.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from threading import Event, Lock

import structlog

from edge.announcing import Announcing, Telling
from edge.asked import Asked
from edge.core.engine import Accepted, Engine
from edge.core.errors import ModelError
from edge.core.forecast import Forecasts
from edge.core.predictor import Predictor
from edge.core.snapshot import Snapshot, take
from edge.core.statistics import Statistics
from edge.counting import Counting
from edge.exchanging import Exchanging
from edge.feeding import Feed
from edge.forecast_repairs import record_repairs
from edge.keeping import Keeper, Keeping, KeepsNothing
from edge.ports import Link
from edge.reporting import Reporting
from edge.settling import settle

log = structlog.get_logger(__name__)

#: Readings taken at a time: the batch grows by itself under load, and adds no wait when idle.
MAX_BATCH = 256
_IDLE_S = 0.25
#: Longest that a stop waits for what is queued.
_DRAIN_S = 5.0


class Service(Asked):
    """Joins a link, an engine and the models, and counts what happens."""

    def __init__(
        self,
        link: Link,
        engine: Engine,
        models: Mapping[str, Predictor],
        *,
        statistics: Statistics | None = None,
        telling: Telling | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        """Serve ``engine``'s model over ``link``; requests may name any of ``models``.

        ``statistics`` may be shared with the link, which counts there what does not come this far. ``telling`` says
        what others are told of the devices; None: nothing but forecasts. ``keeper`` keeps readings over a restart,
        None keeps nothing.
        """
        self.models = models
        self.statistics = statistics or Statistics()
        self._link = link
        self._engine = engine
        self._lock = Lock()  # the engine's state: this service's thread writes, others read and forget
        #: What happens, for whoever listens.
        self.feed = Feed()
        telling = telling or Telling()
        self._announcing = Announcing(link, self.feed, engine.buffers, telling.presence, self._lock)
        self._reporting = Reporting(link, self.feed, engine, telling.report_every_s, self._lock)
        self._keeping = Keeping(keeper or KeepsNothing(), self._snapshot)
        self._exchanging = Exchanging()
        self._forgotten: deque[str] = deque()  # by others' threads, not in order with the readings yet
        self._counting = Counting(self.statistics)

    # --- the stream -----------------------------------------------------------------------------

    def run(self, stopping: Event, turned: Callable[[], None] = lambda: None) -> bool:
        """Serve until ``stopping`` is set; then finish what is queued. Tell whether all was confirmed.

        ``turned`` is called after each turn, a few times a second at least: while it is, the stream lives.
        """
        log.info("service.started", model=self._engine.model.name, models=sorted(self.models))
        while not stopping.is_set():
            self.turn(_IDLE_S)
            turned()
        self._drain()
        self._note_forgotten()
        complete = self._link.close(5.0, self._keep)
        self._keeping.close()
        log.info("service.stopped", all_confirmed=complete, **self.statistics.readings)
        return complete

    def _drain(self) -> None:
        """Take what is queued now, and not what goes on coming."""
        link, deadline_s = self._link, time.monotonic() + _DRAIN_S
        n_wanted = link.n_taken + link.n_queued
        while link.n_taken < n_wanted and link.connected and time.monotonic() < deadline_s:
            self.turn(_IDLE_S)

    def turn(self, timeout_s: float) -> int:
        """Take one batch through: decode, accept, forecast, publish, keep, acknowledge. Return its size."""
        if self._exchanging.is_due:
            self._exchange()
        arrivals = self._link.take(0 if self._keeping.holds_back else MAX_BATCH, timeout_s)
        self._keep(between_batches=not arrivals)
        if not arrivals:
            self._note_forgotten()
            self._announcing.tell()
            self._reporting.tell()
            self._link.flush()
            return 0
        readings = [arrival.reading for arrival in arrivals if arrival.reading is not None]
        with self._lock:
            self._note_forgotten()
            accepted = self._engine.accept(readings)
            self._announcing.seen(accepted.first_rows + accepted.rows)
            began_s = time.perf_counter()
            forecasts = self._forecast(accepted)
            inference_s = time.perf_counter() - began_s
        if forecasts.repairs is not None:
            record_repairs(self.statistics, forecasts.repairs)
        receipts = self._link.publish(forecasts) or [0] * len(accepted.devices)
        with self._lock:
            self._reporting.seen(*self._engine.learn())
        samples = self._link.meters.take_samples()
        batch = self._keeping.begin(readings, accepted, forecasts.issued_at_ms, receipts, samples)
        settle(self._link, self._engine, arrivals, accepted, receipts, batch)
        self.feed.batch(readings, accepted, forecasts)
        self._keep()  # what has no forecast to wait for
        self._announcing.tell()
        self._reporting.tell()
        self._link.flush()
        self._counting.count(arrivals, accepted, forecasts, inference_s, self._link.n_shed)
        return len(arrivals)

    def _exchange(self) -> None:
        """Go on with the engine that was offered, and have what is kept replayed by no other."""
        with self._lock:
            accepted = self._exchanging.accept(self._engine)
            if accepted is None:
                return
            offer, pause_s = accepted
            self._engine, self.models = offer.engine, offer.models
            self._announcing.buffers, self._reporting.engine = offer.engine.buffers, offer.engine
        self._keeping.keeper.outdate()
        offer.taken.set_result(pause_s)

    def _keep(self, *, between_batches: bool = True) -> None:
        """Keep, and then acknowledge, what the broker has confirmed since the last look."""
        self._link.keep(self._keeping.advance(self._link.confirmed, between_batches=between_batches))

    def _snapshot(self) -> Snapshot:
        with self._lock:
            return take(self._engine, self._link.meters.standing())

    def _note_forgotten(self) -> None:
        """Let those that were forgotten be so in what is kept, too, between the batches that came before and after."""
        while self._forgotten:
            device = self._forgotten.popleft()
            self._link.meters.forget(device)
            self._keeping.forget(device)

    def _forecast(self, accepted: Accepted) -> Forecasts:
        now_ms = time.time_ns() // 1_000_000
        try:
            return self._engine.forecast(accepted, now_ms)
        except ModelError as error:  # the readings are kept, and the next batch may well be forecast
            self.statistics.n_model_failures += 1
            log.exception("model.failed", problem=str(error))
            return Forecasts(self._engine.speaker, now_ms, [], [], [], [])
