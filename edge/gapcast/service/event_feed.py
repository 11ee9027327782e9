"""What happens, for whoever listens: handed over by the stream, which neither waits for them nor encodes for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import NamedTuple

from gapcast.core.engine import Accepted
from gapcast.core.forecast import Forecasts
from gapcast.core.reading import Reading

#: Readings, or other happenings, that wait for the listener; it is told that it missed what is beyond.
MAX_WAITING = 1_000


class BatchEvent(NamedTuple):
    """A batch of readings, what became of them, and the forecasts made of it."""

    readings: Sequence[Reading]
    accepted: Accepted
    forecasts: Forecasts


class DeviceEvent(NamedTuple):
    """Something else that was told of a device: its ``scores``, or whether the ``device`` is there."""

    kind: str
    device: str
    document: Mapping[str, object]


class EventFeed:
    """Holds what happens until the one listener takes it; nothing where no one listens. Any threads."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._max_waiting = max_waiting
        self._lock = Lock()
        self._wake: Callable[[], object] | None = None
        self._waiting: list[BatchEvent | DeviceEvent] = []
        self._n_waiting = 0
        self._missed = False
        self.closed = False

    @property
    def has_listener(self) -> bool:
        """Whether someone listens."""
        return self._wake is not None

    def listen(self, wake: Callable[[], object]) -> None:
        """Hold what happens from now on; ``wake`` is called, in the stream's thread, when there is some of it."""
        with self._lock:
            self._wake = wake

    def stop_listening(self) -> None:
        """Hold nothing any more."""
        with self._lock:
            self._wake = None
            self._clear()

    def close(self) -> None:
        """Let the listener know that there will be no more."""
        with self._lock:
            self.closed = True
            wake = self._wake
        if wake is not None:
            wake()

    def batch(self, readings: Sequence[Reading], accepted: Accepted, forecasts: Forecasts) -> None:
        """Hand over a batch."""
        if self._wake is not None:
            self._put(BatchEvent(readings, accepted, forecasts), len(readings))

    def publish_event(self, kind: str, device: str, document: Mapping[str, object]) -> None:
        """Hand over what was told of ``device``."""
        if self._wake is not None:
            self._put(DeviceEvent(kind, device, document), 1)

    def take(self) -> tuple[list[BatchEvent | DeviceEvent], bool]:
        """Return what has happened since the last call, and whether more has that was too much to be held."""
        with self._lock:
            taken = self._waiting, self._missed
            self._clear()
        return taken

    def _put(self, what: BatchEvent | DeviceEvent, n: int) -> None:
        with self._lock:
            wake = None if self._n_waiting or self._missed else self._wake  # it was called before
            if self._n_waiting + n > self._max_waiting:
                self._missed = True
            else:
                self._waiting.append(what)
                self._n_waiting += n
        if wake is not None:
            wake()

    def _clear(self) -> None:
        self._waiting, self._n_waiting, self._missed = [], 0, False
