"""A client of Home Assistant's WebSocket API: commands that its REST API lacks."""

from __future__ import annotations

import base64
import json
import os
import socket
from types import TracebackType
from typing import Any

from gapcast.mqtt.connection.websocket import masked
from tests.support.ports import LOOPBACK
from tests.support.waiting import GUARD_S

#: A whole text frame from a client (RFC 6455, 5.2), and its mask's flag beside the length.
_TEXT, _MASKED = 0x81, 0x80
_SHORT, _EXTENDED_16, _EXTENDED_64 = 126, 126, 127


class HomeAssistantSocket:
    """An authenticated connection, whose commands are answered one after the other."""

    def __init__(self, port: int, token: str) -> None:
        self._socket = socket.create_connection((LOOPBACK, port), GUARD_S)
        self._incoming = self._socket.makefile("rb")
        self._n_commands = 0
        self._upgrade(port)
        assert self._receive()["type"] == "auth_required"
        self._send({"type": "auth", "access_token": token})
        answer = self._receive()
        assert answer["type"] == "auth_ok", answer

    def __enter__(self) -> HomeAssistantSocket:
        return self

    def __exit__(self, _type: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self._incoming.close()
        self._socket.close()

    def command(self, kind: str, **values: Any) -> Any:
        """Send a command; return its result."""
        self._n_commands += 1
        self._send({"id": self._n_commands, "type": kind} | values)
        answer = self._receive()
        assert (answer["id"], answer.get("success")) == (self._n_commands, True), answer
        return answer["result"]

    def _upgrade(self, port: int) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            "GET /api/websocket HTTP/1.1", f"Host: {LOOPBACK}:{port}", "Upgrade: websocket", "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", "",
        )  # fmt: skip
        self._socket.sendall("\r\n".join(lines).encode())
        status = self._incoming.readline()
        assert b" 101 " in status, status
        while self._incoming.readline().strip():
            pass

    def _send(self, document: object) -> None:
        payload = json.dumps(document).encode()
        n_bytes = len(payload)
        if n_bytes < _SHORT:
            head = bytes([_TEXT, _MASKED | n_bytes])
        else:
            head = bytes([_TEXT, _MASKED | _EXTENDED_64]) + n_bytes.to_bytes(8)
        self._socket.sendall(head + masked(payload, os.urandom(4)))

    def _receive(self) -> Any:
        """Return the document of the next text frame."""
        while True:
            kind, n_bytes = self._incoming.read(2)
            if n_bytes == _EXTENDED_16:
                n_bytes = int.from_bytes(self._incoming.read(2))
            elif n_bytes == _EXTENDED_64:
                n_bytes = int.from_bytes(self._incoming.read(8))
            payload = self._incoming.read(n_bytes)
            if kind == _TEXT:
                return json.loads(payload)
