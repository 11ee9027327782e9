"""HTTP is bounded before authentication: heads, bodies, time, connections and memory."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs
from uvicorn.server import ServerState

from gapcast.app.models.loaded_models import Models
from gapcast.core.readings.reading import Reading
from gapcast.http.guards.request_bodies import BodyLimit, ComputeLimit
from gapcast.http.options import HttpOptions
from gapcast.http.server.bounded_protocol import Parsing
from gapcast.http.server.connection_limits import ConnectionLimits, default_max_connections
from gapcast.http.server.connection_pool import ConnectionPool, Precedence
from gapcast.http.server.server import Implementation, build_server
from tests.http.conftest import MAX_BODY_BYTES, MAX_READINGS, MAX_TENSOR_BYTES, Rest, serving
from tests.security.conftest import GatewayProcess
from tests.support.models import default_name
from tests.support.ports import LOOPBACK
from tests.support.raw_http import GET_LIVE, connections, exchange, read_to_end, status_of, wait_closed, wait_reset
from tests.support.waiting import GUARD_S, wait_until

MIB = 1_048_576
MOST_GROWTH_BYTES = 80 * MIB
INFER = f"/v2/models/{default_name()}/infer"
OPTIONS = HttpOptions(MAX_BODY_BYTES, MAX_TENSOR_BYTES)
LIMITS = ConnectionLimits(max_connections=8, n_reserved=2, linger_s=0.2)
BRIEF = replace(LIMITS, head_timeout_s=0.3, body_timeout_s=0.3, stall_timeout_s=0.3)
TO_PREDICT = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def bounded(models: Models, implementation: Implementation) -> Iterator[Rest]:
    with serving(models, OPTIONS, LIMITS, implementation) as rest:
        yield rest


@pytest.fixture(scope="module")
def brief(models: Models, implementation: Implementation) -> Iterator[Rest]:
    with serving(models, OPTIONS, BRIEF, implementation) as rest:
        yield rest


def assert_refused(answer: bytes, status: int) -> None:
    head, _, document = answer.partition(b"\r\n\r\n")
    assert status_of(answer) == status
    assert json.loads(document)["status"] == status
    for header in (b"content-type: application/problem+json", b"connection: close", b"x-content-type-options: nosniff"):
        assert header in head.lower()


# --- heads --------------------------------------------------------------------------------------------

HEADS = {
    "one long header": b"x: " + b"a" * 100_000 + b"\r\n",
    "one header without end": b"x: " + b"a" * 100_000,
    "a name without end": b"x" * 100_000,
    "many headers": b"x: 1\r\n" * 200,
    "many bytes in few headers": (b"x: " + b"a" * 1_000 + b"\r\n") * 50,
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_head_beyond_its_limit_is_431(bounded: Rest, head: bytes) -> None:
    request = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n" + head + b"\r\n"
    assert_refused(exchange(bounded.port, request), 431)
    assert bounded.client.get("/livez").status_code == 200


def test_long_target_is_431(bounded: Rest) -> None:
    assert_refused(exchange(bounded.port, b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n"), 431)


def test_head_within_its_limit_is_accepted(bounded: Rest) -> None:
    headers = {f"x-{i}": "a" * 300 for i in range(90)}
    assert bounded.client.get("/livez", headers=headers).status_code == 200


@pytest.mark.parametrize(("n_headers", "status"), [(100, 200), (101, 431)])
def test_head_of_more_than_a_hundred_headers_is_431(bounded: Rest, n_headers: int, status: int) -> None:
    others = b"x: 1\r\n" * (n_headers - 2)
    head = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n" + others + b"\r\n"
    assert status_of(exchange(bounded.port, head)) == status


def test_target_and_headers_share_a_limit(bounded: Rest) -> None:
    head = b"GET /livez?" + b"a" * 20_000 + b" HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 20_000 + b"\r\n\r\n"
    assert_refused(exchange(bounded.port, head), 431)


def test_heads_of_a_connection_are_limited_one_by_one(bounded: Rest) -> None:
    head = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 20_000 + b"\r\n%s\r\n"
    with connections(bounded.port) as (sock,):
        sock.sendall(head % b"")
        assert status_of(sock.recv(65_536)) == 200
        sock.sendall(head % b"connection: close\r\n")
        assert status_of(read_to_end(sock)) == 200


def test_large_head_after_a_request_is_not_read(bounded: Rest) -> None:
    answer = exchange(bounded.port, GET_LIVE + b"GET / HTTP/1.1\r\nx: " + b"a" * 100_000)
    assert status_of(answer) in {200, 431}
    assert answer.count(b"HTTP/1.1 ") <= 2


def test_bytes_that_are_not_http_are_400(bounded: Rest) -> None:
    assert_refused(exchange(bounded.port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"), 400)


@pytest.mark.parametrize(
    "frame", [b"1;" + b"a" * 200_000, b"0\r\n" + b"x: 1\r\n" * 50_000, b"0\r\nx:" + b"a" * 200_000]
)
def test_body_framing_is_bounded(bounded: Rest, frame: bytes) -> None:
    answer = exchange(bounded.port, TO_PREDICT + b"transfer-encoding: chunked\r\n\r\n" + frame)
    assert answer == b"" or status_of(answer) in {400, 408, 413, 422, 431}
    assert bounded.client.get("/livez").status_code == 200


def test_trailer_is_no_header(bounded: Rest) -> None:
    """As a header, this one would identify a page of another origin, which may not change anything."""
    head = b"PUT /devices/home/plan HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
    chunked = b"transfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\norigin: null\r\n\r\n"
    assert status_of(exchange(bounded.port, head + b"origin: null\r\ncontent-length: 2\r\n\r\n[]")) == 403
    assert status_of(exchange(bounded.port, head + chunked)) == 200


def test_pipelined_requests_are_bounded(bounded: Rest) -> None:
    answer = exchange(
        bounded.port, GET_LIVE * 1_000 + b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )
    assert 1 <= answer.count(b"HTTP/1.1 200") <= 1_001
    assert bounded.client.get("/livez").status_code == 200


def test_upgrade_request_is_answered_normally(bounded: Rest) -> None:
    upgrade = b"connection: upgrade, close\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\r\n"
    answer = exchange(bounded.port, b"GET /livez HTTP/1.1\r\nhost: localhost\r\n" + upgrade + b"\x81\x85" * 10_000)
    assert status_of(answer) == 200


# --- time ---------------------------------------------------------------------------------------------


def test_slow_head_is_408(brief: Rest) -> None:
    assert_refused(exchange(brief.port, b"GET /livez HTTP/1.1\r\nhost: loc"), 408)


def test_silent_connection_is_closed(brief: Rest) -> None:
    assert exchange(brief.port, b"") == b""


def wait_answered(rest: Rest, status: int, **request: Any) -> None:
    """Request until this is the answer: on a busy machine a request may exceed the time that a short timeout allows."""

    def is_answered() -> bool:
        with suppress(httpx.TransportError):
            found = rest.client.request(url="/predict", **request).status_code
            assert found in {status, 408}
            return found == status
        return False

    wait_until(is_answered, f"an answer {status}")


def test_slow_body_is_408_and_frees_its_bytes(brief: Rest) -> None:
    assert_refused(exchange(brief.port, TO_PREDICT + b"content-length: 9000\r\n\r\n" + b" " * 5_000), 408)
    wait_answered(brief, 200, method="POST", content=b'{"readings": [1.0, 1.1]}', headers=JSON)


def test_slow_body_of_an_answered_request_ends_the_connection(models: Models, implementation: Implementation) -> None:
    answers: list[bytes] = []

    def is_answered_in_time() -> bool:
        answers.append(exchange(rest.port, TO_PREDICT + b"content-length: 9000\r\n\r\n" + b" " * 5_000))
        return not answers[-1].startswith(b"HTTP/1.1 408 ")

    with serving(models, replace(OPTIONS, token="a" * 20), BRIEF, implementation) as rest:
        wait_answered(rest, 401, method="GET")  # the first request loads the application
        wait_until(is_answered_in_time, "an answer before the time for the body is over")
    assert status_of(answers[-1]) == 401
    assert answers[-1].count(b"HTTP/1.1 ") == 1


def test_client_that_does_not_read_is_disconnected(brief: Rest) -> None:
    with connections(brief.port, receive_buffer=4_096) as (sock,):
        sock.sendall(b"GET /docs/files/swagger-ui-bundle.js HTTP/1.1\r\nhost: localhost\r\n\r\n" * 8)
        wait_closed(sock)


def test_unsent_bytes_of_all_clients_are_bounded(models: Models, implementation: Implementation) -> None:
    limits = replace(LIMITS, max_unsent_bytes=50_000)
    with (
        serving(models, OPTIONS, limits, implementation) as rest,
        connections(rest.port, receive_buffer=4_096) as (sock,),
    ):
        sock.sendall(b"GET /docs/files/swagger-ui-bundle.js HTTP/1.1\r\nhost: localhost\r\n\r\n" * 8)
        wait_closed(sock)


# --- connections --------------------------------------------------------------------------------------


def test_idle_connections_give_way_to_new_ones(bounded: Rest) -> None:
    with connections(bounded.port, 40) as idle:
        for sock in idle[20:]:
            with_half_a_head = b"GET / HTTP/1.1\r\n"
            try:
                sock.sendall(with_half_a_head)
            except ConnectionError:
                continue
        assert status_of(exchange(bounded.port, b"GET /livez HTTP/1.0\r\n\r\n")) == 200
        wait_closed(idle[0])


def test_health_is_answered_with_all_connections_busy(models: Models, implementation: Implementation) -> None:
    with serving(models, OPTIONS, LIMITS, implementation) as rest, connections(rest.port, 8) as readers:
        for sock in readers:
            sock.sendall(b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert status_of(sock.recv(65_536)) == 200
        refused = exchange(rest.port, b"GET /predict HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert status_of(refused) == 503
        assert b"retry-after: " in refused
        for _ in range(5):
            assert status_of(exchange(rest.port, b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")) == 200


class Pooled:
    """A connection of a pool: whether it was closed, and an event at each check of its timeouts."""

    def __init__(self, precedence: Precedence = Precedence.IDLE, since_s: float = 0.0, n_unsent_bytes: int = 0) -> None:
        self.precedence, self.since_s, self.n_unsent_bytes = precedence, since_s, n_unsent_bytes
        self.is_closed = False
        self.checked = asyncio.Event()

    def check_timeouts(self, now_s: float) -> None:
        self.checked.set()

    def abort(self) -> None:
        self.is_closed = True


def test_connections_over_the_reserve_are_rejected() -> None:
    async def fill() -> list[bool]:
        pool = ConnectionPool(ConnectionLimits(max_connections=3, n_reserved=2))
        connections = [Pooled(Precedence.BUSY) for _ in range(6)]
        are_added = [pool.add(connection) for connection in connections]
        assert not any(connection.is_closed for connection in connections)
        return are_added

    assert asyncio.run(fill()) == [True] * 5 + [False]


def test_full_pool_evicts_idle_connections_first_and_the_longest_idle() -> None:
    async def fill() -> list[int]:
        pool = ConnectionPool(ConnectionLimits(max_connections=4))
        full = [
            Pooled(Precedence.BUSY, 1.0), Pooled(Precedence.SLOW, 2.0),
            Pooled(Precedence.IDLE, 5.0), Pooled(Precedence.IDLE, 3.0),
        ]  # fmt: skip
        for connection in full:
            assert pool.add(connection)
        assert not any(connection.is_closed for connection in full)
        evicted = list[int]()
        for _ in range(4):
            assert pool.add(Pooled(Precedence.BUSY))
            evicted += [i for i, connection in enumerate(full) if connection.is_closed and i not in evicted]
        return evicted

    assert asyncio.run(fill()) == [3, 2, 1]


def test_full_pool_is_logged_once_until_there_is_room() -> None:
    async def flood() -> None:
        pool = ConnectionPool(ConnectionLimits(max_connections=2, n_reserved=1, head_timeout_s=0.01))
        for _ in range(2):
            connections = [Pooled(precedence) for precedence in (Precedence.IDLE, *[Precedence.BUSY] * 4)]
            are_added = [pool.add(connection) for connection in connections]
            assert are_added == [True] * 4 + [False]
            for connection in connections[1:4]:
                pool.remove(connection)
            last = Pooled()
            pool.add(last)
            await last.checked.wait()
            pool.remove(last)

    with capture_logs() as logs:
        asyncio.run(flood())
    assert [(line["event"], line.get("connections"), line.get("n_closed")) for line in logs] == [
        ("http.connections_full", 2, None),
        ("http.connections_available", None, 2),
    ] * 2


@pytest.mark.parametrize(
    ("unsent", "closed"), [((20, 40, 40), []), ((20, 41, 40), [1]), ((10, 60, 90), [2]), ((80, 90, 90), [1, 2])]
)
def test_pool_closes_the_connections_with_the_most_unsent_bytes(unsent: tuple[int, ...], closed: list[int]) -> None:
    """This includes a response that has grown since its client was found to be slow, at the next check of timeouts."""

    async def limited() -> list[Pooled]:
        pool = ConnectionPool(ConnectionLimits(max_unsent_bytes=100, head_timeout_s=0.01))
        connections = [Pooled(Precedence.BUSY) for _ in unsent]
        for connection, n_bytes in zip(connections, unsent, strict=True):
            assert pool.add(connection)
            connection.n_unsent_bytes = n_bytes
        await connections[-1].checked.wait()
        return connections

    assert [i for i, connection in enumerate(asyncio.run(limited())) if connection.is_closed] == closed


def test_pool_that_was_empty_checks_timeouts_again() -> None:
    class Watched(ConnectionPool):
        """Signals each check."""

        n_checks = asyncio.Semaphore(0)

        def limit_unsent(self) -> None:
            self.n_checks.release()

    async def reuse() -> None:
        pool, left, new = Watched(ConnectionLimits(head_timeout_s=0.01)), Pooled(), Pooled()
        pool.add(left)
        pool.remove(left)
        await pool.n_checks.acquire()  # of none: the last one
        pool.add(new)
        async with asyncio.timeout(GUARD_S):
            await new.checked.wait()

    asyncio.run(reuse())


class Peer(asyncio.Transport):
    """A connection to a client: the number of unread bytes, and whether it was closed."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__({"socket": sock})
        self.n_unsent_bytes, self.is_aborted, self.written = 0, False, b""

    def get_write_buffer_size(self) -> int:
        return self.n_unsent_bytes

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        self.is_aborted = True

    def write(self, data: Any) -> None:
        self.written += data

    def write_eof(self) -> None:
        """End the response."""

    def pause_reading(self) -> None:
        """Read nothing more."""

    def resume_reading(self) -> None:
        """Read on."""


@contextmanager
def connected(implementation: Implementation) -> Iterator[tuple[Any, Peer]]:
    """A connection of the server, with timeouts of 10 s, and its client; neither reads or writes by itself."""
    limits = ConnectionLimits(head_timeout_s=10, body_timeout_s=10, stall_timeout_s=10)
    config = build_server(Response("well"), limits, implementation).config
    config.load()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        build: Any = config.http_protocol_class
        made = build(config=config, server_state=ServerState(), app_state={})
        peer = Peer(ours)
        made.connection_made(peer)
        yield made, peer


def test_client_that_reads_slowly_is_not_stalled(implementation: Implementation) -> None:
    async def read_slowly() -> list[bool]:
        with connected(implementation) as (connection, peer):
            connection.enter(Parsing.NOTHING)
            found = []
            for now_s, n_unsent in ((0, 300), (9, 200), (18, 100), (27, 100), (28, 100)):
                peer.n_unsent_bytes = n_unsent
                connection.check_timeouts(1_000.0 + now_s)
                found.append(peer.is_aborted)
            return found

    assert asyncio.run(read_slowly()) == [False, False, False, False, True]


def test_body_has_no_timeout_while_the_server_reads_none_of_it(implementation: Implementation) -> None:
    async def receive_late() -> list[bytes]:
        with connected(implementation) as (connection, peer):
            connection.enter(Parsing.BODY)
            connection.flow.pause_reading()
            connection.check_timeouts(connection.since_s + 11)
            found = [peer.written]
            connection.flow.resume_reading()
            connection.enter(Parsing.HEAD)
            connection.data_received(b"GET / HTTP/1.1\r\n")
            connection.check_timeouts(connection.since_s + 11)
            return [*found, peer.written[:12]]

    assert asyncio.run(receive_late()) == [b"", b"HTTP/1.1 408"]


def test_clients_that_do_not_read_give_way_to_new_ones(models: Models, implementation: Implementation) -> None:
    limits = replace(LIMITS, stall_timeout_s=3_600)
    request = b"GET /docs/files/swagger-ui-bundle.js HTTP/1.1\r\nhost: localhost\r\n\r\n" * 8
    with (
        serving(models, OPTIONS, limits, implementation) as rest,
        connections(rest.port, limits.max_connections, receive_buffer=4_096) as slow,
    ):
        for sock in slow:
            sock.sendall(request)
            assert sock.recv(1)

        def is_served() -> bool:
            closing = b"GET /models HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
            return status_of(exchange(rest.port, closing)) == 200

        wait_until(is_served, "an answer to a new client")


def test_rejected_client_does_not_delay_shutdown(models: Models, implementation: Implementation) -> None:
    with ExitStack() as stack:
        with serving(models, OPTIONS, replace(LIMITS, linger_s=3_600), implementation) as rest:
            (sock,) = stack.enter_context(connections(rest.port))
            sock.sendall(b"nonsense\r\n\r\n")
            assert_refused(read_to_end(sock), 400)
        wait_reset(sock)


def test_rejected_client_is_disconnected(bounded: Rest) -> None:
    with connections(bounded.port) as (sock,):
        sock.sendall(b"nonsense\r\n\r\n")
        assert_refused(read_to_end(sock), 400)
        wait_reset(sock)


@pytest.mark.parametrize(
    ("n_files", "n_connections"), [(20, 16), (100, 50), (65_536, 512), (resource.RLIM_INFINITY, 512)]
)
def test_number_of_connections_follows_the_file_limit(
    monkeypatch: pytest.MonkeyPatch, n_files: int, n_connections: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (n_files, n_files))
    assert default_max_connections() == n_connections


def test_readers_of_one_address_are_bounded(models: Models, implementation: Implementation) -> None:
    options = replace(OPTIONS, max_event_readers_per_client=2)
    with serving(models, options, LIMITS, implementation) as rest, connections(rest.port, 3) as readers:
        for sock in readers:
            sock.sendall(b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n")
        answers = [sock.recv(65_536) for sock in readers]
        assert sorted(map(status_of, answers)) == [200, 200, 503]
        readers[[status_of(answer) for answer in answers].index(200)].close()
        wait_until(lambda: _reads_events(rest.port), "a place that is free again")


def _reads_events(port: int) -> bool:
    with connections(port) as (sock,):
        sock.sendall(b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n")
        return status_of(sock.recv(65_536)) == 200


# --- bodies, lists and pages --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "expected"), [((100, 24), 200), ((100, 25), 413), ((0,) * 9 + (124,), 200), ((125,), 413)]
)
def test_body_in_chunks_is_bounded_as_a_whole(sizes: tuple[int, ...], expected: int) -> None:
    messages = [{"type": "http.request", "body": bytes(n), "more_body": True} for n in sizes]
    messages[-1]["more_body"] = False
    statuses = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    limit = BodyLimit(Response("well"), 124, 1_000, max_total_bytes=10_000)
    asyncio.run(limit({"type": "http", "method": "POST", "path": "/predict", "headers": []}, receive, send))
    assert statuses == [expected]


@pytest.mark.parametrize(("path", "n_at_once"), [("/predict", 4), ("/v2/models/lstm/infer", 2)])
def test_computations_are_bounded_until_their_responses_begin(path: str, n_at_once: int) -> None:
    """Each response of several messages frees one slot; health checks and other routes do not wait."""

    async def attack() -> list[tuple[int, int]]:
        begun, counts, answers, unread = list[str](), list[tuple[int, int]](), asyncio.Semaphore(0), asyncio.Event()

        async def compute(scope: Scope, _receive: Receive, send: Send) -> None:
            begun.append(scope["path"])
            if scope["path"] == path:
                await answers.acquire()
            for part in (b"a", b"b", b"c"):
                await send({"type": "http.response.body", "body": part})
            await unread.wait()

        async def receive() -> Message:
            pytest.fail("there is no body")

        async def send(_message: Message) -> None:
            """Discard the message."""

        async def count() -> None:
            for _ in range(100):
                await asyncio.sleep(0)
            counts.append((begun.count(path), len(begun)))

        limit = ComputeLimit(compute)
        paths = [path] * (n_at_once + 3) + ["/livez", "/predict", "/v2/models/lstm/infer"]
        paths.remove(path)
        tasks = [asyncio.create_task(limit({"path": one}, receive, send)) for one in paths]
        await count()
        answers.release()
        await count()
        unread.set()
        for _ in paths:
            answers.release()
        await asyncio.gather(*tasks)
        return counts

    assert asyncio.run(attack()) == [(n_at_once, n_at_once + 2), (n_at_once + 1, n_at_once + 3)]


def test_bodies_in_flight_share_a_budget() -> None:
    """Two half-sent bodies leave no room for a third, until one of their clients leaves."""

    async def attack() -> list[int]:
        limit = BodyLimit(Response("well"), MIB, MIB, max_total_bytes=2 * MIB)
        gone, held = asyncio.Event(), asyncio.Semaphore(0)

        async def post(*parts: bytes) -> int:
            messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
            statuses = []

            async def receive() -> Message:
                if messages:
                    return messages.pop(0)
                held.release()
                await gone.wait()
                return {"type": "http.disconnect"}

            async def send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    statuses.append(message["status"])
                    assert statuses == [200] or (b"retry-after", b"2") in message["headers"]

            if len(parts) == 1:
                messages[0]["more_body"] = False
            await limit({"type": "http", "method": "POST", "path": "/predict", "headers": []}, receive, send)
            return statuses[0] if statuses else 0

        holding = [asyncio.create_task(post(bytes(MIB // 2), bytes(MIB // 2 - 1))) for _ in range(2)]
        await held.acquire()
        await held.acquire()
        refused = await post(bytes(3))
        gone.set()
        return [refused, *await asyncio.gather(*holding), await post(bytes(MIB))]

    assert asyncio.run(attack()) == [503, 0, 0, 200]


LISTS = {
    INFER: [
        b'{"inputs":[%s]}' % b",".join([b"{}"] * 300_000),
        b'{"inputs":[],"outputs":[%s]}' % b",".join([b"1"] * 300_000),
        b'{"inputs":[{"name":"window","datatype":"FP32","shape":[%s],"data":[]}]}' % b",".join([b'"x"'] * 100_000),
    ],
    "/predict": [
        b'{"readings":[%s]}' % b",".join([b"{}"] * (MAX_READINGS + 1)),
        b'{"readings":[%s]}' % b",".join([b"{}"] * MAX_READINGS),
        b'{"readings":[1,2],%s}' % b",".join(b'"%d":1' % i for i in range(1_500)),
        b'{"readings":[{%s},2]}' % b",".join(b'"%d":1' % i for i in range(1_500)),
    ],
}


@pytest.mark.parametrize(("path", "body"), [(path, body) for path, bodies in LISTS.items() for body in bodies])
def test_long_list_is_rejected_with_its_first_error(rest: Rest, path: str, body: bytes) -> None:
    answer = rest.client.post(path, content=body, headers=JSON)
    assert answer.status_code in {400, 413, 422}
    assert len(answer.content) < 1_000


def test_json_of_tensors_is_bounded_below_their_bytes(rest: Rest) -> None:
    body = b'{"inputs":[' + b" " * 1_100_000 + b"]}"
    answer = rest.client.post(INFER, content=body, headers=JSON)
    assert answer.status_code == 413
    assert "binary_data_size" in answer.json()["error"]


def test_forecasts_are_paged_by_name(models: Models) -> None:
    with serving(models, OPTIONS) as rest:
        names = [f"house-{i}" for i in (3, 1, 4, 0, 2)]
        for minute in range(2):
            rest.push(*(Reading(name, 21_476_160 + minute, 1.0) for name in names))
        found, after = [], ""
        while True:
            page = rest.client.get("/predict", params={"limit": 2, "after": after}).json()
            assert page["n_devices"] == 5
            assert len(page["forecasts"]) <= 2
            found += [forecast["device"] for forecast in page["forecasts"]]
            if page["next"] is None:
                break
            after = page["next"]
        assert found == sorted(names)
        for limit in (0, 10_001):
            assert rest.client.get("/predict", params={"limit": limit}).status_code == 422


# --- a whole gateway, attacked from outside -----------------------------------------------------------


@pytest.mark.long
@pytest.mark.e2e
def test_gateway_survives_floods(gateway_process: Callable[[], GatewayProcess]) -> None:
    """60 MB of headers, 20 half-sent bodies, a million list items, 1,100 connections: /livez keeps answering."""
    gateway = gateway_process()
    assert httpx.post(f"http://{LOOPBACK}:{gateway.port}{INFER}", content=b"{}", headers=JSON).status_code == 400
    idle_bytes = gateway.resident_bytes
    _assert_held(gateway, idle_bytes, "header", lambda: _send_headers(gateway.port))
    _assert_held(gateway, idle_bytes, "bodies", lambda: _send_half_bodies(gateway))
    _assert_held(gateway, idle_bytes, "lists", lambda: _send_lists(gateway.port))
    _assert_held(gateway, idle_bytes, "connections", lambda: _open_connections(gateway))
    assert gateway.stop() == 0


def _assert_held(gateway: GatewayProcess, idle_bytes: int, what: str, attack: Callable[[], None]) -> None:
    attack()
    assert gateway.is_live(), what
    growth = gateway.most_resident_bytes - idle_bytes
    assert growth <= MOST_GROWTH_BYTES, f"{what}: {growth / MIB:.0f} MiB"


def _send_headers(port: int) -> None:
    request = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n" + (b"x: " + b"a" * 60_000 + b"\r\n") * 1_000 + b"\r\n"
    answer = exchange(port, request)
    assert answer == b"" or status_of(answer) == 431


def _send_half_bodies(gateway: GatewayProcess) -> None:
    head = b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 16000000\r\n\r\n"
    with connections(gateway.port, 20) as holding:
        for sock in holding:
            try:
                sock.sendall(head % INFER.encode() + b" " * 14_500_000)
            except ConnectionError:
                continue
        assert gateway.is_live()


def _send_lists(port: int) -> None:
    body = b'{"inputs":[%s]}' % b",".join([b"{}"] * 340_000)
    for _ in range(3):
        answer = httpx.post(f"http://{LOOPBACK}:{port}{INFER}", content=body, headers=JSON, timeout=GUARD_S)
        assert answer.status_code in {400, 413}


def _open_connections(gateway: GatewayProcess) -> None:
    with connections(gateway.port, 1_100):
        for _ in range(20):
            assert gateway.is_live()
    assert gateway.process.poll() is None
    assert b"OSError" not in gateway.errors.read_bytes()
