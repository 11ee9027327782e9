"""Bytes from a broker that are not MQTT, or too many: the connection ends, and another one is made."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from gapcast.mqtt.connection.client import SessionOptions
from gapcast.mqtt.connection.connection import Connection
from gapcast.mqtt.connection.connection_callbacks import ConnectionCallbacks
from gapcast.mqtt.packets.frames import MAX_PAYLOAD, Acknowledgement, OtherPacket, Publication, encode_length
from gapcast.mqtt.packets.splitter import ProtocolError, Splitter
from gapcast.mqtt.session.session import Session
from tests.support.ports import LOOPBACK
from tests.support.waiting import wait_until
from tests.support.wire import Wire, WireBroker

#: Packets that no broker should send, in the order of their types.
PACKETS = [
    bytes.fromhex(text)
    for text in (
        "2000", "2001ff", "200300ff", "2005000001ff11", "200600010322ffff", "3000", "3200", "30ffffffff7f", "4000",
        "400100", "5000", "6200", "7000", "9000", "900100", "90030001ff", "90050001011f00", "a000", "b000",
        "b0030001ff",
        "c000", "d00500", "e000", "e002ff00", "e0028e", "f000", "f00418", "f0028e01", "0000", "1000", "8000",
    )
]  # fmt: skip


@pytest.fixture
def broker() -> Iterator[WireBroker]:
    made = WireBroker()
    yield made
    made.close()


@pytest.fixture
def session(broker: WireBroker) -> Iterator[Session]:
    options = SessionOptions(
        "gw", "s", ("gap/+/reading",), port=broker.port, host=LOOPBACK, protocol="5", announce=False
    )
    made = Session(options)
    yield made
    made.close(0.1)


def opened(session: Session, broker: WireBroker) -> Wire:
    """Accept the session, and grant its subscription."""
    n_before = session.n_connects
    wait_until(lambda: session.receive_messages(1, 0.05) == [] and session._connection.has_socket, "a connection")
    wire = broker.accept()
    wire.read()
    wire.connack()
    wait_until(lambda: session.receive_messages(1, 0.05) == [] and session.n_connects > n_before, "the broker's answer")
    wire.suback(wire.read().packet_id)
    wait_until(lambda: session.receive_messages(1, 0.05) == [] and session.connected, "the subscription")
    return wire


@pytest.mark.parametrize("packet", PACKETS, ids=lambda packet: packet.hex())
def test_session_malformed_packet_ends_only_the_connection(session: Session, broker: WireBroker, packet: bytes) -> None:
    wire = opened(session, broker)
    wire.send_encoded(packet + b"\xff" * 64)
    wire.close()
    wait_until(lambda: session.receive_messages(1, 0.05) == [] and not session.connected, "the end of the connection")
    assert session.problem


def test_session_reconnects_after_a_malformed_packet(session: Session, broker: WireBroker) -> None:
    wire = opened(session, broker)
    wire.send_encoded(bytes.fromhex("9003 0001 ff"))
    wait_until(lambda: session.receive_messages(1, 0.05) == [] and not session.connected, "the end of the connection")
    wire.close()
    again = opened(session, broker)
    again.publish("gap/home/reading", "1.5", 1)
    wait_until(lambda: session.receive_messages(1, 0.05), "a message on the next connection")
    again.close()


def test_splitter_random_bytes_raise_only_protocol_errors() -> None:
    generator = random.Random(13)
    for _ in range(2_000):
        splitter = Splitter(mqtt5=bool(generator.getrandbits(1)))
        try:
            for _ in range(4):
                splitter.feed(generator.randbytes(generator.randrange(1, 80)))
                list(splitter.packets())
        except ProtocolError:
            continue


def test_splitter_endless_properties_are_not_buffered() -> None:
    """100 MB of user properties, which a broker forwards, are read as a message that is too large."""
    n_properties, topic = 100_000_000, b"gap/home/reading"
    variable = len(topic).to_bytes(2, "big") + topic + b"\x00\x07" + encode_length(n_properties)
    splitter, largest = Splitter(mqtt5=True), 0
    found: list[Publication | Acknowledgement | OtherPacket] = []
    splitter.feed(b"\x32" + encode_length(len(variable) + n_properties + 3) + variable)
    piece, n_left = bytes(1 << 18), n_properties + 3
    while n_left:
        splitter.feed(piece[:n_left])
        n_left -= min(n_left, len(piece))
        found += splitter.packets()
        largest = max(largest, len(splitter))
    (publication,) = found
    assert isinstance(publication, Publication)
    assert (publication.topic, publication.packet_id, publication.payload) == ("gap/home/reading", 7, b"")
    assert publication.n_bytes > MAX_PAYLOAD
    assert largest < 2_000_000
    splitter.feed(b"\x40\x02\x00\x01")
    assert len(list(splitter.packets())) == 1


def test_splitter_other_endless_packet_is_a_protocol_error() -> None:
    splitter = Splitter(mqtt5=True)
    splitter.feed(b"\x90" + encode_length(200_000_000) + bytes(100))
    with pytest.raises(ProtocolError, match="200000000 bytes"):
        list(splitter.packets())


def served(connection: Connection, is_done: Callable[[], bool]) -> Callable[[], bool]:
    """Return a condition that serves ``connection`` for a moment, then calls ``is_done``."""

    def condition() -> bool:
        connection.serve(0.05)
        return is_done()

    return condition


def test_connection_any_error_ends_it_and_reconnects(broker: WireBroker) -> None:
    """Any error while bytes are handled; here by the callback that takes the messages."""
    lost: list[bool] = []

    def raise_error(_publications: list[Publication]) -> None:
        raise RecursionError

    def has_lost(n: int) -> bool:
        return len(lost) > n

    callbacks = ConnectionCallbacks(
        lambda *_: None, lambda: None, lambda: lost.append(True), raise_error, lambda _acknowledged: None
    )
    connection = Connection(
        SessionOptions("gw", "s", ("gap/+/reading",), port=broker.port, host=LOOPBACK, protocol="5", announce=False),
        callbacks,
    )
    for n_before in range(2):
        wait_until(served(connection, lambda: connection.has_socket), "a connection")
        wire = broker.accept()
        wire.read()
        wire.connack()
        wire.publish("gap/home/reading", "1.5", 0)
        wait_until(served(connection, partial(has_lost, n_before)), "the end of it")
        assert connection.problem == "the connection failed (RecursionError: )"
        wire.close()
    connection.stop_reconnecting()
    connection.close(graceful=False)
