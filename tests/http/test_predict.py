"""``GET`` and ``POST /predict``: answers and errors."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import httpx
import pytest

from gapcast.api.predict_answer import PredictHandler
from gapcast.core.engine import Engine
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.time_grid import minute_label
from tests.http.conftest import MAX_BODY_BYTES, MAX_READINGS, Rest
from tests.support.models import default_name, shipped_names
from tests.support.ports import LOOPBACK
from tests.support.waiting import GUARD_S

FIRST = 21_476_160  # 2010-11-01T00:00Z
JSON = {"content-type": "application/json"}
POWERS = [1.2, 1.3, 1.1, 1.4, 2, 0.9]


def timed(*minutes_and_powers: tuple[int, float]) -> list[dict[str, Any]]:
    return [{"ts": minute_label(FIRST + minute), "gap_kw": gap_kw} for minute, gap_kw in minutes_and_powers]


def assert_problem(answer: httpx.Response, status: int, words: str = "") -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) <= {"type", "title", "status", "detail", "reason"}
    assert body["type"] == "about:blank"
    assert body["status"] == status
    assert body["title"]
    assert words in body["detail"], body["detail"]
    assert len(body["detail"]) < 300


# --- GET --------------------------------------------------------------------------------------------


def test_get_predict_without_forecasts_is_empty(rest: Rest) -> None:
    assert rest.client.get("/predict").json() == {"forecasts": [], "n_devices": 0, "next": None}
    assert_problem(rest.client.get("/predict", params={"device": "home"}), 404, "home")


def test_get_predict_needs_two_readings(rest: Rest) -> None:
    rest.push(Reading("get-one", FIRST, 1.0))
    problem = "device 'get-one' has no forecast yet: one follows its next reading, if that is at most 6 minutes after"
    assert_problem(rest.client.get("/predict", params={"device": "get-one"}), 404, problem)
    rest.push(Reading("get-one", FIRST + 1, 1.1))
    answer = rest.client.get("/predict", params={"device": "get-one"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert document == rest.link.published[-1].document()
    assert document["observed_at"] == "2010-11-01T00:01:00Z"
    assert document["target_at"] == "2010-11-01T00:06:00Z"
    assert document in rest.client.get("/predict").json()["forecasts"]


def test_get_predict_returns_the_newest_forecast(rest: Rest) -> None:
    for i in range(5):
        rest.push(Reading("get-new", FIRST + i, 1.0 + i))
    document = rest.client.get("/predict", params={"device": "get-new"}).json()
    assert document["observed_at"] == minute_label(FIRST + 4)
    assert document["n_observed"] == 5
    rest.push(Reading("get-new", FIRST + 4, 9.0), Reading("get-new", FIRST + 2, 9.0))  # a duplicate, a late one
    assert rest.client.get("/predict", params={"device": "get-new"}).json() == document


@pytest.mark.parametrize("device", ["", "no such", "%00", "é", "a" * 5_000, "home?device=x", "../home"])
def test_get_predict_any_device_name_is_a_404(rest: Rest, device: str) -> None:
    assert rest.client.get("/predict", params={"device": device}).status_code == 404


def test_get_predict_device_not_utf8_is_a_404(rest: Rest) -> None:
    assert rest.client.get("/predict?device=%ff%fe").status_code == 404


# --- POST: what is answered ---------------------------------------------------------------------------


def test_post_predict_plain_numbers_end_at_this_minute(rest: Rest) -> None:
    before = int(time.time() // 60)
    answer = rest.client.post("/predict", json={"readings": POWERS})
    after = int(time.time() // 60)
    assert answer.status_code == 200
    document = answer.json()
    assert document["device"] is None
    assert document["observed_at"] in {minute_label(before), minute_label(after)}
    assert document["n_observed"] == len(POWERS)
    assert document["model"] == default_name()


def test_post_predict_equals_the_streams_forecast(rest: Rest) -> None:
    answer = rest.client.post("/predict", json={"readings": timed(*enumerate(POWERS))}).json()
    engine = Engine(rest.service.queries.model)
    accepted = engine.accept([Reading("x", FIRST + i, float(kw)) for i, kw in enumerate(POWERS)])
    expected = list(engine.forecast(accepted, 0))[-1].document()
    assert answer["gap_kw"] == pytest.approx(expected["gap_kw"], abs=1e-5)
    for key in set(expected) - {"gap_kw", "median_kw", "lower_kw", "upper_kw", "device", "issued_at"}:
        assert answer[key] == expected[key], key


def test_post_predict_two_readings_with_a_gap_are_enough(rest: Rest) -> None:
    document = rest.client.post("/predict", json={"readings": timed((0, 1.0), (6, 1.6))}).json()
    assert (document["observed_at"], document["n_observed"]) == ("2010-11-01T00:06:00Z", 2)


def test_post_predict_after_a_long_gap_uses_the_newer_part(rest: Rest) -> None:
    readings = timed((0, 9.0), (1, 9.0), (60, 1.0), (61, 1.0))
    assert rest.client.post("/predict", json={"readings": readings}).json()["n_observed"] == 2


@pytest.mark.parametrize("ts", [1288569660, 1288569660000, 1288569660.5, "2010-11-01T01:01:00+01:00"])
def test_post_predict_accepts_times_in_any_form(rest: Rest, ts: object) -> None:
    readings = [{"ts": "2010-11-01T00:00:00Z", "gap_kw": 1}, {"ts": ts, "gap_kw": 1.1}]
    document = rest.client.post("/predict", json={"readings": readings}).json()
    assert document["observed_at"] == "2010-11-01T00:01:00Z"


@pytest.mark.parametrize("name", shipped_names())
def test_post_predict_accepts_any_loaded_model(rest: Rest, name: str) -> None:
    document = rest.client.post("/predict", json={"readings": POWERS, "model": name}).json()
    assert document["model"] == name


def test_post_predict_does_not_change_the_stream(rest: Rest) -> None:
    before = (
        rest.client.get("/predict").json(),
        dict(rest.service.statistics.readings),
        rest.service.queries.n_devices,
    )
    assert rest.client.post("/predict", json={"readings": POWERS}).status_code == 200
    assert (
        rest.client.get("/predict").json(),
        rest.service.statistics.readings,
        rest.service.queries.n_devices,
    ) == before


def test_post_predict_limits_the_number_of_readings(rest: Rest) -> None:
    answer = rest.client.post("/predict", json={"readings": [1.0] * MAX_READINGS})
    assert answer.json()["n_observed"] == rest.service.queries.model.spec.context
    answer = rest.client.post("/predict", json={"readings": [1.0] * (MAX_READINGS + 1)})
    assert_problem(answer, 413, f"readings: at most {MAX_READINGS} are taken, not {MAX_READINGS + 1}")


# --- POST: what is refused --------------------------------------------------------------------------

BAD_REQUESTS: dict[str, tuple[str, str]] = {
    "no JSON": ("nonsense", "JSON"),
    "half of it": ('{"readings": [1.0, ', "JSON"),
    "nothing": ("", "the body is not JSON"),
    "a list": ("[1.0, 1.1]", "the body: "),
    "a number": ("1.0", "the body: "),
    "null": ("null", "the body: "),
    "no readings": ("{}", "readings: "),
    "readings of null": ('{"readings": null}', "readings: "),
    "readings that are a number": ('{"readings": 1.0}', "readings: "),
    "readings that are text": ('{"readings": "1.0 1.1"}', "readings: "),
    "none at all": ('{"readings": []}', "readings: at least 2 are needed, not 0"),
    "one reading": ('{"readings": [1.0]}', "readings: at least 2 are needed, not 1"),
    "NaN": ('{"readings": [1.0, NaN]}', "JSON"),
    "infinity": ('{"readings": [Infinity, 1.0]}', "JSON"),
    "minus infinity": ('{"readings": [1.0, -Infinity]}', "JSON"),
    "beyond any float": ('{"readings": [1.0, 1e999]}', "readings[1]: power must be finite"),
    "true": ('{"readings": [1.0, true]}', "readings[1]: power must be a number in kW, not true"),
    "null among them": ('{"readings": [1.0, null]}', "readings[1]: power must be a number in kW, not null; leave"),
    "text among them": ('{"readings": [1.0, "1.1"]}', "readings[1]: power must be a number in kW, not '1.1'"),
    "a list among them": ('{"readings": [1.0, [1.1]]}', "readings[1]: power must be a number in kW, not [1.1]"),
    "watts": ('{"readings": [1200, 1300]}', "readings[0]: 1200 kW is outside -100 to 100 kW: if these are watts"),
    "a number of many digits": ('{"readings": [1.0, %s]}' % ("9" * 4_000), "readings[1]: a number of many digits kW"),
    "a mix": ('{"readings": [1.0, {"ts": 1288569660, "gap_kw": 1.0}]}', "readings[1]: give a ts with every reading"),
    "the other mix": ('{"readings": [{"ts": 1288569600, "gap_kw": 1.0}, 1.0]}', "readings[1]: give a ts with every"),
    "no ts": ('{"readings": [{"gap_kw": 1.0}, {"gap_kw": 1.0}]}', "readings[0].ts: is missing"),
    "no power": ('{"readings": [{"ts": 1288569600}, {"ts": 1288569660}]}', "readings[0].gap_kw: is missing"),
    "power of text": ('{"readings": [{"ts": 1288569600, "gap_kw": "1"}, 1]}', "readings[0]: power must be a number"),
    "a key too many": ('{"readings": [{"ts": 1288569600, "gap_kw": 1, "v": 230}]}', "readings[0].v: "),
    "a time of true": ('{"readings": [{"ts": true, "gap_kw": 1}]}', "readings[0]: ts must be RFC 3339"),
    "a time of null": ('{"readings": [{"ts": null, "gap_kw": 1}]}', "readings[0]: ts must be RFC 3339"),
    "a time that is none": ('{"readings": [{"ts": "now", "gap_kw": 1}]}', "readings[0]: ts 'now' is not RFC 3339"),
    "a clock never set": ('{"readings": [{"ts": 60, "gap_kw": 1}, {"ts": 120, "gap_kw": 1}]}', "is before 2000"),
    "a time of NaN": ('{"readings": [{"ts": NaN, "gap_kw": 1}]}', "JSON"),
    "an unknown model": ('{"readings": [1.0, 1.1], "model": "oracle"}', "model: there is no 'oracle'; there are "),
    "an empty model": ('{"readings": [1.0, 1.1], "model": ""}', "model: there is no ''"),
    "a model of 5": ('{"readings": [1.0, 1.1], "model": 5}', "model: "),
    "an unknown key": ('{"readings": [1.0, 1.1], "horizon": 10}', "horizon: there is no such key; possible are "),
    "a key that no text can hold": ('{"readings": [1.0, 1.1], "\\ud800": 10}', ""),
    "a model that no text can hold": ('{"readings": [1.0, 1.1], "model": "\\ud800"}', "JSON"),
    "power that no text can hold": ('{"readings": [1.0, "\\ud800"]}', "JSON"),
    "a very long unknown model": (json.dumps({"readings": [1.0, 1.1], "model": "m" * 10_000}), "model: there is no"),
    "a very long unknown key": (json.dumps({"readings": [1.0, 1.1], "k" * 10_000: 1}), "kkk"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_REQUESTS)
def test_post_predict_invalid_is_a_422_with_a_reason(rest: Rest, what: str) -> None:
    text, words = BAD_REQUESTS[what]
    assert_problem(rest.client.post("/predict", content=text, headers=JSON), 422, words)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nonsense", "not_json"),
        ('{"readings": [1.0, NaN]}', "not_finite"),
        ('{"readings": [1.0, 1e999]}', "not_finite"),
        ('{"readings": [1200, 1300]}', "out_of_range"),
        ('{"readings": [{"ts": "now", "gap_kw": 1}]}', "bad_time"),
    ],
)
def test_post_predict_rejected_reading_has_the_reason_of_a_message(rest: Rest, text: str, reason: str) -> None:
    answer = rest.client.post("/predict", content=text, headers=JSON)
    assert (answer.status_code, answer.json()["reason"]) == (422, reason)
    handler = PredictHandler(rest.service.queries, Limits(), max_body_bytes=1_000, max_readings=10)
    document, _ = handler.answer_message(text.encode(), len(text.encode()))
    assert json.loads(document)["reason"] == reason


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_compressed_body_is_rejected(rest: Rest, method: str) -> None:
    path = "/predict" if method == "POST" else "/devices/home/plan"
    for encoding in ("gzip", "br, identity"):
        answer = rest.client.request(method, path, content=b"[]", headers={**JSON, "content-encoding": encoding})
        assert_problem(answer, 415, f"content-encoding: '{encoding}' is not supported: send the body without")
    assert (
        rest.client.request(method, path, content=b"{", headers={**JSON, "content-encoding": "identity"}).status_code
        == 422
    )


WRONG_ORDERS = {
    "backwards": (timed((1, 1.0), (0, 1.0)), "the reading before (late): send the oldest reading first"),
    "the same minute twice": (timed((0, 1.0), (1, 1.0), (1, 1.2)), "(duplicate): send one reading per minute"),
    "a day and more between": (timed((0, 1.0), (1, 1.0), (1_442, 1.0)), "send only the readings after a gap"),
    "a start again": (timed((10, 1.0), (11, 1.0), (0, 1.0), (1, 1.0), (2, 1.0)), "Z does not follow the reading"),
    "a long gap before the last": (timed((0, 1.0), (1, 1.0), (8, 1.0)), "readings[2]: more than 5 minutes are missing"),
}


@pytest.mark.parametrize("what", WRONG_ORDERS)
def test_post_predict_unordered_readings_are_rejected(rest: Rest, what: str) -> None:
    readings, words = WRONG_ORDERS[what]
    assert_problem(rest.client.post("/predict", json={"readings": readings}), 422, words)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'{"readings": [1, 2], "model": "\xff"}', b"[" * 15_000])
def test_post_predict_unreadable_body_is_a_client_error(rest: Rest, content: bytes) -> None:
    answer = rest.client.post("/predict", content=content, headers=JSON)
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_post_predict_other_content_type_is_rejected(rest: Rest, content_type: str) -> None:
    answer = rest.client.post("/predict", content="readings=1", headers={"content-type": content_type})
    assert_problem(answer, 415, "application/json")


# --- bodies that are too large ------------------------------------------------------------------------


HEAD = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


def body_of(n_bytes: int) -> bytes:
    head = b'{"readings": [1.0, 1.1]'
    return head + b" " * (n_bytes - len(head) - 1) + b"}"


def test_post_predict_largest_body_is_accepted(rest: Rest) -> None:
    assert rest.client.post("/predict", content=body_of(MAX_BODY_BYTES), headers=JSON).status_code == 200


@pytest.mark.parametrize("n_bytes", [MAX_BODY_BYTES + 1, 10_000_000])
def test_post_predict_larger_body_returns_413(rest: Rest, n_bytes: int) -> None:
    answer = rest.client.post("/predict", content=body_of(n_bytes), headers=JSON)
    assert_problem(answer, 413, f"the body has more than {MAX_BODY_BYTES} bytes")


def test_post_predict_larger_body_in_chunks_returns_413(rest: Rest) -> None:
    answer = rest.client.post("/predict", content=iter([b" " * 1_000] * 25), headers=JSON)
    assert "content-length" not in answer.request.headers
    assert_problem(answer, 413, f"the body has more than {MAX_BODY_BYTES} bytes")


@pytest.mark.parametrize(
    ("n_received", "n_bytes", "status"),
    [(MAX_BODY_BYTES, MAX_BODY_BYTES, 200), (MAX_BODY_BYTES + 1, MAX_BODY_BYTES + 1, 413), (1_000, 1_001, 413)],
    ids=["largest", "larger", "cut"],
)
def test_predict_message_that_is_too_large_or_cut_returns_413(
    rest: Rest, n_received: int, n_bytes: int, status: int
) -> None:
    """A request over MQTT is not bounded by a limit of HTTP: the client keeps 64 kB of a larger message."""
    queries = rest.service.queries
    handler = PredictHandler(queries, Limits(), max_body_bytes=MAX_BODY_BYTES, max_readings=MAX_READINGS)
    assert handler.answer(body_of(n_received), n_bytes).status == status


def test_post_predict_chunks_within_the_limit_are_accepted(rest: Rest) -> None:
    body = body_of(MAX_BODY_BYTES)
    chunks = (body[at : at + 700] for at in range(0, len(body), 700))
    assert rest.client.post("/predict", content=chunks, headers=JSON).status_code == 200


def test_post_predict_too_large_is_rejected_before_the_body(rest: Rest) -> None:
    with socket.create_connection((LOOPBACK, rest.port), timeout=GUARD_S) as sock:
        sock.sendall(HEAD + b"content-length: 1000000000\r\n\r\n")
        assert sock.recv(65_536).startswith(b"HTTP/1.1 413 ")


def test_post_predict_client_disconnect_is_harmless(rest: Rest) -> None:
    for _ in range(5):
        with socket.create_connection((LOOPBACK, rest.port), timeout=GUARD_S) as sock:
            sock.sendall(HEAD + b'content-length: 1000\r\n\r\n{"readings"')
    assert rest.client.post("/predict", json={"readings": POWERS}).status_code == 200


def test_post_predict_fast_and_slow_path_agree(rest: Rest) -> None:
    rest.push(*(Reading("both.ways", 21_476_160 + minute, 1.0) for minute in range(3)))
    short, long = (rest.client.get(f"/predict?{query}") for query in ("device=both.ways", "device=both%2Eways"))
    assert short.content == long.content
    for name in ("content-type", "content-length"):
        assert short.headers[name] == long.headers[name]
