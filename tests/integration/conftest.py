"""The whole gateway between a real broker and stock clients."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gapcast.predictors.trials.proven_models import PROVEN_FILE
from tests.support.brokers import AmqttBroker, Broker
from tests.support.gateways import Gateway, gateway_settings, running
from tests.support.peers import Peer, peer_of

StartGateway = Callable[..., Gateway]
Connect = Callable[..., Peer]


def protocol_for(broker: Broker) -> str:
    """Return the configured protocol: amqtt supports only 3.1.1, and detecting that takes seconds."""
    return "3.1.1" if isinstance(broker, AmqttBroker) else "auto"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as closing:
        yield closing


def copy_if_there(file: Path, to: Path) -> None:
    if file.exists():
        to.parent.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(file, to)


@pytest.fixture
def start_gateway(stack: ExitStack, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> StartGateway:
    """Start a gateway against a broker (or a bare port); settings sections as keywords.

    It knows the models that passed their trial in an earlier test, because each trial starts a process.
    """
    proven = tmp_path_factory.getbasetemp() / PROVEN_FILE

    def start(broker: Broker | int, *, connected: bool = True, **sections: dict[str, Any]) -> Gateway:
        port = broker if isinstance(broker, int) else broker.port
        protocol = "5" if isinstance(broker, int) else protocol_for(broker)
        sections["mqtt"] = {"protocol": protocol} | sections.get("mqtt", {})
        if isinstance(broker, int):  # its test reads each packet: readings, forecasts and the gateway's status alone
            sections["mqtt"] = {"keepalive_s": 3_600} | sections["mqtt"]  # answers to pings wait until it reads
            sections["devices"] = {"stale_after_min": 0} | sections.get("devices", {})
            sections["learning"] = {"report_every_min": 0} | sections.get("learning", {})
        gateway = sections.get("gateway", {}).get("id")  # another gateway of the same test has a state of its own
        state = tmp_path / (f"state-{gateway}" if gateway else "state")
        if not state.exists():
            copy_if_there(proven, state / PROVEN_FILE)
        stack.callback(copy_if_there, state / PROVEN_FILE, proven)
        return stack.enter_context(running(gateway_settings(port, state, **sections), connected=connected))

    return start


@pytest.fixture
def connect(stack: ExitStack) -> Connect:
    """Connect a stock client to a broker."""

    def connected(broker: Broker, **options: Any) -> Peer:
        return stack.enter_context(peer_of(broker.host, broker.port, **options))

    return connected
