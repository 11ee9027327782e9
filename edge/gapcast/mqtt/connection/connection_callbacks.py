"""The callbacks of a connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gapcast.mqtt.packets.frames import Acknowledgement, Publication


class ConnectionCallbacks(NamedTuple):
    """Callbacks for the events of a connection."""

    #: The broker accepted the connection; the arguments are its Receive Maximum and its Maximum Packet Size, bytes.
    opened: Callable[[int, int], None]
    #: The SUBSCRIBE was sent.
    subscribing: Callable[[], None]
    lost: Callable[[], None]
    publications: Callable[[list[Publication]], None]
    acknowledgements: Callable[[list[Acknowledgement]], None]
