"""What the broker permits on a connection, from the properties of its CONNACK (MQTT 5.0, 3.2.2.3)."""

from __future__ import annotations

from typing import NamedTuple, Self

from gapcast.mqtt.connection.delivery import LAST_ID
from gapcast.mqtt.packets.frames import LONGEST_PACKET


class BrokerLimits(NamedTuple):
    """What the broker permits; with MQTT 3.1.1, which has no properties, everything."""

    #: Maximum number of unconfirmed messages that may be sent.
    receive_maximum: int = LAST_ID
    max_packet_bytes: int = LONGEST_PACKET
    has_shared_subscriptions: bool = True

    @classmethod
    def of(cls, properties: object) -> Self:
        """Return what a broker with these ``properties`` permits."""
        return cls(
            min(getattr(properties, "ReceiveMaximum", LAST_ID), LAST_ID),
            getattr(properties, "MaximumPacketSize", LONGEST_PACKET),
            bool(getattr(properties, "SharedSubscriptionAvailable", True)),
        )
