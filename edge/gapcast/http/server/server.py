"""The HTTP server: uvicorn with bounded connections, in a thread that restarts it after any error."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from importlib.util import find_spec
from threading import Event, Thread
from typing import Literal

import structlog
from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import Server

from gapcast.core.monitoring.statistics import Statistics
from gapcast.http.server.bounded_protocol import BoundedProtocol
from gapcast.http.server.connection_limits import ConnectionLimits
from gapcast.http.server.connection_pool import ConnectionPool
from gapcast.service.containment import record_internal_error

log = structlog.get_logger(__name__)

Implementation = Literal["auto", "httptools", "h11"]
#: Peers whose X-Forwarded-For names the client: a proxy on this machine.
_PROXIES = ["127.0.0.1", "::1"]
#: Headers of every response: browsers must not guess another content type.
_HEADERS = [("x-content-type-options", "nosniff")]
#: Connections accepted at a time, before one can be evicted for another.
_N_PER_ACCEPT = 16
#: Connections that the kernel queues until they are accepted.
_N_WAITING = 1_024
_GRACE_S = 2
_RESTART_DELAY_S = 1.0
#: How uvicorn's messages begin that it cancels requests, which is no error, and that a response is incomplete, whose
#: reason is logged where it occurs: ``events.slow_reader`` or ``internal.error``.
_OMITTED = ("Cancel %s running task(s)", "ASGI callable returned without completing response")


def build_server(app: ASGIApp, limits: ConnectionLimits, implementation: Implementation = "auto") -> Server:
    """Return a server of ``app``; ``auto`` is httptools if installed, else h11."""
    protocol = type("Protocol", (protocol_class(implementation),), {"pool": ConnectionPool(limits)})
    config = Config(
        app,
        http=protocol,
        loop="asyncio",  # the default is uvloop if installed, whose transports lack what the limits use
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        headers=_HEADERS,
        backlog=_N_PER_ACCEPT,
        timeout_graceful_shutdown=_GRACE_S,
        forwarded_allow_ips=_PROXIES,  # otherwise FORWARDED_ALLOW_IPS of the environment, meant for other programs
        workers=1,  # otherwise WEB_CONCURRENCY of the environment
    )
    return _Server(config)


def protocol_class(implementation: Implementation) -> type[BoundedProtocol]:
    """Return the protocol class; ``auto`` is the one on httptools if installed, else the one on h11."""
    if implementation == "h11" or find_spec("httptools") is None:
        from gapcast.http.server.h11_protocol import BoundedH11Protocol  # noqa: PLC0415 - one of the two is loaded

        return BoundedH11Protocol
    from gapcast.http.server.httptools_protocol import BoundedHttpToolsProtocol  # noqa: PLC0415 - needs httptools

    return BoundedHttpToolsProtocol


class _Server(Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections, with a longer queue than are accepted at a time."""
        await super().startup(sockets)
        for listening in sockets or ():
            listening.listen(_N_WAITING)
        logging.getLogger("uvicorn.error").addFilter(_is_needed)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for requests in progress, and log how many were cancelled."""
        await super().shutdown(sockets)
        if n_requests := len(self.server_state.tasks):
            log.info("http.requests_cancelled", n_requests=n_requests)


def _is_needed(record: logging.LogRecord) -> bool:
    """Return whether uvicorn's ``record`` reports what no event of gapcast does."""
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, asyncio.CancelledError) or str(record.msg).startswith(_OMITTED))


class HttpServerThread:
    """Serves on a listening socket until it is stopped; an error that ends the server is recorded, and it restarts."""

    def __init__(self, build: Callable[[], Server], statistics: Statistics) -> None:
        """Prepare; ``build`` returns a server, which lives as long as one event loop."""
        self._build, self._statistics = build, statistics
        self._server = build()
        self._stopping = Event()
        self._thread: Thread | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, listening: socket.socket) -> None:
        """Start the thread, which serves on ``listening``."""
        self._thread = Thread(target=self._run, args=(listening,), name="rest")
        self._thread.start()

    def stop(self, timeout_s: float | None = None) -> None:
        """Accept no more requests; return when everything is closed, or after ``timeout_s``.

        Requests in progress are cancelled after two seconds, but work in threads is waited for.
        """
        self._stopping.set()
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self, listening: socket.socket) -> None:
        is_first = True
        while not self._stopping.is_set():
            try:
                if not is_first:
                    self._server = self._build()
                is_first = False
                if self._stopping.is_set():  # `stop` may have set `should_exit` of the previous server
                    break
                with listening.dup() as own:
                    self._server.run([own])
            except BaseException as error:  # including the server's own exits
                record_internal_error(self._statistics, "http", error, "server")
            self._stopping.wait(_RESTART_DELAY_S)
