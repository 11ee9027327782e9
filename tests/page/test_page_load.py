"""Loading the page: small, only from the gateway, and behind a proxy's prefix."""

from __future__ import annotations

import http.client
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.page.conftest import MOST_BYTES, House, Look
from tests.support.browser import BrowserWindow
from tests.support.http_servers import QuietHandler, serving
from tests.support.ports import LOOPBACK

PREFIX = "/api/hassio_ingress/some-token/"
#: Hop-by-hop headers, which a proxy must not forward.
_HOP = {"connection", "transfer-encoding", "keep-alive"}


def test_page_first_load_is_small_and_local(house: House, look: Look) -> None:
    window = look("about:blank")
    received = window.count_bytes()
    window.urls.clear()
    window.page.goto(f"{house.url}#device=home")
    window.page.locator("#chart canvas").wait_for()
    window.see("#skill", "outcomes" if not house.ask("devices/home")["scores"]["last_day"]["sufficient"] else "change")
    window.page.wait_for_load_state("load")
    assert 40_000 < sum(received.values()) < MOST_BYTES
    assert {f"{urlsplit(url).scheme}://{urlsplit(url).netloc}/" for url in window.urls} == {house.url}
    twice = [url for url, n in Counter(window.urls).items() if n > 1 and not url.endswith("icon.svg")]  # tab and head
    assert twice == []


@pytest.mark.parametrize("name", ["store", "theme"])  # theme.js arrives before the body does
def test_page_without_one_of_its_scripts_offers_to_reload(house: House, look: Look, name: str) -> None:
    """The network may change while the page loads: without the offer, it would stay at *Connecting*."""
    window = look(f"{house.url}#device=home")
    window.is_expected = lambda error: "ERR_FAILED" in error
    window.page.route(f"**/page/{name}.js", lambda route: route.abort())
    window.page.reload()
    window.see("#incomplete", "A part of this page did not load.")
    window.page.unroute_all()
    window.page.get_by_role("button", name="Reload").click()
    window.see("#live-pill", "Live")
    assert window.page.locator("#incomplete").is_hidden()
    window.see("#device", "home")


def test_page_behind_a_prefix(house: House, look: Look) -> None:
    with proxy(urlsplit(house.url).port or 0) as url:
        window = look(f"{url}{PREFIX}#device=home")
        window.see("#live-pill", "Live")
        house.read_next()
        forecast = house.ask("predict?device=home")
        window.wait("(kw) => Number(document.querySelector('#ahead-kw').value) === kw", forecast["gap_kw"])
        window.page.get_by_role("link", name="API reference").click()
        window.page.wait_for_url(f"**{PREFIX}docs")
        execute_livez(window)
        assert all(urlsplit(url).path.startswith(PREFIX) for url in window.urls)


@contextmanager
def proxy(to_port: int) -> Iterator[str]:
    """Forward requests under :data:`PREFIX` to a gateway, like Home Assistant's ingress; answer others with 404."""

    class Handler(QuietHandler):
        def answer_get(self) -> None:
            if not self.path.startswith(PREFIX):
                self.send_error(404)
                return
            onward = http.client.HTTPConnection(LOOPBACK, to_port)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP | {"host"}}
            onward.request("GET", self.path[len(PREFIX) - 1 :], headers=headers)
            answer = onward.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            self.send_header("connection", "close")
            self.end_headers()
            try:
                while chunk := answer.read1(65_536):
                    self.wfile.write(chunk)
            except ConnectionError:  # the browser has left
                return
            finally:
                onward.close()

    with serving(Handler) as url:
        yield url


def test_reference_works_under_its_content_security_policy(house: House, look: Look) -> None:
    execute_livez(look(f"{house.url}docs"))


def execute_livez(window: BrowserWindow) -> None:
    """Execute a request of the API reference, and wait for its answer."""
    window.page.locator(".swagger-ui .opblock").first.wait_for()
    window.page.locator("#operations-health-livez_livez_get").click()
    window.page.get_by_role("button", name="Try it out").click()
    window.page.get_by_role("button", name="Execute").click()
    window.page.locator(".live-responses-table .response-col_status", has_text="200").wait_for()
