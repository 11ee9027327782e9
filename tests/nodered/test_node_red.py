"""The flow of docs/mqtt.md in a real Node-RED, beside a real broker and gateway.

Skipped without Node-RED, except tests that do not need it: scripts/try-node-red installs it and runs this file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.test_stream import FIRST, reading
from tests.support.brokers import MosquittoBroker
from tests.support.gateways import Gateway, gateway_settings, running
from tests.support.node_red import Node, NodeRed, documented_flow
from tests.support.optional_tools import node_red_command
from tests.support.peers import Peer, peer_of
from tests.support.waiting import wait_until

N_TRIES, TRY_S = 10, 2.0
#: Power that the flow treats as high.
LIMIT_KW = 3


def flow_for(broker: MosquittoBroker) -> list[Node]:
    """Return the documented flow with the reader's own broker; its debug node writes to the log what its pane shows."""
    own: dict[str, Node] = {
        "mqtt-broker": {"broker": broker.host, "port": str(broker.port)},
        "debug": {"console": True},
    }
    return [node | own.get(node["type"], {}) for node in documented_flow()]


@pytest.fixture
def gateway(mosquitto: MosquittoBroker, tmp_path: Path) -> Iterator[Gateway]:
    with running(gateway_settings(mosquitto.port, tmp_path / "state")) as started:
        yield started


@pytest.fixture
def node_red(mosquitto: MosquittoBroker, tmp_path: Path) -> Iterator[NodeRed]:
    command = node_red_command()
    assert command is not None
    made = NodeRed(command, tmp_path / "node-red")
    made.start()
    try:
        made.deploy(flow_for(mosquitto))
        yield made
    finally:
        made.stop()


@contextmanager
def connected(mosquitto: MosquittoBroker) -> Iterator[Peer]:
    with peer_of(mosquitto.host, mosquitto.port) as made:
        made.subscribe("gap/+/forecast")
        yield made


@pytest.fixture
def peer(mosquitto: MosquittoBroker) -> Iterator[Peer]:
    with connected(mosquitto) as made:
        yield made


def wait_connected(node_red: NodeRed, n_times: int) -> None:
    debug = re.compile(r"\[mqtt-broker:\w+\] Connected to broker")
    wait_until(lambda: len(debug.findall(node_red.log())) >= n_times, node_red.log)


class House:
    """One device, whose power changes a little each minute, so that its forecasts can be distinguished."""

    def __init__(self, peer: Peer, name: str, power_kw: float) -> None:
        self.name = name
        self._peer, self._power_kw, self._n_minutes = peer, power_kw, 0
        self._send()  # the first has no forecast

    def _send(self) -> None:
        power_kw = round(self._power_kw + self._n_minutes / 100, 2)
        self._peer.send(f"gap/{self.name}/reading", reading(FIRST + self._n_minutes, power_kw))
        self._n_minutes += 1

    def measure(self) -> float:
        """Send the reading of the next minute; return its forecast, kW."""
        n_before = len(self._peer.on(f"gap/{self.name}/forecast"))
        self._send()
        return float(self._peer.wait_for(f"gap/{self.name}/forecast", n_before + 1)[-1].document["gap_kw"])

    def measure_until_shown(self, node_red: NodeRed) -> None:
        """Send readings until a forecast is shown; Node-RED subscribes some time after it has connected."""
        for _ in range(N_TRIES):
            forecast_kw = self.measure()
            assert forecast_kw > LIMIT_KW
            if self._shown(node_red, forecast_kw):
                return
        pytest.fail(f"no forecast is shown after {N_TRIES} tries: {node_red.log()}")

    def _shown(self, node_red: NodeRed, forecast_kw: float) -> bool:
        def newest_is_ours() -> bool:
            newest = "".join(node_red.shown("soon")[-1:])
            return f"device: '{self.name}'," in newest and f"gap_kw: {forecast_kw}," in newest

        try:
            wait_until(newest_is_ours, "it to be shown", TRY_S)
        except TimeoutError:
            return False
        return True


def test_flow_nodes_are_complete() -> None:
    """The editor stacks nodes without a position, and warns of a broker without a keep-alive."""
    *flow, broker = documented_flow()
    assert len({(node["x"], node["y"]) for node in flow}) == len(flow)
    assert [node["wires"] for node in flow] == [[[node["id"]]] for node in flow[1:]] + [[]]
    assert flow[0]["broker"] == broker["id"]
    assert int(broker["keepalive"]) > 0


def test_flow_shows_only_forecasts_above_the_limit(gateway: Gateway, node_red: NodeRed, peer: Peer) -> None:
    wait_connected(node_red, 1)
    oven, idle = House(peer, "oven", 6.0), House(peer, "idle", 0.2)
    oven.measure_until_shown(node_red)
    assert idle.measure() < LIMIT_KW
    oven.measure_until_shown(node_red)
    assert all("device: 'oven'," in shown for shown in node_red.shown("soon"))


def test_flow_survives_restarts_of_broker_and_gateway(
    mosquitto: MosquittoBroker, gateway: Gateway, node_red: NodeRed, peer: Peer, tmp_path: Path
) -> None:
    wait_connected(node_red, 1)
    House(peer, "oven", 6.0).measure_until_shown(node_red)
    mosquitto.stop()
    mosquitto.start()
    wait_connected(node_red, 2)
    gateway.stop()
    with running(gateway_settings(mosquitto.port, tmp_path / "state")), connected(mosquitto) as later:
        House(later, "kiln", 7.0).measure_until_shown(node_red)


def test_flow_survives_a_restart_of_node_red(gateway: Gateway, node_red: NodeRed, peer: Peer) -> None:
    wait_connected(node_red, 1)
    node_red.stop()
    node_red.start()
    wait_connected(node_red, 2)
    House(peer, "oven", 6.0).measure_until_shown(node_red)
