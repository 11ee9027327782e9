"""Decoding of readings, encoding of forecasts, and rejections of bad payloads."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gapcast.core.errors import PayloadError
from gapcast.core.forecasts.forecast import Forecasts
from gapcast.core.forecasts.forecast_json import ForecastEncoder
from gapcast.core.plans.plan import LoadPlan
from gapcast.core.readings.reading import Limits, Reading, power_of
from gapcast.core.time_grid import EARLIEST_MS, LATEST_MS, MINUTE_MS
from gapcast.core.windows.window import WindowSpec
from gapcast.mqtt.packets.frames import MAX_PAYLOAD
from gapcast.mqtt.payloads import decode, decode_plan, encode_rejection
from gapcast.predictors.baselines import Persistence

ARRIVED_MS = 1_767_268_859_999
ARRIVAL_MINUTE = ARRIVED_MS // MINUTE_MS
OBSERVED_MINUTE = 21_476_189  # 2010-11-01T00:29Z
REASONS = {
    "empty", "too_large", "not_json", "no_value", "not_a_number", "not_finite", "out_of_range", "bad_time",
    "clock_not_set", "unknown_age",
}  # fmt: skip


def read(payload: bytes, limits: Limits = Limits()) -> Reading:
    return decode("home", payload, len(payload), ARRIVED_MS, limits)


# --- readings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"1.234", b" 1.234\n", b'{"gap_kw": 1.234}', b'{"gap_kw": 1.234, "unit": "kW"}'])
def test_decode_reading_without_a_time_uses_arrival(payload: bytes) -> None:
    assert read(payload) == Reading("home", ARRIVAL_MINUTE, 1.234)


@pytest.mark.parametrize(
    "ts",
    [
        '"2010-11-01T00:29:00Z"', '"2010-11-01T00:29:59.999Z"', '"2010-11-01T01:29:30+01:00"',
        "1288571340", "1288571399", "1288571399.9996", "1288571340000", "1288571399999",
    ],
)  # fmt: skip
def test_decode_reading_time_in_any_form_gives_its_minute(ts: str) -> None:
    assert read(f'{{"ts": {ts}, "gap_kw": 1.234}}'.encode()) == Reading("home", OBSERVED_MINUTE, 1.234)


@pytest.mark.parametrize(
    ("value", "is_filled"), [(b"true", True), (b"false", False), (b"null", False), (b"1", False), (b'"true"', False)]
)
def test_decode_reading_states_a_filled_minute(value: bytes, is_filled: bool) -> None:
    payload = b'{"ts": 1288571340, "gap_kw": 1.234, "filled": %b}' % value
    assert read(payload) == Reading("home", OBSERVED_MINUTE, 1.234, is_filled=is_filled)


def test_decode_reading_without_a_time_states_a_filled_minute() -> None:
    assert read(b'{"gap_kw": 1.234, "filled": true}').is_filled
    assert not read(b'{"gap_kw": 1.234}').is_filled


@pytest.mark.parametrize("payload", [b"0", b"-0", b"7", b"-3.5", b"100", b"-100", b"1e-9", b"1.5E1"])
def test_decode_reading_any_number_within_limits_is_a_power(payload: bytes) -> None:
    assert read(payload).gap_kw == float(payload)


def test_decode_reading_of_the_longest_payload() -> None:
    assert read(b"1.5".rjust(MAX_PAYLOAD)).gap_kw == 1.5


@pytest.mark.parametrize(
    ("payload", "reason", "words"),
    [
        (b"", "empty", "the payload is empty"),
        pytest.param(b"1.5".rjust(MAX_PAYLOAD + 1), "too_large", "65537 bytes", id="a byte too long"),
        (b" ", "not_json", "the payload is not JSON"),
        (b"on", "not_json", "the payload is not JSON"),
        (b"1,234", "not_json", r"not JSON: .* \(send the number alone, with a decimal point, as in 1\.5\)"),
        (b"0.5 kW", "not_json", "send the number alone"),
        (b".5", "not_json", "send the number alone"),
        (b"1.2 1.3", "not_json", "the payload is not JSON"),
        (b"0x10", "not_json", "the payload is not JSON"),
        (b'{"gap_kw": 1.2', "not_json", "the payload is not JSON"),
        (b"\xff\xfe1", "not_json", "the payload is not JSON"),
        (b'"\xff"', "not_json", "the payload is not JSON"),
        (b"1\x00", "not_json", "the payload is not JSON"),
        pytest.param(b"9" * 5_000, "not_json", "number out of range", id="5,000 digits"),
        pytest.param(b"[" * 60_000, "not_json", "the payload is not JSON", id="60,000 brackets"),
        (b"{}", "no_value", 'no "gap_kw": send {"gap_kw": 1.234}, or describe the meter'),
        (b'{"power": 1.2}', "no_value", 'no "gap_kw"'),
        (b"null", "not_a_number", "not null"),
        (b"true", "not_a_number", "not true"),
        (b'"1.2"', "not_a_number", "not '1.2'"),
        (b"[1.2]", "not_a_number", r"not \[1.2\]"),
        (b'{"gap_kw": false}', "not_a_number", "not false"),
        (b'{"gap_kw": {"gap_kw": 1}}', "not_a_number", "a number in kW"),
        (
            b"NaN",
            "not_finite",
            "NaN and Infinity are not JSON, and no reading: do not publish a minute without a value",
        ),
        (b'{"gap_kw": NaN}', "not_finite", "NaN and Infinity are not JSON"),
        (b"Infinity", "not_finite", "NaN and Infinity are not JSON"),
        (b"-Infinity", "not_finite", "NaN and Infinity are not JSON"),
        (b"1e999", "not_finite", "inf"),
        (b"1230", "out_of_range", r"1230 kW is outside -100 to 100 kW: if these are watts, send kW \(1.23\)"),
        (b"1230.0", "out_of_range", r"send kW \(1.23\)"),
        (b"-250", "out_of_range", r"send kW \(-0.25\)"),
        (b"1e6", "out_of_range", "limits.max_kw"),
        pytest.param(b"9" * 4_000, "out_of_range", "a number of many digits", id="4,000 digits"),
        (b'{"ts": "yesterday", "gap_kw": 1}', "bad_time", "not RFC 3339"),
        (b'{"ts": "2010-11-01T00:29:00", "gap_kw": 1}', "bad_time", "give the offset or Z"),
        (b'{"ts": null, "gap_kw": 1}', "bad_time", "not null"),
        (b'{"ts": true, "gap_kw": 1}', "bad_time", "not true"),
        (b'{"ts": NaN, "gap_kw": 1}', "not_finite", "NaN and Infinity are not JSON"),
        (b'{"ts": 1e400, "gap_kw": 1}', "bad_time", "finite"),
        (b'{"ts": 1e300, "gap_kw": 1}', "bad_time", "after 2099"),
        (b'{"ts": 0, "gap_kw": 1}', "clock_not_set", "before 2000"),
        (b'{"ts": "1970-01-01T00:00:07Z", "gap_kw": 1}', "clock_not_set", "before 2000"),
        (b'{"ts": "1999-12-31T23:59:59.999Z", "gap_kw": 1}', "clock_not_set", "before 2000"),
    ],
)
def test_decode_reading_invalid_is_rejected_with_a_fix(payload: bytes, reason: str, words: str) -> None:
    with pytest.raises(PayloadError, match=words) as refused:
        read(payload)
    assert refused.value.reason == reason
    assert reason in REASONS


@pytest.mark.parametrize("gap_kw", [6.0, 50])
def test_decode_power_slightly_over_low_limits_names_the_limits(gap_kw: float) -> None:
    with pytest.raises(PayloadError) as refused:
        power_of(gap_kw, Limits(-1.0, 5.0))
    assert refused.value.detail.endswith(
        "kW is outside -1 to 5 kW: the range is set by limits.min_kw and limits.max_kw"
    )
    with pytest.raises(PayloadError, match=r"if these are watts, send kW \(0.051\)"):
        power_of(51, Limits(-1.0, 5.0))


# --- readings of more than power --------------------------------------------------------------------

EXTRAS = ("reactive_kvar", "voltage_v")


def read_extras(payload: bytes) -> Reading:
    return decode("home", payload, len(payload), ARRIVED_MS, Limits(), EXTRAS)


def test_decode_reading_reads_needed_features_only() -> None:
    found = read_extras(b'{"gap_kw": 1.2, "voltage_v": 239.1, "reactive_kvar": -1, "current_a": "x", "mood": null}')
    assert found == Reading("home", ARRIVAL_MINUTE, 1.2, measured={"voltage_v": 239.1, "reactive_kvar": -1.0})


def test_decode_reading_missing_feature_is_left_out() -> None:
    assert read_extras(b'{"gap_kw": 1.2, "voltage_v": 239.1}').missing_features(EXTRAS) == ["reactive_kvar"]
    assert read_extras(b"1.2").missing_features(EXTRAS) == list(EXTRAS)


def test_decode_reading_unneeded_features_are_not_read() -> None:
    assert read(b'{"gap_kw": 1.2, "voltage_v": "high"}') == Reading("home", ARRIVAL_MINUTE, 1.2)


@pytest.mark.parametrize(
    ("value", "reason", "words"),
    [
        (b'"239"', "not_a_number", "voltage_v must be a number in V, not '239'"),
        (b"null", "not_a_number", "voltage_v must be a number in V, not null"),
        (b"[1]", "not_a_number", "voltage_v must be a number in V"),
        (b"1e400", "not_finite", "voltage_v must be finite, not inf"),
        (b"-1e999", "not_finite", "voltage_v must be finite, not -inf"),
        (b"1e300", "out_of_range", "voltage_v of 1e.300 V is outside"),
    ],
)
def test_decode_reading_invalid_feature_is_rejected_by_name(value: bytes, reason: str, words: str) -> None:
    with pytest.raises(PayloadError, match=words) as refused:
        read_extras(b'{"gap_kw": 1.2, "voltage_v": %b}' % value)
    assert refused.value.reason == reason


def test_decode_reading_truncated_payload_is_rejected() -> None:
    with pytest.raises(PayloadError, match="the payload has 10000000 bytes; at most 65536 are read") as refused:
        decode("home", b"1".ljust(MAX_PAYLOAD), 10_000_000, ARRIVED_MS, Limits())
    assert refused.value.reason == "too_large"


def test_decode_reading_retained_without_a_time_is_rejected() -> None:
    with pytest.raises(PayloadError, match="has an unknown age") as refused:
        decode("home", b"1.2", 3, None, Limits())
    assert refused.value.reason == "unknown_age"
    dated = b'{"ts": 1288571340, "gap_kw": 1.2}'
    assert decode("home", dated, len(dated), None, Limits()).minute == OBSERVED_MINUTE


JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.integers(10**200, 10**201),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
STAMPS = (
    JSON_VALUES
    | st.integers(EARLIEST_MS - 2, LATEST_MS + 2)
    | st.floats(EARLIEST_MS / 1_000 - 2, LATEST_MS / 1_000 + 2)
    | st.datetimes(timezones=st.timezones()).map(lambda when: when.isoformat())
    | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{0,30})?(Z|[+-][0-9]{2}:[0-9]{2})")
)
POWERS = JSON_VALUES | st.floats(-101, 101)
DOCUMENTS = (POWERS | st.fixed_dictionaries({}, optional={"ts": STAMPS, "gap_kw": POWERS, "unit": JSON_VALUES})).map(
    lambda document: json.dumps(document).encode()
)


def read_or_refuse(payload: bytes) -> Reading | PayloadError:
    try:
        return read(payload)
    except PayloadError as refused:
        return refused


def check(found: Reading | PayloadError) -> None:
    if isinstance(found, PayloadError):
        assert found.reason in REASONS
        assert 0 < len(found.detail) < 300
        assert json.loads(encode_rejection("t", b"", found.reason, found.detail))["detail"] == found.detail
    else:
        assert type(found.gap_kw) is float
        assert -100 <= found.gap_kw <= 100
        assert EARLIEST_MS <= found.minute * MINUTE_MS < LATEST_MS


@given(st.binary() | st.text().map(str.encode) | DOCUMENTS)
@example(b'{"gap_kw": [' + b"9" * 4_290 + b"]}")
@example(b'"\\ud800"')
@example(b'{"ts": 4102444799.9996, "gap_kw": 1}')
def test_decode_reading_any_bytes_give_a_reading_or_an_error(payload: bytes) -> None:
    check(read_or_refuse(payload))


@given(st.binary(min_size=1, max_size=40) | DOCUMENTS, st.data())
def test_decode_reading_damaged_gives_a_reading_or_an_error(noise: bytes, data: st.DataObject) -> None:
    sent = b'{"ts": "2010-11-01T00:29:00Z", "gap_kw": 1.234}'
    first = data.draw(st.integers(0, len(sent)))
    after = data.draw(st.integers(first, len(sent)))
    check(read_or_refuse(sent[:first] + noise + sent[after:]))


# --- forecasts ------------------------------------------------------------------------------------

KW = st.floats(allow_nan=False, allow_infinity=False)
DEVICES = st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True)
MINUTES = st.integers(EARLIEST_MS // MINUTE_MS, LATEST_MS // MINUTE_MS - 1)


@st.composite
def forecasts(draw: st.DrawFn) -> Forecasts:
    n = draw(st.integers(0, 4))
    models = st.builds(
        Persistence,
        spec=st.builds(WindowSpec, st.integers(2, 100)),
        lead_times_min=st.lists(st.integers(1, 60), min_size=1, max_size=3, unique=True).map(sorted).map(tuple),
        name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True),
        version=st.from_regex(r"[A-Za-z0-9_.+-]{1,10}", fullmatch=True),
    )

    def column(of: st.SearchStrategy[Any]) -> Any:
        return draw(st.lists(of, min_size=n, max_size=n))

    median, lower, upper = (column(KW) if draw(st.booleans()) else None for _ in range(3))
    model = draw(models)
    n_leads = len(model.lead_times_min)
    paths = column(st.lists(KW, min_size=n_leads, max_size=n_leads))
    path_kw = np.array(paths).reshape(n, n_leads) if n_leads > 1 else None
    return Forecasts(
        model, draw(st.integers(0, LATEST_MS)), column(DEVICES), column(MINUTES), column(st.integers(2, 100)),
        column(KW), median, lower, upper, path_kw,
    )  # fmt: skip


@given(forecasts())
def test_encode_forecasts_equals_json_of_the_document(made: Forecasts) -> None:
    sent = [list(json.loads(payload).items()) for payload in ForecastEncoder().encode(made)]
    assert sent == [list(forecast.document().items()) for forecast in made]


# --- rejections -----------------------------------------------------------------------------------


def rejected(payload: bytes) -> Any:
    document = json.loads(encode_rejection("gap/home/reading", payload, "not_json", "it is not"))
    assert document.keys() == {"topic", "reason", "detail", "payload"}
    return document["payload"]


def test_encode_rejection_has_topic_payload_and_reason() -> None:
    assert json.loads(encode_rejection("gap/häus/reading", b"o\xc3\xb6n", "not_json", "it is “not”")) == {
        "topic": "gap/häus/reading", "reason": "not_json", "detail": "it is “not”", "payload": "oön",
    }  # fmt: skip


def test_encode_rejection_truncates_payload_at_1_kb() -> None:
    assert rejected(b"x" * 1_024) == "x" * 1_024
    assert rejected(b"x" * 1_023 + b"yz") == "x" * 1_023 + "y"


@pytest.mark.parametrize("payload", [b"\xff\xfe", b"x" * 1_022 + b"\xff", b"x" * 1_022 + b"\xff" * 9, b"caf\xc3"])
def test_encode_rejection_payload_not_utf_8_is_base64(payload: bytes) -> None:
    assert base64.b64decode(rejected(payload), validate=True) == payload[:1_024]


@pytest.mark.parametrize("character", ["é", "€", "🔌"])
@pytest.mark.parametrize("n_before", [1_021, 1_022, 1_023, 1_024])
def test_encode_rejection_truncated_character_stays_text(character: str, n_before: int) -> None:
    text = "x" * n_before + character + "tail"
    shown = rejected(text.encode())
    assert text.startswith(shown)
    assert len(shown) >= n_before


@given(st.binary(max_size=40) | st.binary(min_size=1_010, max_size=1_040) | st.text(max_size=500).map(str.encode))
def test_encode_rejection_accepts_any_payload(payload: bytes) -> None:
    shown = rejected(payload)
    if payload.startswith(shown.encode()):
        assert len(shown.encode()) >= min(len(payload), 1_024) - 3
    else:
        assert base64.b64decode(shown, validate=True) == payload[:1_024]


def test_decode_plan_empty_payload_is_no_load() -> None:
    """A broker delivers such a payload when a retained plan was removed."""
    assert decode_plan(b"", 0, None, Limits()) == decode_plan(b"[]", 2, 0, Limits()) == LoadPlan()


@pytest.mark.parametrize(
    ("payload", "n_bytes", "reason"),
    [(b"[]" + b" " * (MAX_PAYLOAD - 2), MAX_PAYLOAD + 1, "too_large"), (b"[", 1, "not_json"), (b"5", 1, "bad_plan")],
)
def test_decode_plan_rejects_other_payloads(payload: bytes, n_bytes: int, reason: str) -> None:
    with pytest.raises(PayloadError) as refused:
        decode_plan(payload, n_bytes, 0, Limits())
    assert refused.value.reason == reason
    assert decode_plan(b"[]" + b" " * (MAX_PAYLOAD - 2), MAX_PAYLOAD, 0, Limits()) == LoadPlan()
