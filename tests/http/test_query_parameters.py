"""Query parameters that a route does not have, or that are sent more than once, are rejected."""

from __future__ import annotations

import pytest

from tests.http.conftest import Rest
from tests.http.test_predict import assert_problem

#: Probes: a monitor may add parameters.
IGNORING = {"/livez", "/healthz", "/readyz", "/metrics"}


@pytest.mark.parametrize(
    ("route", "problem"),
    [
        ("/headroom?device=home&kw=2&minutes=5&at=0", "no query parameter 'at'; possible are device, kw, minutes"),
        ("/headroom?device=home&kw=2&kw=3&minutes=5", "kw: is in the query more than once: send it once"),
        ("/predict?devcie=home", "there is no query parameter 'devcie'; did you mean device?"),
        ("/predict?device=home&device=home", "device: is in the query more than once"),
        ("/outlook?=", "there is no query parameter ''; possible are device, limit, after"),
        ("/demand?Device=home", "there is no query parameter 'Device'; did you mean device?"),
        ("/devices?page=2", "there is no query parameter 'page'; possible are limit, after"),
        ("/devices/home?minutes=5", "there is no query parameter 'minutes'; send none"),
        ("/devices/home/history?minute=5", "there is no query parameter 'minute'; did you mean minutes?"),
        ("/models?x=1", "there is no query parameter 'x'; send none"),
        ("/sources?x=1", "there is no query parameter 'x'; send none"),
        ("/events?devices=home", "there is no query parameter 'devices'; did you mean device?"),
    ],
)
def test_query_with_unusable_parameters_is_a_422(rest: Rest, route: str, problem: str) -> None:
    assert_problem(rest.client.get(route), 422, problem)


def test_query_of_a_change_is_checked_first(rest: Rest) -> None:
    assert_problem(rest.client.put("/demand/limit?devise=home", json=2.5), 422, "did you mean device?")
    assert_problem(rest.client.delete("/devices/home?dry_run=1"), 422, "there is no query parameter 'dry_run'")


def test_query_long_name_is_shown_shortened(rest: Rest) -> None:
    answer = rest.client.get("/predict?" + "x" * 20_000)
    assert_problem(answer, 422, "there is no query parameter 'xxx")
    assert len(answer.json()["detail"]) < 200


def test_query_unknown_parameter_is_a_422_on_every_route(rest: Rest) -> None:
    """A router that `create_app` includes without `CHECKED` would ignore it."""
    n_routes = 0
    for path, methods in rest.client.get("/openapi.json").json()["paths"].items():
        if path in IGNORING or path.startswith("/v2"):
            continue
        for method, operation in methods.items():
            n_routes += 1
            assert "422" in operation["responses"], (method, path)
            url = f"{path.replace('{device}', 'home')}?no_such=1"
            answer = rest.client.request(method, url, json={} if method in {"post", "put"} else None)
            assert (answer.status_code, "no query parameter 'no_such'" in answer.text) == (422, True), (method, path)
    assert n_routes > 10


@pytest.mark.parametrize("route", ["/", "/page/main.js", "/docs", "/openapi.json", "/livez", "/metrics", "/v2"])
def test_query_of_other_routes_is_ignored(rest: Rest, route: str) -> None:
    """Files and probes: a cache or a monitor may add parameters; `/v2` is another protocol's."""
    assert rest.client.get(f"{route}?v=2").status_code == 200
