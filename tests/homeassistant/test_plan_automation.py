"""The documented automation that announces the plan of a charger, in a real Home Assistant.

Skipped without Home Assistant: scripts/try-home-assistant installs it and runs this file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.brokers import MosquittoBroker
from tests.support.home_assistant import HomeAssistant
from tests.support.optional_tools import ROOT, home_assistant_command
from tests.support.peers import Peer, peer_of
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.homeassistant, pytest.mark.mosquitto]
PLAN = "gap/home/plan"
CHARGING = "binary_sensor.evcc_garage_charging"
LEFT, POWER = "sensor.evcc_garage_charge_remaining_duration", "sensor.evcc_garage_charge_power"


def documented_automation() -> dict[str, Any]:
    """Return the automation of docs/announced-loads.md that publishes a plan."""
    page = (ROOT / "docs" / "announced-loads.md").read_text(encoding="utf-8")
    (block,) = (block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if PLAN in block)
    (automation,) = yaml.safe_load(block)["automation"]
    return dict(automation)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MosquittoBroker]:
    started = MosquittoBroker(tmp_path_factory.mktemp("mosquitto"))
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def home(broker: MosquittoBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HomeAssistant]:
    command = home_assistant_command()
    assert command is not None
    folder: Path = tmp_path_factory.mktemp("home") / "config"
    started = HomeAssistant(command, folder, broker.port, "automation: !include automations.yaml\n")
    (folder / "automations.yaml").write_text("[]\n", encoding="utf-8")
    started.start()
    started.store_automation("announce", documented_automation())
    yield started
    started.stop()


@pytest.fixture
def peer(broker: MosquittoBroker) -> Iterator[Peer]:
    with peer_of(broker.host, broker.port) as connected:
        connected.subscribe(PLAN)
        yield connected


def newest_plan(peer: Peer) -> Any:
    """Return the newest plan on the topic; None before the first plan."""
    plans = peer.on(PLAN)
    return plans[-1].document if plans else None


@pytest.mark.parametrize(
    ("left", "time_unit", "power", "power_unit"),
    [("30", "min", "7.4", "kW"), ("1800", "s", "7400", "W"), ("0.5", "h", "7.4", "kW")],
)
def test_plan_of_the_charger_is_in_kw_until_its_end(
    home: HomeAssistant, peer: Peer, left: str, time_unit: str, power: str, power_unit: str
) -> None:
    """ha-evcc has kW and minutes; both can be changed in Home Assistant."""
    home.set_state(CHARGING, "off")
    home.set_state(POWER, power, unit_of_measurement=power_unit)
    home.set_state(LEFT, left, unit_of_measurement=time_unit)
    wait_until(lambda: newest_plan(peer) == [], "the plan to be empty")
    home.set_state(CHARGING, "on")
    wait_until(lambda: newest_plan(peer), "the plan")
    (load,) = newest_plan(peer)
    assert (load["kw"], load["name"]) == (7.4, "car")
    left_time = datetime.fromisoformat(load["until"]) - datetime.now(UTC)
    assert timedelta(minutes=25) < left_time <= timedelta(minutes=30)
    assert load["from"] == (home.state(CHARGING) or {})["last_changed"]


@pytest.mark.parametrize("power", ["unavailable", "unknown", "0"])
def test_plan_without_a_power_is_empty(home: HomeAssistant, peer: Peer, power: str) -> None:
    home.set_state(CHARGING, "off")
    home.set_state(POWER, power, unit_of_measurement="kW")
    home.set_state(CHARGING, "on")
    assert [message.document for message in peer.wait_for(PLAN, 2)] == [[], []]
    assert home.complaints("announce") == []
