"""Bytes to readings, forecasts to bytes."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.engine import Engine
from edge.core.errors import PayloadError
from edge.core.forecast import Forecasts
from edge.core.reading import Limits, Reading
from edge.mqtt.frames import MAX_PAYLOAD
from edge.mqtt.payloads import decode, encode_forecasts, encode_rejection
from edge.predictors.baselines import Persistence

ARRIVAL_MS = 1_288_571_340_000  # 2010-11-01T00:29:00Z
MINUTE = ARRIVAL_MS // 60_000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["ts", "gap_kw", "x"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def reading_of(payload: bytes) -> Reading:
    return decode("home", payload, len(payload), ARRIVAL_MS, Limits())


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_at_all_are_a_reading_or_a_payload_error(payload: bytes) -> None:
    try:
        reading = reading_of(payload)
    except PayloadError as error:
        refused = error
    else:
        refused = None
    if refused is not None:
        assert refused.reason.isidentifier()
        assert 0 < len(refused.detail) < 300
        return
    assert -100 <= reading.gap_kw <= 100
    assert type(reading.gap_kw) is float
    assert type(reading.minute) is int


@pytest.mark.parametrize(
    "payload",
    [
        b'{"ts": "2010-11-01T00:29:00Z", "gap_kw": 1.234}',
        b'{"ts": "2010-11-01T00:29:59.999Z", "gap_kw": 1.234}',
        b'{"ts": 1288571340, "gap_kw": 1.234}',
        b'{"ts": 1288571340000, "gap_kw": 1.234}',
        b'{"gap_kw": 1.234, "unknown": [1]}',
        b"1.234",
        b" 1.234\n",
    ],
)
def test_every_form_of_a_reading_is_the_same_reading(payload: bytes) -> None:
    assert reading_of(payload) == Reading("home", MINUTE, 1.234)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b"x", "not_json"),
        (b"1,5", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b"{", "not_json"),
        (b"[" * 5_000, "not_json"),
        (b"9" * 5_000, "not_json"),
        (b"{}", "no_value"),
        (b'{"ts": "2010-11-01T00:29:00Z"}', "no_value"),
        (b"[1.2]", "not_a_number"),
        (b"null", "not_a_number"),
        (b"true", "not_a_number"),
        (b'"1.2"', "not_a_number"),
        (b'{"gap_kw": "1.2"}', "not_a_number"),
        (b'{"gap_kw": {"value": 1}}', "not_a_number"),
        (b"NaN", "not_finite"),
        (b'{"gap_kw": NaN}', "not_finite"),
        (b"Infinity", "not_finite"),
        (b'{"gap_kw": -Infinity}', "not_finite"),
        (b"1e400", "not_finite"),
        (b"1230", "out_of_range"),
        (b'{"gap_kw": -101}', "out_of_range"),
        (b'{"gap_kw": 1, "ts": "yesterday"}', "bad_time"),
        (b'{"gap_kw": 1, "ts": null}', "bad_time"),
        (b'{"gap_kw": 1, "ts": 12}', "clock_not_set"),
        (b'{"gap_kw": 1, "ts": "1970-01-01T00:00:12Z"}', "clock_not_set"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_reason(payload: bytes, reason: str) -> None:
    with pytest.raises(PayloadError) as refused:
        reading_of(payload)
    assert refused.value.reason == reason


def test_a_payload_that_was_cut_is_too_large() -> None:
    with pytest.raises(PayloadError, match=str(10_000_000)) as refused:
        decode("home", b"1" * MAX_PAYLOAD, 10_000_000, ARRIVAL_MS, Limits())
    assert refused.value.reason == "too_large"


def test_a_reading_of_unknown_age_is_refused_and_one_with_a_time_is_not() -> None:
    payload = b'{"ts": 1288571340, "gap_kw": 1.0}'
    assert decode("home", payload, len(payload), None, Limits()).minute == MINUTE
    with pytest.raises(PayloadError, match="retained message without ts"):
        decode("home", b"1.0", 3, None, Limits())


KW = st.floats(-100, 100).map(lambda kw: round(kw, 6))


@given(
    st.lists(st.tuples(KW, KW, KW, KW, st.integers(15_000_000, 60_000_000), st.integers(2, 30)), max_size=5),
    st.booleans(),
)
def test_the_bytes_of_a_forecast_are_its_document(rows: list[tuple[float, ...]], with_interval: bool) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(6)]
    mean, median, lower, upper, minutes, n_observed = columns
    quantiles = (median, lower, upper) if with_interval else (None, None, None)
    devices = [f"meter-{i}.x_Y" for i in range(len(rows))]
    forecasts = Forecasts(Persistence(), 1_767_268_800_123, devices, minutes, n_observed, mean, *quantiles)  # type: ignore[arg-type]
    assert [json.loads(text) for text in encode_forecasts(forecasts)] == [forecast.document() for forecast in forecasts]


def test_a_forecast_of_tiny_power_is_json_too() -> None:
    engine = Engine(Persistence())
    forecasts = engine.forecast(engine.accept([Reading("home", 1, 1e-6), Reading("home", 2, 1e-6)]), 0)
    (text,) = encode_forecasts(forecasts)
    assert json.loads(text)["gap_kw"] == 1e-6


@given(st.binary(max_size=3_000))
def test_a_rejection_shows_the_payloads_first_kilobyte(payload: bytes) -> None:
    told = json.loads(encode_rejection("gap/home/reading", payload, "not_json", "the payload is not JSON"))
    assert (told["topic"], told["reason"]) == ("gap/home/reading", "not_json")
    shown = told["payload"]
    try:
        whole = payload[:1_024].decode(errors="strict")
    except UnicodeDecodeError:
        assert shown == base64.b64encode(payload[:1_024]).decode() or payload.startswith(shown.encode())
    else:
        assert shown == whole


def test_a_character_that_the_cut_goes_through_is_left_out() -> None:
    told = json.loads(encode_rejection("t", b"x" * 1_023 + "é".encode() * 5, "not_json", ""))
    assert told["payload"] == "x" * 1_023
