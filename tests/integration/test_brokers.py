"""The brokers of the test fixtures work as brokers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gapcast.mqtt.connection.client import disconnect
from tests.support.brokers import BROKER_KINDS, Broker, MosquittoBroker, started_broker
from tests.support.ports import is_open
from tests.support.waiting import GUARD_S, wait_until

TOPIC = "gap/home/reading"


@pytest.fixture(params=BROKER_KINDS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """A started broker of each kind, because the tested behaviour may differ between them."""
    with started_broker(request.param, tmp_path) as made:
        yield made


@contextmanager
def client_of(broker: Broker, client_id: str = "", **options: Any) -> Iterator[paho.Client]:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, **options)
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        wait_until(client.is_connected, "a connection")
        yield client
    finally:
        disconnect(client)


def subscribe(client: paho.Client, qos: int) -> Queue[tuple[str, bytes, bool]]:
    received: Queue[tuple[str, bytes, bool]] = Queue()
    subscribed: Queue[int] = Queue()
    client.on_message = lambda _client, _userdata, m: received.put((m.topic, bytes(m.payload), m.retain))
    client.on_subscribe = lambda _client, _userdata, mid, _codes, _properties: subscribed.put(mid)
    client.subscribe(TOPIC, qos)
    subscribed.get(timeout=GUARD_S)
    return received


def test_broker_delivers_messages(broker: Broker) -> None:
    with client_of(broker) as listener, client_of(broker) as meter:
        received = subscribe(listener, qos=1)
        for number in range(20):
            meter.publish(TOPIC, str(number), qos=1).wait_for_publish(GUARD_S)
        assert [received.get(timeout=GUARD_S) for _ in range(20)] == [(TOPIC, b"%d" % n, False) for n in range(20)]


def test_broker_delivers_retained_messages(broker: Broker) -> None:
    with client_of(broker) as meter, client_of(broker) as listener:
        meter.publish(TOPIC, "1.5", qos=1, retain=True).wait_for_publish(GUARD_S)
        assert subscribe(listener, qos=1).get(timeout=GUARD_S) == (TOPIC, b"1.5", True)


def test_broker_restarts_on_its_port(broker: Broker) -> None:
    with client_of(broker) as meter:
        meter.reconnect_delay_set(1, 1)
        broker.stop()
        wait_until(lambda: not meter.is_connected(), "the connection to end")
        assert not is_open(broker.port)
        broker.start()
        wait_until(meter.is_connected, "the connection to come back")


def test_broker_stop_twice_is_allowed(broker: Broker) -> None:
    broker.stop()
    broker.stop()


def test_mosquitto_keeps_a_session_across_a_restart(mosquitto: MosquittoBroker) -> None:
    with client_of(mosquitto, "gateway", clean_session=False) as listener:
        subscribe(listener, qos=1)
    with client_of(mosquitto) as meter:
        meter.publish(TOPIC, "1.5", qos=1).wait_for_publish(GUARD_S)
    mosquitto.stop()
    mosquitto.start()
    received: Queue[bytes] = Queue()
    listener = paho.Client(CallbackAPIVersion.VERSION2, client_id="gateway", clean_session=False)
    listener.on_message = lambda _client, _userdata, message: received.put(bytes(message.payload))
    listener.connect(mosquitto.host, mosquitto.port)
    listener.loop_start()
    try:
        assert received.get(timeout=GUARD_S) == b"1.5"
    finally:
        disconnect(listener)


def test_mosquitto_supports_mqtt_5(mosquitto: MosquittoBroker) -> None:
    with client_of(mosquitto, protocol=paho.MQTTv5) as listener:
        received = subscribe(listener, qos=1)
        listener.publish(TOPIC, "2.5", qos=1)
        assert received.get(timeout=GUARD_S) == (TOPIC, b"2.5", False)
