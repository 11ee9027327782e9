"""The broker's name is resolved unchanged; only a name with other letters needs the international names' codec."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gapcast.mqtt.connection.transport import Transport, TransportClient


class _Connected(Exception):  # noqa: N818 - not an error: ends the connection of a test
    """Holds the address of the connection."""


@pytest.fixture(autouse=True)
def no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(address: object, *_: object, **__: object) -> None:
        raise _Connected(address)

    monkeypatch.setattr(socket, "create_connection", connect)


def address_of(host: str) -> Any:
    client = TransportClient(Transport(), CallbackAPIVersion.VERSION2)
    with pytest.raises(_Connected) as caught:
        client.connect(host, 1883)
    return caught.value.args[0]


@pytest.mark.parametrize("host", ["broker.lan", "127.0.0.1", "::1"])
def test_ascii_host_is_resolved_without_a_codec(host: str) -> None:
    assert address_of(host) == (host.encode(), 1883)


def test_international_host_is_left_to_the_codec() -> None:
    assert address_of("bröker.lan") == ("bröker.lan", 1883)
