"""A broker for one connection, over a real socket with MQTT 5; the test decides each packet."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from dataclasses import dataclass

from tests.support.ports import LOOPBACK
from tests.support.waiting import GUARD_S

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 13, 14
UNSUBSCRIBE = 10
_RECEIVE_MAXIMUM = 0x21


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet that the gateway sent; the last four fields are those of PUBLISH, PUBACK and SUBSCRIBE."""

    kind: int
    flags: int
    body: bytes
    packet_id: int = 0
    topic: str = ""
    payload: bytes = b""

    @property
    def is_duplicate(self) -> bool:
        return bool(self.flags & 0x08)


class WireBroker:
    """Listens; each :meth:`accept` takes one connection."""

    def __init__(self, port: int = 0) -> None:
        self._listening = socket.create_server((LOOPBACK, port))
        self._listening.settimeout(GUARD_S)
        self.port: int = self._listening.getsockname()[1]

    def accept(self) -> Wire:
        accepted, _ = self._listening.accept()
        return Wire(accepted)

    def close(self) -> None:
        self._listening.close()


class Wire:
    """One connection, packet by packet."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._received = b""

    # --- from the gateway -----------------------------------------------------------------------

    def read(self) -> Packet:
        """Return the next packet; pings are answered on the way."""
        self._sock.settimeout(GUARD_S)
        while True:
            found = self._cut()
            if found is not None:
                return found
            more = self._sock.recv(65_536)
            assert more, "the gateway hung up"
            self._received += more

    def read_all_there(self) -> list[Packet]:
        """Return what the gateway has sent by now, without waiting for more."""
        self._sock.setblocking(False)
        try:
            while more := self._sock.recv(65_536):
                self._received += more
        except BlockingIOError:
            pass
        packets = []
        while (packet := self._cut()) is not None:
            packets.append(packet)
        return packets

    def _cut(self) -> Packet | None:
        while True:
            length, place = 0, 1
            while place < len(self._received) and self._received[place] & 0x80:
                length |= (self._received[place] & 0x7F) << 7 * (place - 1)
                place += 1
            if place >= len(self._received):
                return None
            length |= self._received[place] << 7 * (place - 1)
            place += 1
            if len(self._received) < place + length:
                return None
            head, body = self._received[0], self._received[place : place + length]
            self._received = self._received[place + length :]
            if head >> 4 == PINGREQ:
                self._sock.sendall(bytes((PINGRESP << 4, 0)))
                continue
            return _parsed(head, body)

    # --- to the gateway -------------------------------------------------------------------------

    def connack(self, *, reason: int = 0, session_present: bool = False, receive_maximum: int | None = None) -> None:
        properties = b"" if receive_maximum is None else struct.pack("!BH", _RECEIVE_MAXIMUM, receive_maximum)
        self._send(CONNACK, bytes((session_present, reason, len(properties))) + properties)

    def suback(self, packet_id: int, *, reason: int = 1) -> None:
        self._send(SUBACK, struct.pack("!HBB", packet_id, 0, reason))

    def suback_each(self, packet_id: int, reasons: list[int]) -> None:
        """Answer a SUBSCRIBE of several topics."""
        self._send(SUBACK, struct.pack("!HB", packet_id, 0) + bytes(reasons))

    def publish(self, topic: str, payload: str, packet_id: int, *, again: bool = False) -> None:
        """Send a message at QoS 1, or at QoS 0 where ``packet_id`` is 0."""
        named = struct.pack("!H", len(topic)) + topic.encode()
        identified = struct.pack("!H", packet_id) if packet_id else b""
        self._send(PUBLISH, named + identified + b"\0" + payload.encode(), 0x08 * again | 0x02 * bool(packet_id))

    def encoded(self, messages: list[tuple[str, str]]) -> bytes:
        """Return messages at QoS 0 as bytes for :meth:`send_encoded`."""
        bodies = [struct.pack("!H", len(topic)) + topic.encode() + b"\0" + text.encode() for topic, text in messages]
        return b"".join(_packet(PUBLISH, body) for body in bodies)

    def send_encoded(self, block: bytes) -> None:
        self._sock.settimeout(GUARD_S)
        self._sock.sendall(block)

    def puback(self, packet_id: int, *, reason: int = 0) -> None:
        self._send(PUBACK, struct.pack("!HB", packet_id, reason) if reason else struct.pack("!H", packet_id))

    def _send(self, kind: int, body: bytes, flags: int = 0) -> None:
        self.send_encoded(_packet(kind, body, flags))

    def shut(self) -> None:
        """End the connection, while another thread may read from it."""
        with suppress(OSError):  # it has ended
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._sock.close()

    # --- the usual opening ------------------------------------------------------------------------

    def open(self, *, session_present: bool = False, receive_maximum: int | None = None) -> Packet:
        """Let the gateway in: CONNECT, its subscription and its ``online`` are answered. Return the CONNECT."""
        connect = self.read()
        assert connect.kind == CONNECT
        self.connack(session_present=session_present, receive_maximum=receive_maximum)
        wanted = {SUBSCRIBE, PUBLISH}
        while wanted:
            packet = self.read()
            if packet.kind == SUBSCRIBE:
                self.suback(packet.packet_id)
                wanted.discard(SUBSCRIBE)
            else:
                assert (packet.kind, packet.payload) == (PUBLISH, b"online")
                self.puback(packet.packet_id)
                wanted.discard(PUBLISH)
        return connect


def _packet(kind: int, body: bytes, flags: int = 0) -> bytes:
    length, left = bytearray(), len(body)
    while True:
        left, low = divmod(left, 0x80)
        length.append(low | 0x80 * bool(left))
        if not left:
            return bytes((kind << 4 | flags,)) + length + body


def _parsed(head: int, body: bytes) -> Packet:
    kind, flags = head >> 4, head & 0x0F
    if kind in {PUBACK, SUBSCRIBE}:
        return Packet(kind, flags, body, struct.unpack_from("!H", body)[0])
    if kind != PUBLISH:
        return Packet(kind, flags, body)
    n_topic = struct.unpack_from("!H", body)[0]
    topic, at = body[2 : 2 + n_topic].decode(), 2 + n_topic
    packet_id = 0
    if flags & 0x06:
        packet_id, at = struct.unpack_from("!H", body, at)[0], at + 2
    at += 1 + body[at]  # properties, of fewer than 128 bytes
    return Packet(kind, flags, body, packet_id, topic, body[at:])
