"""Live scores on MQTT: retained, read by two sensors of Home Assistant, and removed with their device."""

from __future__ import annotations

import httpx
import pytest

from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_stream import FIRST, power, reading
from tests.support.brokers import MosquittoBroker
from tests.support.waiting import wait_until

CONFIG = "homeassistant/device/gapcast_home/config"
ON = {"enabled": True}


def test_scores_are_retained_and_removed_with_their_device(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    gateway = start_gateway(mosquitto, learning={"report_every_min": 1e-9})
    peer = connect(mosquitto)
    peer.subscribe("gap/+/scores")
    for i in range(10):
        peer.publish("gap/home/reading", reading(FIRST + i, power(i)))
    peer.wait_that(
        lambda messages: messages and messages[-1].document["all_time"]["n"] == 4, "the scores of four forecasts"
    )
    later = connect(mosquitto)
    later.subscribe("gap/+/scores")
    (retained,) = later.wait_for("gap/home/scores")
    assert (retained.retained, retained.document) == (True, peer.messages[-1].document)
    assert httpx.delete(f"{gateway.url}/devices/home").status_code == 204
    wait_until(lambda: peer.messages[-1].payload == b"", "the scores to be taken back")
    after = connect(mosquitto)
    after.subscribe("gap/#")
    after.publish("gap/end", b"end", retain=False)
    after.wait_for("gap/end")
    assert after.on("gap/home/scores") == []


def test_scores_topic_is_configurable(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    start_gateway(mosquitto, topics={"scores": "how/good/{device}"})
    peer = connect(mosquitto)
    peer.subscribe("how/#")
    for i in range(8):
        peer.publish("gap/home/reading", reading(FIRST + i, power(i)))
    assert peer.wait_for("how/good/home")[0].document["device"] == "home"


def test_skill_and_coverage_are_sensors_that_read_the_scores(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    start_gateway(mosquitto, homeassistant=ON)
    peer = connect(mosquitto)
    peer.subscribe("homeassistant/#")
    peer.publish("gap/home/reading", reading(FIRST, 1.0))
    sensors = peer.wait_for(CONFIG)[0].document["cmps"]
    for name in ("skill", "coverage"):
        sensor = sensors[name]
        assert sensor["stat_t"] == "gap/home/scores"
        assert (sensor["unique_id"], sensor["unit_of_meas"]) == (f"gapcast_home_{name}", "%")
        assert sensor["ent_cat"] == "diagnostic"
        assert f"value_json.last_day.{name} * 100" in sensor["val_tpl"]
        assert "if value_json.last_day.sufficient" in sensor["val_tpl"], "no state before there is sufficient data"


@pytest.mark.parametrize("name", ["skill", "coverage"])
def test_scores_switched_off_have_no_sensors(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect, name: str
) -> None:
    start_gateway(mosquitto, homeassistant=ON, learning={"report_every_min": 0})
    peer = connect(mosquitto)
    peer.subscribe("homeassistant/#")
    peer.publish("gap/home/reading", reading(FIRST, 1.0))
    assert peer.wait_for(CONFIG)[0].document["cmps"][name] == {"p": "sensor"}
