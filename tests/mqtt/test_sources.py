"""Messages of sources: readings, samples of minutes, and what is neither."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gapcast.core.reading import Reading
from tests.support.approximate import approx
from tests.support.sources import LONG_AGO_MS, Heard

SECOND, MINUTE = 1_000, 60_000
FIRST = LONG_AGO_MS // MINUTE
WATTS = {"topic": "meter/{device}", "value": "power", "unit": "W"}
MINUTES = WATTS | {"kind": "minute"}


def told(power: object, **more: object) -> str:
    return json.dumps({"power": power, **more})


# --- values and units -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "power", "gap_kw"),
    [("W", 1234, 1.234), ("kW", 1.234, 1.234), ("auto", 1.234, 1.234), ("W", "85.5", 0.0855)],
)
def test_power_is_taken_in_its_unit(unit: str, power: object, gap_kw: float) -> None:
    heard = Heard(MINUTES | {"unit": unit})
    heard.send("meter/home", told(power))
    assert heard.readings == [Reading("home", FIRST, approx(gap_kw))]


@pytest.mark.parametrize("unit", ["auto", "kW"])
@pytest.mark.parametrize("format_", ["json", "number"])
def test_a_thousand_times_too_much_is_rejected_with_a_hint(unit: str, format_: str) -> None:
    source = {"topic": "meter/{device}", "unit": unit, "kind": "minute", "format": format_}
    heard = Heard(source | ({"value": "power"} if format_ == "json" else {}))
    heard.send("meter/home", told(1230) if format_ == "json" else "1230")
    assert heard.readings == []
    assert heard.reasons == ["out_of_range"]
    assert 'if these are watts, set unit = "W" (1.23 kW), else unit = "kW"' in heard.details[0]


def test_beyond_any_unit_the_limits_are_named() -> None:
    heard = Heard(MINUTES)
    heard.send("meter/home", told(1e9))
    assert heard.reasons == ["out_of_range"]
    assert "1e+09 W is outside -100 to 100 kW: check the unit; the range is set by limits.min_kw" in heard.details[0]


def test_a_meter_that_counts_the_other_way_is_turned() -> None:
    heard = Heard(MINUTES | {"sign": -1})
    heard.send("meter/home", told(500))
    assert [reading.gap_kw for reading in heard.readings] == [-0.5]


def test_of_several_values_the_first_that_there_is_is_meant_and_no_later_one_stands_in() -> None:
    heard = Heard(MINUTES | {"value": ["total", "a + b", "plug"]})
    for i, payload in enumerate(({"plug": 7}, {"a": 10, "b": 20}, {"plug": 7}, {"total": 5}, {"a": 1, "b": 2})):
        heard.send("meter/home", json.dumps(payload), LONG_AGO_MS + i * MINUTE)
    assert [reading.gap_kw for reading in heard.readings] == pytest.approx([0.007, 0.030, 0.005])
    assert heard.statistics.n_not_readings == 2


def test_terms_that_come_one_by_one_are_added_up_of_the_newest_of_each() -> None:
    source = {"topic": "p1/{device}/{part}", "format": "number", "value": "in - out", "unit": "W", "every_s": 10}
    heard = Heard(source)
    for second, part, power in ((0, "in", 300), (0, "out", 0), (30, "in", 0), (30, "out", 600), (60, "out", 600)):
        heard.send(f"p1/home/{part}", str(power), LONG_AGO_MS + second * SECOND + (part == "out"))
    assert heard.readings == [Reading("home", FIRST, approx(-0.15, abs=1e-4))]
    assert heard.statistics.n_not_readings == 1  # the first, as long as the other is not known


def test_what_a_model_does_not_need_is_not_looked_at() -> None:
    source = MINUTES | {"voltage_v": "volts", "current_ma": "amps"}
    heard = Heard(source, extras=("current_a",))
    heard.send("meter/home", told(1000, volts=[1, 2], amps=500))
    heard.send("meter/home", told(1000, volts="high"), LONG_AGO_MS + MINUTE)
    assert [reading.measured for reading in heard.readings] == [{"current_a": 0.5}, None]
    heard.send("meter/home", told(1000, amps="high"), LONG_AGO_MS + 2 * MINUTE)
    assert heard.reasons == ["not_a_number"]


# --- what is no reading ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("on", "not_json"), ('{"power": ', "not_json"), (b"\xff", "not_json"), ('{"power": "on"}', "not_a_number"),
        ('{"power": true}', "not_a_number"), ('{"power": [1, 2]}', "not_a_number"), ('{"power": 1e999}', "not_finite"),
        (" " * 65_537, "too_large"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_rejected_with_a_reason(payload: str | bytes, reason: str) -> None:
    heard = Heard(WATTS)
    heard.send("meter/home", payload)
    assert heard.reasons == [reason]


@pytest.mark.parametrize("payload", ["", "{}", "[]", "null", "5", '"x"', '{"power": null}', '{"power": "unavailable"}'])
def test_what_tells_no_power_is_no_reading_and_is_counted(payload: str) -> None:
    heard = Heard(WATTS)
    (arrival,) = heard.send("meter/home", payload)
    assert (arrival.reading, arrival.problem) == (None, None)
    assert heard.statistics.n_not_readings == 1


@given(st.binary(max_size=40), st.sampled_from(["json", "number"]))
def test_any_bytes_are_a_reading_a_problem_or_nothing(payload: bytes, format_: str) -> None:
    source = {"topic": "meter/{device}", "format": format_, "kind": "minute"}
    heard = Heard(source | ({"value": "power"} if format_ == "json" else {}))
    (arrival,) = heard.send("meter/home", payload)
    assert arrival.reading is None or arrival.problem is None


def test_what_a_broker_kept_without_a_time_is_of_unknown_age_and_not_used() -> None:
    heard = Heard(MINUTES)
    heard.send("meter/home", told(1000), retained=True)
    assert (heard.readings, heard.reasons, heard.statistics.n_not_readings) == ([], [], 1)
    heard.send("meter/home", told(1000), again=True)
    assert heard.reasons == ["unknown_age"]
    timed = Heard(MINUTES | {"time": "t"})
    timed.send("meter/home", told(1000, t=1_672_531_200), retained=True, again=True)
    assert timed.readings == [Reading("home", FIRST, 1.0, redelivered=True)]


def test_topics_of_an_earlier_configuration_and_bad_names() -> None:
    heard = Heard(WATTS, max_devices=1)
    (arrival,) = heard.send("gap/home/reading", "1")
    assert (arrival.reading, arrival.problem, heard.statistics.n_not_readings) == (None, None, 1)
    for device in ("home", "my meter", "other", "home"):
        heard.send(f"meter/{device}", told(1))
    assert heard.reasons == ["bad_device", "too_many_devices"]
    assert (heard.reader.topic_of("home"), heard.reader.topic_of("other")) == ("meter/home", "")


def test_a_source_of_which_nothing_can_be_read_is_told_of_once_with_the_keys_that_there_are() -> None:
    heard = Heard(WATTS | {"value": "ENERGY.Powr"})
    with capture_logs() as logs:
        for _ in range(120):
            heard.send("meter/home", '{"Time": "x", "ENERGY": {"Power": 5}}')
    (line,) = logs
    assert (line["event"], line["n_messages"], line["keys"]) == ("source.no_readings", 50, "Time, ENERGY")


def test_a_source_that_was_heard_may_say_nothing_for_long() -> None:
    heard = Heard(WATTS)
    with capture_logs() as logs:
        heard.send("meter/home", told(1))
        for _ in range(120):
            heard.send("meter/home", "{}")
    assert logs == []


@pytest.mark.parametrize("word", ["unavailable", "nan", ""])
def test_a_meter_that_says_that_it_knows_nothing_is_believed(word: str) -> None:
    heard = Heard({"preset": "home-assistant"})
    topic = "homeassistant/sensor/power/state"
    for second, payload in ((0, word), (0, "1000"), (90, word), (91, word), (600, "2000"), (660, "2000")):
        heard.send(topic, payload, LONG_AGO_MS + second * SECOND)
    assert [(reading.minute - FIRST, reading.gap_kw) for reading in heard.readings] == [(0, 1.0), (1, 1.0), (10, 2.0)]
    assert heard.statistics.n_not_readings == 3


def test_of_a_part_that_is_not_known_the_sum_is_not_either() -> None:
    heard = Heard({"preset": "p1-esp", "every_s": 60})
    topic = "sensors/power/p1meter/"
    for second, part, payload in ((0, "actual_consumption", "500"), (0, "actual_returndelivery", "unknown"),
                                  (1, "actual_consumption", "700"), (2, "actual_returndelivery", "0"),
                                  (62, "actual_returndelivery", "0")):  # fmt: skip
        heard.send(topic + part, payload, LONG_AGO_MS + second * SECOND)
    assert heard.readings == [Reading("home", FIRST, approx(0.7))]


def test_a_counter_that_is_not_known_for_a_while_goes_on_from_where_it_was() -> None:
    heard = Heard({"topic": "meter/{device}", "format": "number", "unit": "Wh", "every_s": 60})
    for second, payload in ((0, "1000"), (30, "unavailable"), (60, "1020")):
        heard.send("meter/home", payload, LONG_AGO_MS + second * SECOND)
    assert heard.readings == [Reading("home", FIRST, approx(1.2))]


# --- times ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "ts"),
    [
        ("auto", "2023-01-01T00:05:00Z"), ("auto", 1_672_531_500), ("auto", 1_672_531_500_000),
        ("rfc3339", "2023-01-01T01:05:00+01:00"), ("epoch_s", 1_672_531_500.2), ("epoch_s", "1672531500"),
        ("epoch_ms", 1_672_531_500_000), ("local", "2023-01-01T01:05:00"),
    ],
)  # fmt: skip
def test_a_time_is_read_in_its_form(form: str, ts: object) -> None:
    heard = Heard(MINUTES | {"time": "t", "time_form": form, "timezone": "Europe/Paris"})
    heard.send("meter/home", told(1000, t=ts))
    assert [reading.minute for reading in heard.readings] == [FIRST + 5]


@pytest.mark.parametrize(
    ("form", "ts", "reason"),
    [
        ("auto", None, "bad_time"),
        ("rfc3339", 1_672_531_500, "bad_time"), ("rfc3339", "2023-01-01T00:05:00", "bad_time"),
        ("epoch_s", 1_672_531_500_000, "bad_time"), ("epoch_ms", 1e300, "bad_time"), ("epoch_s", "x", "not_a_number"),
        ("epoch_s", "nan", "bad_time"), ("epoch_s", 1.33, "clock_not_set"),
        ("local", "1970-06-11T05:35:26", "clock_not_set"), ("local", "2023-01-01T00:05:00Z", "bad_time"),
    ],
)  # fmt: skip
def test_a_time_that_is_none_is_rejected(form: str, ts: object, reason: str) -> None:
    heard = Heard(MINUTES | {"time": "t", "time_form": form})
    heard.send("meter/home", told(1000, t=ts))
    assert heard.reasons == [reason]


def test_by_arrival_the_meters_time_does_not_matter() -> None:
    heard = Heard(MINUTES | {"time": "t", "time_form": "arrival"})
    heard.send("meter/home", told(1000, t="never"))
    assert [reading.minute for reading in heard.readings] == [FIRST]


def test_a_clock_that_is_off_is_told_and_used_all_the_same() -> None:
    heard = Heard(MINUTES | {"time": "t"})
    with capture_logs() as logs:
        for i in range(4):
            heard.send("meter/home", told(1000, t=LONG_AGO_MS + (60 + i) * MINUTE), LONG_AGO_MS + i * MINUTE)
    assert [reading.minute - FIRST for reading in heard.readings] == [60, 61, 62, 63]
    assert heard.statistics.n_clocks_off == 1
    (line,) = logs
    assert (line["event"], line["device"], line["ahead_min"]) == ("clock.off", "home", 60)
    assert "local time" in line["cure"]
    with capture_logs() as logs:
        heard.send("meter/home", told(1000, t=LONG_AGO_MS + 64 * MINUTE), LONG_AGO_MS + 64 * MINUTE)
    assert [line["event"] for line in logs] == ["clock.right"]
    assert heard.statistics.n_clocks_off == 0


@pytest.mark.parametrize("began", ["2023-10-28T22:30:00+00:00", "2023-03-26T00:00:00+00:00"], ids=["autumn", "spring"])
@pytest.mark.parametrize("years_later", [0, 2], ids=["live", "replayed"])
def test_over_a_night_in_which_the_clock_is_set_no_minute_is_missing_and_none_comes_twice(
    began: str, years_later: int
) -> None:
    heard = Heard({"preset": "tasmota", "every_s": 60, "timezone": "Europe/Paris"})
    start = datetime.fromisoformat(began)
    for i in range(240):
        at = start + timedelta(minutes=i, seconds=20)
        shown = at.astimezone(ZoneInfo("Europe/Paris")).strftime("%Y-%m-%dT%H:%M:%S")
        arrived = at + timedelta(days=365 * years_later, milliseconds=150)
        payload = json.dumps({"Time": shown, "ENERGY": {"Power": i}})
        heard.send("tele/plug/SENSOR", payload, round(arrived.timestamp() * 1_000))
    first = round(start.timestamp()) // 60
    assert [reading.minute - first for reading in heard.readings] == list(range(239))
    assert heard.statistics.samples == {"taken": 240, "duplicate": 0, "late": 0}


# --- samples ----------------------------------------------------------------------------------------


def test_samples_become_minutes_and_the_one_that_closes_a_minute_bears_it() -> None:
    heard = Heard(WATTS | {"every_s": 10})
    for second in range(0, 130, 10):
        heard.send("meter/home", told(100 * second), LONG_AGO_MS + second * SECOND)
    assert heard.readings == [Reading("home", FIRST, 2.5), Reading("home", FIRST + 1, 8.5)]
    bearing = [arrival for arrival in heard.arrivals if arrival.reading is not None]
    assert [json.loads(arrival.token.payload)["power"] for arrival in bearing] == [6_000, 12_000]
    assert heard.statistics.samples == {"taken": 13, "duplicate": 0, "late": 0}


def test_minutes_that_no_message_bears_look_like_messages_of_their_own() -> None:
    heard = Heard(WATTS | {"every_s": 300})
    heard.send("meter/home", told(500), LONG_AGO_MS)
    heard.send("meter/home", told(700), LONG_AGO_MS + 180 * SECOND)
    made = [arrival for arrival in heard.arrivals if arrival.reading is not None]
    assert [arrival.reading.minute - FIRST for arrival in made if arrival.reading] == [0, 1, 2]
    assert [arrival.token.packet_id for arrival in made] == [0, 0, 2]
    assert json.loads(made[0].token.payload) == {"ts": "2023-01-01T00:00:00Z", "gap_kw": 0.5}
    assert made[0].token.topic == "meter/home"


def test_duplicates_and_late_samples_are_counted_and_change_nothing() -> None:
    heard = Heard(WATTS | {"every_s": 10, "time": "t"})
    for second in (0, 30, 30, 20, 60):
        heard.send("meter/home", told(1000, t=LONG_AGO_MS + second * SECOND), LONG_AGO_MS + second * SECOND)
    assert heard.readings == [Reading("home", FIRST, 1.0)]
    assert heard.statistics.samples == {"taken": 3, "duplicate": 1, "late": 1}


def test_samples_that_come_again_after_a_lost_connection_have_no_effect() -> None:
    heard = Heard(WATTS | {"every_s": 10, "time": "t"})
    for second in range(0, 60, 10):
        heard.send("meter/home", told(1000, t=LONG_AGO_MS + second * SECOND), LONG_AGO_MS + second * SECOND)
    for second in range(10, 70, 10):  # unacknowledged when it was lost, but for the last one taken already
        heard.send("meter/home", told(1000, t=LONG_AGO_MS + second * SECOND), LONG_AGO_MS + 61 * SECOND, again=True)
    assert heard.readings == [Reading("home", FIRST, approx(1.0))]
    assert heard.statistics.samples == {"taken": 7, "duplicate": 5, "late": 0}


@pytest.mark.parametrize("ahead_min", [0, -1_000_000, 777])
def test_the_clock_closes_a_minute_by_the_meters_time_however_far_off_that_is(ahead_min: int) -> None:
    heard = Heard(WATTS | {"every_s": 10, "time": "t"})
    for second in (10, 40, 50):
        shown_ms = LONG_AGO_MS + second * SECOND + ahead_min * MINUTE
        heard.send("meter/home", told(1000, t=shown_ms), LONG_AGO_MS + second * SECOND + 300)
    heard.wait(for_s=11.9)
    assert (heard.readings, heard.reader.is_due()) == ([], False)
    heard.wait(for_s=0.1)
    assert heard.readings == [Reading("home", FIRST + ahead_min, approx(1.0))]
    heard.wait()
    assert len(heard.readings) == 1


@pytest.mark.parametrize("waited", [{"again": True}, {"retained": True}])
def test_a_meter_far_behind_that_is_first_heard_by_what_had_waited_loses_no_minute(waited: dict[str, bool]) -> None:
    heard = Heard(WATTS | {"every_s": 20, "time": "t"})
    arrives_ms = LONG_AGO_MS + 1_000_000 * MINUTE
    heard.send("meter/home", told(1000, t=LONG_AGO_MS), arrives_ms, **waited)
    for i in range(1, 7):  # the clock must not close all minutes from then until today
        heard.send("meter/home", told(1000, t=LONG_AGO_MS + i * 20 * SECOND), arrives_ms + i * SECOND)
    assert heard.readings == [Reading("home", minute, approx(1.0)) for minute in (FIRST, FIRST + 1)]


def test_the_clock_looks_at_each_minute_once_however_often_it_was_planned() -> None:
    heard = Heard(WATTS | {"every_s": 10, "time": "t"})
    for second in (10, 20, 30, 40, 50):  # a replay, ten times as fast as life: the end comes nearer with each
        heard.send("meter/home", told(1000, t=LONG_AGO_MS + second * SECOND), LONG_AGO_MS + second * SECOND // 10)
    heard.wait(for_s=12)
    assert heard.readings == [Reading("home", FIRST, approx(1.0))]
    heard.wait()
    assert len(heard.readings) == 1
    assert not heard.reader.is_due()


def test_of_many_minutes_that_are_due_at_once_so_many_are_closed_as_a_batch_may_hold() -> None:
    heard = Heard(WATTS | {"every_s": 60})
    for i in range(5):
        heard.send(f"meter/{i}", told(1000))
    heard.now_ms += 90 * SECOND
    closed = [len(heard.reader.close_due(2)) for _ in range(4)]
    assert closed == [2, 2, 1, 0]
    assert not heard.reader.is_due()


def test_a_sum_beyond_any_number_is_rejected() -> None:
    heard = Heard(WATTS | {"value": "a + b"})
    heard.send("meter/home", json.dumps({"a": 1.7e308, "b": 1.7e308}))
    assert heard.reasons == ["not_finite"]


def test_counters_give_the_mean_of_their_differences() -> None:
    source = WATTS | {"unit": "kWh", "value": "in - out", "every_s": 20}
    heard = Heard(source, extras=("voltage_v",))
    for i, (drawn, fed_in) in enumerate(((10.0, 5.0), (10.01, 5.0), (10.01, 5.02), (10.02, 5.02), (0.0, 5.02))):
        payload = json.dumps({"in": drawn, "out": fed_in})
        heard.send("meter/home", payload, LONG_AGO_MS + i * 20 * SECOND)
    assert heard.readings == [Reading("home", FIRST, approx(0.0))]
    assert heard.statistics.n_counter_resets == 1
    heard.send("meter/home", json.dumps({"in": 900.0, "out": 5.02}), LONG_AGO_MS + 100 * SECOND)
    assert heard.reasons == ["out_of_range"]
    assert "check the unit, Wh or kWh" in heard.details[0]
    heard.send("meter/home", json.dumps({"in": 900.0, "out": 5.02}), LONG_AGO_MS + 100 * SECOND)
    assert heard.statistics.samples["duplicate"] == 1


def test_a_bare_counter_in_watt_hours() -> None:
    heard = Heard({"topic": "meter/{device}", "format": "number", "unit": "Wh", "sign": -1, "every_s": 30})
    for i, count in enumerate((1000, 1010, 1020)):
        heard.send("meter/home", str(count), LONG_AGO_MS + i * 30 * SECOND)
    assert heard.readings == [Reading("home", FIRST, approx(-1.2))]


def test_a_meter_slower_than_a_minute_is_told_of_once() -> None:
    heard = Heard(WATTS | {"every_s": 60})
    with capture_logs() as logs:
        for i in range(8):
            heard.send("meter/home", told(1000), LONG_AGO_MS + i * 300 * SECOND)
    (line,) = logs
    assert (line["event"], line["device"], line["every_s"]) == ("meter.slow", "home", 300)
    with capture_logs() as logs:
        for i in range(8):
            heard.send("meter/other", told(1000), LONG_AGO_MS + i * 300 * SECOND)
    assert logs == []  # of a fleet of them, one line is enough
    assert heard.statistics.n_slow_meters == 2
    assert "set every_s = 300" in line["cure"]
    for i in range(3):
        heard.send("meter/home", told(1000), LONG_AGO_MS + 2_400 * SECOND + i * 10 * SECOND)
    assert heard.statistics.n_slow_meters == 1


def test_a_meter_known_to_be_slow_gives_each_minute_its_value() -> None:
    heard = Heard(WATTS | {"every_s": 300})
    with capture_logs() as logs:
        for i in range(5):
            heard.send("meter/home", told(1000 * i), LONG_AGO_MS + i * 300 * SECOND)
    assert [reading.gap_kw for reading in heard.readings[:20]] == [float(i) for i in range(4) for _ in range(5)]
    assert [line["event"] for line in logs] == ["meter.slow"]
    assert "gaps" not in logs[0]["cure"]
