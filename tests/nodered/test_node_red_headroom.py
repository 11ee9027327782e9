"""The flow of docs/demand-energy-managers.md in a real Node-RED: a load follows the headroom, and is off in silence.

Skipped without Node-RED, except tests that do not need it: scripts/try-node-red installs it and runs this file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tests.support.brokers import MosquittoBroker
from tests.support.gateways import gateway_settings, running
from tests.support.metered_houses import MeteredHouse
from tests.support.node_red import Node, NodeRed, documented_flow
from tests.support.optional_tools import node_red_command
from tests.support.peers import Peer, peer_of
from tests.support.waiting import GUARD_S, wait_until

HEADROOM, SWITCH = "gap/home/headroom_w", "cmnd/boiler/POWER"
#: Headroom that the flow treats as enough for its load.
NEED_W = 2_200
N_TRIES, TRY_S = 10, 2.0
Deploy = Callable[..., NodeRed]


def flow_for(broker: MosquittoBroker, silence_s: float, min_off_s: int) -> list[Node]:
    """Return the documented flow with the reader's own broker, and other times without numbers and off."""
    own: dict[str, Node] = {
        "mqtt-broker": {"broker": broker.host, "port": str(broker.port)},
        "trigger": {"duration": f"{silence_s:g}"},
    }
    flow = [node | own.get(node["type"], {}) for node in documented_flow("demand-energy-managers.md")]
    (minimum,) = (node for node in flow if node["type"] == "function")
    assert "MIN_OFF_S = 300," in minimum["func"]
    minimum["func"] = minimum["func"].replace("MIN_OFF_S = 300,", f"MIN_OFF_S = {min_off_s},")
    return flow


@pytest.fixture
def deploy(mosquitto: MosquittoBroker, tmp_path: Path) -> Iterator[Deploy]:
    """Starts Node-RED with the flow, and waits until it is connected."""
    command = node_red_command()
    assert command is not None
    node_red = NodeRed(command, tmp_path / "node-red")

    def start(silence_s: float, min_off_s: int = 0) -> NodeRed:
        node_red.start()
        node_red.deploy(flow_for(mosquitto, silence_s, min_off_s))
        connected = re.compile(r"\[mqtt-broker:\w+\] Connected to broker")
        wait_until(lambda: connected.search(node_red.log()), node_red.log)
        return node_red

    yield start
    node_red.stop()


@pytest.fixture
def peer(mosquitto: MosquittoBroker) -> Iterator[Peer]:
    with peer_of(mosquitto.host, mosquitto.port) as made:
        made.subscribe(SWITCH)
        yield made


def states(peer: Peer) -> list[str]:
    """Return the states of the load: a command may be repeated."""
    return [state for state, _ in groupby(message.payload.decode() for message in peer.on(SWITCH))]


def wait_states(peer: Peer, *expected: str) -> None:
    wait_until(lambda: states(peer) == list(expected), lambda: f"{expected}, not {states(peer)}")


def publish_until_on(peer: Peer) -> None:
    """Publish enough headroom until the load is on; Node-RED subscribes some time after it has connected."""
    for _ in range(N_TRIES):
        peer.publish(HEADROOM, str(NEED_W))
        try:
            wait_until(lambda: "ON" in states(peer), "the load to be on", TRY_S)
        except TimeoutError:
            continue
        return
    pytest.fail(f"the load is not on after {N_TRIES} tries: {states(peer)}")


def test_headroom_flow_nodes_are_complete() -> None:
    *flow, broker = documented_flow("demand-energy-managers.md")
    assert len({(node["x"], node["y"]) for node in flow}) == len(flow)
    ids = {node["id"] for node in flow}
    assert {wire for node in flow for output in node["wires"] for wire in output} <= ids
    assert {node["broker"] for node in flow if node["type"].startswith("mqtt ")} == {broker["id"]}
    assert int(broker["keepalive"]) > 0


def test_headroom_flow_waits_longer_than_the_numbers_are_apart() -> None:
    nodes: dict[str, Any] = {node["type"]: node for node in documented_flow("demand-energy-managers.md")}
    assert 120 < float(nodes["trigger"]["duration"]) <= 300
    assert (nodes["trigger"]["units"], nodes["trigger"]["extend"], nodes["trigger"]["op2"]) == ("s", True, "OFF")
    assert nodes["mqtt in"]["topic"] == HEADROOM


@pytest.mark.nodered
def test_load_follows_headroom_with_hysteresis(deploy: Deploy, peer: Peer) -> None:
    deploy(GUARD_S)
    wait_states(peer, "OFF")
    publish_until_on(peer)
    for number in ("0", "900", "-1"):
        peer.publish(HEADROOM, number)
    wait_states(peer, "OFF", "ON", "OFF")
    for number in ("0", "2199", "nonsense", "2500"):
        peer.publish(HEADROOM, number)
    wait_states(peer, "OFF", "ON", "OFF", "ON")


@pytest.mark.nodered
def test_load_stays_off_for_its_minimum_time(deploy: Deploy, peer: Peer) -> None:
    """Off at the start; each number below 0 is published as OFF, so that the numbers before it have been read."""
    deploy(GUARD_S, min_off_s=int(GUARD_S))
    wait_states(peer, "OFF")

    def is_repeated() -> bool:
        for number in (str(NEED_W), "-1"):
            peer.publish(HEADROOM, number)
        return len(peer.on(SWITCH)) >= N_TRIES

    wait_until(is_repeated, "the load to be switched off again")
    assert states(peer) == ["OFF"]


@pytest.mark.nodered
def test_load_returns_after_its_minimum_time_off(deploy: Deploy, peer: Peer) -> None:
    deploy(GUARD_S, min_off_s=1)
    wait_states(peer, "OFF")
    publish_until_on(peer)
    assert states(peer) == ["OFF", "ON"]


@pytest.mark.nodered
def test_load_is_switched_off_when_no_number_arrives(deploy: Deploy, peer: Peer) -> None:
    deploy(3.0)
    wait_states(peer, "OFF")
    publish_until_on(peer)
    wait_until(lambda: states(peer)[-1] == "OFF", lambda: f"the load to be off, not {states(peer)}")


@pytest.mark.nodered
def test_load_follows_the_headroom_of_a_gateway(
    deploy: Deploy, mosquitto: MosquittoBroker, peer: Peer, tmp_path: Path
) -> None:
    deploy(GUARD_S)
    wait_states(peer, "OFF")
    with running(gateway_settings(mosquitto.port, tmp_path / "state", demand={"limit_kw": 5.0})):
        house = MeteredHouse(peer)
        assert house.measure_until(0.3, lambda: states(peer)[-1] == "ON", "on") >= NEED_W
        assert house.measure_until(15.0, lambda: states(peer)[-1] == "OFF", "off again") < 0
    assert states(peer) == ["OFF", "ON", "OFF"]
