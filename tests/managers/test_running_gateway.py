"""The numbers of a running gateway, and how the recipes use them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

import httpx
import pytest

from gapcast.core.time_grid import minute_label
from tests.support.brokers import MosquittoBroker
from tests.support.deployed import EMHASS_LOAD, SHELL, script_module
from tests.support.gateways import Gateway, gateway_settings, running
from tests.support.metered_houses import MeteredHouse
from tests.support.peers import Peer, peer_of
from tests.support.waiting import GUARD_S

LIMIT_KW, NEED_W = 2.5, 500


@pytest.fixture
def gateway(mosquitto: MosquittoBroker, tmp_path: Path) -> Iterator[Gateway]:
    demand = {"limit_kw": LIMIT_KW}
    with running(gateway_settings(mosquitto.port, tmp_path / "state", demand=demand)) as started:
        yield started


@pytest.fixture
def peer(mosquitto: MosquittoBroker) -> Iterator[Peer]:
    with peer_of(mosquitto.host, mosquitto.port, mqtt5=True) as made:
        yield made


def test_numbers_match_the_demand_and_expire(gateway: Gateway, peer: Peer) -> None:
    house = MeteredHouse(peer)
    for _ in range(5):
        house.measure(0.5)
    headroom, max_power = (peer.on(f"gap/home/{name}")[-1] for name in ("headroom_w", "max_power_w"))
    demand = httpx.get(f"{gateway.url}/demand", params={"device": "home"}).json()
    assert demand == {
        **peer.on("gap/home/demand")[-1].document,
        "month_peaks": [],
        "timezone": "UTC",
        "limit_warning": None,
    }
    assert int(headroom.payload) == demand["headroom_w"]
    elapsed, window_min = demand["elapsed_min"], 15
    rest_kw = (window_min * demand["expected_kw"] - elapsed * demand["so_far_kw"]) / (window_min - elapsed)
    assert int(max_power.payload) == pytest.approx(1_000 * rest_kw + demand["headroom_w"], abs=2)
    assert 0 < int(headroom.payload) < int(max_power.payload)
    assert {(message.retained, message.expiry_s) for message in (headroom, max_power)} == {(False, 300)}


@pytest.mark.mosquitto_sub
def test_shell_switches_a_load_by_the_headroom(
    gateway: Gateway, mosquitto: MosquittoBroker, peer: Peer, tmp_path: Path
) -> None:
    states, printed = tmp_path / "states", tmp_path / "printed"

    def has_switched(*lines: str) -> bool:
        """Return whether the script has printed these lines, each after its command has ended."""
        return [line.split(":")[0] for line in printed.read_text(encoding="utf-8").splitlines()] == ["off", *lines]

    with printed.open("w") as output:
        process = subprocess.Popen(
            [SHELL / "switch-by-headroom", str(NEED_W), f"echo on >>{states}", f"echo off >>{states}",
             "-h", mosquitto.host, "-p", str(mosquitto.port), "-t", "gap/home/headroom_w"],
            env=os.environ | {"SILENCE_S": f"{GUARD_S:g}", "MIN_OFF_S": "0"},
            stdout=output,
        )  # fmt: skip
    try:
        house = MeteredHouse(peer)
        assert house.measure_until(0.3, lambda: has_switched("on"), "on") >= NEED_W
        assert house.measure_until(9.0, lambda: has_switched("on", "off"), "off again") < 0
    finally:
        process.terminate()
        process.wait(GUARD_S)
    changes = [state for state, _ in groupby(states.read_text(encoding="utf-8").split())]
    assert changes == ["off", "on", "off"]


@pytest.mark.curl
def test_may_draw_asks_the_gateway(gateway: Gateway, peer: Peer, tmp_path: Path) -> None:
    house = MeteredHouse(peer)
    for _ in range(5):
        house.measure(0.3)

    def exit_code(power_kw: str, device: str = "home", ago_min: int = 0) -> int:
        """Ask at a time this many minutes after the newest reading."""
        clock = tmp_path / "date"
        clock.write_text(f"#!/bin/sh\necho {minute_label(house.next_minute + ago_min)}\n", encoding="utf-8")
        clock.chmod(0o755)
        environment = os.environ | {"GAPCAST_URL": gateway.url, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        arguments = [str(SHELL / "may-draw"), device, power_kw, "10"]
        return subprocess.run(arguments, env=environment, timeout=GUARD_S, check=False).returncode

    assert (exit_code("0.1"), exit_code("40")) == (0, 1)
    assert exit_code("0.1", ago_min=6) == 2
    assert exit_code("0.1", device="unknown") == 2
    assert exit_code("-1") == 2


def test_emhass_gets_the_outlook_and_the_peak_of_the_gateway(
    mosquitto: MosquittoBroker, peer: Peer, tmp_path: Path
) -> None:
    load = script_module(EMHASS_LOAD)
    demand = {"limit_kw": "month_peak", "floor_kw": 0.0}
    with running(gateway_settings(mosquitto.port, tmp_path / "state", demand=demand)) as gateway:
        house = MeteredHouse(peer)
        for _ in range(20):
            house.measure(0.75)
        now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=house.next_minute)
        options = load.options_of(["--peak", "--step", "15", "--hours", "3"])
        found = load.parameters(load.Gateway(gateway.url, None), options, now)
        outlook = httpx.get(f"{gateway.url}/outlook", params={"device": "home"}).json()
        peak_kw = httpx.get(f"{gateway.url}/demand", params={"device": "home"}).json()["month_peak_kw"]
    assert found["current_period_peak"] == round(1_000 * peak_kw, 1)
    steps = list(found["load_power_forecast"].values())
    assert found["prediction_horizon"] == 12
    assert len(steps) == 14, "two more, for an EMHASS that begins with a later step"
    ahead = list(load.outlook_minutes(outlook).values())
    first_min = house.next_minute % 15
    assert steps[1] == pytest.approx(1_000 * sum(ahead[15 - first_min : 30 - first_min]) / 15, abs=0.1)
    assert steps[-1] == pytest.approx(1_000 * (19 * 0.75 + 2 * 0.3) / 21, abs=60)  # no yesterday: about its mean
    json.dumps(found)
