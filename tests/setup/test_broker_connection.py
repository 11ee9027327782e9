"""The subscriptions with which ``gapcast setup`` listens."""

from __future__ import annotations

import pytest

from gapcast.setup.broker.broker_access import BrokerAccess
from gapcast.setup.broker.broker_connection import BrokerConnection
from gapcast.setup.prompts import UnattendedPrompts
from tests.support.brokers import MosquittoBroker
from tests.support.ports import LOOPBACK
from tests.support.waiting import wait_until

STATE, UNIT = "homeassistant/sensor/grid_power/state", "homeassistant/sensor/grid_power/unit_of_measurement"


@pytest.mark.parametrize(
    ("entered", "topics"),
    [
        (("tele/head/SENSOR", "tele/{device}/SENSOR"), ["tele/head/SENSOR", "tele/plug/SENSOR"]),
        ((STATE, "homeassistant/sensor/#"), [STATE, UNIT]),
        ((STATE,), [STATE, UNIT]),
    ],
)
def test_message_of_overlapping_topics_arrives_once(
    mosquitto: MosquittoBroker, entered: tuple[str, ...], topics: list[str]
) -> None:
    """Mosquitto delivers a message once for each subscription that matches its topic."""
    received: list[str] = []
    connection = BrokerConnection(UnattendedPrompts(), received.append)
    session, granted = connection.connect(BrokerAccess(LOOPBACK, mosquitto.port), entered)
    received.clear()

    def has_received_the_last() -> bool:
        messages = session.receive_messages(8, 0.05)
        received.extend(one.publication.topic for one in messages)
        return received.count(topics[-1]) > 1

    try:
        for topic in [*topics, topics[-1]]:
            session.publish(topic.encode(), b"1")
        wait_until(has_received_the_last, "the last message")
    finally:
        session.close(1.0)
    assert (granted, received) == (entered, [*topics, topics[-1]])
