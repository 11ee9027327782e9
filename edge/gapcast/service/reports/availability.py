"""Publishes the availability of devices, retained: online, offline when they go quiet, cleared when forgotten."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import structlog

from gapcast.core.documents.message_format import listed
from gapcast.core.monitoring.online_tracker import OnlineTracker
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import MINUTE_MS
from gapcast.service.ports.broker_link import Link, RetainedReading
from gapcast.service.reports.event_feed import EventFeed
from gapcast.service.running_engine import RunningEngine

log = structlog.get_logger(__name__)

#: How often devices are checked for staleness, and the number of changes published at a time.
_CHECK_S = 5.0
_MAX_PER_ITERATION = 256
_S_MS = 1_000
#: Maximum number of devices that a log line names.
_MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """Options for publications about devices besides forecasts.

    ``online_tracker`` tracks which devices are online (None: availability is not published); scores are published every
    ``report_every_s`` (0: never) of ``clock_s``.
    """

    online_tracker: OnlineTracker | None = None
    report_every_s: float = 0.0
    clock_s: Callable[[], float] = time.monotonic


def log_changes(offline: Sequence[str], returned: Sequence[str]) -> None:
    """Log which devices went offline, and which are back: one line for all devices of a check."""
    if offline:
        fix = "check the meter; gapcast check shows what it sends"
        log.warning("devices.offline", n_devices=len(offline), devices=listed(offline, _MAX_NAMED), fix=fix)
    if returned:
        log.info("devices.online", n_devices=len(returned), devices=listed(returned, _MAX_NAMED))


class AvailabilityPublisher:
    """Publishes the availability of the engine's devices, including restored ones, a bounded number at a time."""

    def __init__(
        self, link: Link, feed: EventFeed, running: RunningEngine, online_tracker: OnlineTracker | None
    ) -> None:
        """Publish on ``link`` and ``feed`` the state that ``online_tracker`` tracks (None: nothing)."""
        self._link = link
        self._feed = feed
        self._running = running
        self._online_tracker = online_tracker
        self._forgotten: deque[str] = deque()
        self._clearing: list[int] = []  # ids of the messages that clear the retained ones
        self._n_fresh_sessions = 0
        self._checked_s = self._check_due_s = time.monotonic()

    def record_seen(self, rows: Sequence[int]) -> None:
        """Record a reading of each of ``rows``. The caller holds the lock."""
        if self._online_tracker is not None and rows:
            self._online_tracker.record_seen(rows, time.monotonic())

    def record_beside_retained(self, readings: Iterable[Reading], retained: Iterable[RetainedReading]) -> None:
        """Record accepted ``readings`` except those in ``retained`` messages that are stale. The caller holds the lock.

        The arrival of a retained message does not show that the meter works: the broker sends it after a subscription.
        """
        online_tracker, buffers = self._online_tracker, self._running.engine.buffers
        if online_tracker is None:
            return
        stale = {
            (device, minute)
            for device, minute, received_ms in retained
            if online_tracker.is_stale((received_ms - (minute + 1) * MINUTE_MS) / _S_MS)
        }
        current = {one.device for one in readings if (one.device, one.minute) not in stale}
        self.record_seen([buffers.row(device) for device in current if device in buffers])

    def forget(self, device: str, row: int) -> None:
        """Clear the retained messages of ``device``, which had ``row``, at the next time. The caller holds the lock."""
        if self._online_tracker is not None:
            self._online_tracker.forget(row)
        self._forgotten.append(device)

    def clear(self, devices: Iterable[str]) -> None:
        """Clear the retained messages of ``devices``, which have no row, at the next time; with the lock."""
        self._forgotten.extend(devices)

    def is_clearing(self) -> bool:
        """Return whether the broker may still have retained messages of forgotten devices."""
        if self._clearing and self._link.has_confirmed(self._clearing):
            self._clearing = []
        return bool(self._forgotten or self._clearing)

    def is_online(self, row: int) -> bool | None:
        """Return whether the device of that row is online; None if unknown. The caller holds the lock."""
        return None if self._online_tracker is None else self._online_tracker.is_online(row)

    @property
    def n_offline(self) -> int | None:
        """Number of offline devices; None if availability is not tracked. The caller holds the lock."""
        return None if self._online_tracker is None else self._online_tracker.n_offline

    def publish_changes(self) -> None:
        """Publish changes, unless the link is down or backlogged."""
        if not self._is_due():
            return
        link = self._link
        connected = link.connected
        with self._running.lock:
            offline, returned = self._check(connected=connected)
            forgotten, changes = self._due(link.n_fresh_sessions, may_publish=connected and not link.is_backlogged)
        log_changes(offline, returned)
        for device in forgotten:
            self._clearing += link.forget(device)
            self._feed.publish_event("device", device, {"device": device, "state": "forgotten"})
        for device, online in changes:
            link.publish_availability(device, online=online)
            self._feed.publish_event("device", device, {"device": device, "state": "online" if online else "offline"})

    def _is_due(self) -> bool:
        """Return whether there may be something to publish or check. Called after every iteration, without the lock."""
        online_tracker = self._online_tracker
        if self._forgotten or (online_tracker is not None and online_tracker.has_changes):
            return True
        if online_tracker is None:
            return False
        return time.monotonic() >= self._check_due_s or self._link.n_fresh_sessions != self._n_fresh_sessions

    def _check(self, *, connected: bool) -> tuple[list[str], list[str]]:
        """Return the stale devices, and the devices that are back since the last check, every five seconds.

        Time without a connection does not count: no reading could arrive.
        """
        online_tracker, buffers, now_s = self._online_tracker, self._running.engine.buffers, time.monotonic()
        if online_tracker is None or now_s < self._check_due_s:
            return [], []
        offline: list[int] = []
        if connected:
            unused = [row for row, device in enumerate(buffers.names()) if not device]
            offline = online_tracker.mark_offline(buffers.n_rows, now_s, unused)
        else:
            online_tracker.postpone(now_s - self._checked_s)
        self._checked_s, self._check_due_s = now_s, now_s + _CHECK_S
        return [buffers.device(row) for row in offline], [buffers.device(row) for row in online_tracker.take_returned()]

    def _due(self, n_fresh_sessions: int, *, may_publish: bool) -> tuple[list[str], list[tuple[str, bool]]]:
        """Return the forgotten devices, and the changed devices, each with whether it is online."""
        online_tracker, buffers = self._online_tracker, self._running.engine.buffers
        if not may_publish:
            return [], []
        forgotten = list(self._forgotten)
        self._forgotten.clear()
        if online_tracker is None:
            return forgotten, []
        if n_fresh_sessions != self._n_fresh_sessions:
            self._n_fresh_sessions = n_fresh_sessions
            online_tracker.republish_all()
        changes = ((buffers.device(row), online) for row, online in online_tracker.take_changes(_MAX_PER_ITERATION))
        return forgotten, [(device, online) for device, online in changes if device]
