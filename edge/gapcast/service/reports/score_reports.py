"""Publishes each device's live scores at intervals, and an event when a household's behaviour changes."""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

import structlog

from gapcast.core.engine import Engine
from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.learning.scores.drift import ErrorChange
from gapcast.core.learning.scores.summary import named_periods
from gapcast.core.time_grid import minute_label
from gapcast.service.ports.broker_link import Link
from gapcast.service.reports.event_feed import EventFeed
from gapcast.service.running_engine import RunningEngine

log = structlog.get_logger(__name__)

#: Maximum number of devices whose scores are published per iteration: the stream never waits for a thousand at once.
_MAX_PER_ITERATION = 4
#: Readings in an iteration per device beyond the first one: after a single reading, the next must not wait for four.
_READINGS_PER_DEVICE = 32
#: Maximum reports per second, unless more devices wait than can be published in half an interval at this pace: after a
#: start a thousand devices have their first outcome in one minute, and a report takes as long as a reading.
_LEAST_PER_S = 20.0
#: Version of the documents, ``v`` in them.
SCORES_SCHEMA = EVENT_SCHEMA = 1


class ScoreReports:
    """Publishes the scores of the engine's devices, and each change once."""

    def __init__(
        self,
        link: Link,
        feed: EventFeed,
        running: RunningEngine,
        every_s: float,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Publish on ``link`` and ``feed``, each device at most every ``every_s`` (0: never) of ``clock_s``."""
        self._link = link
        self._feed = feed
        self._running = running
        self._every_s = every_s
        self._clock_s = clock_s
        self._n_allowed, self._paced_s = float(_MAX_PER_ITERATION), 0.0  # reports that may be published, and when
        self._published_s: dict[int, float] = {}
        # Not a dict, which scans all deleted keys to find its first one.
        self._waiting: OrderedDict[int, None] = OrderedDict()
        self._changes: deque[tuple[str, ErrorChange]] = deque()
        self.n_changes = 0

    def record_outcomes(self, outcomes: Outcomes | None, changes: Sequence[ErrorChange]) -> None:
        """Queue the devices with new outcomes, and the changes. The caller holds the lock."""
        if self._every_s and outcomes is not None:
            due_s = self._clock_s() - self._every_s
            for row in outcomes.rows.tolist():
                if self._published_s.get(row, -math.inf) <= due_s:
                    self._waiting[row] = None
        for change in changes:
            device = self._running.engine.buffers.device(change.row)
            self._changes.append((device, change))
            self.n_changes += 1
            log.warning("drift.detected", device=device, errors=change.direction, factor=round(change.factor, 2))

    def forget(self, row: int) -> None:
        """Discard the state of the device of that row. The caller holds the lock."""
        self._waiting.pop(row, None)
        self._published_s.pop(row, None)

    def publish_changes(self, n_readings: int = 0) -> None:
        """Publish queued changes and some of the queued scores, unless the link is down or backlogged.

        ``n_readings`` is the number of readings in this iteration; 0: the stream is idle.
        """
        if not (self._waiting or self._changes) or not self._link.connected or self._link.is_backlogged:
            return
        while self._changes:
            device, change = self._changes.popleft()
            self._link.publish_event(event_document(device, change))
        now_s, documents = self._clock_s(), []
        n_due = self._n_due(n_readings, now_s)
        if not n_due:
            return
        with self._running.lock:
            for _ in range(min(n_due, len(self._waiting))):  # fewer, if a device was forgotten meanwhile
                row, _ = self._waiting.popitem(last=False)
                self._published_s[row] = now_s
                device = self._running.engine.buffers.device(row)
                if device:
                    documents.append((device, scores_document(self._running.engine, device)))
        for device, document in documents:
            self._link.publish_scores(device, document)
            self._feed.publish_event("scores", device, document)

    def _n_due(self, n_readings: int, now_s: float) -> int:
        """Return how many of the waiting devices to publish now, and count them as published."""
        n_waiting = len(self._waiting)
        if not n_waiting:
            return 0
        n_at_most = (
            min(_MAX_PER_ITERATION, 1 + n_readings // _READINGS_PER_DEVICE) if n_readings else _MAX_PER_ITERATION
        )
        per_s = max(_LEAST_PER_S, 2 * n_waiting / self._every_s)
        n_allowed = min(_MAX_PER_ITERATION, self._n_allowed + (now_s - self._paced_s) * per_s)
        n_due = min(n_at_most, n_waiting, int(n_allowed))
        self._n_allowed, self._paced_s = n_allowed - n_due, now_s
        return n_due


def scores_document(engine: Engine, device: str) -> dict[str, object]:
    """Return the document of the live scores of ``device`` for publication."""
    summaries = engine.scores_of(device)
    return {
        "v": SCORES_SCHEMA,
        "device": device,
        "model": engine.forecaster_of(device).published_model.name,
        **dict(named_periods({period: summary.document() for period, summary in summaries.items()})),
    }


def event_document(device: str, change: ErrorChange) -> dict[str, object]:
    """Return the document of a change in a household for publication."""
    return {
        "v": EVENT_SCHEMA,
        "event": "drift",
        "device": device,
        "at": minute_label(change.minute),
        "errors": change.direction,
        "factor": round(change.factor, 3),
        "days": change.n_days,
    }
