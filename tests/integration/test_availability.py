"""Availability of devices: retained, by arrival, and republished to a broker that lost it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_stream import FIRST, reading
from tests.support.brokers import Broker, MosquittoBroker

AVAILABILITY = "gap/home/availability"


def test_device_goes_online_offline_and_online_again(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    start_gateway(broker, devices={"stale_after_min": 0.01})
    peer = connect(broker)
    peer.subscribe("gap/+/availability")
    peer.publish("gap/home/reading", reading(FIRST, 1.0))  # of 2010: it counts by its arrival
    assert peer.wait_for(AVAILABILITY)[0].payload == b"online"
    assert peer.wait_for(AVAILABILITY, 2)[1].payload == b"offline"
    late = connect(broker)
    late.subscribe("gap/+/availability")
    message = late.wait_for(AVAILABILITY)[0]
    assert (message.payload, message.retained) == (b"offline", True)
    peer.publish("gap/home/reading", reading(FIRST + 1, 1.0))
    assert peer.wait_for(AVAILABILITY, 3)[2].payload == b"online"


def test_device_without_new_readings_is_not_announced(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    gateway = start_gateway(broker)
    peer = connect(broker)
    peer.subscribe("gap/+/availability")
    peer.publish("gap/nobody/reading", "nonsense")
    for payload in (reading(FIRST, 1.0), reading(FIRST, 1.0), reading(FIRST + 1, 1.0)):
        peer.publish("gap/home/reading", payload)
    gateway.wait_taken(4)
    peer.wait_for(AVAILABILITY)
    gateway.stop()
    assert [(m.topic, m.payload) for m in peer.messages] == [(AVAILABILITY, b"online")], "published once"


def test_availability_switched_off_publishes_nothing(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    gateway = start_gateway(broker, devices={"stale_after_min": 0})
    peer = connect(broker)
    peer.subscribe("gap/+/availability")
    peer.publish("gap/home/reading", reading(FIRST, 1.0))
    gateway.wait_taken(1)
    gateway.stop()
    assert peer.messages == []


@pytest.mark.mosquitto
def test_availability_is_published_again_to_a_new_broker(
    tmp_path: Path, start_gateway: StartGateway, connect: Connect
) -> None:
    forgetful = MosquittoBroker(tmp_path / "mosquitto", ("persistence false",))
    forgetful.start()
    try:
        gateway = start_gateway(forgetful, topics={"availability": "there/{device}"})
        meter = connect(forgetful)
        meter.subscribe("there/+")
        for device in ("home", "cellar"):
            meter.publish(f"gap/{device}/reading", reading(FIRST, 1.0))
            meter.wait_for(f"there/{device}")
        meter.close()
        forgetful.stop()
        forgetful.start()
        gateway.wait_connected()
        later = connect(forgetful)
        later.subscribe("there/+")
        for device in ("home", "cellar"):
            assert later.wait_for(f"there/{device}")[0].payload == b"online"
    finally:
        forgetful.stop()
