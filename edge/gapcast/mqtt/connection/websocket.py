"""paho's WebSocket with its most expensive work done per frame instead of per byte."""

from __future__ import annotations

import os
from typing import Any

import paho.mqtt.client as paho

_READ_BYTES = 262_144
_MASKED = 0x80


class Websocket(paho._WebsocketWrapper):
    """A connection that is upgraded on creation; ``recv`` and ``send`` decode and encode binary frames (RFC 6455)."""

    def __init__(self, sock: Any, host: str, port: int, path: str, *, tls: bool) -> None:
        """Request an upgrade from ``host`` over ``sock``; raise paho's ``WebsocketConnectionError`` if refused."""
        self._ahead = _ReadAhead(sock, tls=tls)
        name = f"[{host}]" if ":" in host else host  # an IPv6 address is in brackets in the headers (RFC 9110, 7.2)
        super().__init__(self._ahead, name, port, tls, path, None)  # type: ignore[arg-type]  # stands in for a socket

    def pending(self) -> int:
        """Return the number of received bytes that polling the socket does not report."""
        return self._ahead.pending()

    def _create_frame(self, opcode: int, data: bytearray, do_masking: int = 1) -> bytearray:
        # Always masked, as a client's frames must be (5.1): paho would not mask its answers to a ping.
        frame = super()._create_frame(opcode, data, 0)
        begin = len(frame) - len(data)
        frame[1] |= _MASKED
        frame[begin:] = masked(data, os.urandom(4))
        return frame


def masked(payload: bytes | bytearray, key: bytes) -> bytes:
    """Return a mask's four bytes, followed by the masked ``payload`` (RFC 6455, 5.3).

    >>> masked(b"Hello", bytes.fromhex("37fa213d")).hex(" ")
    '37 fa 21 3d 7f 9f 4d 51 58'
    """
    n_bytes = len(payload)
    mask = (key * (n_bytes // len(key) + 1))[:n_bytes]
    masked_payload = int.from_bytes(payload, "little") ^ int.from_bytes(mask, "little")
    return key + masked_payload.to_bytes(n_bytes, "little")


class _ReadAhead:
    """Wraps a socket: reads all available bytes at once and returns them in the small parts that paho requests."""

    def __init__(self, sock: Any, *, tls: bool) -> None:
        self._sock, self._tls = sock, tls
        self._read = b""
        self._n_returned = 0
        self.send, self.fileno, self.close = sock.send, sock.fileno, sock.close
        self.setblocking = sock.setblocking

    def recv(self, n_bytes: int) -> bytes:
        if self._n_returned == len(self._read):
            self._read, self._n_returned = self._sock.recv(_READ_BYTES), 0
        part = self._read[self._n_returned : self._n_returned + n_bytes]
        self._n_returned += len(part)
        return part

    def pending(self) -> int:
        n_ahead = len(self._read) - self._n_returned
        return n_ahead + self._sock.pending() if self._tls else n_ahead
