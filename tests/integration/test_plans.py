"""Announced loads over MQTT and REST change the forecasts of a running gateway, and survive its restart."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from gapcast.core.time_grid import minute_label
from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_stream import FIRST, reading
from tests.support.brokers import Broker
from tests.support.gateways import ALONE, REJECTED, Gateway
from tests.support.waiting import wait_until

IN, OUT, PLAN = "gap/home/reading", "gap/home/forecast", "gap/home/plan"
CAR = [{"kw": 7.4, "from": minute_label(FIRST + 10), "minutes": 60, "name": "car"}]
CAR_SHOWN = [{"kw": 7.4, "from": minute_label(FIRST + 10), "until": minute_label(FIRST + 70), "name": "car"}]


def plan_of(gateway: Gateway) -> Any:
    return httpx.get(f"{gateway.url}/devices/home/plan").json().get("plan")


def wait_for_plan(gateway: Gateway, plan: object) -> None:
    wait_until(lambda: plan_of(gateway) == plan, lambda: f"the plan {plan}, not {plan_of(gateway)}")


def test_plan_by_mqtt_changes_forecasts_and_survives_a_restart(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    peer = connect(broker)
    peer.subscribe(OUT)
    gateway = start_gateway(broker, forecast=ALONE)
    peer.publish(PLAN, json.dumps(CAR).encode())
    wait_for_plan(gateway, CAR_SHOWN)
    for minute in range(6):
        peer.publish(IN, reading(FIRST + minute, 0.5))
    documents = [message.document for message in peer.wait_for(OUT, 5)]
    assert ["planned_kw" in one for one in documents] == [False, False, False, False, True]
    assert documents[-1]["planned_kw"] == 7.4
    assert documents[-1]["gap_kw"] == pytest.approx(documents[-1]["uncontrolled_kw"] + 7.4, abs=1e-5)
    gateway.stop()

    gateway = start_gateway(broker, forecast=ALONE)
    assert plan_of(gateway) == CAR_SHOWN, "before any message"
    assert httpx.get(f"{gateway.url}/predict", params={"device": "home"}).json() == documents[-1]
    peer.publish(IN, reading(FIRST + 6, 0.5))
    assert peer.wait_for(OUT, 6)[-1].document["planned_kw"] == 7.4
    peer.publish(PLAN, b"[]")
    wait_for_plan(gateway, [])
    peer.publish(IN, reading(FIRST + 7, 0.5))
    assert "planned_kw" not in peer.wait_for(OUT, 7)[-1].document


def test_plan_by_rest_is_replaced_by_mqtt_and_leaves_with_the_device(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    peer = connect(broker)
    gateway = start_gateway(broker, forecast=ALONE)
    url = f"{gateway.url}/devices/home/plan"
    assert httpx.put(url, json=CAR).json() == {"device": "home", "plan": CAR_SHOWN}
    shorter = [{"kw": 3.7, "until": minute_label(FIRST + 20)}]
    peer.publish(PLAN, json.dumps(shorter).encode())
    wait_for_plan(gateway, shorter)
    peer.publish(PLAN, b"")  # as when a retained plan is removed
    wait_until(lambda: httpx.get(url).status_code == 404, "the plan to be cleared")
    assert httpx.put(url, json=CAR).status_code == 200
    assert httpx.delete(f"{gateway.url}/devices/home").status_code == 204
    assert httpx.get(url).status_code == 404


@pytest.mark.parametrize("has_sources", [False, True])
def test_bad_plan_is_rejected_and_the_stream_continues(
    broker: Broker, start_gateway: StartGateway, connect: Connect, has_sources: bool
) -> None:
    peer = connect(broker)
    peer.subscribe(REJECTED)
    peer.subscribe(OUT)
    sources = {"sources": [{"preset": "gapcast"}]} if has_sources else {}
    gateway = start_gateway(broker, forecast=ALONE, **sources)
    peer.publish(PLAN, json.dumps(CAR).encode())
    wait_for_plan(gateway, CAR_SHOWN)
    for topic, payload, reason, words in (
        (PLAN, b"7.4", "bad_plan", "a plan is a list of loads, not 7.4: send"),
        (PLAN, b'[{"kw": 7400, "minutes": 60}]', "out_of_range", "plan[0].kw: 7400 kW is outside -100 to 100 kW"),
        (PLAN, b'[{"kw": 7.4}]', "bad_plan", 'give either "until" or "minutes"'),
        (PLAN, b"[", "not_json", "the payload is not JSON"),
        (PLAN, b" " * 65_536 + b"[]", "too_large", "the plan has 65538 bytes"),
        ("gap/no device/plan", b"[]", "bad_device", "'no device' cannot name a device"),
    ):
        n = len(peer.on(REJECTED))
        peer.publish(topic, payload)
        found = peer.wait_for(REJECTED, n + 1)[-1].document
        assert (found["topic"], found["reason"]) == (topic, reason)
        assert words in found["detail"]
    assert plan_of(gateway) == CAR_SHOWN, "a rejected plan replaces nothing"
    for minute in range(2):
        peer.publish(IN, reading(FIRST + minute, 0.5))
    peer.wait_for(OUT, 1)
