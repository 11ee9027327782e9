"""``GET /events``: server-sent events to any number of readers of one ring buffer (:mod:`.event_readers`).

A reader that is overtaken, or does not accept data within :data:`SLOW_S`, is disconnected; it may reconnect and resume
while the ring still has its position.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response
from starlette.types import Message, Receive, Scope, Send

from gapcast.http.errors import problems
from gapcast.http.guards.ip_networks import client_of
from gapcast.http.routes.event_history import encoded
from gapcast.http.routes.event_readers import EventReaders

log = structlog.get_logger(__name__)

EVENTS_TYPE = "text/event-stream"
#: A comment is sent after this long without an event, so that proxies and readers see that the connection is alive.
HEARTBEAT_S = 15.0
#: Maximum duration of sending to a reader.
SLOW_S = 10.0
_RETRY = b"retry: 2000\n\n"
_MAX_CHUNK_BYTES = 65_536
_RETRY_AFTER_S = 10


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
                elif isinstance(ended, Exception):
                    self._readers.record_error(ended, "sending events")
        finally:
            self._readers.leave(self._client)

    async def _send(self, send: Send) -> None:
        readers, ring, loop = self._readers, self._readers.ring, asyncio.get_running_loop()
        position, found = ring.position_after(self._last_id)
        # Its id lets a reader resume that has received no event yet; after a gap, the reset carries the id.
        greeting = _RETRY + encoded("status", readers.status(), position - 1 if found else None)
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
            else:
                await readers.wait_for_events(sent_s + HEARTBEAT_S - loop.time())
        await _send_chunk(send, b"", more=False)


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
        resume_after: Annotated[
            str | None, Query(alias="lastEventId", description="The same, from a client that cannot send the header")
        ] = None,
    ) -> Any:
        """Stream events (SSE): `reading`, `forecast`, `outlook`, `demand`, `scores`, `device`, `status`, `reset`."""
        client = client_of(request.client.host if request.client else "")
        if reason := readers.reason_to_refuse(client):
            return problems.unavailable(reason, _RETRY_AFTER_S)
        return EventStream(readers, client, device, last_event_id or resume_after)

    return router
