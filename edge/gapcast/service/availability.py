"""Who is there: devices that came, went quiet or are forgotten, told on the link for who comes later too."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from gapcast.core.buffer import Buffers
from gapcast.core.presence import Presence
from gapcast.service.event_feed import EventFeed
from gapcast.service.ports import Link

#: How often those are looked for that have gone quiet, and how many devices are told of at a time.
_LOOK_S = 5.0
_MAX_TOLD = 256


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What others are told of devices, beside forecasts.

    ``presence`` says which are there (None: nothing of it), and every ``report_every_s`` how well each is forecast (0:
    never).
    """

    presence: Presence | None = None
    report_every_s: float = 0.0


class AvailabilityPublisher:
    """Tells of the devices of ``buffers``, those that were restored among them, a bounded number at a time."""

    def __init__(self, link: Link, feed: EventFeed, buffers: Buffers, presence: Presence | None, lock: Lock) -> None:
        """Tell on ``link`` and ``feed`` what ``presence`` says (None: nothing).

        ``lock`` is that of the engine's state.
        """
        self._link = link
        self._feed = feed
        #: Those of the engine that runs; whoever changes them holds the lock.
        self.buffers = buffers
        self._presence = presence
        self._lock = lock
        self._forgotten: deque[str] = deque()
        self._n_fresh_sessions = 0
        self._look_due_s = 0.0

    def record_seen(self, rows: Sequence[int]) -> None:
        """Note that a reading came of each of ``rows``. Its caller holds the lock."""
        if self._presence is not None and rows:
            self._presence.record_seen(rows, time.monotonic())

    def forget(self, device: str, row: int) -> None:
        """Let what is retained of ``device``, which had ``row``, be taken back. Its caller holds the lock."""
        if self._presence is not None:
            self._presence.forget(row)
        self._forgotten.append(device)

    def is_there(self, row: int) -> bool | None:
        """Tell whether the device of that row is there; None where nothing is said of it. Its caller holds the lock."""
        return None if self._presence is None else self._presence.is_online(row)

    def publish_changes(self) -> None:
        """Tell what is new, while the broker hears it."""
        link = self._link
        with self._lock:
            forgotten, news = self._due(link.n_fresh_sessions, may_tell=link.connected and not link.held_up)
        for device in forgotten:
            link.forget(device)
            self._feed.publish_event("device", device, {"device": device, "state": "forgotten"})
        for device, online in news:
            link.announce(device, online=online)
            self._feed.publish_event("device", device, {"device": device, "state": "online" if online else "offline"})

    def _due(self, n_fresh_sessions: int, *, may_tell: bool) -> tuple[list[str], list[tuple[str, bool]]]:
        """Return the devices to take back, and then those to tell of, each with whether it is there."""
        presence, buffers, now_s = self._presence, self.buffers, time.monotonic()
        if presence is not None and now_s >= self._look_due_s:
            self._look_due_s = now_s + _LOOK_S
            presence.mark_offline(buffers.n_rows, now_s)
        if not may_tell:
            return [], []
        forgotten = list(self._forgotten)
        self._forgotten.clear()
        if presence is None:
            return forgotten, []
        if n_fresh_sessions != self._n_fresh_sessions:
            self._n_fresh_sessions = n_fresh_sessions
            presence.republish_all()
        changes = ((buffers.device(row), online) for row, online in presence.take_changes(_MAX_TOLD))
        return forgotten, [(device, online) for device, online in changes if device]
