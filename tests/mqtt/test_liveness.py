"""A connection says by itself when the network has gone."""

from __future__ import annotations

import socket

import pytest

from gapcast.mqtt.tcp_options import set_tcp_options
from tests.support.ports import LOOPBACK


def test_a_connection_sends_at_once_and_is_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "TCP_KEEPCNT")  # a system that has not all of it
    with socket.create_server((LOOPBACK, 0)) as listening, socket.create_connection(listening.getsockname()) as sock:
        set_tcp_options(sock)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
