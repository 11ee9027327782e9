"""No request causes a 500."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.windows.features import GAP, MEASURED
from tests.http.conftest import MODELS, Rest
from tests.support.examples import examples
from tests.support.ports import LOOPBACK

numbers = st.one_of(st.floats(), st.integers(), st.integers(-10, 10).map(float), st.floats(-100, 100))
times = st.one_of(
    st.sampled_from(
        ["2010-11-01T00:00:00Z", "2010-11-01T00:01:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z"]
    ),
    st.integers(1_288_569_600, 1_288_573_200),
    numbers,
    st.text(max_size=30),
)
anything = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
timed = st.fixed_dictionaries(
    {"ts": times, "gap_kw": numbers}, optional={name: numbers | st.text(max_size=3) for name in MEASURED if name != GAP}
)
near_requests = st.fixed_dictionaries(
    {"readings": st.lists(numbers | timed | anything, max_size=8)},
    optional={"model": st.sampled_from(MODELS) | st.text(max_size=10) | anything, "other": anything},
)


def check(rest: Rest, content: bytes, content_type: str = "application/json") -> None:
    answer = rest.client.post("/predict", content=content, headers={"content-type": content_type})
    allowed = {200, 413, 422} if content_type == "application/json" else {415}
    assert answer.status_code in allowed, (answer.status_code, answer.text)
    expected = "application/json" if answer.status_code == 200 else "application/problem+json"
    assert answer.headers["content-type"] == expected
    body = answer.json()
    assert body["gap_kw"] is not None if answer.status_code == 200 else body["status"] == answer.status_code


@examples(250)
@given(near_requests)
def test_predict_any_plausible_body_never_returns_500(rest: Rest, request_: Any) -> None:
    check(rest, json.dumps(request_).encode())


@examples(100)
@given(anything)
def test_predict_any_json_never_returns_500(rest: Rest, body: Any) -> None:
    check(rest, json.dumps(body).encode())


@examples(150)
@given(st.binary(max_size=200), st.sampled_from(["application/json", "text/plain", "x", "application/x+json"]))
def test_predict_any_bytes_are_no_500(rest: Rest, content: bytes, content_type: str) -> None:
    check(rest, content, content_type)


@examples(60)
@given(st.text(max_size=40), st.sampled_from(["device", "minutes", "x"]))
def test_predict_any_query_never_returns_500(rest: Rest, value: str, name: str) -> None:
    answer = rest.client.get("/predict", params={name: value})
    assert answer.status_code in ({200, 404} if name == "device" else {422})


@examples(60)
@given(st.lists(st.text(max_size=10), max_size=4))
def test_any_path_never_returns_500(rest: Rest, parts: list[str]) -> None:
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    assert rest.client.get(f"http://{LOOPBACK}:{rest.port}{path}").status_code in {200, 307, 404}
