"""Messages of sources: readings, samples of minutes, and messages that are neither."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gapcast.core.readings.reading import Limits, Reading, instant_of
from gapcast.core.readings.samples import SampleCount
from tests.support.approximate import approx
from tests.support.sources import LONG_AGO_MS, SourceFeed

SECOND, MINUTE = 1_000, 60_000
FIRST = LONG_AGO_MS // MINUTE
WATTS = {"topic": "meter/{device}", "value": "power", "unit": "W"}
MINUTES = WATTS | {"kind": "minute"}


def document_of(power: object, **more: object) -> str:
    return json.dumps({"power": power, **more})


# --- values and units -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "power", "gap_kw"),
    [("W", 1234, 1.234), ("kW", 1.234, 1.234), ("auto", 1.234, 1.234), ("W", "85.5", 0.0855)],
)
def test_source_converts_power_from_its_unit(unit: str, power: object, gap_kw: float) -> None:
    feed = SourceFeed(MINUTES | {"unit": unit})
    feed.send("meter/home", document_of(power))
    assert feed.readings == [Reading("home", FIRST, approx(gap_kw))]


@pytest.mark.parametrize("unit", ["auto", "kW"])
@pytest.mark.parametrize("format_", ["json", "number"])
def test_source_rejects_power_in_a_wrong_unit_with_a_hint(unit: str, format_: str) -> None:
    source = {"topic": "meter/{device}", "unit": unit, "kind": "minute", "format": format_}
    feed = SourceFeed(source | ({"value": "power"} if format_ == "json" else {}))
    feed.send("meter/home", document_of(1230) if format_ == "json" else "1230")
    assert feed.readings == []
    assert feed.reasons == ["out_of_range"]
    assert 'if these are watts, set unit = "W" (1.23 kW), else unit = "kW"' in feed.details[0]


def test_source_power_over_the_limits_names_them() -> None:
    feed = SourceFeed(MINUTES)
    feed.send("meter/home", document_of(150_000))
    assert feed.reasons == ["out_of_range"]
    assert "150000 W is outside -100 to 100 kW: check the unit; the range is set by limits.min_kw" in feed.details[0]


def test_source_power_slightly_over_a_low_limit_names_the_limits() -> None:
    feed = SourceFeed(MINUTES | {"unit": "kW"}, limits=Limits(-1.0, 5.0))
    feed.send("meter/home", document_of(6))
    assert "6 kW is outside -1 to 5 kW: check the unit; the range is set by limits.min_kw" in feed.details[0]


def test_source_sign_inverts_power() -> None:
    feed = SourceFeed(MINUTES | {"sign": -1})
    feed.send("meter/home", document_of(500))
    assert [reading.gap_kw for reading in feed.readings] == [-0.5]


def test_source_of_several_values_uses_the_first_present() -> None:
    feed = SourceFeed(MINUTES | {"value": ["total", "a + b", "plug"]})
    for i, payload in enumerate(({"plug": 7}, {"a": 10, "b": 20}, {"plug": 7}, {"total": 5}, {"a": 1, "b": 2})):
        feed.send("meter/home", json.dumps(payload), LONG_AGO_MS + i * MINUTE)
    assert [reading.gap_kw for reading in feed.readings] == pytest.approx([0.007, 0.030, 0.005])
    assert feed.statistics.n_not_readings == 2


def test_source_of_values_with_common_terms_uses_the_first_present() -> None:
    feed = SourceFeed(MINUTES | {"value": ["a + b + c", "a + b", "a"]})
    feed.send("meter/home", json.dumps({"a": 1, "b": 2, "c": 4}))
    assert feed.readings == [Reading("home", FIRST, approx(0.007))]


def test_source_adds_the_newest_of_separate_terms() -> None:
    source = {"topic": "p1/{device}/{part}", "format": "number", "value": "in - out", "unit": "W", "every_s": 30}
    feed = SourceFeed(source)
    for second, part, power in ((0, "in", 300), (0, "out", 0), (30, "in", 0), (30, "out", 600), (60, "out", 600)):
        feed.send(f"p1/home/{part}", str(power), LONG_AGO_MS + second * SECOND + (part == "out"))
    assert feed.readings == [Reading("home", FIRST, approx(-0.15, abs=1e-4))]
    assert feed.statistics.n_not_readings == 1  # the first, as long as the other is not known


@pytest.mark.parametrize("form", ['{"data": %s}', "%s"], ids=["classic", "flat"])
def test_source_in_one_message_combines_no_terms_of_several(form: str) -> None:
    """An AMS reader sends only the import in most messages: an earlier export must not be subtracted from it."""
    feed = SourceFeed({"preset": "amsreader"})
    for i in range(7):
        whole, at_ms = {"P": 0, "PO": 500} if i < 3 else {"P": 700, "PO": 0}, LONG_AGO_MS + i * 10 * SECOND
        feed.send("amsreader", form % json.dumps(whole), at_ms)
        feed.send("amsreader", form % json.dumps({"P": 800}), at_ms + 5 * SECOND)
    assert feed.readings == [Reading("home", FIRST, approx((-0.5 + 0.7) / 2))]
    assert feed.statistics.n_not_readings == 7


def test_source_adds_up_meters_that_send_json() -> None:
    source = {"preset": "tasmota", "topic": "tele/{part}/SENSOR", "device": "home", "value": "l1 + l2 - pv"}
    feed = SourceFeed(source | {"every_s": 60})
    powers = [("l1", 400), ("l2", 200), ("pv", 100), ("l1", 500), ("l2", 200), ("pv", 0), ("l1", 500)]
    for i, (plug, power) in enumerate(powers):
        payload = json.dumps({"Time": "1970-01-01T00:00:00", "ENERGY": {"Power": power, "Voltage": 230}})
        feed.send(f"tele/{plug}/SENSOR", payload, LONG_AGO_MS + i * 20 * SECOND)
    assert [reading.device for reading in feed.readings] == ["home"]
    # 0.5 kW when the third plug has sent, 0.6 kW from the fourth message on, 0.7 kW from the sixth.
    assert feed.readings[0].gap_kw == approx((20 * 0.6 + 20 * 0.6 + 20 * 0.7) / 60, abs=1e-4)
    assert feed.statistics.n_not_readings == 2  # as long as not all are known


def test_source_of_several_meters_ignores_a_message_without_power() -> None:
    source = {
        "topic": "em/{part}/status",
        "device": "home",
        "value": "a + b",
        "part_value": ["p1 + p2", "p"],
        "unit": "W",
    }
    feed = SourceFeed(source)
    for i, (part, document) in enumerate(
        (("a", {"p": 100}), ("b", {"p1": 1}), ("b", {"p1": 20, "p2": 30}), ("b", {"up": 5}))
    ):
        feed.send(f"em/{part}/status", json.dumps(document), LONG_AGO_MS + i * SECOND)
    feed.send("em/a/status", json.dumps({"p": 100}), LONG_AGO_MS + MINUTE)
    assert [reading.gap_kw for reading in feed.readings] == [approx(0.15)]
    feed.send("em/a/status", json.dumps({"p": "much"}), LONG_AGO_MS + MINUTE + SECOND)
    assert feed.reasons == ["not_a_number"]


def test_source_does_not_read_unneeded_features() -> None:
    source = MINUTES | {"voltage_v": "volts", "current_ma": "amps", "reactive_var": "var"}
    feed = SourceFeed(source, extras=("current_a", "reactive_kvar"))
    feed.send("meter/home", document_of(1000, volts=[1, 2], amps=500, var=250))
    feed.send("meter/home", document_of(1000, volts="high"), LONG_AGO_MS + MINUTE)
    assert [reading.measured for reading in feed.readings] == [{"current_a": 0.5, "reactive_kvar": 0.25}, None]


def test_source_bad_feature_is_missing_and_logged_once() -> None:
    feed = SourceFeed(
        {"preset": "tasmota", "value": "ENERGY.Power.0 + ENERGY.Power.1", "kind": "minute"},
        extras=("voltage_v", "current_a", "reactive_kvar"),
    )
    energy = {"Power": [230, 12], "Voltage": [231, 232], "Current": 1.1, "ReactivePower": 1e99}
    with capture_logs() as logs:
        for minute in range(3):
            document = {"Time": f"2023-01-01T00:0{minute}:00", "ENERGY": energy}
            feed.send("tele/relay/SENSOR", json.dumps(document), LONG_AGO_MS + minute * MINUTE)
    assert feed.readings == [Reading("relay", FIRST + i, approx(0.242), measured={"current_a": 1.1}) for i in range(3)]
    assert feed.reasons == []
    (line,) = logs
    assert line["event"] == "source.bad_features"
    assert line["problem"].startswith(
        "voltage_v: ENERGY.Voltage must be a number, not [231, 232]: it is a list; name one item (ENERGY.Voltage.0)"
    )
    assert "; reactive_kvar: " in line["problem"]


# --- what is no reading ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("on", "not_json"), ('{"power": ', "not_json"), (b"\xff", "not_json"), ('{"power": "on"}', "not_a_number"),
        ('{"power": true}', "not_a_number"), ('{"power": [1, 2]}', "not_a_number"), ('{"power": 1e999}', "not_finite"),
        (" " * 65_537, "too_large"),
    ],
)  # fmt: skip
def test_source_rejects_invalid_messages_with_a_reason(payload: str | bytes, reason: str) -> None:
    feed = SourceFeed(WATTS)
    feed.send("meter/home", payload)
    assert feed.reasons == [reason]


@pytest.mark.parametrize("payload", ["", "{}", "[]", "null", "5", '"x"', '{"power": null}', '{"power": "unavailable"}'])
def test_source_counts_messages_without_power(payload: str) -> None:
    feed = SourceFeed(WATTS)
    feed.send("meter/home", document_of(1000))
    (message,) = feed.send("meter/home", payload, LONG_AGO_MS + SECOND)
    assert (message.reading, message.problem) == (None, None)
    assert (feed.statistics.n_not_readings, feed.statistics.samples["taken"]) == (1, 1)


@given(st.binary(max_size=40), st.sampled_from(["json", "number"]))
def test_source_any_bytes_raise_no_error(payload: bytes, format_: str) -> None:
    source = {"topic": "meter/{device}", "format": format_, "kind": "minute"}
    feed = SourceFeed(source | ({"value": "power"} if format_ == "json" else {}))
    (message,) = feed.send("meter/home", payload)
    assert message.reading is None or message.problem is None


def test_source_ignores_retained_messages_without_a_time() -> None:
    feed = SourceFeed(MINUTES)
    feed.send("meter/home", document_of(1000), retained=True)
    assert (feed.readings, feed.reasons, feed.statistics.n_not_readings) == ([], [], 1)
    feed.send("meter/home", document_of(1000), again=True)
    assert feed.reasons == ["unknown_age"]
    timed = SourceFeed(MINUTES | {"time": "t"})
    timed.send("meter/home", document_of(1000, t=1_672_531_200), retained=True, again=True)
    assert timed.readings == [Reading("home", FIRST, 1.0, redelivered=True)]


def test_source_retained_sample_of_days_ago_makes_no_minutes() -> None:
    """For example from a Tasmota with SensorRetain, at the first start; it is still the newest term of a sum."""
    feed = SourceFeed(WATTS | {"every_s": 60, "time": "t", "value": "a + b"})
    now_ms = LONG_AGO_MS + 2 * 1_440 * MINUTE
    feed.send("meter/home", json.dumps({"a": 100, "b": 10, "t": LONG_AGO_MS}), now_ms, retained=True)
    for i in range(3):
        at_ms = now_ms + i * MINUTE
        feed.send("meter/home", json.dumps({"a": 200, "t": at_ms}), at_ms)
    assert [(reading.minute - now_ms // MINUTE, reading.gap_kw) for reading in feed.readings] == [
        (0, approx(0.21)),
        (1, approx(0.21)),
    ]


def test_source_retained_sample_within_its_hold_is_used() -> None:
    feed = SourceFeed(WATTS | {"every_s": 60, "time": "t"})
    feed.send("meter/home", document_of(100, t=LONG_AGO_MS), LONG_AGO_MS + 90 * SECOND, retained=True)
    feed.wait()
    assert feed.readings == [Reading("home", FIRST, approx(0.1))]


def test_source_ignores_old_topics_and_rejects_bad_names() -> None:
    feed = SourceFeed(WATTS, max_devices=1)
    (message,) = feed.send("gap/home/reading", "1")
    assert (message.reading, message.problem, feed.statistics.n_not_readings) == (None, None, 1)
    for device in ("home", "my meter", "other", "home"):
        feed.send(f"meter/{device}", document_of(1))
    assert feed.reasons == ["bad_device", "too_many_devices"]
    assert (feed.reader.meters.topic_of("home"), feed.reader.meters.topic_of("other")) == ("meter/home", "")


@pytest.mark.parametrize("kind", ["samples", "minute"])
def test_source_meters_without_a_value_leave_their_places(kind: str) -> None:
    feed = SourceFeed(WATTS | {"kind": kind}, max_devices=3)
    for i in range(9):
        feed.send(f"meter/thermo{i}", '{"temperature": 21.5}')
    for device in ("plug", "oven", "pump", "car"):
        feed.send(f"meter/{device}", document_of(51))
        feed.send("meter/thermo0", '{"temperature": 21.5}')
    assert feed.reasons == ["too_many_devices"] * 3
    assert [one.device for one in feed.reader.meters.sample_counts()] == ["plug", "oven", "pump"]
    known = [name for name in ("thermo0", "thermo8", "plug", "car") if feed.reader.meters.topic_of(name)]
    assert known == ["plug"]


def test_source_term_of_a_sum_is_a_value() -> None:
    feed = SourceFeed(WATTS | {"value": "a + b"}, max_devices=1)
    feed.send("meter/home", '{"a": 5}')
    feed.send("meter/other", document_of(1))
    assert feed.reasons == ["too_many_devices"]


def test_source_meter_without_a_value_leaves_one_of_its_name() -> None:
    feed = SourceFeed(WATTS, WATTS | {"topic": "plug/{device}"}, max_devices=2)
    feed.send("meter/home", "{}")
    feed.send("plug/home", document_of(51))
    assert feed.reader.meters.shared == {"home": ("meter/home", "plug/home")}
    feed.send("plug/other", document_of(51))
    assert (feed.reasons, list(feed.reader.meters.shared)) == ([], ["home"])
    feed.send("meter/home", "{}")
    assert feed.reasons == ["too_many_devices"]


def test_source_names_devices_that_send_samples() -> None:
    feed = SourceFeed(MINUTES | {"topic": "minute/{device}"}, WATTS)
    for topic in ("minute/a", "meter/b"):
        feed.send(topic, document_of(1))
    assert [feed.reader.meters.sends_samples(device) for device in "abc"] == [False, True, False]


def test_source_reads_a_topic_whose_name_suits_no_device() -> None:
    feed = SourceFeed(MINUTES, MINUTES | {"topic": "meter/my meter", "device": "mine"})
    feed.send("meter/my meter", document_of(1000))
    feed.send("meter/your meter", document_of(1000))
    assert feed.readings == [Reading("mine", FIRST, 1.0)]
    assert feed.reasons == ["bad_device"]
    assert feed.details[0].endswith("give this topic a source of its own with device")


def test_source_without_readable_values_is_logged_once() -> None:
    feed = SourceFeed(WATTS | {"value": "ENERGY.Powr"})
    with capture_logs() as logs:
        for _ in range(120):
            feed.send("meter/home", '{"Time": "x", "ENERGY": {"Power": 5}}')
    (line,) = logs
    assert (line["event"], line["n_messages"], line["keys"]) == ("source.no_readings", 50, "Time, ENERGY")


@pytest.mark.parametrize(
    ("source", "messages", "missing"),
    [
        (
            {"topic": "x/{part}", "device": "home", "format": "number", "value": "0 + 1 + 2", "unit": "W"},
            [("x/0", "5"), ("x/1", "6")],
            "received 0, 1; missing 2",
        ),
        (WATTS | {"value": "a - b"}, [("meter/home", '{"a": 5, "c": 6}')], "received a; missing b"),
        (WATTS | {"value": ["p", "a + b"]}, [("meter/home", '{"b": 5}')], "received b; missing a"),
    ],
)
def test_source_without_a_term_names_it(source: dict[str, Any], messages: list[tuple[str, str]], missing: str) -> None:
    feed = SourceFeed(source)
    with capture_logs() as logs:
        for topic, payload in messages * 50:
            feed.send(topic, payload)
    (line,) = logs
    assert line["event"] == "source.no_readings"
    assert line["fix"] == f"{missing}: check that the meter sends it, or remove it from value"


@pytest.mark.parametrize(
    ("keys", "fix"),
    [
        ({"in_one_message": True, "unit": "W"}, "set in_one_message = false"),
        ({"unit": "kWh"}, "read powers (W, kW) instead"),
    ],
)
def test_source_with_terms_never_together_warns(keys: dict[str, Any], fix: str) -> None:
    feed = SourceFeed({"topic": "meter/{device}", "value": "in - out"} | keys)
    with capture_logs() as logs:
        for payload in ('{"in": 345}', '{"out": 0}') * 30:
            feed.send("meter/home", payload)
    assert feed.readings == []
    assert [line["fix"] for line in logs] == [f"in and out never arrive in one message: {fix}"]


def test_source_read_once_is_not_logged_as_unreadable() -> None:
    feed = SourceFeed(WATTS)
    with capture_logs() as logs:
        feed.send("meter/home", document_of(1))
        for _ in range(120):
            feed.send("meter/home", "{}")
    assert logs == []


def test_source_that_begins_to_be_read_is_not_logged_again() -> None:
    feed = SourceFeed(WATTS)
    with capture_logs() as logs:
        for payload in (*["{}"] * 50, document_of(1), *["{}"] * 5):
            feed.send("meter/home", payload)
    assert [line["event"] for line in logs] == ["source.no_readings"]


@pytest.mark.parametrize("word", ["unavailable", "nan", ""])
def test_source_null_power_ends_the_value(word: str) -> None:
    feed = SourceFeed({"preset": "home-assistant"})
    topic = "homeassistant/sensor/power/state"
    for second, payload in ((0, word), (0, "1000"), (90, word), (91, word), (600, "2000"), (660, "2000")):
        feed.send(topic, payload, LONG_AGO_MS + second * SECOND)
    assert [(reading.minute - FIRST, reading.gap_kw) for reading in feed.readings] == [(0, 1.0), (1, 1.0), (10, 2.0)]
    assert feed.statistics.n_not_readings == 3


def test_source_retained_null_of_any_age_does_not_end_the_value() -> None:
    feed = SourceFeed({"preset": "home-assistant", "every_s": 60})
    for second, payload in ((0, "1000"), (5, "unavailable"), (30, "3000"), (60, "0")):
        at_ms = LONG_AGO_MS + second * SECOND
        feed.send("homeassistant/sensor/power/state", payload, at_ms, retained=payload == "unavailable")
    assert feed.readings == [Reading("power", FIRST, approx(2.0))]


def test_source_sum_with_a_null_part_is_unknown() -> None:
    feed = SourceFeed({"preset": "p1-esp", "every_s": 60})
    topic = "sensors/power/p1meter/"
    for second, part, payload in ((0, "actual_returndelivery", "9000"), (0, "actual_returndelivery", "unknown"),
                                  (1, "actual_consumption", "700"), (2, "actual_returndelivery", "0"),
                                  (62, "actual_returndelivery", "0")):  # fmt: skip
        feed.send(topic + part, payload, LONG_AGO_MS + second * SECOND)
    assert feed.readings == [Reading("home", FIRST, approx(0.7))]


TIBBER = {"topic": "tibber/{device}", "value": "power - powerProduction", "unit": "W", "every_s": 10}


def tibber(power: object, production: object, **more: object) -> str:
    return json.dumps({"power": power, "powerProduction": production, "powerFactor": None, **more})


@pytest.mark.parametrize("keys", [{}, {"time": "timestamp"}], ids=["arrival", "time"])
def test_source_sum_with_a_null_term_is_unknown(keys: dict[str, str]) -> None:
    feed = SourceFeed(TIBBER | keys)
    for second in range(0, 181, 10):
        at_ms = LONG_AGO_MS + second * SECOND
        powers = (500, None) if 60 <= second < 120 else (0, 3000)
        feed.send("tibber/home", tibber(*powers, timestamp=at_ms), at_ms + 700)
    assert [(reading.minute - FIRST, reading.gap_kw) for reading in feed.readings] == [(0, approx(-3)), (2, approx(-3))]
    assert feed.statistics.n_not_readings == 6


@pytest.mark.parametrize("second", [None, {"p": None}])
def test_source_null_for_the_object_of_a_term_is_unknown(second: dict[str, None] | None) -> None:
    feed = SourceFeed(TIBBER | {"value": "l1.p + l2.p", "every_s": 60})
    for at_s, of_second in ((0, {"p": 5000}), (60, second), (120, {"p": 0}), (180, {"p": 0})):
        feed.send("tibber/home", json.dumps({"l1": {"p": 100}, "l2": of_second}), LONG_AGO_MS + at_s * SECOND)
    assert [(reading.minute - FIRST, reading.gap_kw) for reading in feed.readings] == [
        (0, approx(5.1)), (2, approx(0.1)),
    ]  # fmt: skip


@pytest.mark.parametrize("t", [None, "never", 0])
def test_source_null_term_without_a_usable_time_ends_the_value(t: object) -> None:
    feed = SourceFeed(TIBBER | {"time": "t", "every_s": 60})
    for second, power, production in ((0, 500, 0), (20, 9000, None), (60, 700, 0), (120, 0, 0)):
        at_ms = LONG_AGO_MS + second * SECOND
        feed.send("tibber/home", tibber(power, production, t=t if production is None else at_ms), at_ms)
    assert feed.readings == [Reading("home", FIRST + 1, approx(0.7))]
    assert (feed.reasons, feed.statistics.n_not_readings) == ([], 1)


@pytest.mark.parametrize("reset", ["null", "[]", '"unavailable"', '"nan"'])
def test_source_null_term_in_a_message_of_its_own_is_unknown(reset: str) -> None:
    """As that of a Shelly whose meter of a phase has failed: the other phases must not be added to its old power."""
    feed = SourceFeed({"preset": "shelly-gen2-phases", "time_form": "arrival", "on_change": False, "every_s": 60})
    for second, phase, power in ((0, 0, 100), (0, 1, 200), (0, 2, 300), (31, 1, reset), (40, 0, 900), (90, 1, 0)):
        payload = f'{{"params": {{"em1:{phase}": {{"id": {phase}, "act_power": {power}}}}}}}'
        feed.send("shelly/events/rpc", payload, LONG_AGO_MS + second * SECOND)
    feed.wait()
    assert [reading.gap_kw for reading in feed.readings[:2]] == [approx(0.6), approx(1.2)]


@pytest.mark.parametrize("reset", ['{"value": null}', '{"value": []}', "null"])
def test_source_null_part_in_json_is_unknown(reset: str) -> None:
    topic = "N/c0619ab1b2c3/system/0/Ac/Grid/{}/Power"
    feed = SourceFeed(
        {"topic": topic.format("{part}"), "device": "home", "value": "L1 + L2", "part_value": "value", "unit": "W"}
    )
    for second, phase, payload in ((0, "L1", '{"value": 100}'), (0, "L2", '{"value": 5000}'), (31, "L2", reset),
                                   (40, "L1", '{"value": 100}'), (90, "L2", '{"value": 0}')):  # fmt: skip
        feed.send(topic.format(phase), payload, LONG_AGO_MS + second * SECOND)
    feed.wait()
    assert [reading.gap_kw for reading in feed.readings[:2]] == [approx(5.1), approx(0.1)]


def test_source_null_of_another_sum_ends_no_value() -> None:
    feed = SourceFeed(TIBBER | {"value": ["total", "a + b", "power"]})
    for second in range(0, 61, 10):
        payload = {"total": None, "a": None, "b": None, "power": 500}
        feed.send("tibber/home", json.dumps(payload), LONG_AGO_MS + second * SECOND)
        feed.send("tibber/home", json.dumps(payload | {"power": None}), LONG_AGO_MS + (second + 5) * SECOND)
    assert feed.readings == [Reading("home", FIRST, approx(0.5))]


@pytest.mark.parametrize("waited", [{"again": True}, {"retained": True}])
def test_source_null_term_of_a_delayed_message_ends_no_value(waited: dict[str, bool]) -> None:
    feed = SourceFeed(TIBBER | {"time": "t", "every_s": 60})
    feed.send("tibber/home", tibber(500, 0, t=LONG_AGO_MS + 20 * SECOND), LONG_AGO_MS + 20 * SECOND)
    feed.send("tibber/home", tibber(500, None, t=LONG_AGO_MS), LONG_AGO_MS + 25 * SECOND, **waited)
    feed.wait(62)
    assert feed.readings == [Reading("home", FIRST, approx(0.5))]


@pytest.mark.parametrize(
    ("redelivered", "power_kw"),
    [([{"powerProduction": 0}], 0.5), ([{"power": 9000}], -2.5), ([{"powerProduction": 0}] * 2, 0.5),
     ([{"powerProduction": 0}, {"powerProduction": 9000}], 0.5), ([{"power": 0, "powerProduction": 0}], -2.5)],
)  # fmt: skip
def test_source_redelivered_term_completes_the_sample_of_its_time(
    redelivered: list[dict[str, int]], power_kw: float
) -> None:
    """The connection ended between the two messages of an instant: the broker sends the second one again."""
    feed = SourceFeed(TIBBER | {"time": "t", "every_s": 60})
    at_ms = LONG_AGO_MS + MINUTE
    feed.send("tibber/home", tibber(0, 3000, t=LONG_AGO_MS), LONG_AGO_MS)
    feed.send("tibber/home", json.dumps({"power": 500, "t": at_ms}), at_ms)
    for terms in redelivered:
        feed.send("tibber/home", json.dumps(terms | {"t": at_ms}), at_ms + 2 * SECOND, again=True)
    feed.wait(62)
    assert [reading.gap_kw for reading in feed.readings] == [approx(-3), approx(power_kw)]


def test_source_null_is_zero_for_the_other_direction() -> None:
    feed = SourceFeed(TIBBER | {"null_is_zero": True})
    for second, power, production in ((0, 0, 3000), (30, 500, None), (60, None, 2000), (120, None, None)):
        feed.send("tibber/home", tibber(power, production), LONG_AGO_MS + second * SECOND)
    feed.wait()
    assert [reading.gap_kw for reading in feed.readings] == [approx((-3 + 0.5) / 2), approx(-2)]
    assert feed.statistics.n_not_readings == 1


def test_source_null_is_zero_only_for_null() -> None:
    feed = SourceFeed(TIBBER | {"null_is_zero": True})
    feed.send("tibber/home", tibber(500, "unavailable"))
    feed.send("tibber/home", json.dumps({"power": 500}))
    assert (feed.statistics.n_not_readings, feed.statistics.samples["taken"]) == (2, 0)


def test_source_null_term_names_the_fix() -> None:
    feed = SourceFeed(TIBBER)
    with capture_logs() as logs:
        for _ in range(50):
            feed.send("tibber/home", tibber(500, None))
    assert [line["fix"] for line in logs] == [
        "null for powerProduction: if that means no power, set null_is_zero = true"
    ]


@pytest.mark.parametrize(
    ("keys", "payload"),
    [
        ({}, tibber(500, "unavailable")),
        ({}, tibber(500, [])),
        ({}, tibber(None, None)),
        ({}, '{"powerProduction": null}'),
        ({"null_is_zero": True}, tibber(500, "unavailable")),
    ],
)
def test_source_null_term_names_no_fix_that_does_not_help(keys: dict[str, bool], payload: str) -> None:
    feed = SourceFeed(TIBBER | keys)
    with capture_logs() as logs:
        for _ in range(50):
            feed.send("tibber/home", payload)
    assert len(logs) == 1
    assert "null_is_zero" not in logs[0]["fix"]


def test_source_counter_continues_after_null() -> None:
    feed = SourceFeed({"topic": "meter/{device}", "format": "number", "unit": "Wh", "every_s": 60})
    for second, payload in ((0, "1000"), (30, "unavailable"), (60, "1020")):
        feed.send("meter/home", payload, LONG_AGO_MS + second * SECOND)
    assert feed.readings == [Reading("home", FIRST, approx(1.2))]


# --- times ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "ts"),
    [
        ("auto", "2023-01-01T00:05:00Z"), ("auto", 1_672_531_500), ("auto", 1_672_531_500_000),
        ("auto", "1672531500"), ("auto", "1672531500.250"), ("auto", "1672531500000"), ("auto", "230101010500W"),
        ("auto", "2023-01-01T01:05:00+0100"), ("local", "230101010500W"),
        ("rfc3339", "2023-01-01T01:05:00+01:00"), ("epoch_s", 1_672_531_500.2), ("epoch_s", "1672531500"),
        ("epoch_ms", 1_672_531_500_000), ("local", "2023-01-01T01:05:00"),
    ],
)  # fmt: skip
def test_source_reads_time_in_its_form(form: str, ts: object) -> None:
    feed = SourceFeed(MINUTES | {"time": "t", "time_form": form, "timezone": "Europe/Paris"})
    feed.send("meter/home", document_of(1000, t=ts))
    assert [reading.minute for reading in feed.readings] == [FIRST + 5]


@pytest.mark.parametrize(
    ("form", "ts", "reason"),
    [
        ("auto", None, "bad_time"), ("auto", "20230101000500", "bad_time"), ("auto", "000000000000W", "bad_time"),
        ("auto", "230101000500", "bad_time"),
        ("rfc3339", "1672531500", "bad_time"), ("rfc3339", "230101000500W", "bad_time"),
        ("rfc3339", 1_672_531_500, "bad_time"), ("rfc3339", "2023-01-01T00:05:00", "bad_time"),
        ("epoch_s", 1_672_531_500_000, "bad_time"), ("epoch_ms", 1e300, "bad_time"), ("epoch_s", "x", "not_a_number"),
        ("epoch_s", "nan", "bad_time"), ("epoch_s", 1.33, "clock_not_set"),
        ("local", "1970-06-11T05:35:26", "clock_not_set"), ("local", "2023-01-01T00:05:00Z", "bad_time"),
    ],
)  # fmt: skip
def test_source_rejects_invalid_time(form: str, ts: object, reason: str) -> None:
    feed = SourceFeed(MINUTES | {"time": "t", "time_form": form})
    feed.send("meter/home", document_of(1000, t=ts))
    assert feed.reasons == [reason]


@pytest.mark.parametrize(
    ("form", "ts", "fix"),
    [
        ("auto", None, 'the message has no t, the path of its time: correct time, or set time_form = "arrival"'),
        ("auto", "2023-01-01 00:05:00", 'has no offset: if it is local time, set time_form = "local"'),
        ("auto", "2023-01-01 00:05:00", 'set time_form = "local"; or set time_form = "arrival"'),
        ("auto", "00:05", "is not RFC 3339: give the offset or Z, as in 2010-11-01T00:29:00Z; or set time_form ="),
        ("auto", "5", '; or set time_form = "arrival"'),
        ("auto", "2100-01-01T00:00:00Z", 'is after 2099; or set time_form = "arrival"'),
        ("epoch_s", "x", '; or set time_form = "arrival"'),
        ("epoch_s", 1_672_531_500_000, 'set time_form = "epoch_ms"; or set time_form = "arrival"'),
        ("local", 1_672_531_500, 'if it has an offset or is a number, set time_form = "auto"'),
        ("local", "1970-06-11T05:35:26", 'the meter\'s clock was never set: set it, or time_form = "arrival"'),
    ],
)
def test_source_names_the_fix_for_an_invalid_time(form: str, ts: object, fix: str) -> None:
    feed = SourceFeed(MINUTES | {"time": "t", "time_form": form})
    feed.send("meter/home", document_of(1000, t=ts))
    (detail,) = feed.details
    assert fix in detail


def test_source_time_form_arrival_ignores_the_meters_time() -> None:
    feed = SourceFeed(MINUTES | {"time": "t", "time_form": "arrival"})
    feed.send("meter/home", document_of(1000, t="never"))
    assert [reading.minute for reading in feed.readings] == [FIRST]


def test_source_reports_a_clock_offset_and_uses_the_time() -> None:
    feed = SourceFeed(MINUTES | {"time": "t"})
    with capture_logs() as logs:
        for i in range(4):
            feed.send("meter/home", document_of(1000, t=LONG_AGO_MS + (60 + i) * MINUTE), LONG_AGO_MS + i * MINUTE)
    assert [reading.minute - FIRST for reading in feed.readings] == [60, 61, 62, 63]
    assert feed.statistics.n_clock_offsets == 1
    (line,) = logs
    assert (line["event"], line["device"], line["ahead_min"]) == ("clock.wrong", "home", 60)
    assert "local time" in line["fix"]
    with capture_logs() as logs:
        feed.send("meter/home", document_of(1000, t=LONG_AGO_MS + 64 * MINUTE), LONG_AGO_MS + 64 * MINUTE)
    assert [line["event"] for line in logs] == ["clock.right"]
    assert feed.statistics.n_clock_offsets == 0


@pytest.mark.parametrize("form", [{}, {"time_form": "local"}])
def test_source_clock_of_dsmr_times_names_the_zone_in_which_they_are_read(form: dict[str, str]) -> None:
    feed = SourceFeed(WATTS | {"time": "t"} | form, site="UTC")
    with capture_logs() as logs:
        for minute in range(4):
            payload = document_of(1000, t=f"26120109{minute:02d}00W")
            feed.send("meter/home", payload, instant_of(f"2026-12-01T08:{minute:02d}:00Z"))
    (line,) = logs
    assert (line["event"], line["ahead_min"]) == ("clock.wrong", 60)
    assert line["fix"].startswith("the meter's local times are read as UTC: set site.timezone to its zone")


def test_source_clock_that_ignores_daylight_saving_names_its_rules() -> None:
    feed = SourceFeed({"preset": "tasmota", "every_s": 60}, site="Europe/Berlin")
    with capture_logs() as logs:
        for minute in range(4):
            payload = f'{{"Time": "2026-07-01T13:0{minute}:00", "ENERGY": {{"Power": 500}}}}'
            feed.send("tele/plug/SENSOR", payload, instant_of(f"2026-07-01T12:0{minute}:00Z"))
    (line,) = logs
    assert (line["event"], line["ahead_min"]) == ("clock.wrong", -60)
    assert "the meter's clock ignores daylight saving time" in line["fix"]


@pytest.mark.parametrize("began", ["2023-10-28T22:30:00+00:00", "2023-03-26T00:00:00+00:00"], ids=["autumn", "spring"])
@pytest.mark.parametrize("years_later", [0, 2], ids=["live", "replayed"])
def test_source_daylight_saving_change_keeps_every_minute(began: str, years_later: int) -> None:
    feed = SourceFeed({"preset": "tasmota", "every_s": 60, "timezone": "Europe/Paris"})
    start = datetime.fromisoformat(began)
    for i in range(240):
        at = start + timedelta(minutes=i, seconds=20)
        shown = at.astimezone(ZoneInfo("Europe/Paris")).strftime("%Y-%m-%dT%H:%M:%S")
        arrived = at + timedelta(days=365 * years_later, milliseconds=150)
        payload = json.dumps({"Time": shown, "ENERGY": {"Power": i}})
        feed.send("tele/plug/SENSOR", payload, round(arrived.timestamp() * 1_000))
    first = round(start.timestamp()) // 60
    assert [reading.minute - first for reading in feed.readings] == list(range(239))
    assert feed.statistics.samples == {"taken": 240, "duplicate": 0, "late": 0}


# --- samples ----------------------------------------------------------------------------------------


def test_source_sample_that_closes_a_minute_carries_it() -> None:
    feed = SourceFeed(WATTS | {"every_s": 10})
    for second in range(0, 130, 10):
        feed.send("meter/home", document_of(100 * second), LONG_AGO_MS + second * SECOND)
    assert feed.readings == [Reading("home", FIRST, 2.5), Reading("home", FIRST + 1, 8.5)]
    bearing = [message for message in feed.incoming if message.reading is not None]
    assert [json.loads(message.token.payload)["power"] for message in bearing] == [6_000, 12_000]
    assert feed.statistics.samples == {"taken": 13, "duplicate": 0, "late": 0}


def test_source_minutes_closed_by_the_clock_have_no_message() -> None:
    feed = SourceFeed(WATTS | {"every_s": 300})
    feed.send("meter/home", document_of(500), LONG_AGO_MS)
    feed.send("meter/home", document_of(700), LONG_AGO_MS + 180 * SECOND)
    made = [message for message in feed.incoming if message.reading is not None]
    assert [message.reading.minute - FIRST for message in made if message.reading] == [0, 1, 2]
    assert [message.token.packet_id for message in made] == [0, 0, 2]
    assert json.loads(made[0].token.payload) == {"ts": "2023-01-01T00:00:00Z", "gap_kw": 0.5}
    assert made[0].token.topic == "meter/home"


@pytest.mark.parametrize(
    ("source", "payload", "due_ms", "noun"),
    [
        (WATTS | {"every_s": 30}, document_of(500), LONG_AGO_MS + MINUTE + 2 * SECOND, "sample"),
        (MINUTES, document_of(500), None, "reading"),
        ({"topic": "meter/{device}", "format": "gapcast"}, "0.5", None, "reading"),
    ],
    ids=["samples", "minutes", "gapcast"],
)
def test_source_counts_the_messages_of_a_meter(
    source: dict[str, Any], payload: str, due_ms: int | None, noun: str
) -> None:
    feed = SourceFeed(source)
    feed.send("meter/home", payload)
    feed.send("meter/home", payload, LONG_AGO_MS + 30 * SECOND)
    assert feed.reader.meters.sample_counts() == [SampleCount("home", 2, due_ms, noun)]


@pytest.mark.parametrize(
    ("source", "payload"),
    [
        (WATTS | {"unit": "kW"}, document_of(1230)),
        (MINUTES | {"unit": "kW"}, document_of(1230)),
        ({"topic": "meter/{device}", "format": "gapcast"}, "1230"),
    ],
    ids=["samples", "minutes", "gapcast"],
)
def test_source_rejected_message_is_not_counted(source: dict[str, Any], payload: str) -> None:
    feed = SourceFeed(source)
    feed.send("meter/home", payload)
    assert (feed.reasons, feed.reader.meters.sample_counts()) == (["out_of_range"], [])


def test_source_counts_duplicate_and_late_samples() -> None:
    feed = SourceFeed(WATTS | {"every_s": 30, "time": "t"})
    for second in (0, 30, 30, 20, 60):
        feed.send("meter/home", document_of(1000, t=LONG_AGO_MS + second * SECOND), LONG_AGO_MS + second * SECOND)
    assert feed.readings == [Reading("home", FIRST, 1.0)]
    assert feed.statistics.samples == {"taken": 3, "duplicate": 1, "late": 1}


def test_source_redelivered_samples_have_no_effect() -> None:
    feed = SourceFeed(WATTS | {"every_s": 10, "time": "t"})
    for second in range(0, 60, 10):
        feed.send("meter/home", document_of(1000, t=LONG_AGO_MS + second * SECOND), LONG_AGO_MS + second * SECOND)
    for second in range(10, 70, 10):  # unacknowledged when it was lost, but for the last one taken already
        feed.send(
            "meter/home", document_of(1000, t=LONG_AGO_MS + second * SECOND), LONG_AGO_MS + 61 * SECOND, again=True
        )
    assert feed.readings == [Reading("home", FIRST, approx(1.0))]
    assert feed.statistics.samples == {"taken": 7, "duplicate": 5, "late": 0}


HOME_ASSISTANT = {"preset": "home-assistant", "topic": "homeassistant/sensor/{part}/state", "device": "home"}
SHELLY = {"preset": "shelly-gen1-3em", "every_s": 60}
PHASES = [f"shellies/em/emeter/{i}/power" for i in range(3)]


@pytest.mark.parametrize(
    ("source", "topics", "before", "after", "kw"),
    [
        (
            HOME_ASSISTANT | {"value": "grid_import - grid_export"},
            ["homeassistant/sensor/grid_import/state", "homeassistant/sensor/grid_export/state"],
            [0, 3000], [500, 0], 0.5,
        ),
        (
            {"preset": "dsmr-reader-topics"},
            [f"dsmr/reading/electricity_currently_{way}" for way in ("delivered", "returned")],
            ["0.000", "3.000"], ["0.500", "0.000"], 0.5,
        ),
        (SHELLY, PHASES, [1, 2, 3], [5, 5, 7], 0.017),
        (SHELLY, PHASES, [1, 2, 3], [9, 2, 3], 0.014),
    ],
    ids=["Home Assistant", "DSMR-reader", "Shelly 3EM", "one of three changes"],
)  # fmt: skip
@pytest.mark.parametrize("is_reversed", [False, True])
def test_source_terms_that_arrive_at_one_instant_are_one_sample(
    source: dict[str, Any], topics: list[str], before: list[object], after: list[object], kw: float, is_reversed: bool
) -> None:
    feed = SourceFeed(source)
    for second, powers in ((0, before), (60, after), (120, after)):
        terms = list(zip(topics, powers, strict=True))
        for topic, power in reversed(terms) if is_reversed else terms:
            feed.send(topic, str(power), LONG_AGO_MS + second * SECOND)
    feed.wait(62)
    assert [reading.gap_kw for reading in feed.readings if reading.minute > FIRST] == [approx(kw)] * 2


def test_source_terms_with_one_time_are_one_sample() -> None:
    """A Tasmota script that sends each value in a message of its own, with a time in seconds."""
    source = {"topic": "tele/{device}/SENSOR", "value": "grid.L1 + grid.L2 + grid.L3", "unit": "W", "time": "Time"}
    feed = SourceFeed(source | {"time_form": "local", "every_s": 60}, extras=("voltage_v",))
    for second in range(0, 121, 60):
        for i, power in enumerate((100, 200, 63.0) if second else (1000, 2000, 3000)):
            payload = {"Time": f"2023-01-01T00:0{second // 60}:00", "grid": {f"L{i + 1}": power}}
            for again in (False, True):
                at_ms = LONG_AGO_MS + second * SECOND + 10 * i
                feed.send("tele/meter/SENSOR", json.dumps(payload), at_ms, again=again)
    assert feed.readings == [Reading("meter", FIRST, approx(6.0)), Reading("meter", FIRST + 1, approx(0.363))]
    assert feed.statistics.samples == {"taken": 5, "duplicate": 9, "late": 0}


def test_source_redelivered_term_replaces_no_sample() -> None:
    feed = SourceFeed(WATTS | {"every_s": 60, "time": "t", "value": "a + b"})
    feed.send("meter/home", json.dumps({"a": 100, "b": 10, "t": LONG_AGO_MS}))
    feed.send("meter/home", json.dumps({"a": 900, "t": LONG_AGO_MS}), again=True)
    feed.wait(62)
    assert feed.readings == [Reading("home", FIRST, approx(0.11))]


def test_source_whole_value_with_the_time_of_another_is_a_duplicate() -> None:
    feed = SourceFeed(WATTS | {"every_s": 60, "time": "t"})
    for power in (100, 900):
        feed.send("meter/home", document_of(power, t=LONG_AGO_MS))
    feed.wait(62)
    assert feed.readings == [Reading("home", FIRST, approx(0.1))]
    assert feed.statistics.samples == {"taken": 1, "duplicate": 1, "late": 0}


def test_source_last_of_the_values_that_arrive_at_one_instant_holds() -> None:
    feed = SourceFeed({"preset": "home-assistant", "every_s": 60})
    for power in ("2000", "0", "0"):
        feed.send("homeassistant/sensor/power/state", power)
    feed.wait(62)
    assert feed.readings == [Reading("power", FIRST, 0.0)]
    assert feed.statistics.samples == {"taken": 2, "duplicate": 1, "late": 0}


def test_source_null_at_the_instant_of_a_value_ends_it() -> None:
    feed = SourceFeed({"preset": "home-assistant", "every_s": 60})
    for second, payload in ((0, "1000"), (31, "9000"), (31, "unavailable")):
        feed.send("homeassistant/sensor/power/state", payload, LONG_AGO_MS + second * SECOND)
    feed.wait()
    assert feed.readings == [Reading("power", FIRST, approx(1.0))]


def test_source_slow_meter_with_terms_at_one_instant_is_slow() -> None:
    feed = SourceFeed(HOME_ASSISTANT | {"value": "in - out", "on_change": False})
    for i in range(4):
        for part in ("in", "out"):
            feed.send(f"homeassistant/sensor/{part}/state", str(i), LONG_AGO_MS + i * 2 * MINUTE)
    assert feed.statistics.n_slow_meters == 1


@pytest.mark.parametrize("ahead_min", [0, -1_000_000, 777])
def test_source_clock_closes_minutes_in_the_meters_time(ahead_min: int) -> None:
    feed = SourceFeed(WATTS | {"every_s": 10, "time": "t"})
    for second in (10, 40, 50):
        shown_ms = LONG_AGO_MS + second * SECOND + ahead_min * MINUTE
        feed.send("meter/home", document_of(1000, t=shown_ms), LONG_AGO_MS + second * SECOND + 300)
    feed.wait(for_s=11.9)
    assert (feed.readings, feed.reader.is_due()) == ([], False)
    feed.wait(for_s=0.1)
    assert feed.readings == [Reading("home", FIRST + ahead_min, approx(1.0))]
    feed.wait()
    assert len(feed.readings) == 1


@pytest.mark.parametrize("waited", [{"again": True}, {"retained": True}])
def test_source_late_meter_with_a_backlog_loses_no_minute(waited: dict[str, bool]) -> None:
    feed = SourceFeed(WATTS | {"every_s": 20, "time": "t"})
    arrives_ms = LONG_AGO_MS + 1_000_000 * MINUTE
    feed.send("meter/home", document_of(1000, t=LONG_AGO_MS), arrives_ms, **waited)
    for i in range(1, 7):  # the clock must not close all minutes from then until today
        feed.send("meter/home", document_of(1000, t=LONG_AGO_MS + i * 20 * SECOND), arrives_ms + i * SECOND)
    assert feed.readings == [Reading("home", minute, approx(1.0)) for minute in (FIRST, FIRST + 1)]


@pytest.mark.parametrize("waited", [{"again": True}, {"retained": True}])
def test_source_queued_message_does_not_measure_the_meters_clock(waited: dict[str, bool]) -> None:
    """Its delay is unknown: it neither corrects a clock that is ahead nor delays closing the open minute."""
    feed = SourceFeed(WATTS | {"every_s": 10, "time": "t"})
    for second in range(0, 60, 10):
        feed.send("meter/home", document_of(1000, t=LONG_AGO_MS + second * SECOND), LONG_AGO_MS + second * SECOND)
    for second in (0, 10):
        payload, at_ms = document_of(1000, t=LONG_AGO_MS + second * SECOND - 60 * MINUTE), LONG_AGO_MS + 59 * SECOND
        feed.send("meter/home", payload, at_ms, **waited)
    feed.wait(for_s=3)
    assert feed.readings == [Reading("home", FIRST, approx(1.0))]
    for minute in range(10):
        at_ms = LONG_AGO_MS + minute * MINUTE
        shown_ms = at_ms + (120 if minute < 3 else 0) * MINUTE
        feed.send("meter/ahead", document_of(1000, t=shown_ms), at_ms, **(waited if minute >= 3 else {}))
    assert feed.statistics.n_clock_offsets == 1


@pytest.mark.parametrize("ahead_min", [0, -1_000_000, 777])
def test_source_null_power_ends_the_value_in_the_meters_time(ahead_min: int) -> None:
    feed = SourceFeed(WATTS | {"hold_s": 600, "on_change": True, "time": "t"})
    feed.send("meter/home", document_of(1000, t=LONG_AGO_MS + ahead_min * MINUTE), LONG_AGO_MS)
    feed.send("meter/home", "null", LONG_AGO_MS + 90 * SECOND)
    feed.wait()
    assert [reading.minute - FIRST - ahead_min for reading in feed.readings] == [0, 1]


def test_source_clock_closes_each_minute_once() -> None:
    feed = SourceFeed(WATTS | {"every_s": 10, "time": "t"})
    for second in (10, 20, 30, 40, 50):  # a replay, ten times as fast as life: the end comes nearer with each
        feed.send("meter/home", document_of(1000, t=LONG_AGO_MS + second * SECOND), LONG_AGO_MS + second * SECOND // 10)
    feed.wait(for_s=12)
    assert feed.readings == [Reading("home", FIRST, approx(1.0))]
    feed.wait()
    assert len(feed.readings) == 1
    assert not feed.reader.is_due()


def test_source_clock_closes_at_most_a_batch_of_minutes() -> None:
    feed = SourceFeed(WATTS | {"every_s": 60})
    for i in range(5):
        feed.send(f"meter/{i}", document_of(1000))
    feed.now_ms += 90 * SECOND
    closed = [len(feed.reader.close_due(2)) for _ in range(4)]
    assert closed == [2, 2, 1, 0]
    assert not feed.reader.is_due()


def test_source_rejects_an_infinite_sum() -> None:
    feed = SourceFeed(WATTS | {"value": "a + b"})
    feed.send("meter/home", json.dumps({"a": 1.7e308, "b": 1.7e308}))
    assert feed.reasons == ["not_finite"]


def test_source_counters_give_mean_power() -> None:
    source = WATTS | {"unit": "kWh", "value": "in - out", "every_s": 20}
    feed = SourceFeed(source, extras=("voltage_v",))
    for i, (drawn, fed_in) in enumerate(((10.0, 5.0), (10.01, 5.0), (10.01, 5.02), (10.02, 5.02), (0.0, 5.02))):
        payload = json.dumps({"in": drawn, "out": fed_in})
        feed.send("meter/home", payload, LONG_AGO_MS + i * 20 * SECOND)
    assert feed.readings == [Reading("home", FIRST, approx(0.0))]
    assert feed.statistics.n_counter_resets == 1
    feed.send("meter/home", json.dumps({"in": 900.0, "out": 5.02}), LONG_AGO_MS + 100 * SECOND)
    assert feed.reasons == ["out_of_range"]
    assert "check the unit, Wh or kWh" in feed.details[0]
    feed.send("meter/home", json.dumps({"in": 900.0, "out": 5.02}), LONG_AGO_MS + 100 * SECOND)
    assert feed.statistics.samples["duplicate"] == 1
    assert feed.statistics.n_counter_resets == 1, "each once"


def test_source_zigbee2mqtt_with_last_seen_ignores_repeated_powers() -> None:
    feed = SourceFeed({"preset": "zigbee2mqtt", "time": "last_seen"})
    for i, seen_min in enumerate((0, 1, 2, 2)):  # the last one when Zigbee2MQTT restarts, ten hours later
        seen_ms = LONG_AGO_MS + seen_min * MINUTE
        feed.send("zigbee2mqtt/plug", document_of(100, last_seen=seen_ms), LONG_AGO_MS + (i if i < 3 else 600) * MINUTE)
    assert feed.statistics.samples == {"taken": 3, "duplicate": 1, "late": 0}


def test_source_counter_out_of_range_leaves_its_time_out() -> None:
    feed = SourceFeed(WATTS | {"unit": "kWh", "every_s": 20})
    for i, kwh in enumerate((10.0, 10.01, 900.0, 900.02)):  # 1.8 kW, too much, 3.6 kW
        feed.send("meter/home", json.dumps({"power": kwh}), LONG_AGO_MS + i * 20 * SECOND)
    assert feed.reasons == ["out_of_range"]
    assert feed.readings == [Reading("home", FIRST, approx((1.8 + 3.6) / 2))]


@pytest.mark.parametrize("keys", [{"time": "t"}, {}])
def test_source_counter_without_time_rejects_late_counts(keys: dict[str, str]) -> None:
    """The broker queued counts of 9 kW for ten minutes: with their times, no energy is lost."""
    feed = SourceFeed(WATTS | {"unit": "kWh", "every_s": 10, **keys})
    for second in range(0, 1_200, 10):
        arrived_ms = 895 * SECOND + second // 10 if 300 < second < 900 else second * SECOND
        payload = json.dumps({"power": 10 + second / 400, "t": LONG_AGO_MS + second * SECOND})
        feed.send("meter/home", payload, LONG_AGO_MS + arrived_ms)
    assert len(feed.readings) == 19
    if keys:
        assert all(reading.gap_kw == approx(9.0) for reading in feed.readings)
        assert feed.details == []
    else:
        assert min(reading.gap_kw for reading in feed.readings) < 0.2, "that of one count over the interruption"
        (detail,) = feed.details
        assert "left out: check the unit, Wh or kWh; if the counter's steps are large, send it less often" in detail
        assert detail.endswith("; if counts arrive late, set time")


@pytest.mark.parametrize(("silent_s", "n_minutes"), [(100, 30), (400, 30), (1_170, 30), (1_200, 10)])
def test_source_counter_loses_no_energy_in_a_short_interruption(silent_s: int, n_minutes: int) -> None:
    feed = SourceFeed(WATTS | {"unit": "kWh", "every_s": 30})
    for second in range(0, 1_830, 30):
        if not 300 < second <= 300 + silent_s:
            feed.send("meter/home", json.dumps({"power": 10 + second / 1_200}), LONG_AGO_MS + second * SECOND)
    readings = feed.readings
    assert [reading.minute for reading in readings[-4:]] == [FIRST + minute for minute in range(26, 30)]
    assert len(readings) == n_minutes
    assert all(reading.gap_kw == approx(3.0) and not reading.is_filled for reading in readings)


def test_source_counter_of_a_clock_set_back_has_no_energy_twice() -> None:
    feed = SourceFeed(WATTS | {"unit": "kWh", "every_s": 30, "time": "t"})
    for i in range(41):
        at_ms = LONG_AGO_MS + i * 30 * SECOND
        shown_ms = at_ms - (0 if i <= 20 else 300 * SECOND)
        feed.send("meter/home", json.dumps({"power": 10 + i / 40, "t": shown_ms}), at_ms)
    assert [reading.minute - FIRST for reading in feed.readings] == [*range(10), *range(5, 15)]
    assert all(reading.gap_kw == approx(3.0) for reading in feed.readings)


def test_source_counter_that_fell_silent_gives_no_late_reading() -> None:
    feed = SourceFeed(WATTS | {"unit": "kWh", "every_s": 10})
    for second in range(0, 60, 10):
        feed.send("meter/home", json.dumps({"power": 10 + second / 1_200}), LONG_AGO_MS + second * SECOND)
    feed.wait()
    assert feed.readings == []


def test_source_counters_in_separate_messages_give_no_power() -> None:
    feed = SourceFeed(WATTS | {"unit": "kWh", "value": "in - out", "every_s": 60})
    for minute in range(4):  # 1.2 kW in, 0.6 kW out: the second message would be -720 kW, and its energy would be lost
        at_ms = LONG_AGO_MS + minute * 60 * SECOND
        feed.send("meter/home", json.dumps({"in": 10 + minute / 50}), at_ms)
        feed.send("meter/home", json.dumps({"out": 5 + minute / 100}), at_ms + 50)
    assert (feed.readings, feed.reasons) == ([], [])
    assert feed.statistics.n_not_readings == 8


def test_source_plain_counter_in_watt_hours() -> None:
    feed = SourceFeed({"topic": "meter/{device}", "format": "number", "unit": "Wh", "sign": -1, "every_s": 30})
    for i, count in enumerate((1000, 1010, 1020)):
        feed.send("meter/home", str(count), LONG_AGO_MS + i * 30 * SECOND)
    assert feed.readings == [Reading("home", FIRST, approx(-1.2))]


def test_source_slow_meter_is_logged_once() -> None:
    feed = SourceFeed(WATTS | {"every_s": 60})
    with capture_logs() as logs:
        for i in range(8):
            feed.send("meter/home", document_of(1000), LONG_AGO_MS + i * 300 * SECOND)
    (line,) = logs
    assert (line["event"], line["device"], line["every_s"]) == ("meter.slow", "home", 300)
    with capture_logs() as logs:
        for i in range(8):
            feed.send("meter/other", document_of(1000), LONG_AGO_MS + i * 300 * SECOND)
    assert logs == []  # of a fleet of them, one line is enough
    assert feed.statistics.n_slow_meters == 2
    assert line["fix"].endswith("or set every_s = 300")
    assert line["meanwhile"].startswith("there are gaps: if the next sample arrives more than 120 s (hold_s) later, ")
    for i in range(3):
        feed.send("meter/home", document_of(1000), LONG_AGO_MS + 2_400 * SECOND + i * 10 * SECOND)
    assert feed.statistics.n_slow_meters == 1
    for device in ("home", "other"):
        feed.reader.meters.forget(device)
    assert feed.statistics.n_slow_meters == 0


@pytest.mark.parametrize(
    ("interval_s", "fix"),
    [(500, ""), (700, "configure it to repeat its value at least every 600 s (hold_s)")],
)
def test_source_on_change_is_slow_only_beyond_its_hold(interval_s: int, fix: str) -> None:
    feed = SourceFeed(WATTS | {"on_change": True, "hold_s": 600})
    with capture_logs() as logs:
        for i in range(5):
            feed.send("meter/home", document_of(1000), LONG_AGO_MS + i * interval_s * SECOND)
    assert feed.statistics.n_slow_meters == len(logs) == bool(fix)
    assert all(line["event"] == "meter.slow" and fix == line["fix"] for line in logs)
    assert all(line["meanwhile"].startswith("there are gaps") for line in logs)


def test_source_slow_meter_gets_no_interval_that_cannot_be_set() -> None:
    feed = SourceFeed(WATTS)
    with capture_logs() as logs:
        for i in range(5):
            feed.send("meter/home", document_of(1000), LONG_AGO_MS + i * 1_200 * SECOND)
    assert [line["fix"] for line in logs] == ["configure it to send at least once a minute"]


def test_source_slow_meter_that_sends_twice_is_slow() -> None:
    feed = SourceFeed(WATTS)
    for i in range(5):
        for _ in range(2):
            feed.send("meter/home", document_of(1000), LONG_AGO_MS + i * 300 * SECOND)
    assert feed.statistics.n_slow_meters == 1


def test_source_forgotten_meter_gives_no_minute_by_the_clock() -> None:
    feed = SourceFeed(WATTS | {"every_s": 30})
    for i in range(2):
        feed.send("meter/home", document_of(1000), LONG_AGO_MS + i * 30 * SECOND)
    feed.reader.meters.forget("home")
    feed.wait()
    assert feed.readings == []


def test_source_forgotten_slow_meter_is_not_counted() -> None:
    feed = SourceFeed(WATTS | {"every_s": 120})
    for i in range(5):
        feed.send("meter/home", document_of(1000), LONG_AGO_MS + i * 120 * SECOND)
    assert feed.statistics.n_slow_meters == 1
    feed.reader.meters.forget("home")
    assert feed.statistics.n_slow_meters == 0


def test_source_slow_meter_with_every_s_fills_each_minute() -> None:
    feed = SourceFeed(WATTS | {"every_s": 300})
    with capture_logs() as logs:
        for i in range(5):
            feed.send("meter/home", document_of(1000 * i), LONG_AGO_MS + i * 300 * SECOND)
    assert [reading.gap_kw for reading in feed.readings[:20]] == [float(i) for i in range(4) for _ in range(5)]
    assert [line["event"] for line in logs] == ["meter.slow"]
    assert logs[0]["fix"] == "configure it to send at least once a minute"
    assert logs[0]["meanwhile"] == "each minute until the next sample repeats the last value"


@pytest.mark.parametrize(
    ("keys", "interval_s", "n_readings", "meanwhile"),
    [
        (
            {"hold_s": 120}, 300, 0,
            "it has no readings: the difference of two counts is used if they are at most 120 s apart",
        ),
        ({}, 1_260, 0, "it has no readings: the difference of two counts is used if they are at most 1200 s apart"),
        ({}, 300, 20, "each minute between two counts has their mean power"),
        ({"every_s": 300}, 300, 20, "each minute between two counts has their mean power"),
    ],
)  # fmt: skip
def test_source_slow_counter_names_the_distance_of_counts(
    keys: dict[str, Any], interval_s: int, n_readings: int, meanwhile: str
) -> None:
    feed = SourceFeed({"topic": "meter/{device}", "format": "number", "unit": "kWh", **keys})
    with capture_logs() as logs:
        for i in range(5):
            feed.send("meter/home", str(100 + i / 10), LONG_AGO_MS + i * interval_s * SECOND)
    assert len(feed.readings) == n_readings
    assert [line["meanwhile"] for line in logs] == [meanwhile]
    assert feed.statistics.n_slow_meters == 1
