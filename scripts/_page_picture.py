"""Takes screenshots of the page of a running gateway in Chromium: see scripts/page-picture."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from _picture_gateway import DAY_OF, HOST, HTTP_PORT, LIMITED, MQTT_PORT, picture_settings, publish, running

from gapcast.core.time_grid import DAY_MIN
from gapcast.demo.broker import EmbeddedBroker
from tests.support.browser import DESKTOP, PHONE, chromium

#: Two days and most of a third day, so that the chart ends in the evening.
N_MINUTES = 2 * DAY_MIN + 1_165
#: A device that is still warming up.
NEW = {"attic": 3}
PICTURES: dict[str, dict[str, Any]] = {
    "page-light": {"viewport": DESKTOP, "color_scheme": "light"},
    "page-dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "page-phone": {"viewport": PHONE, "color_scheme": "light", "device_scale_factor": 2},
}


#: The device of the panel begins on the second day; its minutes end with the fourth of a window near the peak.
LIMITED_DAY, N_LIMITED = {LIMITED: 1}, DAY_MIN + 1_264
#: Screenshots of only the panel of the running billing window.
PANELS = {
    "demand-panel": {"viewport": DESKTOP, "color_scheme": "light"},
    "demand-panel-dark": {"viewport": DESKTOP, "color_scheme": "dark"},
}


def main(folder: Path) -> None:
    """Publish days of readings at full speed, and the last minutes with the pages open; then take the screenshots."""
    with ExitStack() as stack:
        broker = EmbeddedBroker(MQTT_PORT)
        broker.start()
        stack.callback(broker.stop)
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gapcast-picture-")))
        gateway = stack.enter_context(running(picture_settings(state)))
        publish(gateway, 0, N_MINUTES, pause_s=0.0)
        publish(gateway, 0, 47, pause_s=0.0, day_of=NEW)
        browser = stack.enter_context(chromium())
        pages = {}
        for name, options in PICTURES.items():
            page = browser.new_context(timezone_id="UTC", **options).new_page()
            page.goto(f"http://{HOST}:{HTTP_PORT}/#device=home")
            page.locator("#chart canvas").wait_for()
            pages[name] = page
        publish(gateway, N_MINUTES, 5, pause_s=0.02)
        newest = gateway.service.queries.latest_of("home")
        if newest is None:
            sys.exit('the gateway has no forecast of "home"')
        for name, page in pages.items():
            page.wait_for_function(
                "(kw) => Number(document.querySelector('#ahead-kw').value) === kw", arg=newest.gap_kw
            )
            path = folder / f"{name}.png"
            page.screenshot(path=path, full_page=name != "page-phone")
            print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")
        publish(gateway, 0, N_LIMITED, pause_s=0.0, day_of=LIMITED_DAY)
        for name, options in PANELS.items():
            page = browser.new_context(timezone_id="UTC", **options).new_page()
            page.goto(f"http://{HOST}:{HTTP_PORT}/#device={LIMITED}")
            page.locator("#demand-facts dt").first.wait_for()
            path = folder / f"{name}.png"
            page.locator("#demand").screenshot(path=path)
            print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")
    print(f"{len(DAY_OF)} devices of the bundled week, {N_MINUTES + 5:,} minutes each")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
