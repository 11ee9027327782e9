"""A meter that sends nothing: its last forecast is not shown as the future."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from gapcast.core.time_grid import minute_label
from gapcast.recordings.recording import Minute
from tests.page.conftest import Look, payload
from tests.support.brokers import MosquittoBroker
from tests.support.gateways import Gateway
from tests.support.peers import peer_of

#: A minute of 2010: a replay, whose minutes are all over.
LONG_AGO = 21_476_160
#: Collects the texts drawn on the chart.
RECORD_TEXTS = """{
  window.texts = [];
  const { fillText } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...at) {
    texts.push(text);
    return fillText.call(this, text, ...at);
  };
}"""


@pytest.mark.parametrize("state", ["Offline", "No new readings"])
def test_forecast_of_a_silent_meter_is_not_shown_as_the_future(
    mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look, state: str
) -> None:
    is_offline = state == "Offline"
    first = LONG_AGO if is_offline else int(time.time() // 60) - 8  # whose forecasts are for the minutes until the last
    gateway = start(mosquitto, devices={"stale_after_min": 0.001 if is_offline else 0})
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        for minute in range(2):
            document = json.loads(payload(Minute(first + minute, 1.25))) | {"filled": is_offline and minute == 1}
            peer.publish("gap/home/reading", json.dumps(document))
        gateway.wait_taken(2)
        window = look("about:blank", timezone_id="UTC")
        window.page.add_init_script(RECORD_TEXTS)
        window.open(f"{gateway.url}/")
        window.see("#state", state)
        window.see("#list", state)
        window.see("#ahead-label", f"Forecast for {minute_label(first + 6)[11:16]}")
        window.see("#now-label", "Last value (held)" if is_offline else "Last measured")
        assert "in 5 min" not in window.text(".device")
        assert window.page.locator("#path-part").is_hidden()
        assert window.page.locator("#outlook-part").is_hidden()
        chart = window.page.locator("#chart .u-over")
        width = chart.evaluate("chart => chart.clientWidth")
        chart.hover(position={"x": width - 3, "y": 60})  # the last minute of the outlook
        window.see("#readout", "median ")
        assert "from now" not in window.text("#readout")
        window.page.evaluate("texts.length = 0")  # it may have been drawn before the meter was offline
        window.page.get_by_role("button", name="1 h", exact=True).click()
        window.wait("() => texts.length")
        assert "now" not in window.page.evaluate("texts")
        peer.publish("gap/home/reading", payload(Minute(first + 6, 1.25)))
        window.see("#ahead-label", f"In 5 minutes ({minute_label(first + 11)[11:16]})")
        window.see("#now-label", "Now")
        window.see(".device", "in 5 min")
        window.page.locator("#path-part").wait_for()
        window.page.locator("#outlook-part").wait_for()
        chart.hover(position={"x": width - 3, "y": 60})
        window.see("#readout", "mean from now until then")
        window.wait("() => texts.includes('now')")


def test_meter_with_a_wrong_clock_is_not_silent(
    mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look
) -> None:
    gateway, now = start(mosquitto), int(time.time() // 60)
    offsets_min = {"behind": -61, "ahead": 330}
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        for device, offset_min in offsets_min.items():
            for minute in (now + offset_min - 1, now + offset_min):
                peer.publish(f"gap/{device}/reading", payload(Minute(minute, 1.25)))
        gateway.wait_taken(4)
        gateway.service.statistics.clock_offsets_min.update(offsets_min)  # as after two minutes
        window = look(f"{gateway.url}/#device=ahead")
        window.see("#state", "Clock 5.5 h ahead")
        window.page.get_by_role("option", name="behind").click()
        window.see("#state", "Clock 61 min behind")
        window.see("#when", "by the meter’s clock")
        window.see("#now-label", "Now")
        window.see("#ahead-label", "In 5 minutes")
        window.page.get_by_role("option", name="ahead").click()
        window.see("#state", "Clock 5.5 h ahead")
        for minute in (now - 1, now):  # the clock was corrected
            peer.publish("gap/behind/reading", payload(Minute(minute, 1.25)))
        window.see("#list", "Warm-up")
        assert "Clock 61 min" not in window.text("#list")
