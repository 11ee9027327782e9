"""Encodes messages as PUBLISH packets for the connection on which they are sent."""

from __future__ import annotations

from gapcast.mqtt.connection.connection import Connection
from gapcast.mqtt.connection.delivery import Outgoing
from gapcast.mqtt.packets.frames import LONGEST_PACKET, as_duplicate, encode_properties, encode_publish
from gapcast.mqtt.session.session_warnings import SessionWarnings


class PacketEncoder:
    """Encodes messages for the current connection, each time they are sent."""

    def __init__(self, connection: Connection, warnings: SessionWarnings) -> None:
        """Encode for the protocol and the time of ``connection``; report messages that are too long to ``warnings``."""
        self._connection = connection
        self._warnings = warnings
        #: The broker's Maximum Packet Size, bytes.
        self.max_packet_bytes = LONGEST_PACKET

    def encode(self, packet_id: int, message: Outgoing, is_resent: bool) -> bytes | None:
        """Return the packet of ``message``; None if it must not be sent, because it has expired or is too long.

        A packet beyond the broker's Maximum Packet Size would end the connection (MQTT 5.0, 3.2.2.3.6), each time it is
        sent.
        """
        expiry_s = None
        if message.expires_s is not None:
            left_s = message.expires_s - self._connection.now[0]
            if left_s <= 0 and message.is_dropped_expired:
                return None
            expiry_s = max(1, round(left_s))
        properties = encode_properties(expiry_s, message.extra) if self._connection.mqtt5 else None
        packet = encode_publish(message.topic, message.payload, packet_id, retain=message.retain, properties=properties)
        if len(packet) > self.max_packet_bytes:
            self._warnings.message_too_long(message.topic, len(packet), self.max_packet_bytes)
            return None
        return as_duplicate(packet) if is_resent else packet
