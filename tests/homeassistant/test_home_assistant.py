"""gapcast with a real Home Assistant: its entities appear, have values and units, disappear, and reappear.

Skipped without Home Assistant: scripts/try-home-assistant installs it and runs this file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gapcast.config.settings import Settings
from gapcast.core.learning.scores.summary import MIN_OUTCOMES
from tests.support.brokers import MosquittoBroker
from tests.support.gateways import Gateway, gateway_settings
from tests.support.home_assistant import HomeAssistant
from tests.support.models import every_feature_model, history_model
from tests.support.optional_tools import home_assistant_command
from tests.support.peers import Peer, peer_of
from tests.support.waiting import GUARD_S, wait_until

pytestmark = [pytest.mark.homeassistant, pytest.mark.mosquitto]
CHANGE_S = 60.0
N_TRIES, TRY_S = 12, 5.0
KEYS = {"forecast": "gap_kw", "median": "median_kw", "lower": "lower_kw", "upper": "upper_kw"}
SCORES = {"skill": "skill", "coverage": "coverage"}
#: The sensors of the outlook, and the minutes over which they are means.
OUTLOOK = {f"next_{minutes}": minutes for minutes in (15, 30, 60)}
#: The first forecast follows the second reading, and its target is five minutes later.
N_FOR_AN_OUTCOME = 7


class Beside:
    """A broker, a gateway, a meter and Home Assistant."""

    def __init__(self, folder: Path, command: str) -> None:
        self.broker = MosquittoBroker(folder / "mosquitto")
        self.broker.start()
        model = every_feature_model()  # mean, median and bounds
        self.settings: Settings = gateway_settings(
            self.broker.port, folder / "state", homeassistant={"enabled": True}, devices={"stale_after_min": 0.25},
            models={"path": model.parent}, forecast={"model": model.name}, learning={"report_every_min": 0.02},
            outlook={"model": history_model().name},
        )  # fmt: skip
        self.start_gateway()
        self.home = HomeAssistant(command, folder / "home-assistant", self.broker.port)
        self.home.start()

    def start_gateway(self) -> None:
        self.gateway = Gateway(self.settings)
        self.gateway.wait_connected()

    def close(self) -> None:
        self.home.stop()
        self.gateway.stop()
        self.broker.stop()


class House:
    """One device: its meter, and its entities."""

    def __init__(self, beside: Beside, peer: Peer, name: str) -> None:
        self.home, self.peer, self.name = beside.home, peer, name
        self.entities = {kind: f"sensor.gapcast_{name}_{kind}" for kind in KEYS}
        self.scores = {kind: f"sensor.gapcast_{name}_{kind}" for kind in SCORES}
        self.outlook = {kind: f"sensor.gapcast_{name}_{kind}" for kind in OUTLOOK}
        self._next_s = int(time.time()) // 60 * 60 - 86_400
        peer.subscribe(f"gap/{name}/forecast")
        peer.subscribe(f"gap/{name}/scores")
        peer.subscribe(f"gap/{name}/outlook")

    def send(self) -> None:
        """Publish the reading of the next minute."""
        power_kw = round(1 + self._next_s % 3_600 / 10_000, 3)
        measured = {"gap_kw": power_kw, "reactive_kvar": 0.1, "voltage_v": 240.0, "current_a": 4.2}
        self.peer.publish(f"gap/{self.name}/reading", json.dumps({"ts": self._next_s, **measured}))
        self._next_s += 60

    def shown(self) -> dict[str, float | str | None]:
        return {kind: self.home.value(entity) for kind, entity in self.entities.items()}

    def shown_scores(self) -> dict[str, float | str | None]:
        return {kind: self.home.value(entity) for kind, entity in self.scores.items()}

    def shown_outlook(self) -> dict[str, float | str | None]:
        return {kind: self.home.value(entity) for kind, entity in self.outlook.items()}

    def wait_for(self, word: str | None) -> None:
        """Wait until all nine entities show ``word``."""
        wait_until(
            lambda: self._all_show(word),
            lambda: f"{word}, not {self.shown()}, {self.shown_scores()}, {self.shown_outlook()}",
            CHANGE_S,
        )

    def _all_show(self, word: str | None) -> bool:
        return {*self.shown().values(), *self.shown_scores().values(), *self.shown_outlook().values()} == {word}

    def measure_until_scores_are_shown(self) -> None:
        """Send readings until Home Assistant shows the last day's live scores, in percent."""
        for _ in range(N_TRIES):
            self.send()
            try:
                wait_until(lambda: self.shown_scores() == self._last_scores(), "its scores", TRY_S)
            except TimeoutError:
                continue
            return
        pytest.fail(f"{self.shown_scores()} is not {self._last_scores()}, after {N_TRIES} tries")

    def measure_until_outlook_is_shown(self) -> dict[str, Any]:
        """Send readings until Home Assistant shows the means of an outlook; return its document."""
        self.send()
        for n in range(1, N_TRIES + 1):
            self.send()
            document: dict[str, Any] = self.peer.wait_for(f"gap/{self.name}/outlook", n)[-1].document
            means = dict(zip(document["lead_min"], document["mean_to_kw"], strict=True))
            expected = {kind: means[minutes] for kind, minutes in OUTLOOK.items()}
            try:
                wait_until(lambda: self.shown_outlook() == expected, "its outlook", TRY_S)  # noqa: B023 - called at once
            except TimeoutError:
                continue
            return document
        pytest.fail(f"{self.shown_outlook()} is not that of the outlook, after {N_TRIES} tries")

    def _last_scores(self) -> dict[str, float | str | None]:
        day = self.peer.on(f"gap/{self.name}/scores")[-1].document["last_day"]
        return {kind: round(day[key] * 100, 1) if day["sufficient"] else "insufficient" for kind, key in SCORES.items()}

    def measure_until_shown(self) -> dict[str, Any]:
        """Send readings until a forecast is shown; Home Assistant subscribes some time after discovery."""
        self.send()
        for _ in range(N_TRIES):
            n_before = len(self.peer.on(f"gap/{self.name}/forecast"))
            self.send()
            document: dict[str, Any] = self.peer.wait_for(f"gap/{self.name}/forecast", n_before + 1)[-1].document
            if self._shows({kind: document[key] for kind, key in KEYS.items()}):
                return document
        pytest.fail(f"{self.shown()} is not what was forecast, after {N_TRIES} tries")

    def _shows(self, expected: dict[str, float]) -> bool:
        try:
            wait_until(lambda: self.shown() == expected, "its values", TRY_S)
        except TimeoutError:
            return False
        return True


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    command = home_assistant_command()
    assert command is not None
    made = Beside(tmp_path_factory.mktemp("beside"), command)
    yield made
    made.close()


@pytest.fixture
def peer(beside: Beside) -> Iterator[Peer]:
    with peer_of(beside.broker.host, beside.broker.port) as connected:
        yield connected


def test_forecast_values_have_entities(beside: Beside, peer: Peer) -> None:
    house = House(beside, peer, "home")
    document = house.measure_until_shown()
    for entity in house.entities.values():
        attributes = (beside.home.state(entity) or {})["attributes"]
        assert (attributes["unit_of_measurement"], attributes["device_class"]) == ("kW", "power")
        assert "state_class" not in attributes
    attributes = (beside.home.state(house.entities["forecast"]) or {})["attributes"]
    for key in ("target_at", "observed_at", "model", "level", "n_observed", "horizon_min", "path"):
        assert attributes[key] == document[key], key


def test_outlook_has_entities_and_is_an_attribute(beside: Beside, peer: Peer) -> None:
    house = House(beside, peer, "planned")
    document = house.measure_until_outlook_is_shown()
    for entity in house.outlook.values():
        attributes = (beside.home.state(entity) or {})["attributes"]
        assert (attributes["unit_of_measurement"], attributes["device_class"]) == ("kW", "power")
        assert "state_class" not in attributes
    attributes = (beside.home.state(house.outlook["next_60"]) or {})["attributes"]
    assert {key: attributes[key] for key in document} == document


def test_measured_power_of_each_minute_has_an_entity(beside: Beside, peer: Peer) -> None:
    house, entity = House(beside, peer, "measured"), "sensor.gapcast_measured_power"
    peer.subscribe("gap/measured/measured")
    house.measure_until_shown()
    newest = peer.on("gap/measured/measured")[-1].document
    wait_until(lambda: beside.home.value(entity) == newest["gap_kw"], lambda: f"{beside.home.state(entity)}", CHANGE_S)
    attributes = (beside.home.state(entity) or {})["attributes"]
    assert (attributes["state_class"], attributes["device_class"]) == ("measurement", "power")


def test_live_scores_are_unknown_until_sufficient(beside: Beside, peer: Peer) -> None:
    house = House(beside, peer, "scored")
    house.measure_until_shown()
    assert set(house.shown_scores().values()) == {"unavailable"}, "no outcome yet"
    for _ in range(N_FOR_AN_OUTCOME):
        house.send()
    wait_until(lambda: set(house.shown_scores().values()) == {"unknown"}, lambda: f"{house.shown_scores()}", CHANGE_S)
    for _ in range(MIN_OUTCOMES):
        house.send()
    house.measure_until_scores_are_shown()
    for entity in house.scores.values():
        assert (beside.home.state(entity) or {})["attributes"]["unit_of_measurement"] == "%"


def test_quiet_device_is_unavailable_until_its_next_reading(beside: Beside, peer: Peer) -> None:
    house = House(beside, peer, "quiet")
    house.measure_until_shown()
    house.wait_for("unavailable")
    house.measure_until_shown()


def test_entities_survive_a_restart_of_home_assistant(beside: Beside, peer: Peer) -> None:
    house = House(beside, peer, "lasting")
    house.measure_until_shown()
    beside.home.stop()
    beside.home.start()
    house.measure_until_shown()


def test_entities_are_unavailable_without_the_gateway(beside: Beside, peer: Peer) -> None:
    house = House(beside, peer, "served")
    house.measure_until_shown()
    beside.gateway.stop()
    house.wait_for("unavailable")
    beside.start_gateway()
    house.measure_until_shown()


def test_forgotten_device_removes_its_entities(beside: Beside, peer: Peer) -> None:
    house = House(beside, peer, "leaving")
    house.measure_until_shown()
    assert httpx.delete(f"{beside.gateway.url}/devices/leaving", timeout=GUARD_S).status_code == 204
    house.wait_for(None)
    assert beside.home.complaints("gapcast") == []
