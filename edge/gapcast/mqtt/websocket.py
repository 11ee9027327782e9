"""paho's WebSocket, with what cost the most in it done for a frame at once, not for each of its bytes."""

from __future__ import annotations

import os
from typing import Any

import paho.mqtt.client as paho

_READ_BYTES = 262_144
_MASKED = 0x80


class Websocket(paho._WebsocketWrapper):
    """A connection that is upgraded when it is made; ``recv`` and ``send`` take and make binary frames (RFC 6455)."""

    def __init__(self, sock: Any, host: str, port: int, path: str, *, tls: bool) -> None:
        """Ask ``host`` for an upgrade over ``sock``; raise paho's ``WebsocketConnectionError`` where there is none."""
        self._ahead = _ReadAhead(sock, tls=tls)
        super().__init__(self._ahead, host, port, tls, path, None)  # type: ignore[arg-type]  # stands in for a socket

    def pending(self) -> int:
        """Bytes that have come, of which no poll tells."""
        return self._ahead.pending()

    def _create_frame(self, opcode: int, data: bytearray, do_masking: int = 1) -> bytearray:
        # Always masked, as a client's must be (5.1): paho would leave that out in its answers to a ping.
        frame = super()._create_frame(opcode, data, 0)
        begin = len(frame) - len(data)
        frame[1] |= _MASKED
        frame[begin:] = masked(data, os.urandom(4))
        return frame


def masked(payload: bytes | bytearray, key: bytes) -> bytes:
    """Return a mask's four bytes, and ``payload`` under it (RFC 6455, 5.3).

    >>> masked(b"Hello", bytes.fromhex("37fa213d")).hex(" ")
    '37 fa 21 3d 7f 9f 4d 51 58'
    """
    n_bytes = len(payload)
    mask = (key * (n_bytes // len(key) + 1))[:n_bytes]
    under = int.from_bytes(payload, "little") ^ int.from_bytes(mask, "little")
    return key + under.to_bytes(n_bytes, "little")


class _ReadAhead:
    """A socket of which all that has come is read at once, and given out in the small parts that are asked for."""

    def __init__(self, sock: Any, *, tls: bool) -> None:
        self._sock, self._tls = sock, tls
        self._read = b""
        self._n_given = 0
        self.send, self.fileno, self.close = sock.send, sock.fileno, sock.close
        self.setblocking = sock.setblocking

    def recv(self, n_bytes: int) -> bytes:
        if self._n_given == len(self._read):
            self._read, self._n_given = self._sock.recv(_READ_BYTES), 0
        given = self._read[self._n_given : self._n_given + n_bytes]
        self._n_given += len(given)
        return given

    def pending(self) -> int:
        n_ahead = len(self._read) - self._n_given
        return n_ahead + self._sock.pending() if self._tls else n_ahead
