"""The callbacks of a connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gapcast.mqtt.connection.broker_limits import BrokerLimits
from gapcast.mqtt.packets.frames import Acknowledgement, Publication


class ConnectionCallbacks(NamedTuple):
    """Callbacks for the events of a connection."""

    #: The broker accepted the connection, with these limits.
    opened: Callable[[BrokerLimits], None]
    #: The SUBSCRIBE was sent.
    subscribing: Callable[[], None]
    lost: Callable[[], None]
    publications: Callable[[list[Publication]], None]
    acknowledgements: Callable[[list[Acknowledgement]], None]
