"""Passes batches and device events to one listener, without making the stream wait or encode for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import NamedTuple

from gapcast.core.demand.demand import Demands
from gapcast.core.forecasts.forecast import Forecasts
from gapcast.core.outlook.outlook import Outlooks
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.accepted_batch import AcceptedBatch

#: Maximum number of queued readings and device events; beyond it, events are dropped and reported as missed.
MAX_WAITING = 1_000


class BatchEvent(NamedTuple):
    """A batch of readings, the outcome of each, and their forecasts."""

    readings: Sequence[Reading]
    accepted: AcceptedBatch
    forecasts: Forecasts


class DeviceEvent(NamedTuple):
    """Another event of a device. ``kind``: ``scores``, or ``device`` for its availability."""

    kind: str
    device: str
    document: Mapping[str, object]


#: What the feed queues.
FeedEvent = BatchEvent | DeviceEvent | Outlooks | Demands


class EventFeed:
    """Queues events until the single listener drains them; queues nothing without a listener. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._wake: Callable[[], object] | None = None
        self._waiting: list[FeedEvent] = []
        self._n_waiting = 0
        self._missed = False
        self.closed = False

    @property
    def has_listener(self) -> bool:
        """Whether a listener is registered."""
        return self._wake is not None

    def listen(self, wake: Callable[[], object]) -> None:
        """Queue events from now on; ``wake`` is called in the stream's thread when the queue is no longer empty.

        Events that wait for an earlier listener, which may have ended without :meth:`stop_listening`, are discarded.
        """
        with self._lock:
            self._clear()
            self._wake = wake

    def stop_listening(self) -> None:
        """Clear the queue and stop queueing."""
        with self._lock:
            self._wake = None
            self._clear()

    def close(self) -> None:
        """Mark the feed as closed and wake the listener."""
        with self._lock:
            self.closed = True
            wake = self._wake
        if wake is not None:
            wake()

    def publish_batch(self, readings: Sequence[Reading], accepted: AcceptedBatch, forecasts: Forecasts) -> None:
        """Queue a batch."""
        if self._wake is not None:
            self._put(BatchEvent(readings, accepted, forecasts), len(readings))

    def publish_outlooks(self, outlooks: Outlooks) -> None:
        """Queue the outlooks of a batch."""
        if self._wake is not None:
            self._put(outlooks, len(outlooks))

    def publish_demands(self, demands: Demands) -> None:
        """Queue the demands of a batch."""
        if self._wake is not None:
            self._put(demands, len(demands))

    def publish_event(self, kind: str, device: str, document: Mapping[str, object]) -> None:
        """Queue an event of ``device``."""
        if self._wake is not None:
            self._put(DeviceEvent(kind, device, document), 1)

    def drain(self) -> tuple[list[FeedEvent], bool]:
        """Return and clear the queued events; also return whether some were dropped because the queue was full."""
        with self._lock:
            drained = self._waiting, self._missed
            self._clear()
        return drained

    def _put(self, event: FeedEvent, n: int) -> None:
        with self._lock:
            if self._wake is None:
                return  # the listener has stopped meanwhile
            wake = None if self._n_waiting or self._missed else self._wake  # already called for the queued events
            if self._n_waiting + n > MAX_WAITING:
                self._missed = True
            else:
                self._waiting.append(event)
                self._n_waiting += n
        if wake is not None:
            wake()

    def _clear(self) -> None:
        self._waiting, self._n_waiting, self._missed = [], 0, False
