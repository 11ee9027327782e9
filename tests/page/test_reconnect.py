"""A lost broker or gateway is shown, and so is its return; an empty gateway fills without a reload."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.page.conftest import Look
from tests.support.brokers import MosquittoBroker
from tests.support.gateways import Gateway
from tests.support.models import models_with_outlook
from tests.support.peers import peer_of

READING = '{{"ts": "2026-01-01T12:{:02}:00Z", "gap_kw": {}}}'


def test_broker_lost_and_restored(mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look) -> None:
    gateway = start(mosquitto)
    window = look(f"{gateway.url}/")
    window.see("#broker-pill", "Broker connected")
    window.see("#live-pill", "Live")
    mosquitto.stop()
    window.see("#broker-pill", "Broker disconnected")
    address = f"{mosquitto.host}:{mosquitto.port}"
    window.see("#problem", f"Broker not reachable at {address}: connection refused. No new readings")
    window.see("#announcement", f"Broker not reachable at {address}: connection refused")
    assert "Errno" not in window.page.inner_text("body")
    mosquitto.start()
    window.see("#broker-pill", "Broker connected")
    window.gone("#problem")
    window.see("#announcement", "Connection restored.")


def test_gateway_lost_and_restored(mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look) -> None:
    gateway = start(mosquitto)
    window = look(f"{gateway.url}/")
    window.see("#empty", "No readings yet")
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        peer.publish("gap/home/reading", READING.format(0, 1.25))
        window.see("#now-kw", "1.25")  # with no reload
        peer.publish("gap/home/reading", READING.format(1, 1.5))
        window.see("#now-kw", "1.50")
        port = int(gateway.url.rpartition(":")[2])
        window.page.evaluate(
            """() => {
              window.announced = [];
              const part = document.querySelector('#announcement');
              new MutationObserver(() => announced.push(part.textContent)).observe(part, { childList: true });
            }"""
        )
        gateway.stop()
        window.see("#live-pill", "Not live")
        window.see("#problem", "No connection to the gateway since")
        window.see("#problem", "(no response)")  # after "connection closed"
        window.see("#broker-pill", "Broker unknown")
        peer.publish("gap/home/reading", READING.format(2, 2.75))
        start(mosquitto, http={"port": port})
        window.gone("#problem")
        window.see("#live-pill", "Live")
        window.see("#broker-pill", "Broker connected")
        window.see("#now-kw", "2.75")
        peer.publish("gap/home/reading", READING.format(3, 3.5))
        window.see("#now-kw", "3.50")
        announced = window.page.evaluate("announced")
        lost = [text for text in announced if "gateway" in text]
        assert len(lost) == 1  # and not again with each reason
        assert re.fullmatch(r"No connection to the gateway since \d\d:\d\d:\d\d\.", lost[0])
        assert announced[-1] == "Connection restored."
    # A browser logs each request without a server; nothing else was logged.
    window.is_expected = lambda error: re.search(r"ERR_(CONNECTION|INCOMPLETE|EMPTY)", error) is not None


def test_events_over_the_client_limit_are_retried(
    mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look
) -> None:
    gateway = start(mosquitto, http={"max_event_readers": 1})
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        for device in ("attic", "home"):
            peer.publish(f"gap/{device}/reading", READING.format(0, 1.25))
        gateway.wait_taken(2)
        first = look(f"{gateway.url}/")
        first.see("#live-pill", "Live")
        second = look(f"{gateway.url}/#device=home")
        second.see("#problem", "too many open pages and other readers of events: close some, or raise http.max")
        second.see("#device", "home")
        second.see("#now-kw", "1.25")
        second.see("#broker-pill", "Broker connected")
        peer.publish("gap/home/reading", READING.format(1, 1.5))
        second.see("#now-kw", "1.50")
        mosquitto.stop()
        second.see("#broker-pill", "Broker disconnected")
        second.see("#problem", "instead. Broker not reachable at")
        assert second.text("#live-pill") == "Not live"
        mosquitto.start()
        second.see("#broker-pill", "Broker connected")
        first.page.close()
        second.see("#live-pill", "Live")
        second.gone("#problem")
    second.is_expected = lambda error: "503" in error


@pytest.mark.parametrize("status", [502, 401])
def test_error_of_a_proxy_is_no_answer_of_the_gateway(
    mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look, status: int
) -> None:
    gateway = start(mosquitto)
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        peer.publish("gap/home/reading", READING.format(0, 1.25))
        gateway.wait_taken(1)
    window = look("about:blank")
    window.page.route("**/events", lambda route: route.fulfill(status=status, content_type="text/html", body="Sorry"))
    window.open(f"{gateway.url}/")
    window.see("#problem", "No connection to the gateway since ")
    window.see("#problem", f"(a proxy answered {status} ")
    assert window.page.locator("body.stale").count() == 1
    assert not window.page.locator("#token-form").is_visible()
    window.page.unroute_all()
    window.see("#live-pill", "Live")
    window.gone("#problem")
    window.see("#now-kw", "1.25")
    window.is_expected = lambda error: str(status) in error  # a browser logs each


def test_device_that_was_deleted_and_returns_can_be_selected(
    mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look
) -> None:
    gateway = start(mosquitto)
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        for device in ("attic", "home"):
            peer.publish(f"gap/{device}/reading", READING.format(0, 1.25))
        window = look(f"{gateway.url}/#device=home")
        window.is_expected = lambda error: "404" in error and "/devices/home/" in error  # requested before the deletion
        window.see("#device", "home")
        window.see("#count", "2")
        assert httpx.delete(f"{gateway.url}/devices/home").status_code == 204
        window.see("#device", "attic")
        window.see("#announcement", "home was deleted. attic is shown now.")
        assert window.page.url.endswith("/#device=attic")
        peer.publish("gap/home/reading", READING.format(1, 1.5))
        window.see("#count", "2")
        assert window.text("#device") == "attic"
        window.page.locator(".device", has_text="home").click()
        window.see("#device", "home")
        window.see("#now-kw", "1.50")


def test_device_that_was_deleted_while_the_page_was_offline_is_not_shown(
    mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look, tmp_path: Path
) -> None:
    sections = models_with_outlook(tmp_path / "models") | {"demand": {"limit_kw": 2.5}}
    gateway = start(mosquitto, **sections)
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        for minute in range(3):
            for device in ("attic", "home"):
                peer.publish(f"gap/{device}/reading", READING.format(minute, 1.25))
        gateway.wait_taken(6)
        port = int(gateway.url.rpartition(":")[2])
        window = look(f"{gateway.url}/#device=home")
        window.see("#device", "home")
        window.see("#chart-note", "(3 minutes so far)")
        gateway.stop()
        window.see("#live-pill", "Not live")
        gateway = start(mosquitto, **sections, http={"port": port, "host": "127.0.0.2"})  # the page cannot reach it
        assert httpx.delete(f"http://127.0.0.2:{port}/devices/home").status_code == 204
        gateway.stop()
        start(mosquitto, **sections, http={"port": port})
        window.see("#live-pill", "Live")
        window.see("#device", "attic")
        window.see("#state", "Warm-up: 3 of 180 minutes")
        window.see("#count", "1")
    # A browser logs each request without a server, and the one for the deleted device.
    window.is_expected = lambda error: re.search(r"404|ERR_(CONNECTION|INCOMPLETE|EMPTY)", error) is not None


def test_chart_note_after_a_restart_of_the_gateway(
    mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look
) -> None:
    gateway = start(mosquitto)
    note = "The history follows with the next reading."  # it is in memory only
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        for minute in range(3):
            peer.publish("gap/home/reading", READING.format(minute, 1.25))
        gateway.wait_taken(3)
        port = int(gateway.url.rpartition(":")[2])
        window = look(f"{gateway.url}/")
        window.see("#chart-note", "(3 minutes so far)")
        assert note not in window.text("#chart-note")
        gateway.stop()
        window.see("#live-pill", "Not live")
        start(mosquitto, http={"port": port})
        window.see("#live-pill", "Live")
        window.see("#chart-note", note)
        assert "stores no history" not in window.text("#chart-note")
        peer.publish("gap/home/reading", READING.format(3, 1.5))
        window.see("#chart-note", "(4 minutes so far)")
        window.wait("(note) => !document.querySelector('#chart-note').innerText.includes(note)", note)
    window.is_expected = lambda error: re.search(r"ERR_(CONNECTION|INCOMPLETE|EMPTY)", error) is not None


def test_device_shown_for_a_deleted_one_is_loaded_again_after_an_error(
    mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look
) -> None:
    gateway = start(mosquitto)
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        for minute in range(3):
            for device in ("attic", "home"):
                peer.publish(f"gap/{device}/reading", READING.format(minute, 1.25))
        gateway.wait_taken(6)
        window = look(f"{gateway.url}/#device=home")
        window.see("#chart-note", "(3 minutes so far)")
        window.page.route("**/devices/attic*", lambda route: route.abort(), times=1)
        window.page.route("**/devices/attic/*", lambda route: route.abort(), times=1)
        assert httpx.delete(f"{gateway.url}/devices/home").status_code == 204
        window.see("#device", "attic")
        window.see("#chart-note", "(3 minutes so far)")
    window.is_expected = lambda error: "ERR_FAILED" in error


def test_times_get_a_date_the_day_after(mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look) -> None:
    gateway = start(mosquitto)
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        for minute in range(2):
            peer.publish("gap/home/reading", READING.format(minute, 1.25))
        gateway.wait_taken(2)
    window = look("about:blank", timezone_id="UTC")
    window.page.clock.install(time="2026-01-01T12:02:00Z")
    window.open(f"{gateway.url}/")
    window.see("#chart-note", "until 12:01: measured")
    assert window.text("#when") == "Last reading 12:01"
    gateway.stop()
    window.see("#problem", "since 12:0")
    window.page.clock.fast_forward("24:00:00")
    window.see("#when", "Last reading 12:01, 1 January 2026")
    window.see("#chart-note", "until 12:01, 1 January 2026: measured")
    window.see("#problem", ", 1 January 2026 (")
    window.is_expected = lambda error: re.search(r"ERR_(CONNECTION|INCOMPLETE|EMPTY)", error) is not None


def test_page_reconnects_when_the_computer_wakes_up(
    mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look
) -> None:
    window = look(f"{start(mosquitto).url}/")
    window.see("#live-pill", "Live")
    with window.page.expect_response("**/events", timeout=60_000):  # no silence in between: there are heartbeats
        window.page.evaluate("() => { let hours = 0; Date.now = () => 3_600_000 * ++hours }")  # an hour at each look
    window.see("#live-pill", "Live")


def test_stream_that_is_set_back_has_its_first_readings(
    mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look
) -> None:
    """The first two of a replay that begins again are late: the gateway accepts them with the third, without events."""
    gateway = start(mosquitto)
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        for minute in (10, 11):
            peer.publish("gap/home/reading", READING.format(minute, 0.5))
        gateway.wait_taken(2)
        window = look(f"{gateway.url}/")
        window.see("#now-kw", "0.50")
        window.see("#live-pill", "Live")
        for minute, kw in enumerate((1.0, 5.0, 2.0)):
            peer.publish("gap/home/reading", READING.format(minute, kw))
        window.see("#now-kw", "2.00")
        window.see("#chart-note", "measured 1.00 to 5.00")
