"""The end of a client with a network thread."""

from __future__ import annotations

from threading import Thread

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gapcast.mqtt.connection.client import disconnect


class Ending(paho.Client):
    """A client whose network thread removes itself when ``loop_stop`` checks it for the third time."""

    n_looks = 0

    @property
    def _thread(self) -> Thread | None:
        self.n_looks += 1
        return None if self.n_looks > 2 else Thread()

    @_thread.setter
    def _thread(self, _: Thread | None) -> None:
        """Run no other thread."""


def ending() -> Ending:
    client = Ending(CallbackAPIVersion.VERSION2)
    client.n_looks = 0
    return client


def test_disconnect_while_the_thread_ends_raises_nothing() -> None:
    with pytest.raises(AttributeError, match="join"):
        ending().loop_stop()
    disconnect(ending())


def test_disconnect_without_a_thread_raises_nothing() -> None:
    disconnect(paho.Client(CallbackAPIVersion.VERSION2))
