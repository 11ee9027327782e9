"""A page of another site, open in the browser of someone at home, can neither read nor change anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network

import httpx
import pytest

from gapcast.app.models.loaded_models import Models
from gapcast.core.errors import PayloadError
from gapcast.core.readings.reading import Reading, is_device_id
from gapcast.http.guards.host_check import HostNames
from gapcast.http.guards.token_guard import OPEN_PATHS
from gapcast.http.options import HttpOptions
from gapcast.http.server.server import Implementation
from gapcast.mqtt.topics import DeviceTopic
from tests.http.conftest import MAX_BODY_BYTES, MAX_TENSOR_BYTES, Rest, serving
from tests.support.models import default_name
from tests.support.ports import LOOPBACK

OPTIONS = HttpOptions(MAX_BODY_BYTES, MAX_TENSOR_BYTES, allowed_hosts=("*.example.org",), own_names=("pi",))
TRUSTED = "https://dash.example"
#: A loopback address of this machine, and another one: the network of tests has none, so requests are forwarded.
ELSEWHERE = {"x-forwarded-for": "192.168.1.77"}
INFER = f"/v2/models/{default_name()}/infer"
READINGS = b'{"readings": [1.0, 1.1]}'


@pytest.fixture(scope="module")
def served(models: Models, implementation: Implementation) -> Iterator[Rest]:
    options = replace(OPTIONS, cors_origins=(TRUSTED,), allow_changes_from=(ip_network("10.9.0.0/16"),))
    with serving(models, options, implementation=implementation) as rest:
        yield rest


def forget(rest: Rest, **headers: str) -> httpx.Response:
    """Ask to forget a device that has a forecast."""
    rest.push(*(Reading("home", 21_476_160 + minute, 1.0) for minute in range(2)))
    return rest.client.delete(
        "/devices/home", headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


# --- names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["attacker.example", "attacker.example:8080", "pi.attacker.example", "example.org", "", "x y"]
)
def test_another_host_is_421(served: Rest, host: str) -> None:
    for path in ("/predict", "/", "/metrics", "/v2", "/docs"):
        answer = served.client.get(path, headers={"host": host})
        assert answer.status_code == 421, path
        assert "http.allowed_hosts" in answer.json()["detail"]


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:1", "127.0.0.1:80", "[::1]:8080", "192.168.1.5", "pi", "PI.local", "a.example.org."],
)
def test_own_and_configured_hosts_are_answered(served: Rest, host: str) -> None:
    assert served.client.get("/predict", headers={"host": host}).status_code == 200


def test_health_is_answered_under_any_name(served: Rest) -> None:
    alive = OPEN_PATHS - {"/readyz", "/healthz"}
    assert {"/livez", "/v2/health/live"} <= alive
    for path in alive:
        assert served.client.get(path, headers={"host": "probe.attacker.example"}).status_code == 200


def test_own_name_is_known_in_any_case_and_as_a_local_name() -> None:
    names = HostNames(["*.Example.org"], own_names=["RaspberryPi.example.net.", ""])
    for host in ("raspberrypi.example.net", "RASPBERRYPI", "raspberrypi.local", "raspberrypi.lan", "a.example.org"):
        assert names.is_allowed(host), host
    for host in ("example.net", "other.example.net", "raspberrypi.example.com", "example.org"):
        assert not names.is_allowed(host), host


def test_star_allows_any_host() -> None:
    assert HostNames(["*"]).is_allowed("attacker.example")
    assert not HostNames([]).is_allowed("attacker.example")


# --- changes ------------------------------------------------------------------------------------------

FOREIGN = [
    {"origin": "https://attacker.example"},
    {"origin": "http://["},
    {"origin": "http://a]b"},
    {"origin": "null"},
    {"origin": "http://localhost:1", "sec_fetch_site": "same-site"},
    {"sec_fetch_site": "cross-site"},
    {"origin": "https://attacker.example", "sec_fetch_site": "cross-site"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_page_of_another_origin_changes_nothing(served: Rest, headers: dict[str, str]) -> None:
    answer = forget(served, **headers)
    assert answer.status_code == 403
    assert "http.cors_origins" in answer.json()["detail"]
    assert served.client.get("/devices/home").status_code == 200


def test_page_of_this_gateway_and_trusted_origins_may_change(served: Rest) -> None:
    assert forget(served, origin=f"http://{LOOPBACK}:{served.port}").status_code == 204
    assert forget(served, origin="http://x.example.org", host="x.example.org").status_code == 204
    assert forget(served, origin="http://x.example.org", sec_fetch_site="same-origin").status_code == 204
    assert forget(served, origin=TRUSTED, sec_fetch_site="cross-site").status_code == 204
    assert forget(served).status_code == 204


def test_unsafe_methods_are_changes(served: Rest) -> None:
    for method in ("DELETE", "PUT", "PATCH", "POST", "PROPFIND"):
        answer = served.client.request(method, "/devices/home", headers={"origin": "https://attacker.example"})
        assert answer.status_code == 403, method


def test_changes_without_a_token_are_for_this_machine(served: Rest) -> None:
    refused = forget(served, **ELSEWHERE)
    assert refused.status_code == 403
    assert "http.token" in refused.json()["detail"]
    assert forget(served, x_real_ip="127.0.0.1").status_code == 403
    assert forget(served, x_forwarded_for="10.9.8.7").status_code == 204
    elsewhere_on_loopback = httpx.HTTPTransport(local_address="127.0.0.2")
    forget(served, **ELSEWHERE)
    with httpx.Client(transport=elsewhere_on_loopback) as client:
        assert client.delete(f"http://{LOOPBACK}:{served.port}/devices/home").status_code == 204


def test_changes_with_a_token_may_come_from_anywhere(models: Models) -> None:
    token = "-".join(["a", "token", "of", "this", "test"])
    with serving(models, replace(OPTIONS, token=token)) as rest:
        assert forget(rest, **ELSEWHERE).status_code == 401
        assert forget(rest, authorization=f"Bearer {token}", **ELSEWHERE).status_code == 204
        foreign = {"authorization": f"Bearer {token}", "origin": "https://attacker.example"}
        assert forget(rest, **foreign).status_code == 403


def test_page_behind_a_proxy_that_changes_host_may_change(models: Models) -> None:
    token = "a-secret-of-some-length"
    with serving(models, replace(OPTIONS, token=token)) as rest:
        sent = {"authorization": f"Bearer {token}", "x_forwarded_host": "Home.example"}
        assert forget(rest, origin="https://home.example", **sent).status_code == 204
        assert forget(rest, origin="https://attacker.example", **sent).status_code == 403


# --- bodies -------------------------------------------------------------------------------------------

FORM_TYPES = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/x+json",
]


@pytest.mark.parametrize("content_type", FORM_TYPES)
@pytest.mark.parametrize("path", ["/predict", INFER])
def test_body_that_a_form_can_send_is_415(served: Rest, path: str, content_type: str) -> None:
    answer = served.client.post(path, content=READINGS, headers={"content-type": content_type})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["detail"]


def test_body_without_a_type_from_a_page_is_415(served: Rest) -> None:
    assert served.client.post("/predict", content=READINGS).status_code == 415
    for name, value in (("origin", "https://attacker.example"), ("sec-fetch-site", "same-origin")):
        assert served.client.post(INFER, content=b"{}", headers={name: value}).status_code == 415
    assert served.client.post(INFER, content=b"{}").status_code == 400  # as stock clients of the protocol send it


def test_content_types_of_the_routes_are_accepted(served: Rest) -> None:
    json_type = {"content-type": "application/json; charset=utf-8"}
    assert served.client.post("/predict", content=READINGS, headers=json_type).status_code == 200
    for content_type in ("application/json", "application/octet-stream"):
        assert served.client.post(INFER, content=b"{}", headers={"content-type": content_type}).status_code == 400


# --- responses ----------------------------------------------------------------------------------------


def test_answers_have_nosniff_and_cache_control(served: Rest) -> None:
    paths = served.client.get("/openapi.json").json()["paths"]
    asked = [(method, re.sub(r"{\w+}", "x", path)) for path, methods in paths.items() for method in methods]
    asked += [
        ("get", path) for path in ("/", "/page/main.js", "/docs", "/docs/files/start.js", "/nothing", "/openapi.json")
    ]
    for method, path in asked:
        with served.client.stream(method, path) as answer:
            assert answer.headers.get_list("x-content-type-options") == ["nosniff"], (method, path)
            assert answer.headers["cache-control"] in {"no-store", "no-cache"}, (method, path)
            assert "server" not in answer.headers


def test_docs_have_the_headers_of_the_page(served: Rest) -> None:
    headers = served.client.get("/docs").headers
    for rule in ("default-src 'self'", "frame-ancestors 'self'", "object-src 'none'", "base-uri 'none'"):
        assert rule in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"


# --- names of devices ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [".", ".."])
def test_path_dots_are_no_device(name: str) -> None:
    assert not is_device_id(name)
    topic = DeviceTopic.parse("topics.reading", "gap/{device}/reading")
    with pytest.raises(PayloadError):
        topic.device_in(f"gap/{name}/reading")
    assert is_device_id("...")
    assert is_device_id("a..b")
