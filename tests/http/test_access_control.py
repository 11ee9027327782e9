"""The token, other origins, and the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_network

import httpx
import pytest

from gapcast.app.models.loaded_models import Models
from gapcast.http.guards.change_guard import LocalChanges
from gapcast.http.guards.ip_allowlist import IpAllowlist
from gapcast.http.guards.token_guard import OPEN_PATHS
from gapcast.http.options import HttpOptions
from tests.http.conftest import Rest, serving
from tests.support.ports import LOOPBACK

TOKEN, ORIGIN = "a-secret-of-some-length", "https://dash.example"


@pytest.fixture(scope="module")
def guarded(models: Models) -> Iterator[Rest]:
    with serving(models, HttpOptions(token=TOKEN, cors_origins=(ORIGIN,))) as rest:
        yield rest


@pytest.mark.parametrize("path", sorted(OPEN_PATHS))
def test_token_health_is_open(guarded: Rest, path: str) -> None:
    assert guarded.client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/predict", "/metrics", "/docs", "/events", "/v2", "/openapi.json", "/livez/", "/x"])
@pytest.mark.parametrize(
    "authorization", [None, "Bearer x", "Bearer", "Basic !", "Basic eA==", f"Digest {TOKEN}", TOKEN]
)
def test_token_other_routes_require_it(guarded: Rest, path: str, authorization: str | None) -> None:
    answer = guarded.client.get(path, headers={"authorization": authorization} if authorization else {})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert TOKEN not in answer.text


@pytest.mark.parametrize("path", ["/v2", "/v2/models/lstm"])
def test_token_missing_is_explained_to_inference_clients(guarded: Rest, path: str) -> None:
    """Triton's client shows ``error``, and fails with a KeyError without it."""
    problem = guarded.client.get(path).json()
    assert problem["error"] == problem["detail"]


def test_token_valid_is_accepted(guarded: Rest) -> None:
    assert guarded.client.get("/predict", headers={"authorization": f"bearer {TOKEN}"}).status_code == 200
    assert guarded.client.get("/predict", auth=("anyone", TOKEN)).status_code == 200


@pytest.mark.parametrize(
    ("token", "sent"),
    [
        ("clé de l’été", "clé de l’été".encode()),
        ("schlüssel", "schlüssel".encode()),
        ("schlüssel", "schlüssel".encode("latin-1")),
    ],
)
def test_token_beyond_ascii_is_accepted_in_utf_8_and_latin_1(models: Models, token: str, sent: bytes) -> None:
    with serving(models, HttpOptions(token=token)) as rest:
        assert rest.client.get("/predict", headers={b"authorization": b"Bearer " + sent}).status_code == 200
        assert rest.client.get("/predict", auth=("anyone", token)).status_code == 200
        assert rest.client.get("/predict", headers={"authorization": "Bearer ????????"}).status_code == 401


def test_token_page_is_open_but_not_its_data(guarded: Rest) -> None:
    assert guarded.client.get("/").status_code == 200
    assert guarded.client.get("/page/main.js").status_code == 200
    for path in ("/predict", "/devices", "/events", "/page", "/page%2f..%2fpredict", "/page/../predict"):
        assert guarded.client.get(path).status_code in {401, 404}
        assert guarded.client.get(path, headers={"authorization": f"Bearer {TOKEN}x"}).status_code in {401, 404}


def test_token_page_requests_get_no_browser_prompt(guarded: Rest) -> None:
    answer = guarded.client.get("/predict", headers={"x-requested-with": "gapcast-page"})
    assert answer.headers["www-authenticate"] == 'Bearer realm="gapcast"'
    assert "Basic" in guarded.client.get("/predict").headers["www-authenticate"]


def test_token_inference_client_gets_the_reason(guarded: Rest) -> None:
    assert "http.token" in guarded.client.get("/v2/models/lstm").json()["error"]


@pytest.mark.parametrize(("asker", "status"), [("127.0.0.1", 200), ("127.0.0.3", 200), ("127.0.0.2", 403)])
def test_allowlist_rejects_other_addresses(models: Models, asker: str, status: int) -> None:
    with serving(models, HttpOptions(allow_from=(ip_network("127.0.0.3"), ip_network("::2")))) as rest:
        from_there = httpx.HTTPTransport(local_address=asker)
        with httpx.Client(transport=from_there) as client:
            answers = [client.get(f"http://{LOOPBACK}:{rest.port}{path}") for path in ("/predict", "/livez", "/x")]
    assert [answer.status_code for answer in answers] == ([200, 200, 404] if status == 200 else [403] * 3)


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 200), ({"x-forwarded-for": "10.0.0.9"}, 403)],
    ids=["direct", "proxied"],
)
def test_allowlist_accepts_the_address_that_the_gateway_listens_on(
    models: Models, headers: dict[str, str], status: int
) -> None:
    """With ``http.host`` set to a network address, status and the health check ask from that address."""
    options, own = HttpOptions(allow_from=(ip_network("10.0.0.0/24"),)), "127.0.0.9"
    transport = httpx.HTTPTransport(local_address=own)
    with serving(models, options, host=own) as rest, httpx.Client(transport=transport, headers=headers) as client:
        assert client.get(f"http://{own}:{rest.port}/livez").status_code == status


@pytest.mark.parametrize(
    ("client", "server", "headers", "may_change"),
    [
        ("192.168.1.7", "192.168.1.7", {}, True),
        ("::ffff:192.168.1.7", "192.168.1.7", {}, True),
        ("192.168.1.7", "192.168.1.7", {"via": "a proxy"}, False),
        ("192.168.1.8", "192.168.1.7", {}, False),
    ],
)
def test_changes_are_accepted_from_the_address_that_received_them(
    client: str, server: str, headers: dict[str, str], may_change: bool
) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "client": (client, 50_000), "server": (server, 8_080), "headers": raw}
    assert LocalChanges(no_app, ())._may_change(scope) is may_change


async def no_app(*_: object) -> None:
    pytest.fail("not asked here")


@pytest.mark.parametrize(
    ("host", "allowed"),
    [("::1", True), ("::ffff:10.0.0.7", True), ("10.1.0.7", False), ("", False), ("testclient", False)],
)
def test_allowlist_accepts_a_network(host: str, allowed: bool) -> None:
    scope = {"type": "http", "client": (host, 50_000), "headers": []}
    assert IpAllowlist(no_app, [ip_network("10.0.0.0/24")])._is_allowed(scope) is allowed


def test_cors_origins(guarded: Rest, rest: Rest) -> None:
    asked = {
        "origin": ORIGIN,
        "access-control-request-method": "DELETE",
        "access-control-request-headers": "authorization",
    }
    allowed = guarded.client.options("/predict", headers=asked)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    refused = guarded.client.options("/predict", headers=asked | {"origin": "https://other.example"})
    assert "access-control-allow-origin" not in refused.headers
    answer = guarded.client.get("/predict", headers={"origin": ORIGIN, "authorization": f"Bearer {TOKEN}"})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-origin" not in rest.client.get("/predict", headers={"origin": ORIGIN}).headers


def test_docs_load_nothing_from_elsewhere(rest: Rest) -> None:
    page = rest.client.get("/docs")
    assert page.status_code == 200
    assert "//" not in page.text
    files = re.findall(r'(?:src|href)="(docs/[^"]+)"', page.text)
    assert len(files) == 3
    for file in files:
        assert rest.client.get(f"/{file}").status_code == 200
    assert rest.client.get("/docs/files/nothing.js").status_code == 404
    assert rest.client.post("/docs/files/start.js").status_code == 405
