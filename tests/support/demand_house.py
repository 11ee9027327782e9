"""A house whose demand is published by hand, and Home Assistant with its entities, two blueprints and some helpers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

from gapcast.app.broker.topics import demand_topics_of
from gapcast.config.settings import Settings
from gapcast.core.time_grid import minute_label
from gapcast.mqtt.discovery.discovery_message import HomeAssistantTopics, discovery_payload
from gapcast.mqtt.topics import DeviceTopic
from tests.support.home_assistant import HomeAssistant
from tests.support.http_servers import QuietHandler, serving
from tests.support.optional_tools import ROOT
from tests.support.outlook_model import OutlookModel
from tests.support.peers import Peer
from tests.support.waiting import wait_until

BLUEPRINTS = ROOT / "deploy" / "homeassistant" / "blueprints" / "automation" / "gapcast"
SHED, START = "gapcast/shed_load.yaml", "gapcast/start_appliance.yaml"
#: Helpers of the tests: a load, an appliance, and whether it waits.
CONFIGURATION = """\
automation: !include automations.yaml
input_boolean:
  heater: {name: Water heater}
  dishwasher: {name: Dishwasher}
  dishwasher_waits: {name: Dishwasher waits}
"""
STATUS = "gapcast/gw-test/status"
CHANGE_S = 60.0
N_TRIES, TRY_S = 12, 5.0
MAX_KW = 50.0
#: A window of 15 minutes starts here: one of the year 2089, so that its end is always in the future.
START_MINUTE = 63_000_000
#: The same of the year 2025.
PAST_MINUTE = 29_000_010


class _Files(QuietHandler, SimpleHTTPRequestHandler):
    """Serves the files of a folder."""

    answer_get = SimpleHTTPRequestHandler.do_GET


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the files of ``folder``, as a repository's site does; the value is the URL."""
    with serving(partial(_Files, directory=str(folder))) as url:
        yield url


def home_assistant_with_blueprints(
    command: str, folder: Path, mqtt_port: int, configuration: str = ""
) -> HomeAssistant:
    """Return a started Home Assistant that has imported both blueprints."""
    home = HomeAssistant(command, folder, mqtt_port, CONFIGURATION + configuration)
    (folder / "automations.yaml").write_text("[]\n", encoding="utf-8")
    home.start()
    with served(BLUEPRINTS) as url:
        for path in (SHED, START):
            home.import_blueprint(f"{url}/{Path(path).name}", path)
    return home


class DemandHouse:
    """One device with a demand, as gapcast publishes it."""

    def __init__(self, home: HomeAssistant, peer: Peer, name: str) -> None:
        self.home, self.peer, self.name = home, peer, name
        self.observed = START_MINUTE
        self.limit_topic = f"gap/{name}/demand/limit"
        peer.subscribe(self.limit_topic)
        self.announce(has_demand=True)

    def announce(self, *, has_demand: bool) -> None:
        """Publish the device and its availability."""

        def topic(key: str, level: str) -> DeviceTopic:
            return DeviceTopic.parse(f"topics.{key}", f"gap/{{device}}/{level}")

        topics = HomeAssistantTopics(
            "homeassistant", topic("forecast", "forecast"), topic("availability", "availability"), STATUS,
            demand=demand_topics_of(Settings()), max_kw=MAX_KW,
            measured=topic("measured", "measured"), outlook=topic("outlook", "outlook"),
            scores=topic("scores", "scores"),
        )  # fmt: skip
        model = OutlookModel()
        payload = discovery_payload(self.name, topics, model, model, has_demand=has_demand)
        self.peer.publish(topics.config_topic(self.name), payload, retain=True)
        self.peer.publish(STATUS, "online", retain=True)
        self.set_available(available=True)

    def set_available(self, *, available: bool) -> None:
        self.peer.publish(f"gap/{self.name}/availability", "online" if available else "offline", retain=True)

    def entity(self, kind: str, domain: str = "sensor") -> str:
        """Return the id that docs/home-assistant.md describes."""
        name = self.name.lower().replace("-", "_").replace(".", "_d")
        return f"{domain}.gapcast_{name}_{kind}"

    def value(self, kind: str, domain: str = "sensor") -> float | str | None:
        return self.home.value(self.entity(kind, domain))

    def publish(self, **values: Any) -> dict[str, Any]:
        """Publish the demand of the next minute; ``next_w`` is the headroom of the next window."""
        self.observed += 1
        document = demand(self.name, self.observed, **values)
        self.peer.publish(f"gap/{self.name}/demand", json.dumps(document))
        return document

    def show(self, **values: Any) -> dict[str, Any]:
        """Publish demands until Home Assistant shows one; it subscribes some time after discovery."""
        for _ in range(N_TRIES):
            document = self.publish(**values)
            try:
                wait_until(lambda: self._shows(document), "", TRY_S)  # noqa: B023 - called at once
            except TimeoutError:
                continue
            return document
        msg = f"after {N_TRIES} demands: {self.home.state(self.entity('headroom'))}"
        raise AssertionError(msg)

    def _shows(self, document: dict[str, Any]) -> bool:
        attributes = (self.home.state(self.entity("headroom")) or {"attributes": {}})["attributes"]
        return bool(attributes.get("observed_at") == document["observed_at"])

    def wait_value(self, expected: float | str | None, kind: str, domain: str = "sensor") -> None:
        entity = self.entity(kind, domain)
        wait_until(
            lambda: self.home.value(entity) == expected, lambda: f"{expected}: {self.home.state(entity)}", CHANGE_S
        )


def demand(device: str, observed: int, **values: Any) -> dict[str, Any]:
    """A demand in its window of 15 minutes.

    ``values`` replace fields, ``next_w`` the next window's headroom, and ``left_min`` moves the windows.
    """
    start = (observed + 1) // 15 * 15
    if "left_min" in values:
        start = observed + 1 + values.pop("left_min") - 15
    next_w = values.pop("next_w", 1_000)
    limits = {"limit_kw": 2.5, "limit_source": "fixed", "p_exceed": 0.02}
    powers = {"expected_kw": 1.4, "lower_kw": 0.9, "median_kw": 1.3, "upper_kw": 2.2}
    return {
        "v": 1, "device": device, "observed_at": minute_label(observed), "issued_at": minute_label(observed + 1),
        "model": "outlook", "model_version": "1", "window_start": minute_label(start),
        "window_end": minute_label(start + 15), "elapsed_min": observed + 1 - start, "so_far_kw": 1.2, **powers,
        **limits, "headroom_w": 1_100, "risk": 0.05, "month_peak_kw": 2.1, "fuse_kw": None, "p_fuse": None,
        "valid_until": minute_label(min(start + 15, observed + 5)),
        "next": {
            "window_start": minute_label(start + 15), "window_end": minute_label(start + 30), **powers, **limits,
            "headroom_w": next_w,
        },
    } | values  # fmt: skip
