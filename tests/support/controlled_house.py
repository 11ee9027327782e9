"""A house with a water heater that a real Home Assistant switches, and a real gateway with a limit beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gapcast.config.settings import Settings
from gapcast.core.time_grid import minute_label
from tests.support.brokers import MosquittoBroker
from tests.support.clocks import coming_midnight
from tests.support.demand_house import CHANGE_S, N_TRIES, SHED, TRY_S, home_assistant_with_blueprints
from tests.support.gateways import Gateway, gateway_settings
from tests.support.home_assistant import HomeAssistant
from tests.support.peers import Peer
from tests.support.waiting import wait_until

WINDOW_MIN, LIMIT_KW = 15, 3.0
HEATER, HEATER_KW, MARGIN_W = "input_boolean.heater", 1.5, 200
#: The blueprint's default.
SHORTEST_RUN_MIN = 5
#: Minutes in which the house has its base load and the heater, before the automation is created.
N_WARM = 14 * WINDOW_MIN
#: After those: the minute at which the oven goes on, and that at which it goes off.
OVEN_FROM, OVEN_TO, OVEN_KW = 2 * WINDOW_MIN + 2, 4 * WINDOW_MIN + 2, 2.3
N_CONTROLLED = 6 * WINDOW_MIN


class HeatedHouse:
    """A house whose power includes the heater while Home Assistant has it on."""

    def __init__(self, home: HomeAssistant, peer: Peer) -> None:
        self.home, self.peer = home, peer
        self.start = coming_midnight()
        self.powers_kw: list[float] = []
        self.heater: list[bool] = []
        peer.subscribe("gap/home/demand")

    def base_kw(self, minute: int) -> float:
        """Return what the house draws beside the heater in its ``minute``-th minute."""
        oven_kw = OVEN_KW if OVEN_FROM <= minute - N_WARM < OVEN_TO else 0.0
        return 0.3 + 0.04 * (minute * 7 % 5) + oven_kw

    def send(self, *, is_on: bool) -> None:
        """Publish the reading of the next minute."""
        minute = len(self.powers_kw)
        power_kw = round(self.base_kw(minute) + HEATER_KW * is_on, 3)
        self.peer.publish("gap/home/reading", json.dumps({"ts": (self.start + minute) * 60, "gap_kw": power_kw}))
        self.powers_kw.append(power_kw)
        self.heater.append(is_on)

    def newest_demand(self) -> dict[str, Any]:
        """Return the demand of the newest reading."""
        newest = minute_label(self.start + len(self.powers_kw) - 1)

        def demands() -> list[dict[str, Any]]:
            came = self.peer.on("gap/home/demand")[-1:]
            return [message.document for message in came if message.document["observed_at"] == newest]

        wait_until(demands, f"the demand of {newest}")
        return demands()[0]

    def is_shown(self, document: dict[str, Any]) -> bool:
        state = self.home.state("sensor.gapcast_home_headroom")
        return state is not None and state["attributes"].get("observed_at") == document["observed_at"]

    def send_until_shown(self) -> dict[str, Any]:
        """Send readings until Home Assistant shows their demand; it subscribes some time after discovery."""
        for _ in range(N_TRIES):
            self.send(is_on=self.is_heating())
            document = self.newest_demand()
            try:
                wait_until(lambda: self.is_shown(document), "", TRY_S)  # noqa: B023 - called at once
            except TimeoutError:
                continue
            return document
        msg = f"no demand is shown after {N_TRIES} readings"
        raise AssertionError(msg)

    def warm_up(self) -> None:
        """Send the readings of the first hours, in which the heater is on and nothing is controlled."""
        self.home.call("input_boolean.turn_on", entity_id=HEATER)
        wait_until(self.is_heating, "the heater", CHANGE_S)
        while len(self.powers_kw) < N_WARM - N_TRIES:
            self.send(is_on=True)
        self.send_until_shown()
        while len(self.powers_kw) < N_WARM:
            self.send(is_on=True)

    def control_hours(self) -> None:
        """Create the automation, send the readings of the controlled hours, and remove it."""
        inputs = {"headroom": "sensor.gapcast_home_headroom", "load": HEATER, "load_w": HEATER_KW * 1_000}
        rules = {"margin_w": MARGIN_W, "min_off_min": 0, "when_silent": "keep"}
        self.home.create_automation("shed", SHED, inputs | rules)
        for _ in range(N_CONTROLLED):
            self.control()
        self.home.delete_automation("shed")

    def is_heating(self) -> bool:
        return self.home.value(HEATER) == "on"

    def control(self) -> None:
        """Send a reading, and wait until Home Assistant has switched the heater as the blueprint's rules say."""
        is_on = self.is_heating()
        self.send(is_on=is_on)
        document = self.newest_demand()
        wait_until(lambda: self.is_shown(document), "Home Assistant to show the demand", CHANGE_S)
        now_w, left_min = document["headroom_w"], WINDOW_MIN - document["elapsed_min"]
        stays_on = is_on and now_w >= 0
        turns_on = not is_on and now_w >= HEATER_KW * 1_000 + MARGIN_W and left_min >= SHORTEST_RUN_MIN
        wait_until(
            lambda: self.is_heating() == (stays_on or turns_on), lambda: f"the heater after {document}", CHANGE_S
        )

    def window_kw(self, first: int, heater: list[bool] | None = None) -> float:
        """Return the mean of the window from the ``first`` minute on, for the actual or the given heater states."""
        minutes = range(first, first + WINDOW_MIN)
        is_on = self.heater if heater is None else heater
        return sum(self.base_kw(minute) + HEATER_KW * is_on[minute] for minute in minutes) / WINDOW_MIN


class Site:
    """A broker, a gateway with a limit, and Home Assistant."""

    def __init__(self, folder: Path, command: str) -> None:
        self.broker = MosquittoBroker(folder / "mosquitto")
        self.broker.start()
        self.state = folder / "state"
        self.start_gateway(limit_kw=LIMIT_KW)
        self.home = home_assistant_with_blueprints(command, folder / "home-assistant", self.broker.port)

    def start_gateway(self, **demand: object) -> None:
        settings: Settings = gateway_settings(
            self.broker.port, self.state, homeassistant={"enabled": True}, demand=demand
        )
        self.gateway = Gateway(settings)
        self.gateway.wait_connected()

    def close(self) -> None:
        self.home.stop()
        self.gateway.stop()
        self.broker.stop()
