"""Takes screenshots of Home Assistant with a demand and with a blueprint: see scripts/home-assistant-picture."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _heater_picture import heater_picture

from tests.support.brokers import MosquittoBroker
from tests.support.browser import chromium
from tests.support.controlled_house import HeatedHouse, Site
from tests.support.demand_house import SHED, DemandHouse, home_assistant_with_blueprints
from tests.support.peers import peer_of
from tests.support.ports import LOOPBACK

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.support.home_assistant import HomeAssistant

#: The first minutes of a quarter of an hour in which a kettle and an oven are on.
DEMAND: dict[str, Any] = {
    "so_far_kw": 2.31, "expected_kw": 2.62, "lower_kw": 2.2, "median_kw": 2.58, "upper_kw": 3.27, "limit_kw": 2.5,
    "p_exceed": 0.58, "headroom_w": -640, "month_peak_kw": 2.24, "next_w": 910,
}  # fmt: skip
#: The device's other sensors.
FORECAST = {"gap_kw": 2.38, "median_kw": 2.21, "lower_kw": 1.1, "upper_kw": 3.92}
POWER_KW, SCORES = 2.87, {"last_day": {"sufficient": True, "skill": 0.34, "coverage": 0.902}}
OUTLOOK = {"lead_min": [15, 30, 60], "mean_to_kw": [1.94, 1.53, 1.12]}
_HEIGHT = 1_240
#: The device's column of entities.
_ENTITIES = {"x": 600, "y": 100, "width": 336, "height": 1_062}
#: Time for icons and animations to finish after the page is loaded.
_SETTLE_MS = 3_000
_FRONTEND = "frontend:\nhistory:\nlogbook:\n"


def main(folder: Path) -> None:
    """Take the screenshots, and draw a house that Home Assistant keeps below its limit."""
    command = os.environ["GAPCAST_HOME_ASSISTANT"]
    _take_screenshots(folder, command)
    with ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gapcast-picture-")))
        site = Site(state, command)
        stack.callback(site.close)
        house = HeatedHouse(site.home, stack.enter_context(peer_of(site.broker.host, site.broker.port)))
        house.warm_up()
        house.control_hours()
        (folder / "home-assistant-heater.svg").write_text(heater_picture(house), encoding="utf-8")


def _take_screenshots(folder: Path, command: str) -> None:
    """Publish a demand to a Home Assistant with the blueprints, and take the screenshots."""
    with ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gapcast-picture-")))
        broker = MosquittoBroker(state / "mosquitto")
        broker.start()
        stack.callback(broker.stop)
        home = home_assistant_with_blueprints(command, state / "home-assistant", broker.port, _FRONTEND)
        stack.callback(home.stop)
        peer = stack.enter_context(peer_of(broker.host, broker.port))
        house = DemandHouse(home, peer, "home")
        house.show(**DEMAND)
        for topic, document in (
            ("forecast", FORECAST), ("measured", {"gap_kw": POWER_KW}), ("scores", SCORES), ("outlook", OUTLOOK),
        ):  # fmt: skip
            peer.publish(f"gap/home/{topic}", json.dumps(document))
        house.wait_value(OUTLOOK["mean_to_kw"][-1], "next_60")
        inputs = {"headroom": house.entity("headroom"), "load": "input_boolean.heater", "load_w": 1_500}
        home.create_automation("water_heater", SHED, inputs)
        browser = stack.enter_context(chromium())
        device, automation = home.device_of(house.entity("headroom")), "edit/water_heater"
        _take(browser, home, f"devices/device/{device}", folder / "home-assistant-demand.png", clip=_ENTITIES)
        _take(browser, home, f"automation/{automation}", folder / "home-assistant-blueprint.png", width=860)


def _take(
    browser: Browser, home: HomeAssistant, address: str, path: Path, *, width: int = 1_280, **options: Any
) -> None:
    page = _page_of(browser, home, width)
    page.goto(f"http://{LOOPBACK}:{home.port}/config/{address}")
    page.get_by_text("Headroom", exact=True).first.wait_for()
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(_SETTLE_MS)
    page.screenshot(path=path, **options)
    print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")


def _page_of(browser: Browser, home: HomeAssistant, width: int) -> Page:
    """Return a page that is logged in."""
    page = browser.new_context(viewport={"width": width, "height": _HEIGHT}, color_scheme="light").new_page()
    url = f"http://{LOOPBACK}:{home.port}"
    tokens = {
        "hassUrl": url, "clientId": f"{url}/", "access_token": home.token, "refresh_token": "none",
        "token_type": "Bearer", "expires_in": 1_800, "expires": int(time.time() * 1_000) + 1_800_000,
    }  # fmt: skip
    page.add_init_script(f"localStorage.setItem('hassTokens', {json.dumps(json.dumps(tokens))})")
    return page


if __name__ == "__main__":
    main(Path(sys.argv[1]))
