"""The page in a real Chromium, with a real gateway and a real mosquitto."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from gapcast.core.time_grid import DAY_MIN, minute_label
from gapcast.recordings.recording import Minute, read_recording
from gapcast.sample import sample_path
from tests.support.brokers import MosquittoBroker
from tests.support.browser import DESKTOP, BrowserWindow, chromium
from tests.support.gateways import Gateway, gateway_settings, running
from tests.support.peers import Peer, peer_of
from tests.support.waiting import GUARD_S

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Look = Callable[..., BrowserWindow]
#: A day and a bit: enough outcomes for scores.
N_MINUTES = DAY_MIN + 60
#: Maximum size of a cold load, including everything that it transfers.
MOST_BYTES = 300_000


@dataclass(frozen=True, slots=True)
class House:
    """A gateway that has processed a day of a real house as ``home``, and ten minutes of it as ``attic``."""

    gateway: Gateway
    peer: Peer
    later: Iterator[Minute]

    @property
    def url(self) -> str:
        return f"{self.gateway.url}/"

    def ask(self, route: str) -> Any:
        return httpx.get(self.url + route, timeout=GUARD_S).json()

    def read_next(self, device: str = "home") -> Minute:
        """Publish the next minute of the house, and wait until it is forecast."""
        minute, n = next(self.later), self.gateway.n_taken
        self.peer.publish(f"gap/{device}/reading", payload(minute))
        self.gateway.wait_taken(n + 1)
        return minute


def payload(minute: Minute) -> str:
    return json.dumps({"ts": minute_label(minute.minute), "gap_kw": minute.gap_kw})


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def _finish_requests(page: Page) -> None:
    """Wait for answers to requests in flight: their errors would otherwise be raised in the next test."""
    if not page.is_closed():
        page.unroute_all(behavior="wait")


@pytest.fixture
def look(browser: Browser) -> Iterator[Look]:
    """Open a page in its own window; after the test no page may have reported an error."""
    windows = []
    with ExitStack() as stack:

        def opened(url: str, **options: Any) -> BrowserWindow:
            context = browser.new_context(**{"viewport": DESKTOP} | options)
            stack.callback(context.close)
            window = BrowserWindow(context.new_page())
            stack.callback(_finish_requests, window.page)
            windows.append(window)
            window.open(url)
            return window

        yield opened
    assert [error for window in windows for error in window.errors if not window.is_expected(error)] == []


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MosquittoBroker]:
    made = MosquittoBroker(tmp_path_factory.mktemp("mosquitto"))
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def house(broker: MosquittoBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as stack:
        own = {"id": "gw-house"}  # a gateway with the same id, of a single test, would take over its session
        state = tmp_path_factory.mktemp("state")
        settings = gateway_settings(broker.port, state, gateway=own, mqtt={"protocol": "5"})
        gateway = stack.enter_context(running(settings))
        peer = stack.enter_context(peer_of(broker.host, broker.port))
        minutes = read_recording(sample_path()).minutes()
        day = list(islice(minutes, N_MINUTES))
        for minute in day:
            peer.send("gap/home/reading", payload(minute))
        for minute in day[:10]:
            peer.send("gap/attic/reading", payload(minute))
        gateway.wait_taken(N_MINUTES + 10)
        yield House(gateway, peer, minutes)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Start a gateway for a single test."""
    with ExitStack() as stack:

        def started(broker: MosquittoBroker, **sections: Any) -> Gateway:
            sections = {"mqtt": {"protocol": "5"}} | sections
            return stack.enter_context(running(gateway_settings(broker.port, tmp_path / "state", **sections)))

        yield started
