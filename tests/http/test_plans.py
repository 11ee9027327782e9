"""``/devices/{device}/plan``: announced loads over REST."""

from __future__ import annotations

from typing import Any

import pytest

from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import minute_label
from tests.http.conftest import Rest
from tests.http.test_predict import assert_problem

FIRST = 21_476_160
CAR = {"kw": 7.4, "from": minute_label(FIRST + 5), "minutes": 60, "name": "car"}
CAR_SHOWN = {"kw": 7.4, "from": minute_label(FIRST + 5), "until": minute_label(FIRST + 65), "name": "car"}
PATH = "/devices/planned/plan"


def test_plan_is_replaced_shown_forecast_and_cleared(rest: Rest) -> None:
    answer = rest.client.put(PATH, json=[CAR])
    assert (answer.status_code, answer.json()) == (200, {"device": "planned", "plan": [CAR_SHOWN]})
    assert rest.client.get(PATH).json() == answer.json(), "before the first reading"
    rest.push(*(Reading("planned", FIRST + minute, 0.5) for minute in range(3)))
    assert rest.client.get("/devices/planned").json()["plan"] == [CAR_SHOWN]
    forecast = rest.client.get("/predict", params={"device": "planned"}).json()
    assert forecast["planned_kw"] == 7.4
    assert forecast["gap_kw"] == pytest.approx(forecast["uncontrolled_kw"] + 7.4, abs=1e-5)

    assert rest.client.put(PATH, json=[CAR, {"kw": 2, "until": FIRST * 60 + 600}]).json()["plan"] == [
        {"kw": 2.0, "until": minute_label(FIRST + 10)},
        CAR_SHOWN,
    ]
    assert rest.client.delete(PATH).status_code == 204
    assert rest.client.get(PATH).json() == {"device": "planned", "plan": []}
    rest.push(Reading("planned", FIRST + 3, 0.5))
    assert "planned_kw" not in rest.client.get("/predict", params={"device": "planned"}).json()
    assert rest.client.delete("/devices/planned").status_code == 204


def test_plan_of_an_unknown_device_is_a_404(rest: Rest) -> None:
    assert_problem(rest.client.get("/devices/nobody/plan"), 404, "nobody")
    assert_problem(rest.client.delete("/devices/nobody/plan"), 404, "nobody")
    assert rest.client.put("/devices/nobody/plan", json=[]).json() == {"device": "nobody", "plan": []}
    assert_problem(rest.client.get("/devices/nobody/plan"), 404, "nobody")


def test_plan_leaves_with_its_device(rest: Rest) -> None:
    rest.client.put(PATH, json=[CAR])
    assert rest.client.delete("/devices/planned").status_code == 204
    assert rest.client.get(PATH).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "reason", "words"),
    [
        (PATH, b"[", "not_json", "the body is not JSON"),
        (PATH, b"{}", "bad_plan", "a plan is a list of loads"),
        (PATH, b'[{"kw": 7.4e6, "minutes": 3}]', "out_of_range", "send kW (7400)"),
        ("/devices/no%20device/plan", b"[]", "bad_device", "cannot name a device"),
    ],
)
def test_bad_plan_is_a_422_with_its_reason(rest: Rest, path: str, body: bytes, reason: str, words: str) -> None:
    answer = rest.client.put(path, content=body)
    assert_problem(answer, 422, words)
    assert answer.json()["reason"] == reason


def test_predict_contains_the_plan_of_the_request(rest: Rest) -> None:
    readings = [{"ts": minute_label(FIRST + minute), "gap_kw": 0.5} for minute in range(3)]
    plain = rest.client.post("/predict", json={"readings": readings}).json()
    planned = rest.client.post("/predict", json={"readings": readings, "plan": [CAR]}).json()
    assert "planned_kw" not in plain
    assert (planned["planned_kw"], planned["uncontrolled_kw"]) == (7.4, plain["gap_kw"])
    assert planned["gap_kw"] == pytest.approx(plain["gap_kw"] + 7.4, abs=1e-5)
    answer = rest.client.post("/predict", json={"readings": readings, "plan": [{"kw": 7.4}]})
    assert_problem(answer, 422, "plan[0] must end")
    assert answer.json()["reason"] == "bad_plan"


def test_plan_needs_no_more_than_the_body_limit(rest: Rest) -> None:
    loads: list[dict[str, Any]] = [CAR] * 193
    assert_problem(rest.client.put(PATH, json=loads), 422, "the maximum is 192")
