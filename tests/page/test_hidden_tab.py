"""A hidden tab releases its connection, of which a browser has six, and continues when it is shown again."""

from __future__ import annotations

from collections.abc import Callable

from tests.page.conftest import Look
from tests.support.brokers import MosquittoBroker
from tests.support.gateways import Gateway
from tests.support.peers import peer_of

READING = '{{"ts": "2026-01-01T12:{:02}:00Z", "gap_kw": {}}}'
#: Makes a tab hidden when it is opened; ``hide(false)`` shows it.
HIDDEN = """{
  let isHidden = true;
  Object.defineProperty(document, 'hidden', { get: () => isHidden });
  Object.defineProperty(document, 'visibilityState', { get: () => isHidden ? 'hidden' : 'visible' });
  window.hide = (value) => {
    isHidden = value;
    document.dispatchEvent(new Event('visibilitychange'));
  };
}"""


def test_hidden_tab_ends_its_stream_and_resumes_it(
    mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look
) -> None:
    gateway = start(mosquitto)
    window = look("about:blank")
    page = window.page
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url.rpartition("/")[2]))
    page.add_init_script(HIDDEN)
    page.clock.install()
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        peer.publish("gap/home/reading", READING.format(0, 1.25))
        gateway.wait_taken(1)
        window.open(f"{gateway.url}/")
        window.see("#now-kw", "1.25")  # it is loaded once
        window.see("#live-pill", "Live")
        requested.clear()
        page.clock.fast_forward(5_000)
        peer.publish("gap/home/reading", READING.format(1, 1.5))
        window.see("#now-kw", "1.50")
        with page.expect_event("requestfailed", lambda request: request.url.endswith("/events")):
            page.clock.fast_forward(26_000)
        peer.publish("gap/home/reading", READING.format(2, 2.75))
        gateway.wait_taken(3)
        page.clock.fast_forward(10_000)  # no attempt to reconnect
        assert (window.text("#now-kw"), window.text("#live-pill")) == ("1.50", "Live")
        assert page.locator("#problem").is_hidden()
        assert "events" not in requested
        with page.expect_request("**/events") as resumed:
            page.evaluate("hide(false)")
        assert resumed.value.headers["last-event-id"].isdigit()
        window.see("#now-kw", "2.75")
        peer.publish("gap/home/reading", READING.format(3, 3.5))
        window.see("#now-kw", "3.50")
    assert requested.count("events") == 1


def test_hidden_tab_shown_after_a_replay_began_again_has_its_readings_only(
    mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look
) -> None:
    gateway = start(mosquitto)
    port = int(gateway.url.rpartition(":")[2])
    window = look("about:blank")
    page = window.page
    page.add_init_script(HIDDEN)
    page.clock.install()
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        for minute in (10, 11):
            peer.publish("gap/home/reading", READING.format(minute, 0.5))
        gateway.wait_taken(2)
        window.open(f"{gateway.url}/")
        window.see("#chart-note", "measured 0.50 to 0.50")
        window.see("#live-pill", "Live")
        with page.expect_event("requestfailed", lambda request: request.url.endswith("/events")):
            page.clock.fast_forward(35_000)
        gateway.stop()  # the events that the page misses are then not stored
        gateway = start(mosquitto, http={"port": port})
        for minute, kw in enumerate((1.0, 5.0, 2.0)):
            peer.publish("gap/home/reading", READING.format(minute, kw))
        gateway.wait_taken(3)
        page.evaluate("hide(false)")
        window.see("#now-kw", "2.00")
        window.see("#chart-note", "measured 1.00 to 5.00")
