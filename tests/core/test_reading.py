"""Accepted powers, times and device names of a message."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.errors import PayloadError
from gapcast.core.readings.reading import Limits, device_id_problem, instant_of, is_device_id, measured_of, power_of
from gapcast.core.time_grid import EARLIEST_MS, LATEST_MS, instant_label, minute_label, minute_of

INSTANTS_MS = st.integers(EARLIEST_MS, LATEST_MS - 1)


@given(INSTANTS_MS)
def test_instant_is_the_same_in_every_form(instant_ms: int) -> None:
    second_ms = instant_ms // 1_000 * 1_000
    assert (
        instant_of(second_ms // 1_000) == instant_of(second_ms) == instant_of(minute_and_second(second_ms)) == second_ms
    )
    assert instant_of(instant_label(instant_ms)) == instant_ms


def minute_and_second(instant_ms: int) -> str:
    return datetime.fromtimestamp(instant_ms / 1_000, UTC).isoformat()


@given(INSTANTS_MS)
def test_minute_label_is_the_start(instant_ms: int) -> None:
    minute = minute_of(instant_ms)
    assert minute_of(instant_of(minute_label(minute))) == minute
    assert 0 <= instant_ms - instant_of(minute_label(minute)) < 60_000


@pytest.mark.parametrize(
    "ts",
    [
        "2010-11-01T01:29:00+01:00", "2010-11-01T01:29:00+0100", "2010-10-31T20:29:00.000-0400",
        "2010-11-01t00:29:00z", "2010-11-01 00:29:00Z", "2010-11-01T00:29:00.000Z",
    ],
)  # fmt: skip
def test_instant_with_an_offset_is_converted(ts: str) -> None:
    assert instant_of(ts) == 1_288_571_340_000


@pytest.mark.parametrize(
    ("ts", "reason"),
    [
        ("2010-11-01T00:29:00", "bad_time"),
        ("2010-11-01", "bad_time"),
        ("2010-W44-1T00:29:00Z", "bad_time"),
        ("2010-13-01T00:29:00Z", "bad_time"),
        ("2010-11-01T00:29:00+01", "bad_time"),
        ("2010-11-01T00:29:00+2500", "bad_time"),
        ("٢010-11-01T00:29:00Z", "bad_time"),
        ("x" * 200, "bad_time"),
        ("", "bad_time"),
        (True, "bad_time"),
        (None, "bad_time"),
        ([1], "bad_time"),
        (float("nan"), "bad_time"),
        (float("inf"), "bad_time"),
        (10**30, "bad_time"),
        ("2100-01-01T00:00:00Z", "bad_time"),
        (0, "clock_not_set"),
        (-5, "clock_not_set"),
        ("1970-01-01T00:00:12Z", "clock_not_set"),
        ("1999-12-31T23:59:59Z", "clock_not_set"),
    ],
)
def test_instant_that_is_invalid_is_rejected_with_a_reason(ts: object, reason: str) -> None:
    with pytest.raises(PayloadError) as refused:
        instant_of(ts)
    assert refused.value.reason == reason
    assert len(refused.value.detail) < 200


@pytest.mark.parametrize(
    ("value", "reason", "hint"),
    [
        (1230, "out_of_range", r"send kW \(1\.23\)"),
        (-2500.0, "out_of_range", r"send kW \(-2\.5\)"),
        (1e9, "out_of_range", "limits.min_kw and limits.max_kw"),
        pytest.param(10**5000, "out_of_range", "many digits", id="5001 digits"),
        (float("nan"), "not_finite", "nan"),
        (float("-inf"), "not_finite", "inf"),
        (True, "not_a_number", "true"),
        ("1.2", "not_a_number", "'1.2'"),
        (None, "not_a_number", "null"),
        ({"kW": 1}, "not_a_number", "kW"),
    ],
)
def test_power_that_is_invalid_is_rejected_with_a_fix(value: object, reason: str, hint: str) -> None:
    with pytest.raises(PayloadError, match=hint) as refused:
        power_of(value, Limits())
    assert refused.value.reason == reason


@given(st.floats(-100, 100) | st.integers(-100, 100))
def test_power_within_the_limits_is_unchanged(value: float) -> None:
    assert power_of(value, Limits()) == value


def test_limits_decide_whether_feed_in_is_accepted() -> None:
    assert power_of(-3.5, Limits()) == -3.5
    with pytest.raises(PayloadError, match="outside 0 to 20 kW"):
        power_of(-3.5, Limits(0.0, 20.0))


@pytest.mark.parametrize("name", ["home", "Meter-1.l2_b", "7", "x" * 64, "..."])
def test_device_name_valid(name: str) -> None:
    assert is_device_id(name)


@pytest.mark.parametrize("name", ["", "my meter", "$SYS", "x" * 65, "x" * 300, "a/b", "a+", "ä", "home\n"])
def test_device_name_invalid(name: str) -> None:
    assert not is_device_id(name)


@pytest.mark.parametrize("name", ["x" * 100, "\0" * 80, "'" * 100, "€" * 65_535])
def test_device_id_problem_is_short_for_any_name(name: str) -> None:
    problem = device_id_problem(name)
    assert len(problem) <= 150
    assert problem.isprintable()
    assert problem[0] == problem.partition(" cannot name a device")[0][-1], "the quotes of the name"


@pytest.mark.parametrize(
    ("value", "reason", "words"),
    [
        ("239", "not_a_number", "voltage_v must be a number in V, not '239'"),
        (True, "not_a_number", "voltage_v must be a number in V, not true"),
        (None, "not_a_number", "not null"),
        (float("nan"), "not_finite", "voltage_v must be finite, not nan"),
        (float("-inf"), "not_finite", "voltage_v must be finite, not -inf"),
        (1e7, "out_of_range", r"voltage_v of 10000000.0 V is outside -1e\+06 to 1e\+06: check the meter's unit"),
        pytest.param(10**5000, "out_of_range", "many digits", id="5001 digits"),
    ],
)
def test_measured_value_must_be_a_number(value: object, reason: str, words: str) -> None:
    with pytest.raises(PayloadError, match=words) as refused:
        measured_of("voltage_v", value)
    assert refused.value.reason == reason


@given(st.floats(-1e6, 1e6) | st.integers(-1_000_000, 1_000_000))
def test_measured_value_is_unchanged(value: float) -> None:
    assert measured_of("current_a", value) == value
