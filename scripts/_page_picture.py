"""Takes screenshots of the page of a running gateway in Chromium: see scripts/page-picture."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from _picture_gateway import DAY_OF, HOST, HTTP_PORT, MQTT_PORT, picture_settings, publish, running

from gapcast.core.grid import DAY_MIN
from gapcast.demo.broker import EmbeddedBroker
from tests.support.browser import DESKTOP, PHONE, chromium

#: Two days and most of a third, so that the chart ends in the evening.
N_MINUTES = 2 * DAY_MIN + 1_165
#: A device that is still warming up.
NEW = {"attic": 3}
PICTURES: dict[str, dict[str, Any]] = {
    "page-light": {"viewport": DESKTOP, "color_scheme": "light"},
    "page-dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "page-phone": {"viewport": PHONE, "color_scheme": "light", "device_scale_factor": 2},
}


def main(folder: Path) -> None:
    """Publish days of readings at full speed, and the last minutes with the pages open; then take the screenshots."""
    with ExitStack() as stack:
        broker = EmbeddedBroker(MQTT_PORT, HOST)
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
    print(f"{len(DAY_OF)} devices of the bundled week, {N_MINUTES + 5:,} minutes each")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
