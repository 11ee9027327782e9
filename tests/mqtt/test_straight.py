"""The socket under paho: it keeps PUBLISH and PUBACK, and gives paho the rest."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from edge.mqtt.frames import Acknowledgement, Publication, encode_puback, encode_publish
from edge.mqtt.straight import StraightSocket

SUBACK, PINGRESP = b"\x90\x03\x00\x01\x01", b"\xd0\x00"


class Ends:
    """Both ends of a real connection, and what came through ours."""

    def __init__(self) -> None:
        ours, self.peer = socket.socketpair()
        ours.setblocking(False)
        self.peer.settimeout(5)
        self.publications: list[Publication] = []
        self.acknowledgements: list[Acknowledgement] = []
        self.straight = StraightSocket(
            ours,
            mqtt5=False,
            on_publication=self.publications.append,
            on_acknowledgement=self.acknowledgements.append,
        )

    def close(self) -> None:
        self.straight.close()
        self.peer.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.close()


def reading(packet_id: int, payload: bytes = b"1.5") -> bytes:
    return encode_publish(b"gap/home/reading", payload, packet_id, retain=False, properties=None)


def test_what_came_is_parted_between_us_and_paho(ends: Ends) -> None:
    ends.peer.sendall(reading(1) + SUBACK + encode_puback(40_000) + reading(2) + PINGRESP)
    ends.straight.pump()
    assert [publication.packet_id for publication in ends.publications] == [1, 2]
    assert ends.acknowledgements == [Acknowledgement(40_000, 0)]
    assert ends.straight.wants_paho
    assert ends.straight.pending() == 7
    assert ends.straight.recv(5) + ends.straight.recv(100) == SUBACK + PINGRESP
    assert not ends.straight.wants_paho
    with pytest.raises(BlockingIOError):
        ends.straight.recv(1)


def test_writes_leave_together_and_in_order(ends: Ends) -> None:
    ends.straight.write(reading(1))
    assert ends.straight.send(PINGRESP) == len(PINGRESP)
    ends.straight.write(reading(2))
    ends.straight.flush()
    assert ends.straight.n_unsent == 0
    assert ends.peer.recv(1_000) == reading(1) + PINGRESP + reading(2)


def test_what_the_network_does_not_take_waits(ends: Ends) -> None:
    packet = reading(1, b"x" * 50_000)
    while not ends.straight.n_unsent:
        ends.straight.write(packet)
        ends.straight.flush()
    waiting = ends.straight.n_unsent
    ends.peer.recv(1_000_000)
    ends.straight.flush()
    assert ends.straight.n_unsent < waiting


def test_a_peer_that_hangs_up_is_the_end_for_paho(ends: Ends) -> None:
    ends.peer.sendall(reading(1))
    ends.peer.close()
    ends.straight.pump()
    ends.straight.pump()
    assert [publication.packet_id for publication in ends.publications] == [1]
    assert ends.straight.wants_paho
    assert ends.straight.recv(1) == b""


def test_bytes_that_are_not_mqtt_are_a_lost_connection(ends: Ends) -> None:
    ends.peer.sendall(b"\x30\xff\xff\xff\xff\xff")
    ends.straight.pump()
    with pytest.raises(OSError, match="malformed"):
        ends.straight.recv(1)


def test_writing_to_a_peer_that_is_gone_is_a_lost_connection(ends: Ends) -> None:
    ends.peer.close()
    ends.straight.write(b"x")
    ends.straight.flush()
    with pytest.raises(OSError, match="pipe"):
        ends.straight.recv(1)


def test_closing_sends_what_is_left(ends: Ends) -> None:
    ends.straight.send(b"\xe0\x00")
    ends.straight.close()
    assert ends.peer.recv(10) == b"\xe0\x00"
    ends.straight.close()  # paho and the session may both close it


def test_closing_does_not_wait_for_ever_for_a_peer_that_does_not_read(ends: Ends) -> None:
    packet = b"x" * 1_000_000
    while not ends.straight.n_unsent:
        ends.straight.write(packet)
        ends.straight.flush()
    ends.straight.close()
    assert ends.straight.fileno() == -1
