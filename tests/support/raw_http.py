"""HTTP over a plain socket: requests that no library would send, and slow ones."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from tests.support.ports import LOOPBACK
from tests.support.waiting import GUARD_S, wait_until

GET_LIVE = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"
_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR


@contextmanager
def connections(port: int, n: int = 1, *, receive_buffer: int | None = None) -> Iterator[list[socket.socket]]:
    """Open ``n`` connections to a loopback port."""
    with ExitStack() as stack:
        opened = []
        for _ in range(n):
            sock = stack.enter_context(socket.socket())
            sock.settimeout(GUARD_S)
            if receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.connect((LOOPBACK, port))
            opened.append(sock)
        yield opened


def read_to_end(sock: socket.socket) -> bytes:
    """Return all bytes until the other side closes or resets the connection."""
    received = b""
    try:
        while part := sock.recv(65_536):
            received += part
    except ConnectionError:
        pass
    return received


def exchange(port: int, request: bytes) -> bytes:
    """Send ``request`` as far as the server reads it; return the complete answer."""
    with connections(port) as (sock,):
        with suppress(ConnectionError):
            sock.sendall(request)
        return read_to_end(sock)


def status_of(answer: bytes) -> int:
    """Return the status of the first response in ``answer``."""
    return int(answer.split(b" ", 2)[1])


def wait_closed(sock: socket.socket, timeout_s: float = GUARD_S) -> None:
    """Wait until the other side has closed the connection; discard what it has sent."""
    poll = select.poll()
    poll.register(sock, _GONE)
    assert poll.poll(timeout_s * 1_000), "the connection is still open"


def wait_reset(sock: socket.socket) -> None:
    """Wait until sending fails because the other side has reset the connection."""

    def is_reset() -> bool:
        try:
            sock.send(b"x")
        except ConnectionError:
            return True
        return False

    wait_until(is_reset, "the connection to be closed")
