"""Demands over a real broker: published and read messages, and state that survives a restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from gapcast.core.time_grid import minute_label
from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_stream import power, reading
from tests.support.brokers import MosquittoBroker
from tests.support.clocks import coming_midnight
from tests.support.gateways import GATEWAY, REJECTED, Gateway
from tests.support.models import models_with_outlook
from tests.support.peers import Peer

pytestmark = pytest.mark.mosquitto
IN, DEMAND, HEADROOM_W = "gap/home/reading", "gap/home/demand", "gap/home/headroom_w"
LIMIT, PEAK = "gap/home/demand/limit", "gap/home/demand/month_peak"
REQUEST, ANSWER = f"gapcast/{GATEWAY}/headroom", f"gapcast/{GATEWAY}/answer/here"
RUNNING, REGISTER_PEAK = "p1/home/running", "p1/home/peak"
#: The first minute of the readings.
FIRST = coming_midnight()


class House:
    """A meter beside a gateway with a limit of 2.5 kW, reading by reading."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.n = 0

    def send(self, n: int) -> list[dict[str, Any]]:
        """Send ``n`` readings; return the demands so far. The very first reading has none."""
        for _ in range(n):
            self.peer.publish(IN, reading(FIRST + self.n, power(self.n)))
            self.n += 1
        return [message.document for message in self.peer.wait_for(DEMAND, self.n - 1)]


@pytest.fixture
def sections(tmp_path: Path) -> dict[str, Any]:
    demand = {"limit_kw": 2.5, "month_peak_topic": "p1/{device}/peak", "running_topic": "p1/{device}/running"}
    return models_with_outlook(tmp_path / "models") | {"demand": demand}


@pytest.fixture
def gateway(mosquitto: MosquittoBroker, start_gateway: StartGateway, sections: dict[str, Any]) -> Gateway:
    return start_gateway(mosquitto, **sections)


@pytest.fixture
def house(mosquitto: MosquittoBroker, gateway: Gateway, connect: Connect) -> House:
    peer = connect(mosquitto, mqtt5=True)
    for topic in (DEMAND, HEADROOM_W, REJECTED, f"gapcast/{GATEWAY}/answer/#"):
        peer.subscribe(topic)
    return House(peer)


def demand_of(gateway: Gateway) -> Any:
    return httpx.get(f"{gateway.url}/demand", params={"device": "home"}).json()


def test_demand_and_its_headroom_are_published(gateway: Gateway, house: House) -> None:
    demands = house.send(18)
    asked = demand_of(gateway)
    (peak,) = asked.pop("month_peaks")
    assert (asked.pop("limit_warning"), asked.pop("timezone")) == (None, "UTC")
    assert asked == demands[-1]
    assert peak == {"start": minute_label(FIRST), "kw": asked["month_peak_kw"]}
    assert demands[-1]["window_start"] == minute_label(FIRST + 15)
    assert (demands[-1]["elapsed_min"], demands[-1]["limit_kw"]) == (3, 2.5)
    numbers = house.peer.wait_for(HEADROOM_W, 17)
    assert [int(one.payload) for one in numbers] == [one["headroom_w"] for one in demands]
    assert {(one.retained, one.qos) for one in numbers} == {(False, 1)}
    assert all(one.expiry_s is not None and 0 < one.expiry_s <= 300 for one in numbers)


def test_limit_and_peak_survive_a_restart(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, gateway: Gateway, house: House, sections: dict[str, Any]
) -> None:
    house.send(18)
    house.peer.publish(LIMIT, b"4.0")
    house.peer.publish(PEAK, json.dumps({"kw": 3.25, "at": minute_label(FIRST + 3)}))
    before = house.send(1)[-1]
    assert (before["limit_kw"], before["limit_source"], before["month_peak_kw"]) == (4.0, "set", 3.25)
    gateway.stop()

    gateway = start_gateway(mosquitto, **sections)
    after = house.send(1)[-1]
    assert (after["limit_kw"], after["limit_source"], after["month_peak_kw"]) == (4.0, "set", 3.25)
    assert (after["window_start"], after["elapsed_min"]) == (before["window_start"], before["elapsed_min"] + 1)
    put = httpx.put(f"{gateway.url}/demand/limit", params={"device": "home"}, json=None, content=b"null")
    assert put.json() == {"device": "home", "kw": None, "limit_warning": None}
    assert house.send(1)[-1]["limit_source"] == "fixed"


def test_bad_changes_are_rejected_and_the_stream_continues(house: House) -> None:
    house.send(18)
    for topic, payload, reason, words in (
        (LIMIT, b"0", "out_of_range", "not 0 kW"),
        (LIMIT, b"lots", "not_json", "the payload is not JSON"),
        (PEAK, b'{"kw": 3, "at": "2099-01-01T00:00:00Z"}', "bad_time", "has not ended"),
        (PEAK, b"-3", "out_of_range", "must be 0 to 100 kW"),
        ("gap/no device/demand/limit", b"2", "bad_device", "'no device' cannot name a device"),
        (REGISTER_PEAK, b"9999", "out_of_range", "a register of 9999"),
        (REQUEST, b"{}", "bad_request", "the request has no response topic"),
    ):
        n = len(house.peer.on(REJECTED))
        house.peer.publish(topic, payload)
        found = house.peer.wait_for(REJECTED, n + 1)[-1].document
        assert (found["topic"], found["reason"]) == (topic, reason)
        assert words in found["detail"]
    demand = house.send(1)[-1]
    assert (demand["limit_kw"], demand["month_peak_kw"] < 3) == (2.5, True)


def test_registers_of_the_meter_are_used(house: House) -> None:
    computed = house.send(18)[-1]
    house.peer.publish(REGISTER_PEAK, b"3.456")
    house.peer.publish(RUNNING, b"0.1")  # by the gateway's clock it came before the window
    demand = house.send(1)[-1]
    assert computed["month_peak_kw"] != demand["month_peak_kw"] == 3.456
    assert demand["so_far_kw"] == pytest.approx(sum(power(15 + i) for i in range(4)) / 4)


def test_headroom_request_is_answered_like_rest(gateway: Gateway, house: House) -> None:
    house.send(18)
    body: dict[str, str | float] = {"device": "home", "kw": 0.5, "minutes": 45}
    house.peer.publish(REQUEST, json.dumps(body), ResponseTopic=ANSWER, CorrelationData=b"7")
    answer = house.peer.wait_for(ANSWER)[0]
    assert answer.document == httpx.get(f"{gateway.url}/headroom", params=body).json()
    assert (answer.correlation, answer.content_type, answer.retained) == (b"7", "application/json", False)
    assert sum(one["load_min"] for one in answer.document["windows"]) == 45
    house.peer.publish(REQUEST, json.dumps(body | {"minutes": 10_000}), ResponseTopic=ANSWER)
    problem = house.peer.wait_for(ANSWER, 2)[1]
    assert (problem.document["status"], problem.content_type) == (422, "application/problem+json")
