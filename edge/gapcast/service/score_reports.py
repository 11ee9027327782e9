"""How good the forecasts are, told on the link: each device's live scores now and then, and what changed in a house."""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from threading import Lock

import structlog

from gapcast.core.engine import Engine
from gapcast.core.grid import minute_label
from gapcast.core.learning.drift import Change
from gapcast.core.learning.outcomes import Outcomes
from gapcast.service.event_feed import EventFeed
from gapcast.service.ports import Link

log = structlog.get_logger(__name__)

#: Devices whose scores are told at one turn of the service: the stream does not wait for a thousand at once.
_MAX_TOLD = 4
#: Version of the documents, ``v`` in them.
SCORES_SCHEMA = EVENT_SCHEMA = 1


class ScoreReports:
    """Tells the scores of the devices of ``engine``, and their changes once each."""

    def __init__(self, link: Link, feed: EventFeed, engine: Engine, every_s: float, lock: Lock) -> None:
        """Tell on ``link`` and ``feed``, of each device ``every_s`` at most (0: never).

        ``lock`` is that of the engine's state.
        """
        self._link = link
        self._feed = feed
        #: The one that runs; whoever changes it holds the lock.
        self.engine = engine
        self._every_s = every_s
        self._lock = lock
        self._told_s: dict[int, float] = {}
        # Not a dict, whose first is found by way of all that went before it.
        self._waiting: OrderedDict[int, None] = OrderedDict()
        self._changes: deque[tuple[str, Change]] = deque()
        self.n_changes = 0

    def record_outcomes(self, outcomes: Outcomes | None, changes: Sequence[Change]) -> None:
        """Note what came of forecasts, and what has changed with it. Its caller holds the lock."""
        if self._every_s and outcomes is not None:
            due_s = time.monotonic() - self._every_s
            for row in outcomes.rows.tolist():
                if self._told_s.get(row, -math.inf) <= due_s:
                    self._waiting[row] = None
        for change in changes:
            device = self.engine.buffers.device(change.row)
            self._changes.append((device, change))
            self.n_changes += 1
            log.warning("house.changed", device=device, errors=change.direction, factor=round(change.factor, 2))

    def forget(self, row: int) -> None:
        """Know nothing of the device of that row. Its caller holds the lock."""
        self._waiting.pop(row, None)
        self._told_s.pop(row, None)

    def publish_changes(self) -> None:
        """Tell some of what is new, while the broker hears it."""
        if not (self._waiting or self._changes) or not self._link.connected or self._link.held_up:
            return
        while self._changes:
            device, change = self._changes.popleft()
            self._link.report_event(event_document(device, change))
        now_s, documents = time.monotonic(), []
        with self._lock:
            for _ in range(min(_MAX_TOLD, len(self._waiting))):
                row, _ = self._waiting.popitem(last=False)
                self._told_s[row] = now_s
                device = self.engine.buffers.device(row)
                if device:
                    documents.append((device, scores_document(self.engine, device)))
        for device, document in documents:
            self._link.report_scores(device, document)
            self._feed.publish_event("scores", device, document)


def scores_document(engine: Engine, device: str) -> dict[str, object]:
    """Return the live scores of ``device``, as users get them."""
    summaries = engine.scores_of(device)
    return {
        "v": SCORES_SCHEMA,
        "device": device,
        "model": engine.publisher.name,
        **{period: summary.document() for period, summary in summaries.items()},
    }


def event_document(device: str, change: Change) -> dict[str, object]:
    """Return what is told of a change in a house."""
    return {
        "v": EVENT_SCHEMA,
        "event": "drift",
        "device": device,
        "at": minute_label(change.minute),
        "errors": change.direction,
        "factor": round(change.factor, 3),
        "days": change.n_days,
    }
