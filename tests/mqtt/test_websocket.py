"""The straight path over paho's WebSocket, in TLS: what no poll tells of is read all the same."""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl
from threading import Thread

import paho.mqtt.client as paho

from edge.mqtt.frames import Publication, encode_publish
from edge.mqtt.straight import StraightSocket

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
BINARY, PING = 0x82, 0x89


def frame(kind: int, payload: bytes) -> bytes:
    return bytes((kind, len(payload))) + payload


def tls_pair() -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    """Both ends of TLS that needs no certificate."""
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
    handshake.join(5)
    return wrapped, encrypted


def upgrade(peer: ssl.SSLSocket) -> None:
    """Answer the client's request to speak WebSocket."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += peer.recv(4_096)
    key = next(line.split(b": ")[1] for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())  # noqa: S324 - as the RFC has it
    peer.sendall(
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n"
        % accept
    )


def test_a_message_behind_a_ping_in_one_record_is_not_left_lying() -> None:
    ours, peer = tls_pair()
    upgrading = Thread(target=upgrade, args=(peer,))
    upgrading.start()
    ours.settimeout(5)
    websocket = paho._WebsocketWrapper(ours, "broker", 443, True, "/mqtt", None)
    upgrading.join(5)
    taken: list[Publication] = []
    straight = StraightSocket(
        websocket, mqtt5=False, on_publication=taken.append, on_acknowledgement=lambda _acknowledgement: None
    )
    straight.setblocking(False)
    reading = encode_publish(b"gap/home/reading", b"1.5", 0, retain=False, properties=None)
    peer.sendall(frame(PING, b"are you there") + frame(BINARY, reading) + frame(BINARY, reading))
    straight.pump()
    assert [publication.payload for publication in taken] == [b"1.5", b"1.5"]
    assert peer.recv(100)[:1] == b"\x8a", "the ping is answered"
    straight.close()
    peer.close()
