"""A browser changes something through a proxy that is configured as in the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from gapcast.app.models.loaded_models import Models
from gapcast.core.readings.reading import Reading
from gapcast.http.options import HttpOptions
from tests.http.conftest import MAX_BODY_BYTES, MAX_TENSOR_BYTES, Rest, serving
from tests.support.optional_tools import ROOT

NAME, CLIENT = "gapcast.example", "192.168.1.77"
SET_HEADER = re.compile(r"^ *proxy_set_header (\S+) (\S+);", re.MULTILINE)
EXAMPLE = re.compile(r"```nginx\n(.*?)```", re.DOTALL)
PAGES = ("docs/http.md", "docs/web-page.md")


@pytest.fixture(scope="module")
def rest(models: Models) -> Iterator[Rest]:
    options = HttpOptions(
        MAX_BODY_BYTES, MAX_TENSOR_BYTES, allowed_hosts=(NAME,), allow_changes_from=(ip_network("192.168.1.0/24"),)
    )
    with serving(models, options) as rest:
        yield rest


def passed_on(page: str, host: str) -> dict[str, str]:
    """Return the headers that nginx sends to the gateway for a request to ``host``, by the only example of ``page``."""
    (example,) = EXAMPLE.findall((ROOT / page).read_text(encoding="utf-8"))
    variables = {
        "$host": NAME,
        "$http_host": host,
        "$proxy_add_x_forwarded_for": CLIENT,
        "$scheme": "http",
    }
    return {"Host": "127.0.0.1:8080", **{name: variables[value] for name, value in SET_HEADER.findall(example)}}


@pytest.mark.parametrize("port", ["", ":8090"])
@pytest.mark.parametrize("page", PAGES)
def test_browser_changes_something_through_a_documented_proxy(rest: Rest, page: str, port: str) -> None:
    """Over plain HTTP a browser sends no Sec-Fetch-Site: only Origin shows that the page is the gateway's own."""
    rest.push(*(Reading("home", 21_476_160 + minute, 1.0) for minute in range(2)))
    headers = passed_on(page, NAME + port) | {"Origin": f"http://{NAME}{port}"}
    assert rest.client.delete("/devices/home", headers=headers).status_code == 204


@pytest.mark.parametrize("page", PAGES)
def test_page_of_another_origin_changes_nothing_through_a_documented_proxy(rest: Rest, page: str) -> None:
    rest.push(*(Reading("home", 21_476_160 + minute, 1.0) for minute in range(2)))
    answer = rest.client.delete("/devices/home", headers=passed_on(page, NAME) | {"Origin": "http://other.example"})
    assert answer.status_code == 403
    assert "another origin" in answer.json()["detail"]
