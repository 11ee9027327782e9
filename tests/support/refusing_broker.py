"""A broker that refuses topics as RabbitMQ does: it ends the connection after the first refused one."""

from __future__ import annotations

import socket
from collections.abc import Collection
from threading import Event, Thread

from tests.support.ports import LOOPBACK
from tests.support.waiting import GUARD_S
from tests.support.wire import CONNACK, CONNECT, DISCONNECT, PUBLISH, SUBACK, SUBSCRIBE, Packet, Wire, WireBroker

GRANTED, REFUSED = 1, 0x87
#: A property of CONNACK: there are no shared subscriptions.
NO_SHARING = b"\x2a\x00"


class RefusingBroker:
    """Grants the topics of a SUBSCRIBE up to the first of ``refused``; reports all from there on as refused, and ends.

    MQTT 5, and MQTT 3.1.1 for clients that publish nothing. Not ``ends``: the connection continues. Not ``answers``: it
    ends without a SUBACK.
    """

    def __init__(
        self, refused: Collection[str] = (), properties: bytes = b"", *, ends: bool = True, answers: bool = True
    ) -> None:
        self.refused, self._properties, self._ends, self._answers = refused, properties, ends, answers
        #: Set once a connection has ended.
        self.has_ended = Event()
        #: The topics of each SUBSCRIBE.
        self.requests: list[list[str]] = []
        self._broker = WireBroker()
        self.port = self._broker.port
        self._is_closing = False
        self._wires: list[Wire] = []
        self._threads = [Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def end_connections(self) -> None:
        """End all connections."""
        for wire in self._wires:
            wire.shut()

    def close(self) -> None:
        self._is_closing = True
        socket.create_connection((LOOPBACK, self.port)).close()
        for thread in self._threads:
            thread.join(GUARD_S)
        self._broker.close()

    def _accept(self) -> None:
        while True:
            wire = self._broker.accept()
            if self._is_closing:
                wire.close()
                return
            self._wires.append(wire)
            self._threads.append(Thread(target=self._serve, args=(wire,), daemon=True))
            self._threads[-1].start()

    def _serve(self, wire: Wire) -> None:
        try:
            self._answer_all(wire)
        except (AssertionError, OSError):  # the client has closed the connection
            pass
        finally:
            wire.close()
            self.has_ended.set()

    def _answer_all(self, wire: Wire) -> None:
        is_5 = True
        while (packet := wire.read()).kind != DISCONNECT:
            if packet.kind == CONNECT:
                is_5 = packet.body[6] == 5
                properties = bytes((len(self._properties),)) + self._properties if is_5 else b""
                send(wire, CONNACK, b"\0\0" + properties)
            elif packet.kind == PUBLISH:
                wire.puback(packet.packet_id)
            elif packet.kind == SUBSCRIBE:
                topics = topics_of(packet, is_5=is_5)
                self.requests.append(topics)
                n_granted = next((i for i, topic in enumerate(topics) if topic in self.refused), len(topics))
                reasons = [GRANTED] * n_granted + [REFUSED if is_5 else 0x80] * (len(topics) - n_granted)
                if self._answers:
                    send(wire, SUBACK, packet.body[:2] + b"\0" * is_5 + bytes(reasons))
                if self._ends and n_granted < len(topics):
                    return


def send(wire: Wire, kind: int, body: bytes) -> None:
    """Send a packet of fewer than 128 bytes."""
    wire.send_encoded(bytes((kind << 4, len(body))) + body)


def topics_of(packet: Packet, *, is_5: bool) -> list[str]:
    """Return the topics of a SUBSCRIBE without properties."""
    topics, left = list[str](), packet.body[3 if is_5 else 2 :]
    while left:
        end = 2 + int.from_bytes(left[:2])
        topics.append(left[2:end].decode())
        left = left[end + 1 :]
    return topics
