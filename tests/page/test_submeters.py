"""The page of a house with submeters."""

from __future__ import annotations

from collections.abc import Callable

from gapcast.recordings.recording import Minute
from tests.page.conftest import Look, payload
from tests.support.brokers import MosquittoBroker
from tests.support.gateways import Gateway
from tests.support.houses import FIRST
from tests.support.peers import peer_of


def test_page_shows_the_newest_power_of_each_submeter(
    broker: MosquittoBroker, start: Callable[..., Gateway], look: Look
) -> None:
    plugs = [
        {"of": "submetered-house", "name": name, "preset": "gapcast", "topic": f"plugs/{name}"}
        for name in ("kettle", "pump")
    ]
    gateway = start(broker, submeters=plugs)
    with peer_of(broker.host, broker.port) as peer:
        peer.publish("plugs/kettle", payload(Minute(FIRST, 2.0)))
        for i in range(3):
            peer.publish("gap/submetered-house/reading", payload(Minute(FIRST + i, 2.2)))
        gateway.wait_taken(3)
    window = look(f"{gateway.url}/#device=submetered-house")
    window.see("#submeters", "Submeters: kettle 2.00 kW, pump unknown")
    window.see("#members", "online model with submeters")
