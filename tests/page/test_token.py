"""A gateway with a token: the page asks for it, and stores it as long as requested."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.page.conftest import Look
from tests.support.brokers import MosquittoBroker
from tests.support.browser import BrowserWindow
from tests.support.gateways import Gateway
from tests.support.peers import peer_of

TOKEN = "a-secret-of-some-length"


def give(window: BrowserWindow, token: str, *, keep: bool = False) -> None:
    window.page.get_by_label("Token").fill(token)
    if keep:
        window.page.get_by_label("Remember it in this browser").check()
    window.page.get_by_role("button", name="Continue").click()


def test_token_login_and_logout(broker: MosquittoBroker, start: Callable[..., Gateway], look: Look) -> None:
    gateway = start(broker, http={"token": TOKEN})
    with peer_of(broker.host, broker.port) as peer:
        for minute in range(2):
            peer.publish("gap/home/reading", f'{{"ts": "2026-01-01T12:0{minute}:00Z", "gap_kw": 1.75}}')
    window = look(f"{gateway.url}/")
    form = window.page.locator("#token-form")
    form.wait_for()
    assert window.page.evaluate("document.activeElement.id") == "token"
    window.see("#live-pill", "Token required")
    assert not window.page.locator("#dashboard").is_visible()
    give(window, "not-the-right-one")
    window.see("#token-error", "The gateway rejected this token.")
    give(window, TOKEN)
    window.see("#now-kw", "1.75")
    assert not form.is_visible()
    window.reload()
    window.see("#now-kw", "1.75")  # kept while the tab is there

    again = window.page.context.new_page()  # another tab has its own session
    other = BrowserWindow(again)
    other.open(f"{gateway.url}/")
    again.locator("#token-form").wait_for()
    give(other, TOKEN, keep=True)
    other.see("#now-kw", "1.75")
    third = BrowserWindow(window.page.context.new_page())
    third.open(f"{gateway.url}/")
    third.see("#now-kw", "1.75")  # kept in the browser
    third.page.get_by_role("button", name="Forget token").click()
    third.page.locator("#token-form").wait_for()
    assert third.page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]
    assert TOKEN not in "".join([*window.urls, *other.urls, *third.urls])
    # A browser logs each 401; nothing else was logged.
    window.is_expected = lambda error: "401" in error


def test_token_beyond_latin_1_is_accepted(broker: MosquittoBroker, start: Callable[..., Gateway], look: Look) -> None:
    token = "clé de l’été"
    gateway = start(broker, http={"token": token})
    with peer_of(broker.host, broker.port) as peer:
        for minute in range(2):
            peer.publish("gap/home/reading", f'{{"ts": "2026-01-01T12:0{minute}:00Z", "gap_kw": 1.75}}')
    window = look(f"{gateway.url}/")
    window.page.locator("#token-form").wait_for()
    give(window, token)
    window.see("#now-kw", "1.75")
    window.is_expected = lambda error: "401" in error  # a browser logs each


def test_token_set_in_a_restart_is_asked_for(
    mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look
) -> None:
    gateway = start(mosquitto)
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        peer.publish("gap/home/reading", '{"ts": "2026-01-01T12:00:00Z", "gap_kw": 1.75}')
        window = look(f"{gateway.url}/")
        window.see("#now-kw", "1.75")
        gateway.stop()
        window.see("#problem", "No connection to the gateway since")
        start(mosquitto, http={"token": TOKEN, "port": int(gateway.url.rpartition(":")[2])})
        window.page.locator("#token-form").wait_for()
        window.see("#live-pill", "Token required")
        window.gone("#problem")
        window.page.evaluate("location.hash = 'device=attic'")  # as by the button to go back
        window.page.wait_for_function(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
        )
        assert not window.page.locator("#dashboard").is_visible()
        window.page.evaluate("location.hash = 'device=home'")
        give(window, TOKEN)
        window.see("#now-kw", "1.75")
        window.see("#live-pill", "Live")
    # A browser logs each request without a server, and each 401.
    window.is_expected = lambda error: re.search(r"401|ERR_(CONNECTION|INCOMPLETE|EMPTY)", error) is not None
