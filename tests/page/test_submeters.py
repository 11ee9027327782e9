"""The page of a house with submeters."""

from __future__ import annotations

from collections.abc import Callable

import pytest

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


def test_page_names_ensemble_members_that_a_device_lacks(
    broker: MosquittoBroker, start: Callable[..., Gateway], look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trees before the first night, and the submeters of another house: their weights go to the online model."""
    monkeypatch.setattr("gapcast.config.refit_choice.is_lightgbm_installed", lambda: True)
    plug = {"of": "another-house", "name": "kettle", "preset": "gapcast", "topic": "plugs/kettle"}
    gateway = start(broker, submeters=[plug], learning={"refit": True}, state={"keep": True})
    with peer_of(broker.host, broker.port) as peer:
        for i in range(3):
            peer.publish("gap/young-house/reading", payload(Minute(FIRST + i, 2.2)))
        gateway.wait_taken(3)
    window = look(f"{gateway.url}/#device=young-house")
    window.see("#members", "trees (none yet)")
    window.see("#members", "submeters (none)")
    window.see("#members-note", "Members marked “none” repeat the online model until there are trees or submeters.")
