"""The fast path over a WebSocket: buffered data is read without a poll, and frames follow RFC 6455."""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.mqtt.connection.websocket import Websocket, masked
from gapcast.mqtt.packets.fast_path import FastPathSocket
from gapcast.mqtt.packets.frames import Publication, encode_publish
from tests.support.waiting import GUARD_S

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
BINARY, PING, PONG = 0x82, 0x89, 0x8A


def frame(kind: int, payload: bytes) -> bytes:
    return bytes((kind, len(payload))) + payload


def tls_pair() -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    """Return both ends of a TLS connection that needs no certificate."""
    ours, peer = socket.socketpair()
    client, server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client.check_hostname = False
    for context in (client, server):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("aNULL:@SECLEVEL=0")
    encrypted = server.wrap_socket(peer, server_side=True, do_handshake_on_connect=False)
    handshake = Thread(target=encrypted.do_handshake)
    handshake.start()
    wrapped = client.wrap_socket(ours)
    handshake.join(GUARD_S)
    return wrapped, encrypted


def upgrade(peer: socket.socket) -> bytes:
    """Answer the client's WebSocket upgrade request, and return the request."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += peer.recv(4_096)
    key = next(line.split(b": ")[1] for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())  # noqa: S324 - as the RFC has it
    peer.sendall(
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n"
        % accept
    )
    return request


class Connection:
    """The gateway's end of a WebSocket, under the fast path, and the peer's end."""

    def __init__(self, *, tls: bool) -> None:
        ours, self.peer = tls_pair() if tls else socket.socketpair()
        self.peer.settimeout(GUARD_S)
        upgrading = Thread(target=upgrade, args=(self.peer,))
        upgrading.start()
        ours.settimeout(GUARD_S)
        websocket = Websocket(ours, "broker", 443, "/mqtt", tls=tls)
        upgrading.join(GUARD_S)
        self.taken: list[Publication] = []
        self.fast_path = FastPathSocket(
            websocket,
            mqtt5=False,
            on_publications=self.taken.extend,
            on_acknowledgements=lambda _acknowledgements: None,
        )
        self.fast_path.setblocking(False)

    def received(self) -> tuple[int, bytes]:
        """Return the kind and the unmasked payload of one frame, of less than 126 bytes, that the peer reads."""
        kind, length, *rest = self.peer.recv(1_000)
        assert length & 0x80, "a client's frames are masked (RFC 6455, 5.1)"
        key, payload = rest[:4], rest[4:]
        assert len(payload) == length & 0x7F
        return kind, bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    made = Connection(tls=request.param)
    yield made
    made.fast_path.close()
    made.peer.close()


READING = encode_publish(b"gap/home/reading", b"1.5", 0, retain=False, properties=None)


@pytest.mark.parametrize(
    ("host", "port", "header"),
    [("broker", 9_001, "broker:9001"), ("broker", 80, "broker"), ("::1", 9_001, "[::1]:9001"), ("::1", 80, "[::1]")],
)
def test_upgrade_names_the_broker_as_in_a_url(host: str, port: int, header: str) -> None:
    ours, peer = socket.socketpair()
    with ours, peer, ThreadPoolExecutor(1) as pool:
        upgrading = pool.submit(upgrade, peer)
        Websocket(ours, host, port, "/mqtt", tls=False)
        request = upgrading.result(GUARD_S).decode().split("\r\n")
    assert {f"Host: {header}", f"Origin: http://{header}"} <= set(request)


def test_websocket_reads_a_message_behind_a_ping(connection: Connection) -> None:
    connection.peer.sendall(frame(PING, b"are you there") + frame(BINARY, READING) + frame(BINARY, READING))
    connection.fast_path.pump()
    assert [publication.payload for publication in connection.taken] == [b"1.5", b"1.5"]
    assert connection.received() == (PONG, b"are you there")


def test_websocket_joins_a_frame_in_pieces(connection: Connection) -> None:
    whole = frame(BINARY, READING) * 2
    for i, byte in enumerate(whole):
        connection.peer.sendall(bytes((byte,)))
        connection.fast_path.pump()
        assert len(connection.taken) == (i + 1) * 2 // len(whole)


def test_websocket_sends_a_masked_frame(connection: Connection) -> None:
    connection.fast_path.write(READING)
    connection.fast_path.flush()
    assert connection.received() == (BINARY, READING)


def test_websocket_close_is_seen_after_the_last_message(connection: Connection) -> None:
    connection.peer.sendall(frame(BINARY, READING))
    connection.peer.shutdown(socket.SHUT_WR)
    connection.fast_path.pump()
    assert len(connection.taken) == 1
    assert connection.fast_path.has_paho_input
    assert connection.fast_path.recv(1) == b""


@given(payload=st.binary(max_size=70_000), key=st.binary(min_size=4, max_size=4))
def test_websocket_mask_follows_the_rfc(payload: bytes, key: bytes) -> None:
    assert masked(payload, key) == key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
