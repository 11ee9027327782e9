"""Minutes of submeters: which minute a reading gets, and what remains after a submeter's message."""

from __future__ import annotations

from typing import Any

import pytest

from gapcast.app.broker.broker import submeters_of
from gapcast.config.settings import Settings
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.readings.submeters import MAX_AGE_MIN
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.mqtt.sources.submeters import SubmeterReader
from tests.support.houses import FIRST

CAR: dict[str, Any] = {"of": "home", "name": "car", "topic": "car", "value": "kw", "unit": "kW"}
MINUTES = {**CAR, "time": "t", "kind": "minute"}


def reader_of(*submeters: dict[str, Any], now_ms: int = 0) -> SubmeterReader:
    settings = Settings.model_validate({"submeters": submeters})
    return SubmeterReader(submeters_of(settings), Limits(), lambda: now_ms)


def message(payload: str, topic: str = "car", received_ms: int = 0) -> ReceivedMessage:
    return ReceivedMessage(Publication(topic, payload.encode(), 0, False, False, b"", len(payload)), 0.0, received_ms)


def minute(i: int, kw: float) -> ReceivedMessage:
    return message(f'{{"t": {(FIRST + i) * 60}, "kw": {kw}}}')


def car_kw(reader: SubmeterReader, i: int) -> float | None:
    return (reader.attach(Reading("home", FIRST + i, 1.0)).measured or {}).get("submeter car")


def test_reading_gets_the_newest_minute_up_to_its_own() -> None:
    reader = reader_of(MINUTES)
    for i in (3, 1, 2, 5):
        assert reader.read(minute(i, float(i))).reading is None
    assert [car_kw(reader, i) for i in range(7)] == [None, 1, 2, 3, 3, 5, 5]
    assert [car_kw(reader, 5 + MAX_AGE_MIN), car_kw(reader, 6 + MAX_AGE_MIN)] == [5, None]


def test_reading_that_is_ten_minutes_late_gets_its_minute() -> None:
    reader = reader_of(MINUTES)
    for i in range(12):
        reader.read(minute(i, float(i)))
    assert car_kw(reader, 1) == 1.0


def test_reading_of_another_device_is_left_as_it_is() -> None:
    reader = reader_of(MINUTES)
    reader.read(minute(0, 1.0))
    reading = Reading("barn", FIRST, 1.0)
    assert reader.attach(reading) is reading
    with_voltage = Reading("home", FIRST, 1.0, measured={"voltage_v": 239.0})
    assert reader.attach(with_voltage).measured == {"voltage_v": 239.0, "submeter car": 1.0}


def test_submeter_that_restarts_in_the_past_keeps_few_minutes() -> None:
    reader = reader_of(MINUTES)
    for i in (*range(1_000, 1_040), *range(40)):
        assert reader.read(minute(i, i % 100)).problem is None
    assert [car_kw(reader, i) for i in (39, 1_039)] == [39, None]


@pytest.mark.parametrize(("payload", "reason"), [("x", "not_json"), ('{"kw": 1e9, "t": 1288569600}', "out_of_range")])
def test_bad_message_has_its_problem(payload: str, reason: str) -> None:
    problem = reader_of(MINUTES).read(message(payload)).problem
    assert problem is not None
    assert problem.reason == reason


@pytest.mark.parametrize(
    ("after_ms", "keys", "expected"),
    [
        (60_100, {}, 15.0),  # a reading of the minute shows that it is over
        (59_000, {}, 15.0),  # by a clock that is a little ahead
        (58_900, {}, None),
        (60_100, {"lateness_s": 5}, None),  # a sample of it may still come
        (60_100, {"unit": "kWh"}, None),  # the next count covers it
    ],
)
def test_minute_of_samples_is_closed_by_the_reading_of_it(
    after_ms: int, keys: dict[str, Any], expected: float | None
) -> None:
    first_ms = FIRST * 60_000
    reader = reader_of({**CAR, "every_s": 30, **keys}, now_ms=first_ms + after_ms)
    for second in (0, 30):
        reader.read(message(f'{{"kw": {second}}}', received_ms=first_ms + second * 1_000))
    assert car_kw(reader, 0) == expected


def test_minute_of_a_counter_is_left_to_its_next_count() -> None:
    first_ms = FIRST * 60_000
    reader = reader_of({**CAR, "unit": "kWh"}, now_ms=first_ms + 60_100)
    reader.read(message('{"kw": 100.0}', received_ms=first_ms))
    assert car_kw(reader, 0) is None
    reader.read(message('{"kw": 100.25}', received_ms=first_ms + 60_000))
    assert car_kw(reader, 0) == 15.0


@pytest.mark.parametrize(("after_ms", "expected"), [(63_900, None), (64_000, 15.0)])
def test_minute_of_samples_is_over_by_the_clock_of_its_meter(after_ms: int, expected: float | None) -> None:
    first_s = FIRST * 60
    reader = reader_of({**CAR, "time": "t", "every_s": 30}, now_ms=first_s * 1_000 + after_ms)
    for second in (0, 30):  # five seconds behind
        payload = f'{{"kw": {second}, "t": {first_s + second}}}'
        reader.read(message(payload, received_ms=(first_s + second + 5) * 1_000))
    assert car_kw(reader, 0) == expected


def test_minute_of_samples_is_closed_by_the_number_right_after_it() -> None:
    first_ms = FIRST * 60_000
    reader = reader_of({**CAR, "every_s": 30}, now_ms=first_ms + 60_200)
    for second in (0, 30):
        reader.read(message(f'{{"kw": {second}}}', received_ms=first_ms + second * 1_000))
    assert car_kw(reader, 1) == 15.0, "a bare number right after the minute that it is the mean of"


def test_minute_of_samples_is_closed_by_the_clock() -> None:
    first_ms = FIRST * 60_000
    reader = reader_of({**CAR, "every_s": 30}, now_ms=first_ms + 63_000)
    for second in (0, 30):
        reader.read(message(f'{{"kw": {second}}}', received_ms=first_ms + second * 1_000))
    reader.close_due()
    assert car_kw(reader, MAX_AGE_MIN) == 15.0, "no reading before has shown that the minute is over"
    assert (reader.reads("car"), reader.reads("cars")) == (True, False)
