"""The HTTP server survives errors, ends when stopped, and does not depend on other installed packages or variables."""

from __future__ import annotations

import asyncio
import socket
import sys
from threading import Event
from types import ModuleType

import pytest
import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from gapcast.core.monitoring.statistics import Statistics
from gapcast.http.server import server as server_module
from gapcast.http.server.connection_limits import ConnectionLimits
from gapcast.http.server.server import HttpServerThread, Implementation, build_server
from tests.http.conftest import Rest
from tests.support.ports import LOOPBACK
from tests.support.raw_http import exchange
from tests.support.waiting import GUARD_S

GET_ONCE = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


def server_of(implementation: Implementation, *, ends: bool) -> uvicorn.Server:
    """Return a server; ``ends``: a server that ends at once."""
    server = build_server(Response("well"), ConnectionLimits(), implementation)
    if ends:
        server.config.app = "nothing.there:app"  # uvicorn exits where it finds no application
    return server


def test_error_in_a_route_is_a_500_that_is_counted(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(rest.service.queries, "latest_page", fail)
    before = rest.service.statistics.internal_errors.get("http", 0)
    with capture_logs() as logs:
        answer = rest.client.get("/predict")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["reason"] == "internal_error"
    assert rest.service.statistics.internal_errors["http"] == before + 1
    assert [line["what"] for line in logs if line["event"] == "internal.error"] == ["GET /predict"]
    assert rest.client.get("/livez").status_code == 200


def test_server_that_ends_is_restarted(implementation: Implementation) -> None:
    statistics = Statistics()
    built: list[uvicorn.Server] = []

    def build() -> uvicorn.Server:
        built.append(server_of(implementation, ends=not built))
        return built[-1]

    with socket.create_server((LOOPBACK, 0)) as listening:
        server = HttpServerThread(build, statistics)
        server.start(listening)
        port = listening.getsockname()[1]
        try:
            assert exchange(port, GET_ONCE).endswith(b"well")
        finally:
            server.stop()
    assert len(built) == 2
    assert statistics.internal_errors == {"http": 1}


def test_server_that_cannot_be_built_again_is_tried_again(implementation: Implementation) -> None:
    statistics = Statistics()
    built: list[uvicorn.Server] = []

    def build() -> uvicorn.Server:
        built.append(server_of(implementation, ends=not built))
        if len(built) == 2:
            raise MemoryError
        return built[-1]

    with socket.create_server((LOOPBACK, 0)) as listening:
        server = HttpServerThread(build, statistics)
        server.start(listening)
        try:
            assert exchange(listening.getsockname()[1], GET_ONCE).endswith(b"well")
        finally:
            server.stop()
    assert statistics.internal_errors == {"http": 2}


def test_server_that_is_stopped_while_it_is_built_again_ends(implementation: Implementation) -> None:
    statistics, is_building, may_go_on = Statistics(), Event(), Event()
    built: list[uvicorn.Server] = []

    def build() -> uvicorn.Server:
        built.append(server_of(implementation, ends=not built))
        if len(built) == 2:
            is_building.set()
            may_go_on.wait(GUARD_S)
        return built[-1]

    with socket.create_server((LOOPBACK, 0)) as listening:
        server = HttpServerThread(build, statistics)
        server.start(listening)
        assert is_building.wait(GUARD_S)
        server.stop(0.0)
        may_go_on.set()
        server.stop(GUARD_S)
        assert not server.is_alive


def test_server_stop_does_not_wait_for_a_long_request(implementation: Implementation) -> None:
    is_running, may_end = Event(), Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        is_running.set()
        await run_in_threadpool(may_end.wait, GUARD_S)
        await Response("late")(scope, receive, send)

    with socket.create_server((LOOPBACK, 0)) as listening:
        server = HttpServerThread(lambda: build_server(app, ConnectionLimits(), implementation), Statistics())
        server.start(listening)
        with socket.create_connection(listening.getsockname()) as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert is_running.wait(GUARD_S)
            server.stop(0.0)
            assert server.is_alive
            may_end.set()
            server.stop()
    assert not server.is_alive


def test_server_stop_logs_cancelled_requests_without_errors(
    implementation: Implementation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server_module, "_GRACE_S", 0)
    is_running = Event()

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        is_running.set()
        await asyncio.Event().wait()

    with socket.create_server((LOOPBACK, 0)) as listening, capture_logs() as logs:
        server = HttpServerThread(lambda: build_server(app, ConnectionLimits(), implementation), Statistics())
        server.start(listening)
        with socket.create_connection(listening.getsockname()) as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert is_running.wait(GUARD_S)
            server.stop()
    assert [(line["event"], line["n_requests"]) for line in logs] == [("http.requests_cancelled", 1)]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_server_uses_asyncio_where_uvloop_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits need asyncio's transports: with uvloop's no connection was ever answered."""
    uvloop = ModuleType("uvloop")
    uvloop.__dict__.update(new_event_loop=None, Loop=None)
    monkeypatch.setitem(sys.modules, "uvloop", uvloop)
    make_loop = build_server(Response("well"), ConnectionLimits()).config.get_loop_factory()
    assert make_loop is not None
    loop = make_loop()
    loop.close()
    assert isinstance(loop, asyncio.SelectorEventLoop)


def test_server_is_not_changed_by_variables_of_uvicorn(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``*`` each client could claim to be this machine, by X-Forwarded-For; the other value is not a number."""
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    monkeypatch.setenv("WEB_CONCURRENCY", "auto")
    config = build_server(Response("well"), ConnectionLimits()).config
    assert (config.forwarded_allow_ips, config.workers) == ([LOOPBACK, "::1"], 1)
