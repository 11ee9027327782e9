"""A session whose connection records what is sent; tests trigger its callbacks."""

from __future__ import annotations

from typing import Literal

from gapcast.mqtt.connection.broker_limits import BrokerLimits
from gapcast.mqtt.connection.client import SessionOptions
from gapcast.mqtt.connection.connection import Connection
from gapcast.mqtt.connection.connection_callbacks import ConnectionCallbacks
from gapcast.mqtt.packets.frames import LONGEST_PACKET, Acknowledgement, Publication
from gapcast.mqtt.packets.splitter import Splitter
from gapcast.mqtt.session.session import Session

Protocol = Literal["5", "3.1.1"]


class RecordingConnection(Connection):
    """An open connection that records what is written."""

    def __init__(self, options: SessionOptions, callbacks: ConnectionCallbacks) -> None:
        super().__init__(options, callbacks)
        self._session = callbacks
        self.is_open, self.now, self.pieces = True, (100.0, 0), list[bytes]()

    def write(self, packet: bytes | memoryview) -> None:
        self.pieces.append(bytes(packet))

    @property
    def publications(self) -> list[Publication]:
        """What was sent."""
        splitter = Splitter(mqtt5=self.mqtt5)
        splitter.feed(b"".join(self.pieces))
        return [one for one in splitter.packets() if isinstance(one, Publication)]

    def open(self, max_in_flight: int = 20, max_packet_bytes: int = LONGEST_PACKET) -> None:
        """Let the broker accept a new connection with these limits."""
        self._session.opened(BrokerLimits(max_in_flight, max_packet_bytes))

    def receive(self, *publications: Publication) -> None:
        """Let these arrive."""
        self._session.publications(list(publications))

    def lose(self) -> None:
        """Let the connection end."""
        self._session.lost()

    def confirm(self, *packet_ids: int, reason: int = 0) -> None:
        """Let the broker confirm these messages, with this reason code."""
        self._session.acknowledgements([Acknowledgement(one, reason) for one in packet_ids])


class RecordedSession:
    """A session, and its connection, which is open."""

    def __init__(self, qos: int, protocol: Protocol, *, max_in_flight: int = 20) -> None:
        options = SessionOptions("bench", "status", (), qos=qos, protocol=protocol, announce=False)
        self.session = Session(options, self._connect)
        self.connection.open(max_in_flight)

    def _connect(self, options: SessionOptions, callbacks: ConnectionCallbacks) -> RecordingConnection:
        self.connection = RecordingConnection(options, callbacks)
        return self.connection
