"""Raw HTTP connections of an attacker: arbitrary bytes, many connections at once, responses read or ignored."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from bench.ports import LOOPBACK

#: A request for which the gateway takes longer counts as unanswered.
ANSWER_TIMEOUT_S = 20.0
_CHUNK_BYTES = 1 << 16


class Answer(NamedTuple):
    """The first response on a connection; status 0 if there was none."""

    status: int
    headers: dict[str, str]
    body: bytes


def request_bytes(method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    """Return a request; ``headers`` override the default ones."""
    usual = {"Host": LOOPBACK, "Connection": "close"} | ({"Content-Length": str(len(body))} if body else {})
    lines = "".join(f"{name}: {value}\r\n" for name, value in (usual | dict(headers or {})).items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body


def send_request(port: int, content: bytes, timeout_s: float = ANSWER_TIMEOUT_S) -> Answer:
    """Send ``content`` on a new connection and return the first response."""
    deadline_s, received = time.monotonic() + timeout_s, bytearray()
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=timeout_s) as link:
        with contextlib.suppress(
            BrokenPipeError, ConnectionResetError
        ):  # rejected while being sent: the response is still readable
            link.sendall(content)
        while time.monotonic() < deadline_s and (chunk := link.recv(_CHUNK_BYTES)):
            received += chunk
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) < 2 or not words[1].isdigit():
        return Answer(0, {}, b"")
    pairs = (line.partition(":") for line in lines[1:])
    return Answer(int(words[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}, body)


@contextmanager
def connections(port: int, n: int) -> Iterator[list[socket.socket]]:
    """Yield up to ``n`` non-blocking connections, fewer if the gateway accepts no more; close them afterwards."""
    links: list[socket.socket] = []
    try:
        for _ in range(n):
            link = socket.socket()
            links.append(link)
            link.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                link.connect((LOOPBACK, port))
        yield links
    finally:
        for link in links:
            link.close()


def push(links: Iterable[socket.socket], contents: Iterable[Iterator[bytes]], seconds: float) -> int:
    """Send each connection its content as fast as accepted, for ``seconds`` at most; return the bytes sent.

    Responses are not read. A connection that the gateway closes is dropped; the others stay open.
    """
    n_bytes, until_s = 0, time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        rest: dict[socket.socket, memoryview] = {}
        for link, content in zip(links, contents, strict=True):
            rest[link] = memoryview(b"")
            selector.register(link, selectors.EVENT_WRITE, content)
        while selector.get_map() and time.monotonic() < until_s:
            for key, _ in selector.select(0.1):
                link = next(one for one in (key.fileobj,) if isinstance(one, socket.socket))
                try:
                    chunk = rest[link] or memoryview(next(key.data))
                    n_sent = link.send(chunk)
                except BlockingIOError:
                    continue
                except (StopIteration, OSError):
                    selector.unregister(link)
                    continue
                rest[link] = chunk[n_sent:]
                n_bytes += n_sent
    return n_bytes


def repeat(first: bytes, chunk: bytes, n_bytes: int) -> Iterator[bytes]:
    """Yield ``first``, then ``chunk`` repeatedly, ``n_bytes`` in total."""
    yield first
    for _ in range(n_bytes // len(chunk)):
        yield chunk


def hold(links: Iterable[socket.socket], seconds: float) -> int:
    """Keep connections open for ``seconds``; return how many the gateway has closed by then."""
    n_closed, until_s = 0, time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for link in links:
            selector.register(link, selectors.EVENT_READ)
        while selector.get_map() and (left_s := until_s - time.monotonic()) > 0:
            for key, _ in selector.select(left_s):
                if _is_closed(key.fileobj):
                    selector.unregister(key.fileobj)
                    n_closed += 1
    return n_closed


def _is_closed(link: object) -> bool:
    """Read pending data of a connection; return whether the gateway has closed it."""
    try:
        return isinstance(link, socket.socket) and not link.recv(_CHUNK_BYTES)
    except BlockingIOError:
        return False
    except OSError:
        return True
