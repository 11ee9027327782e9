"""``GET /events``: what happens, as server-sent events, to any number of readers of one ring.

A reader has no queue of its own, only a place in the ring. One that is overtaken, or that does not take what it is sent
within :data:`SLOW_S`, is let go; it may come back and go on where it was, as long as the ring still holds that.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
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
#: A comment is sent after so long without an event, so that a proxy, and the reader, know that the line is not dead.
HEARTBEAT_S = 15.0
#: Longest that a reader may take for what it is sent.
SLOW_S = 10.0
#: What happens is told so often at most: a hundred readers cost the same for ten readings as for one.
_PACE_S = 0.1
#: How often it is looked how the service is.
_LOOK_S = 1.0
#: The ring goes on so long without a reader, for one that comes back.
_LINGER_S = 60.0
_RETRY = b"retry: 2000\n\n"
_MAX_CHUNK_BYTES = 65_536


class EventReaders:
    """Those who read, and the ring that they read from. All of it belongs to the event loop that serves."""

    def __init__(self, service: Service, max_readers: int, max_per_client: int) -> None:
        self._service = service
        self._max_readers, self._max_per_client = max_readers, max_per_client
        self._of_client: Counter[str] = Counter()
        self.ring = Ring()
        self.closed = False
        self.n_readers = 0
        self._news = asyncio.Event()
        self._due: asyncio.TimerHandle | None = None
        self._told_s = 0.0
        self._watching: asyncio.Task[None] | None = None
        self._muting: asyncio.TimerHandle | None = None

    def reason_to_refuse(self, client: str) -> str:
        """Return why ``client`` cannot become a reader, in a sentence; empty where it can."""
        if self.n_readers >= self._max_readers:
            return "there are as many readers as http.max_event_readers"
        if self._of_client[client] >= self._max_per_client:
            return "this address has as many readers as http.max_event_readers_per_client"
        return ""

    def enter(self, client: str) -> None:
        """Add a reader at the address ``client``."""
        loop = asyncio.get_running_loop()
        self.n_readers += 1
        self._of_client[client] += 1
        if self._muting is not None:
            self._muting.cancel()
            self._muting = None
        if self._watching is None:
            self._watching = loop.create_task(self._watch())
            self.ring.restart()
            self._service.feed.listen(lambda: loop.call_soon_threadsafe(self._wake))

    def leave(self, client: str) -> None:
        """Remove a reader; after the last of them no one listens, in a while."""
        self.n_readers -= 1
        self._of_client[client] -= 1
        if not self._of_client[client]:
            del self._of_client[client]
        if not self.n_readers:
            self._muting = asyncio.get_running_loop().call_later(_LINGER_S, self._mute)

    def status(self) -> bytes:
        """Return how the service is, as ``/readyz`` tells it."""
        return health_of(self._service).model_dump_json(exclude_none=True).encode()

    async def news(self, timeout_s: float) -> None:
        """Wait until there may be news, ``timeout_s`` at most."""
        with suppress(TimeoutError):  # no wait_for: before Python 3.12 it may lose a cancellation
            async with asyncio.timeout(timeout_s):
                await self._news.wait()

    def _mute(self) -> None:
        self._service.feed.stop_listening()
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    def _wake(self) -> None:
        if self._due is None:
            loop = asyncio.get_running_loop()
            self._due = loop.call_at(max(loop.time(), self._told_s + _PACE_S), self._take)

    def _take(self) -> None:
        self._due, self._told_s = None, asyncio.get_running_loop().time()
        happened, missed = self._service.feed.drain()
        for what in happened:
            self.ring.add(what)
        if missed:
            self.ring.put("reset", None, b'{"reason":"more happened than can be told"}')
        self.closed = self._service.feed.closed
        self._tell()

    async def _watch(self) -> None:
        status = self.status()
        while not self.closed:
            await asyncio.sleep(_LOOK_S)
            before, status = status, self.status()
            if status != before:
                self.ring.put("status", None, status)
                self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class EventStream(Response):
    """The answer to one reader, which goes on until either side has enough."""

    media_type = EVENTS_TYPE

    def __init__(self, readers: EventReaders, client: str, device: str | None, last_id: str | None) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._readers = readers
        self._client = client
        self._device = device
        self._last_id = last_id

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the reader leaves or is let go."""
        self._readers.enter(self._client)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            sending = asyncio.ensure_future(self._send(send))
            leaving = asyncio.ensure_future(_left(receive))
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
        position, found = ring.place_after(self._last_id)
        greeting = _RETRY + encoded("status", readers.status())
        if not found:
            greeting += encoded("reset", b'{"reason":"what came after that id is no longer known"}', position - 1)
        await _sent(send, greeting)
        sent_s = loop.time()
        while not readers.closed:
            if position < ring.first_id:
                raise TimeoutError
            chunk, position = ring.read(position, self._device, _MAX_CHUNK_BYTES)
            if not chunk and loop.time() >= sent_s + HEARTBEAT_S:
                chunk = b": heartbeat\n\n"
            if chunk:
                await _sent(send, chunk)
                sent_s = loop.time()
            elif position == ring.next_id:
                await readers.news(sent_s + HEARTBEAT_S - loop.time())
        await _sent(send, b"", more=False)


async def _sent(send: Send, body: bytes, *, more: bool = True) -> None:
    message: Message = {"type": "http.response.body", "body": body, "more_body": more}
    async with asyncio.timeout(SLOW_S):
        await send(message)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def events_router(readers: EventReaders) -> APIRouter:
    """Return the route of the events."""
    router = APIRouter(tags=["events"])

    @router.get(
        "/events",
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
        """Stream server-sent events: `reading`, `forecast`, `scores`, `device`, `status` and `reset`."""
        client = client_of(request.client.host if request.client else "")
        if reason := readers.reason_to_refuse(client):
            full = problems.problem(HTTPStatus.SERVICE_UNAVAILABLE, reason)
            full.headers["retry-after"] = "10"
            return full
        return EventStream(readers, client, device, last_event_id)

    return router
