"""The socket under paho: it handles PUBLISH and PUBACK, and passes the rest to paho."""

from __future__ import annotations

import itertools
import socket
import ssl
from collections.abc import Iterator
from threading import Thread
from typing import cast

import pytest

from gapcast.mqtt.packets.fast_path import FastPathSocket
from gapcast.mqtt.packets.frames import Acknowledgement, Publication, encode_pubacks, encode_publish
from tests.support.clocks import ManualClock
from tests.support.waiting import GUARD_S

SUBACK, PINGRESP, DISCONNECT = b"\x90\x03\x00\x01\x01", b"\xd0\x00", b"\xe0\x00"


class Ends:
    """Both ends of a real connection, and the packets that the gateway's end received."""

    def __init__(self, ours: socket.socket, peer: socket.socket) -> None:
        self.ours, self.peer = ours, peer
        ours.setblocking(False)
        peer.settimeout(GUARD_S)
        self.publications: list[Publication] = []
        self.acknowledgements: list[Acknowledgement] = []
        self.fast_path = FastPathSocket(
            ours,
            mqtt5=False,
            on_publications=self.publications.extend,
            on_acknowledgements=self.acknowledgements.extend,
        )

    @property
    def packet_ids(self) -> list[int]:
        return [publication.packet_id for publication in self.publications]

    def pump_all(self) -> None:
        while self.fast_path.has_more:
            self.fast_path.pump()

    def read_all(self, n_bytes: int) -> bytes:
        """Read at the peer's end, while the gateway's end sends what it can."""
        received = b""
        while len(received) < n_bytes:
            self.fast_path.flush()
            received += self.peer.recv(65_536)
        return received

    def close(self) -> None:
        self.fast_path.close()
        self.peer.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends(*socket.socketpair())
    yield made
    made.close()


@pytest.fixture
def tls_ends() -> Iterator[Ends]:
    """The same under TLS, with ciphers that need no certificate."""
    ours, peer = socket.socketpair()
    client, server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client.check_hostname = False
    for context in (client, server):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("aNULL:@SECLEVEL=0")
    encrypted_peer = server.wrap_socket(peer, server_side=True, do_handshake_on_connect=False)
    handshake = Thread(target=encrypted_peer.do_handshake)
    handshake.start()
    made = Ends(client.wrap_socket(ours), encrypted_peer)
    handshake.join(GUARD_S)
    yield made
    made.close()


def reading(packet_id: int, payload: bytes = b"1.5") -> bytes:
    return encode_publish(b"gap/home/reading", payload, packet_id, retain=False, properties=None)


def fill(ends: Ends) -> int:
    """Write until the network accepts no more; return the number of written bytes."""
    n_written = 0
    while not ends.fast_path.n_unsent:
        ends.fast_path.write(b"x" * 50_000)
        ends.fast_path.flush()
        n_written += 50_000
    return n_written


# --- what comes -------------------------------------------------------------------------------------


def test_fast_path_splits_packets_between_us_and_paho(ends: Ends) -> None:
    ends.peer.sendall(reading(1) + SUBACK + encode_pubacks([40_000]) + reading(2) + PINGRESP)
    ends.fast_path.pump()
    assert ends.packet_ids == [1, 2]
    assert ends.acknowledgements == [Acknowledgement(40_000, 0)]
    assert ends.fast_path.has_paho_input
    assert ends.fast_path.recv(5) + ends.fast_path.recv(100) == SUBACK + PINGRESP
    assert not ends.fast_path.has_paho_input


def test_fast_path_without_data_would_block(ends: Ends) -> None:
    ends.fast_path.pump()
    assert not ends.fast_path.has_paho_input
    with pytest.raises(BlockingIOError):
        ends.fast_path.recv(1)


def test_fast_path_delivers_a_packet_once_complete(ends: Ends) -> None:
    packet = reading(1)
    ends.peer.sendall(packet[:7])
    ends.fast_path.pump()
    assert ends.packet_ids == []
    ends.peer.sendall(packet[7:] + SUBACK[:2])
    ends.fast_path.pump()
    assert ends.packet_ids == [1]
    assert not ends.fast_path.has_paho_input


@pytest.mark.parametrize("kind", ["ends", "tls_ends"])
def test_fast_path_reads_much_data_in_parts(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gapcast.mqtt.packets.fast_path._READ_BYTES", 100)
    ends: Ends = request.getfixturevalue(kind)
    sent = [reading(packet_id) for packet_id in range(1, 41)]
    ends.peer.sendall(b"".join(sent))
    ends.fast_path.pump()
    n_first = len(ends.packet_ids)
    assert 0 < n_first < 40
    assert ends.fast_path.has_more, "no poll will tell of what TLS has decrypted already"
    ends.pump_all()
    assert ends.packet_ids == list(range(1, 41))


# --- what leaves ------------------------------------------------------------------------------------


def test_fast_path_writes_leave_together_in_order(ends: Ends) -> None:
    ends.fast_path.write(reading(1))
    assert ends.fast_path.send(PINGRESP) == len(PINGRESP)
    ends.fast_path.write(reading(2))
    assert ends.fast_path.n_unsent == len(reading(1)) * 2 + 2
    ends.fast_path.flush()
    assert ends.fast_path.n_unsent == 0
    assert ends.peer.recv(1_000) == reading(1) + PINGRESP + reading(2)


@pytest.mark.parametrize("kind", ["ends", "tls_ends"])
def test_fast_path_buffers_bytes_that_the_socket_does_not_accept(kind: str, request: pytest.FixtureRequest) -> None:
    ends: Ends = request.getfixturevalue(kind)
    n_written = fill(ends)
    ends.fast_path.write(reading(1))  # what waits grows meanwhile
    received = ends.read_all(n_written + len(reading(1)))
    assert received == b"x" * n_written + reading(1)
    assert ends.fast_path.n_unsent == 0


# --- how it ends ------------------------------------------------------------------------------------


def test_fast_path_peer_close_reaches_paho_after_its_packets(ends: Ends) -> None:
    ends.peer.sendall(reading(1) + SUBACK)
    ends.peer.close()
    ends.fast_path.pump()
    ends.fast_path.pump()
    assert ends.packet_ids == [1]
    assert ends.fast_path.recv(100) == SUBACK
    assert ends.fast_path.has_paho_input
    assert ends.fast_path.recv(100) == b""


def test_fast_path_reset_is_an_error_for_paho(ends: Ends) -> None:
    ends.fast_path.write(b"unread")
    ends.fast_path.flush()
    ends.peer.close()
    ends.fast_path.pump()
    assert ends.fast_path.has_paho_input
    with pytest.raises(ConnectionResetError):
        ends.fast_path.recv(1)


def test_fast_path_invalid_bytes_lose_the_connection(ends: Ends) -> None:
    ends.peer.sendall(reading(1) + b"\x30\xff\xff\xff\xff\xff" + reading(2))
    ends.fast_path.pump()
    assert ends.packet_ids == [1]
    with pytest.raises(OSError, match="malformed"):
        ends.fast_path.recv(1)
    ends.peer.sendall(reading(3))
    ends.fast_path.pump()
    assert ends.packet_ids == [1], "nothing more is read"


def test_fast_path_write_to_a_closed_peer_loses_the_connection(ends: Ends) -> None:
    ends.peer.close()
    ends.fast_path.write(b"x")
    ends.fast_path.flush()
    assert ends.fast_path.has_paho_input
    with pytest.raises(BrokenPipeError):
        ends.fast_path.recv(1)


def test_fast_path_close_sends_the_rest(ends: Ends) -> None:
    ends.fast_path.send(DISCONNECT)
    ends.fast_path.close()
    assert ends.peer.recv(10) == DISCONNECT
    assert ends.peer.recv(10) == b""
    ends.fast_path.close()  # paho and the session may both close it


def test_fast_path_disconnect_reaches_a_sending_peer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
    ends = Ends(ours, peer)
    # Never read here.
    peer.sendall(encode_publish(b"gap/home/reading", b"1.5", 0, retain=False, properties=None) * 1_000)
    ends.fast_path.send(DISCONNECT)
    ends.fast_path.sends_disconnect = True
    closing = Thread(target=ends.fast_path.close)
    closing.start()
    assert peer.recv(16) == DISCONNECT
    peer.sendall(b"\x00" * 65_536)  # a reset would end this, and the broker would publish the last will
    peer.shutdown(socket.SHUT_WR)
    assert peer.recv(16) == b""
    closing.join(GUARD_S)
    assert not closing.is_alive()
    peer.close()


def test_fast_path_disconnect_times_out_if_the_peer_stays(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gapcast.mqtt.packets.fast_path._DISCONNECT_TIMEOUT_S", 0.01)
    ends.fast_path.send(DISCONNECT)
    ends.fast_path.sends_disconnect = True
    ends.fast_path.close()
    assert ends.peer.recv(16) == DISCONNECT
    assert ends.peer.recv(16) == b""


def test_fast_path_close_times_out_if_the_peer_does_not_read(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gapcast.mqtt.packets.fast_path._CLOSE_TIMEOUT_S", 0.01)
    fill(ends)
    ends.fast_path.close()
    assert ends.fast_path.fileno() == -1


def test_fast_path_close_times_out_over_a_slow_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network accepts a little each time, but all of it would take a quarter of an hour."""
    clock = ManualClock()
    monkeypatch.setattr("gapcast.mqtt.packets.fast_path.time", clock)
    ours, peer = socket.socketpair()
    is_full = itertools.cycle((False, True))

    class SlowLink:
        """The gateway's end of a connection that accepts one byte a second."""

        recv, fileno, setblocking, close = ours.recv, ours.fileno, ours.setblocking, ours.close

        @staticmethod
        def send(data: bytearray) -> int:
            if next(is_full):
                raise BlockingIOError
            clock.now_s += 1.0
            return ours.send(data[:1])

    ends = Ends(cast("socket.socket", SlowLink), peer)
    ends.fast_path.write(b"x" * 1_000)
    ends.fast_path.close()
    assert clock.now_s == ManualClock().now_s + 2
    peer.close()


def test_fast_path_close_after_the_peer_sends_nothing(ends: Ends) -> None:
    fill(ends)
    ends.peer.close()
    ends.fast_path.close()
    assert ends.fast_path.fileno() == -1


def test_fast_path_lets_paho_set_blocking_mode(ends: Ends) -> None:
    ends.fast_path.setblocking(True)
    assert ends.ours.getblocking()
    assert ends.fast_path.fileno() == ends.ours.fileno()
