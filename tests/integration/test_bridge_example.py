"""The mosquitto bridge of docs/operations.md: each house has a client id and a connection state of its own."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.brokers import MosquittoBroker
from tests.support.optional_tools import ROOT
from tests.support.peers import Peer, peer_of
from tests.support.ports import LOOPBACK

pytestmark = pytest.mark.mosquitto
PAGE = ROOT / "docs" / "operations.md"
HOUSES = ("gw-0042", "gw-0043")


def bridge(house: str, port: int) -> list[str]:
    """Return the lines of the page for a house, without TLS to the central broker."""
    block = re.search(r"^ +connection central\n(?: +\w.*\n)+", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert block is not None
    lines = block[0].replace("broker.example:8883", f"{LOOPBACK}:{port}").replace("gw-0042", house).splitlines()
    return [line.strip() for line in lines if "bridge_cafile" not in line]


def payloads(peer: Peer, topic: str) -> list[bytes]:
    return [message.payload for message in peer.on(topic)]


def test_bridge_example_shows_each_house_and_its_loss(tmp_path: Path) -> None:
    with ExitStack() as stack:
        central = MosquittoBroker(tmp_path / "central")
        central.start()
        stack.callback(central.stop)
        reader = stack.enter_context(peer_of(LOOPBACK, central.port))
        reader.subscribe("gapcast/#")
        reader.subscribe("sites/#")
        houses = {house: MosquittoBroker(tmp_path / house, bridge(house, central.port)) for house in HOUSES}
        for house, broker in houses.items():
            broker.start()
            stack.callback(broker.stop)
            reader.wait_for(f"gapcast/{house}/bridge")
            with peer_of(LOOPBACK, broker.port) as gateway:
                gateway.publish(f"gapcast/{house}/status", "online", retain=True)
                gateway.publish("gap/home/forecast", house)
            reader.wait_for(f"gapcast/{house}/status")
            reader.wait_for(f"sites/{house}/home/forecast")
        houses["gw-0042"].stop()
        reader.wait_for("gapcast/gw-0042/bridge", 2)
        assert payloads(reader, "gapcast/gw-0042/bridge") == [b"1", b"0"]
        assert payloads(reader, "gapcast/gw-0042/status") == [b"online"], "the last will is at the house's broker"
        assert payloads(reader, "gapcast/gw-0043/bridge") == [b"1"]
        assert payloads(reader, "sites/gw-0043/home/forecast") == [b"gw-0043"]
    assert "already connected" not in (tmp_path / "central/mosquitto.log").read_text(encoding="utf-8")
