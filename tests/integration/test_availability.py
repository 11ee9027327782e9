"""Availability of devices: retained, by arrival, and republished to a broker that lost it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from gapcast.config.sections.mqtt import TopicSettings
from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_stream import FIRST, reading
from tests.support.brokers import Broker, MosquittoBroker

AVAILABILITY, CONFIG = "gap/home/availability", "homeassistant/device/gapcast_home/config"


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


@pytest.mark.mosquitto
def test_two_gateways_with_own_topics_share_no_retained_message(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    """As docs/operations.md advises for two gateways that read the same meters."""
    shared = start_gateway(mosquitto, homeassistant={"enabled": True})
    defaults = TopicSettings().model_dump()
    own = {key: f"sites/new/{name}" for key, name in defaults.items() if "{device}" in name and key != "reading"}
    start_gateway(
        mosquitto, gateway={"id": "new"}, topics=own, homeassistant={"enabled": True, "discovery_prefix": "new"}
    )
    peer = connect(mosquitto)
    for topic in ("gap/home/#", "homeassistant/device/#", "sites/#", "new/#"):
        peer.subscribe(topic)
    for i in range(2):
        peer.publish("gap/home/reading", reading(FIRST + i, 1.0))
    for topic in ("gap/home/forecast", "sites/new/gap/home/forecast", CONFIG, f"new/{CONFIG.partition('/')[2]}"):
        peer.wait_for(topic)
    assert httpx.delete(f"{shared.url}/devices/home").status_code == 204
    assert peer.wait_for(AVAILABILITY, 2)[1].payload == b""
    assert peer.wait_for(CONFIG, 2)[1].payload == b""
    late = connect(mosquitto)
    for topic in ("gap/home/availability", "homeassistant/device/#", "sites/#", "new/#"):
        late.subscribe(topic)
    late.wait_for("sites/new/gap/home/availability")
    late.wait_for(f"new/{CONFIG.partition('/')[2]}")
    assert not any(message.topic in {AVAILABILITY, CONFIG} for message in late.messages)
    assert all(message.payload != b"" for message in peer.messages if message.topic.startswith(("sites/", "new/")))
