"""TCP options that detect a lost network."""

from __future__ import annotations

import socket

import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gapcast.mqtt.connection.transport import Transport, TransportClient, set_tcp_options
from tests.support.ports import LOOPBACK


def test_tcp_options_set_no_delay_and_keepalive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "TCP_KEEPCNT")  # a system that has not all of it
    with socket.create_server((LOOPBACK, 0)) as listening, socket.create_connection(listening.getsockname()) as sock:
        set_tcp_options(sock)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000


def test_connection_to_the_broker_has_the_tcp_options() -> None:
    client = TransportClient(Transport(), CallbackAPIVersion.VERSION2)
    with socket.create_server((LOOPBACK, 0)) as listening:
        client.connect(*listening.getsockname())
        sock = client.socket()
        assert isinstance(sock, socket.socket)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
        client.disconnect()
