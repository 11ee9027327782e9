"""``GET /events``: server-sent events to any number of readers of one ring buffer.

A reader has no queue of its own, only a position in the ring. One that is overtaken, or does not accept data within
:data:`SLOW_S`, is disconnected; it may reconnect and resume while the ring still holds its position.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response
from starlette.types import Message, Receive, Scope, Send

from gapcast.http import problems
from gapcast.http.event_history import Ring, encoded
from gapcast.http.health import health_of
from gapcast.http.ip_networks import client_of
from gapcast.service.service import Service

log = structlog.get_logger(__name__)

EVENTS_TYPE = "text/event-stream"
#: A comment is sent after this long without an event, so that proxies and readers see that the connection is alive.
HEARTBEAT_S = 15.0
#: Longest that sending to a reader may take.
SLOW_S = 10.0
#: Shortest time between two deliveries: a hundred readers cost the same for ten readings as for one.
_PACE_S = 0.1
#: How often the health of the service is checked.
_CHECK_S = 1.0
#: How long the ring is filled without a reader, for one that reconnects.
_LINGER_S = 60.0
_RETRY = b"retry: 2000\n\n"
_MAX_CHUNK_BYTES = 65_536


class EventReaders:
    """The readers and the ring that they read from. Not thread-safe: used by the event loop only."""

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
            return "too many event readers: http.max_event_readers is reached"
        if self._of_client[client] >= self._max_per_client:
            return "too many event readers at this address: http.max_event_readers_per_client is reached"
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
        """Return the health document, as ``/readyz`` does."""
        return health_of(self._service.queries).model_dump_json(exclude_none=True).encode()

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
        status = self.status()
        while not self.closed:
            await asyncio.sleep(_CHECK_S)
            before, status = status, self.status()
            if status != before:
                self.ring.put("status", None, status)
                self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class EventStream(Response):
    """The response to one reader, which lasts until either side ends it."""

    media_type = EVENTS_TYPE

    def __init__(self, readers: EventReaders, client: str, device: str | None, last_id: str | None) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._readers = readers
        self._client = client
        self._device = device
        self._last_id = last_id

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the reader disconnects or is disconnected."""
        self._readers.enter(self._client)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            sending = asyncio.ensure_future(self._send(send))
            leaving = asyncio.ensure_future(_disconnected(receive))
            await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
            for task in (sending, leaving):
                task.cancel()
            for ended in await asyncio.gather(sending, leaving, return_exceptions=True):
                if isinstance(ended, TimeoutError):
                    log.info("events.slow_reader", readers=self._readers.n_readers)
        finally:
            self._readers.leave(self._client)

    async def _send(self, send: Send) -> None:
        readers, ring, loop = self._readers, self._readers.ring, asyncio.get_running_loop()
        position, found = ring.position_after(self._last_id)
        greeting = _RETRY + encoded("status", readers.status())
        if not found:
            greeting += encoded("reset", b'{"reason":"the events after that id are no longer stored"}', position - 1)
        await _send_chunk(send, greeting)
        sent_s = loop.time()
        while not readers.closed:
            if position < ring.first_id:
                raise TimeoutError
            chunk, position = ring.read(position, self._device, _MAX_CHUNK_BYTES)
            if not chunk and loop.time() >= sent_s + HEARTBEAT_S:
                chunk = b": heartbeat\n\n"
            if chunk:
                await _send_chunk(send, chunk)
                sent_s = loop.time()
            elif position == ring.next_id:
                await readers.wait_for_events(sent_s + HEARTBEAT_S - loop.time())
        await _send_chunk(send, b"", more=False)


def _wake_in(loop: asyncio.AbstractEventLoop, wake: Callable[[], object]) -> None:
    """Call ``wake`` in ``loop``; do nothing if it is closed, because an error has ended the server with its readers."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(wake)


async def _send_chunk(send: Send, body: bytes, *, more: bool = True) -> None:
    message: Message = {"type": "http.response.body", "body": body, "more_body": more}
    async with asyncio.timeout(SLOW_S):
        await send(message)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def events_router(readers: EventReaders) -> APIRouter:
    """Return the route ``/events``."""
    router = APIRouter(tags=["events"])

    @router.get(
        "/events",
        summary="Stream of events",
        response_class=Response,
        responses={
            200: {"description": "Server-sent events", "content": {EVENTS_TYPE: {"schema": {"type": "string"}}}},
            **problems.answers(HTTPStatus.SERVICE_UNAVAILABLE),
        },
    )
    async def events(
        request: Request,
        device: Annotated[str | None, Query(description="Only events of this device and of the gateway")] = None,
        last_event_id: Annotated[str | None, Header(description="Resume after this event")] = None,
    ) -> Any:
        """Stream events (SSE): `reading`, `forecast`, `outlook`, `demand`, `scores`, `device`, `status`, `reset`."""
        client = client_of(request.client.host if request.client else "")
        if reason := readers.reason_to_refuse(client):
            full = problems.problem(HTTPStatus.SERVICE_UNAVAILABLE, reason)
            full.headers["retry-after"] = "10"
            return full
        return EventStream(readers, client, device, last_event_id)

    return router
