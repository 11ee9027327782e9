"""Adds limits to uvicorn's HTTP/1.1 protocols that apply before a request is parsed, with either parser.

uvicorn itself limits neither the size of a request's head, nor the time it takes, nor the number of pipelined requests,
nor the number of connections other than by rejecting all further ones.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, ClassVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gapcast.api.predict_answer import PROBLEM_TYPE, Problem
from gapcast.http.errors import problems
from gapcast.http.guards.token_guard import OPEN_PATHS
from gapcast.http.server.connection_pool import ConnectionPool, Precedence

#: Reason why only health checks are served.
_DETAIL = "all connections of this gateway are in use: try again in a while"
_RETRY_AFTER_S = 5
#: Bytes read from a connection at a time, which it may buffer in addition to ``max_head_bytes``.
_READ_BYTES = 65_536
#: ``struct linger``: on, for 0 s.
_NO_LINGER = struct.pack("ii", 1, 0)
#: Bytes per header besides name and value: the colon, the space and the end of the line.
HEADER_OVERHEAD = 4
_TOO_LARGE = "the request line and the headers have more than {} bytes, or are more than {} headers"


def answer_health_only(app: ASGIApp) -> ASGIApp:
    """Return an application that passes health checks to ``app``, answers 503 otherwise, and closes the connection.

    It serves when all connections are in use, so that a supervisor sees a working process.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        refused = problems.unavailable(_DETAIL, _RETRY_AFTER_S, scope["path"])
        await (app if scope["path"] in OPEN_PATHS else refused)(scope, receive, send_and_close)

    return answer


class Parsing(Enum):
    """The part of a request that is incomplete."""

    NOTHING = auto()
    HEAD = auto()
    BODY = auto()


class BoundedProtocol(asyncio.Protocol):
    """The common part of the protocols: membership in the pool, timeouts, and rejections."""

    pool: ClassVar[ConnectionPool]
    transport: asyncio.Transport
    flow: Any
    cycle: Any
    app: Any
    loop: asyncio.AbstractEventLoop
    server_state: Any

    def connection_made(self, transport: Any) -> None:
        """Accept a connection if the pool has room for it."""
        super().connection_made(transport)
        transport.max_size = _READ_BYTES
        self._parsing, self.since_s = Parsing.HEAD, self.loop.time()
        self._has_received = self._ignores_input = False
        self._lingering_since_s: float | None = None
        self._n_unsent_before, self._stalled_since_s = 0, 0.0
        if not self.pool.add(self):
            transport.abort()
        elif len(self.pool) > self.pool.limits.max_connections:
            self.app = answer_health_only(self.app)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the pool."""
        self.pool.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what the client sent."""
        if self._ignores_input:
            return
        self._has_received = True
        super().data_received(data)

    def pause_writing(self) -> None:
        """Pause responses, because the client reads more slowly than they are produced."""
        super().pause_writing()
        self.pool.limit_unsent()

    def send_400_response(self, _msg: str) -> None:
        """Reject invalid HTTP and requests beyond a limit."""
        self.refuse(*self._reason_for_error())

    def shutdown(self) -> None:
        """Close the connection once its response is complete."""
        if self._lingering_since_s is None:
            super().shutdown()  # type: ignore[misc]  # of uvicorn's protocol
        else:
            self.transport.abort()

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: an upgrade is ignored, as RFC 9110 allows, and the request answered."""

    @property
    def precedence(self) -> Precedence:
        """The connection's precedence for eviction."""
        if not self._is_responding:
            return Precedence.IDLE
        return Precedence.SLOW if self._parsing is Parsing.BODY or self.flow.write_paused else Precedence.BUSY

    @property
    def n_unsent_bytes(self) -> int:
        """Bytes of responses that the client has not received."""
        return self.transport.get_write_buffer_size()

    def abort(self) -> None:
        """Reset the connection; unread data is discarded, also by the kernel."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.transport.abort()

    def check_timeouts(self, now_s: float) -> None:
        """End the connection if receiving the head or body, or the client's reading of a response, takes too long."""
        limits, n_unsent = self.pool.limits, self.n_unsent_bytes
        if n_unsent != self._n_unsent_before:
            self._n_unsent_before, self._stalled_since_s = n_unsent, now_s
        elif n_unsent and now_s - self._stalled_since_s >= limits.stall_timeout_s:
            self.abort()
        if self._lingering_since_s is not None:
            if now_s - self._lingering_since_s >= limits.linger_s:
                self.transport.abort()
            return
        if self.transport.is_closing() or self.flow.read_paused:
            return
        elapsed_s = now_s - self.since_s
        if self._parsing is Parsing.HEAD and elapsed_s >= limits.head_timeout_s:
            if self._has_received:
                self.refuse(HTTPStatus.REQUEST_TIMEOUT, f"the headers took more than {limits.head_timeout_s:g} s")
            else:
                self.transport.close()
        elif self._parsing is Parsing.BODY and elapsed_s >= limits.body_timeout_s:
            self.refuse(HTTPStatus.REQUEST_TIMEOUT, f"the body took more than {limits.body_timeout_s:g} s")

    def refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer with a problem and close; if a response is in progress, close after it."""
        cycle = self.cycle
        self._ignores_input = True
        if self._is_responding:
            if not cycle.more_body:
                cycle.keep_alive = False  # a pipelined request: those before it are answered
                self.enter(Parsing.NOTHING)
                return
            if cycle.response_started or self._n_waiting:
                self.abort()
                return
            cycle.disconnected = True
            cycle.message_event.set()
        elif self._parsing is Parsing.BODY:
            self.transport.close()  # already answered without its body
            return
        document = Problem.from_status(status, detail).model_dump_json(exclude_none=True).encode()
        head = [f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()]
        head += [b"%s: %s\r\n" % header for header in self.server_state.default_headers]
        head.append(b"content-type: %s\r\ncontent-length: %d\r\n" % (PROBLEM_TYPE.encode(), len(document)))
        head.append(b"cache-control: no-store\r\nconnection: close\r\n\r\n")
        super()._unset_keepalive_if_required()  # type: ignore[misc]  # of uvicorn's protocol
        self._lingering_since_s = self.loop.time()
        self.transport.write(b"".join(head) + document)
        self.transport.write_eof()  # after an immediate close, data from the client would discard what it has not read

    @property
    def _is_responding(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _n_waiting(self) -> int:
        """Requests waiting for the response of an earlier one."""
        return 0

    def _reason_for_error(self) -> tuple[HTTPStatus, str]:
        """Return the status and reason of a parser error."""
        return HTTPStatus.BAD_REQUEST, "the request is not valid HTTP/1.1"

    def too_large(self) -> tuple[HTTPStatus, str]:
        """Return the status and reason for an oversized head or body framing."""
        limits = self.pool.limits
        detail = _TOO_LARGE.format(limits.max_head_bytes, limits.max_headers)
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail

    def enter(self, parsing: Parsing) -> None:
        """Record which part of a request is incomplete from now on."""
        self._parsing, self.since_s = parsing, self.loop.time()
