"""Disconnects a paho client that has a network thread."""

from __future__ import annotations

from contextlib import suppress

import paho.mqtt.client as paho


def disconnect(client: paho.Client) -> None:
    """Disconnect ``client``, which has called ``loop_start``, and wait for the end of its network thread.

    The DISCONNECT ends the thread, which then removes itself from the client: if it does so between a check in paho's
    ``loop_stop`` and the wait that follows, ``loop_stop`` raises AttributeError (paho 2.1, ``None.join()``).
    """
    client.disconnect()
    with suppress(AttributeError):  # it has just ended
        client.loop_stop()
