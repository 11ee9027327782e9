"""The readers of ``GET /events``, and their ring buffer, filled while there are any readers.

A reader has no queue of its own, only a position in the ring.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from gapcast.http.routes.event_history import Ring
from gapcast.http.routes.health import gateway_status_of
from gapcast.service.containment import record_internal_error
from gapcast.service.service import Service

#: Minimum time between two deliveries, so that a hundred readers cost the same for ten readings as for one.
_PACE_S = 0.1
#: How often the status of the gateway is checked.
_CHECK_S = 1.0
#: How long the ring is filled without a reader, so that a reader can reconnect.
_LINGER_S = 60.0
_FIX = "close some, or raise"


class EventReaders:
    """The readers and their ring. Not thread-safe: used by the event loop only."""

    def __init__(self, service: Service, max_readers: int, max_per_client: int) -> None:
        self._service = service
        self._max_readers, self._max_per_client = max_readers, max_per_client
        self._of_client: Counter[str] = Counter()
        self.ring = Ring()
        self.closed = False
        self.n_readers = 0
        self._changed = asyncio.Event()
        self._delivery_timer: asyncio.TimerHandle | None = None
        self._delivered_s = 0.0
        self._watching: asyncio.Task[None] | None = None
        self._stop_timer: asyncio.TimerHandle | None = None

    def reason_to_refuse(self, client: str) -> str:
        """Return why ``client`` cannot become a reader, in a sentence; empty if it can."""
        if self.n_readers >= self._max_readers:
            return f"too many open pages and other readers of events: {_FIX} http.max_event_readers"
        if self._of_client[client] >= self._max_per_client:
            problem = "too many open pages and other readers of events from this address"
            return f"{problem}: {_FIX} http.max_event_readers_per_client"
        return ""

    def enter(self, client: str) -> None:
        """Add a reader with the address ``client``."""
        loop = asyncio.get_running_loop()
        self.n_readers += 1
        self._of_client[client] += 1
        if self._stop_timer is not None:
            self._stop_timer.cancel()
            self._stop_timer = None
        if self._watching is None:
            self._watching = loop.create_task(self._watch())
            self.ring.restart()
            self._service.feed.listen(partial(_wake_in, loop, self._wake))

    def leave(self, client: str) -> None:
        """Remove a reader; after the last one, the feed is stopped with a delay."""
        self.n_readers -= 1
        self._of_client[client] -= 1
        if not self._of_client[client]:
            del self._of_client[client]
        if not self.n_readers:
            self._stop_timer = asyncio.get_running_loop().call_later(_LINGER_S, self._stop)

    def status(self) -> bytes:
        """Return the status of the gateway as JSON."""
        return gateway_status_of(self._service.queries).model_dump_json(exclude_none=True).encode()

    def record_error(self, error: Exception, where: str) -> None:
        """Log and count an unexpected error."""
        record_internal_error(self._service.statistics, "http", error, where)

    async def wait_for_events(self, timeout_s: float) -> None:
        """Wait until there may be new events, at most ``timeout_s``."""
        with suppress(TimeoutError):  # not wait_for, which may lose a cancellation before Python 3.12
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()

    def _stop(self) -> None:
        self._service.feed.stop_listening()
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    def _wake(self) -> None:
        if self._delivery_timer is None:
            loop = asyncio.get_running_loop()
            self._delivery_timer = loop.call_at(max(loop.time(), self._delivered_s + _PACE_S), self._deliver)

    def _deliver(self) -> None:
        self._delivery_timer, self._delivered_s = None, asyncio.get_running_loop().time()
        events, missed = self._service.feed.drain()
        for event in events:
            self.ring.add(event)
        if missed:
            self.ring.put("reset", None, b'{"reason":"events were dropped because there were too many"}')
        self.closed = self._service.feed.closed
        self._notify()

    async def _watch(self) -> None:
        status: bytes | None = None  # each reader begins with the current one
        while not self.closed:
            before = status
            try:
                status = self.status()
            except Exception as error:  # such as no free file descriptor: continue with the next check
                self.record_error(error, "status of the event readers")
                status = b""
            if status and before not in {None, status}:
                self.ring.put("status", None, status)
                self._notify()
            await asyncio.sleep(_CHECK_S)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _wake_in(loop: asyncio.AbstractEventLoop, wake: Callable[[], object]) -> None:
    """Call ``wake`` in ``loop``; do nothing if ``loop`` is closed, because an error has ended the server."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(wake)
