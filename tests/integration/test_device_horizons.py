"""A device with its own horizon, over a real broker, and after a restart."""

from __future__ import annotations

from typing import Any

import httpx

from gapcast.core.time_grid import minute_label
from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_stream import FIRST, power, reading
from tests.support.brokers import MosquittoBroker

DEVICES = ("home", "heatpump")
OWN = {"devices": {"heatpump": {"horizon_min": 15}}}
N = 25


def as_stored(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "issued_at"}


def test_device_has_its_own_horizon_everywhere_and_after_a_restart(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    peer = connect(mosquitto, mqtt5=True)
    for topic in ("gap/+/forecast", "gap/+/outlook", "homeassistant/#"):
        peer.subscribe(topic)
    sections = {"forecast": OWN, "homeassistant": {"enabled": True}}
    gateway = start_gateway(mosquitto, **sections)
    for i in range(N):
        for device in DEVICES:
            peer.publish(f"gap/{device}/reading", reading(FIRST + i, power(i)))
    gateway.wait_taken(2 * N)
    newest: dict[str, dict[str, Any]] = {}
    for device, horizon_min, steps in (("home", 5, 5), ("heatpump", 15, 15)):
        document = newest[device] = peer.wait_for(f"gap/{device}/forecast", N - 1)[-1].document
        assert (document["horizon_min"], len(document["path"])) == (horizon_min, steps)
        assert document["target_at"] == minute_label(FIRST + N - 1 + horizon_min)
        assert document["lower_kw"] <= document["median_kw"] <= document["upper_kw"]
        config = peer.wait_for(f"homeassistant/device/gapcast_{device}/config")[0].document
        assert config["cmps"]["forecast"]["exp_aft"] == horizon_min * 60 + 60
        outlook = peer.wait_for(f"gap/{device}/outlook", N - 1)[-1].document
        at = outlook["lead_min"].index(horizon_min)
        assert outlook["mean_kw"][at] == document["gap_kw"], "the outlook agrees at each device's horizon"
        assert outlook["lower_kw"][at] == document["lower_kw"]
        status = httpx.get(f"{gateway.url}/devices/{device}").json()
        assert status["forecast"] == document
        assert status["scores"]["all_time"]["n"] == N - 1 - horizon_min
        history = httpx.get(f"{gateway.url}/devices/{device}/history").json()["forecasts"]
        assert history[-1]["target_at"] == document["target_at"]
    request = {"readings": [1.0, 1.2, 1.1], "device": "heatpump"}
    assert httpx.post(f"{gateway.url}/predict", json=request).json()["horizon_min"] == 15
    gateway.stop()

    gateway = start_gateway(mosquitto, **sections)
    stored = {one["device"]: one for one in httpx.get(f"{gateway.url}/predict").json()["forecasts"]}
    assert {device: as_stored(one) for device, one in stored.items()} == {
        device: as_stored(one) for device, one in newest.items()
    }
    scores = httpx.get(f"{gateway.url}/devices/heatpump").json()["scores"]
    assert scores["all_time"]["n"] == N - 1 - 15
