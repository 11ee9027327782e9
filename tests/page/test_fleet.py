"""Five hundred devices: all can be found, and only visible ones are in the document."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.page.conftest import MOST_BYTES, Look
from tests.support.brokers import MosquittoBroker
from tests.support.gateways import Gateway, gateway_settings, running
from tests.support.peers import Peer, peer_of

N_DEVICES, N_TRACKED = 500, 400
#: Number of visible rows of the list, and of rows prepared above and below.
MOST_ROWS = 30


@pytest.fixture(scope="module")
def fleet(broker: MosquittoBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Peer]]:
    with ExitStack() as stack:
        state, learning = tmp_path_factory.mktemp("state"), {"max_devices": N_TRACKED}
        settings = gateway_settings(broker.port, state, mqtt={"protocol": "5"}, learning=learning)
        gateway = stack.enter_context(running(settings))
        peer = stack.enter_context(peer_of(broker.host, broker.port))
        for minute in range(2):
            publish(peer, minute)
        gateway.wait_taken(2 * N_DEVICES)
        yield gateway, peer


def publish(peer: Peer, minute: int) -> None:
    for i in range(N_DEVICES):
        peer.send(f"gap/meter-{i}/reading", f'{{"ts": "2026-01-01T12:{minute:02}:00Z", "gap_kw": {minute + i / 1000}}}')


def test_device_list_scrolls_and_stays_small(fleet: tuple[Gateway, Peer], look: Look) -> None:
    gateway, peer = fleet
    window = look("about:blank")
    received = window.count_bytes()
    window.page.goto(f"{gateway.url}/")
    window.see("#count", str(N_DEVICES))
    assert 40_000 < sum(received.values()) < MOST_BYTES
    most = window.page.evaluate(
        """async () => {
          const box = document.querySelector('#list');
          let most = 0;
          for (let top = 0; top <= box.scrollHeight; top += 700) {
            box.scrollTop = top;
            await new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next)));
            most = Math.max(most, document.querySelectorAll('.device').length);
          }
          return most;
        }"""
    )
    assert 8 <= most <= MOST_ROWS
    window.see("#list", f"meter-{N_DEVICES - 1}")
    last = window.page.locator(".device", has_text=f"meter-{N_DEVICES - 1}")
    assert last.get_attribute("aria-setsize") == last.get_attribute("aria-posinset") == str(N_DEVICES)
    publish(peer, 2)  # what is in sight is live
    window.see("#list", "2.50 kW")
    assert window.page.locator(".device").count() <= MOST_ROWS


def test_keyboard_begins_in_the_list_at_the_shown_device(fleet: tuple[Gateway, Peer], look: Look) -> None:
    window = look(f"{fleet[0].url}/#device=meter-321")
    window.see("#count", str(N_DEVICES))
    window.page.locator("#filter").focus()
    window.page.keyboard.press("Tab")
    active = "() => document.getElementById(document.querySelector('#list').getAttribute('aria-activedescendant'))"
    window.wait(f"() => ({active})()?.innerText.startsWith('meter-321')")
    row, box = window.page.locator(".device.active").bounding_box(), window.page.locator("#list").bounding_box()
    assert row is not None
    assert box is not None
    assert box["y"] <= row["y"] <= box["y"] + box["height"] - row["height"]
    window.page.keyboard.press("ArrowUp")
    window.wait(f"() => ({active})().innerText.startsWith('meter-320')")
    window.page.evaluate("location.hash = '#device=meter-123'")
    window.see("#device", "meter-123")
    window.page.locator("#list").press("ArrowDown")
    window.wait(f"() => ({active})()?.innerText.startsWith('meter-124')")


def test_enter_selects_no_device_that_the_filter_hides(fleet: tuple[Gateway, Peer], look: Look) -> None:
    window = look(f"{fleet[0].url}/#device=meter-321")
    window.see("#count", str(N_DEVICES))
    devices = window.page.locator("#list")
    devices.press("ArrowDown")
    window.page.get_by_label("Filter by name").fill("meter-42")
    window.see("#count", f"11 of {N_DEVICES}")
    devices.press("Enter")
    assert window.page.evaluate("location.hash") == "#device=meter-321"
    devices.press("ArrowDown")
    devices.press("Enter")
    window.see("#device", "meter-42")


def test_device_filter_finds_one(fleet: tuple[Gateway, Peer], look: Look) -> None:
    window = look(f"{fleet[0].url}/")
    window.see("#count", str(N_DEVICES))
    window.page.get_by_label("Filter by name").fill("METER-42")
    window.see("#count", f"11 of {N_DEVICES}")
    window.page.locator(".device", has_text="meter-421").click()
    window.see("#device", "meter-421")
    window.see("#chart-note", "stores no history for this device")  # it is of the first fifty alone
    publish(fleet[1], 3)
    window.see("#now-kw", "3.42")
    window.see("#chart-note", "measured 3.42 to 3.42 kW")
    said = "Not scored: this device exceeds the maximum of tracked devices (learning.max_devices)."
    assert window.text("#skill") == window.text("#scores-note") == said
    assert "First assessment" not in window.text("#warm")
    assert window.page.url.endswith("#device=meter-421")
    window.page.get_by_label("Filter by name").fill("nothing-like-it")
    window.see("#count", f"0 of {N_DEVICES}")
    window.page.go_back()
    window.wait("() => document.querySelector('#device').innerText !== 'meter-421'")


def test_device_list_over_its_limit(fleet: tuple[Gateway, Peer], look: Look) -> None:
    window = look(f"{fleet[0].url}/")
    n_most, n_listed, n_known = window.page.evaluate(
        """async () => {
          const { Store, MAX_DEVICES } = await import('./page/store.js');
          const store = new Store(() => {});
          for (let round = 0; round < 2; round++) {
            for (let i = 0; i < MAX_DEVICES + 10; i++) {
              store.applyEvent('reading', { device: `d${i}`, ts: '2026-01-01T12:00:00Z', gap_kw: 1 });
            }
          }
          return [MAX_DEVICES, store.devices.size, store.nDevices];
        }"""
    )
    assert n_most == n_listed == n_known == 5_000
