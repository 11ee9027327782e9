"""Submeters over a real broker: plugs beside the mains, late, failed, new and out of order."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pytest

from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_meters import SECOND_MS, sensor
from tests.integration.test_stream import FIRST, reading
from tests.support.brokers import Broker, MosquittoBroker
from tests.support.gateways import REJECTED, Gateway
from tests.support.peers import Peer

SUBMETERS: list[dict[str, Any]] = [
    {"of": "home", "name": "kettle", "preset": "gapcast", "topic": "plugs/kettle"},
    {"of": "home", "name": "pump", "preset": "tasmota", "topic": "tele/pump/SENSOR", "every_s": 30},
]
N = 40
#: The kettle is sent until this minute, the pump from this one on.
DEAD_FROM, NEW_FROM = 25, 10


def kettle_kw(i: int) -> float:
    return 2.0 if i % 7 < 2 else 0.0


def pump_kw(i: int) -> float:
    return 0.6 if i % 11 < 4 else 0.1


def send_minute(peer: Peer, i: int) -> None:
    """Publish the messages of minute ``i``: the submeters', then the mains'."""
    if i < DEAD_FROM:
        peer.publish("plugs/kettle", reading(FIRST + i, kettle_kw(i)))
    if i == NEW_FROM + 4:
        peer.publish("plugs/kettle", reading(FIRST + i - 2, 9.0))  # late: its minute is known
    if i >= NEW_FROM:
        for second in (0, 30):
            peer.publish("tele/pump/SENSOR", sensor(((FIRST + i) * 60 + second) * SECOND_MS, pump_kw(i) * 1_000))
    peer.publish("gap/home/reading", reading(FIRST + i, 0.3 + kettle_kw(i) + pump_kw(i)))


def submeters_in(gateway: Gateway) -> np.ndarray[Any, Any]:
    """Return the window's last N minutes of kettle and pump."""
    return gateway.service.queries.read(lambda engine, _: engine.buffers.window("home")[-N:, 1:])


def expected() -> np.ndarray[Any, Any]:
    """Return for each minute the newest known minute of kettle and pump, at most three old."""
    found = np.full((N, 2), np.nan, dtype=np.float32)
    for i in range(N):
        if i < DEAD_FROM + 3:
            found[i, 0] = kettle_kw(min(i, DEAD_FROM - 1))
        if i > NEW_FROM:
            found[i, 1] = pump_kw(i - 1)
    return found


@pytest.mark.mosquitto
def test_plugs_enter_the_windows_and_forecasts_go_on_without_them(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    gateway = start_gateway(mosquitto, submeters=SUBMETERS)
    peer = connect(mosquitto)
    peer.subscribe("gap/+/forecast")
    peer.subscribe("gapcast/+/rejected")
    for i in range(N):
        send_minute(peer, i)
    forecasts = [one.document for one in peer.wait_for("gap/home/forecast", N - 1)]
    assert [one["n_observed"] for one in forecasts] == list(range(2, N + 1))
    assert "submetered" in forecasts[-1]["experts"]
    assert np.allclose(submeters_in(gateway), expected(), equal_nan=True)
    gateway.wait_taken(N)
    assert gateway.service.statistics.readings["accepted"] == N
    peer.publish("plugs/kettle", "nonsense")
    (rejected,) = peer.wait_for(REJECTED)
    assert rejected.document["topic"] == "plugs/kettle"
    device = httpx.get(f"{gateway.url}/devices/home").json()
    kettle, pump = device["submeters"]
    assert (kettle["name"], kettle["age_min"]) == ("kettle", N - DEAD_FROM - 3)
    assert pump == {
        "name": "pump",
        "last_minute": {"ts": device["last_reading"]["ts"], "gap_kw": pytest.approx(pump_kw(N - 2))},
        "age_min": 0,
    }
    assert httpx.get(f"{gateway.url}/devices").json()["devices"][0]["device"] == "home"
    assert len(httpx.get(f"{gateway.url}/devices").json()["devices"]) == 1
    sources = httpx.get(f"{gateway.url}/sources").json()
    assert sources["submeters"][0] == {"device": "home", "name": "kettle", "topic": "plugs/kettle"}
    assert {"plugs/kettle", "tele/pump/SENSOR"} < {*sources["topics"]}


def test_restart_keeps_the_submeters_of_the_window(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    sources = [{"topic": "mains", "device": "home", "value": "kw", "time": "t", "unit": "kW", "kind": "minute"}]
    gateway = start_gateway(broker, sources=sources, submeters=SUBMETERS[:1])
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")

    def send(first: int, end: int) -> None:
        for i in range(first, end):
            peer.publish("plugs/kettle", reading(FIRST + i, kettle_kw(i)))
            peer.publish("mains", json.dumps({"t": (FIRST + i) * 60, "kw": 0.3 + kettle_kw(i)}))

    send(0, 20)
    peer.wait_for("gap/home/forecast", 19)
    gateway.stop()
    again = start_gateway(broker, sources=sources, submeters=SUBMETERS[:1])
    send(20, N)
    peer.wait_for("gap/home/forecast", N - 1)
    assert submeters_in(again)[:, 0].tolist() == [kettle_kw(i) for i in range(N)]
