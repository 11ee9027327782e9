"""The messages of meters as ``gapcast check`` and ``gapcast setup`` read them."""

from __future__ import annotations

from typing import Any

import pytest

from gapcast.check.sample_listener import SampleListener
from gapcast.config.settings import Settings
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.session.received_messages import ReceivedMessage
from tests.support.approximate import approx
from tests.support.sources import LONG_AGO_MS

NOON = '{"Time": "2023-01-01T12:00:00", "ENERGY": {"Power": 230}}'
#: 2023-01-01T12:00:00Z.
NOON_MS = LONG_AGO_MS + 12 * 3_600_000


def listener_of(**sections: Any) -> SampleListener:
    return SampleListener(Settings.model_validate(sections))


def receive(listener: SampleListener, topic: str, payload: str) -> None:
    body = payload.encode()
    publication = Publication(topic, body, 0, False, False, b"", len(body))
    listener.receive(ReceivedMessage(publication, 0.0, NOON_MS))


def test_sample_listener_submeter_on_a_topic_that_cannot_name_a_device() -> None:
    submeter = {"of": "home", "name": "heat-pump", "preset": "tasmota", "topic": "tele/heat pump/SENSOR"}
    listener = listener_of(sources=[{"preset": "tasmota"}], submeters=[submeter])
    receive(listener, "tele/heat pump/SENSOR", NOON)
    assert listener.devices["home (submeter heat-pump)"].powers_kw == [approx(0.23)]


def test_sample_listener_submeter_has_the_zone_of_its_own_source() -> None:
    submeter = {"of": "home", "name": "car", "preset": "tasmota", "topic": "tele/car/SENSOR", "timezone": "Asia/Tokyo"}
    listener = listener_of(submeters=[submeter])
    receive(listener, "tele/car/SENSOR", NOON)
    samples = listener.devices["home (submeter car)"]
    assert (str(samples.local_zone), samples.ahead_min) == ("Asia/Tokyo", [-9 * 60])


@pytest.mark.parametrize("every_s", [10, 60])
@pytest.mark.parametrize(("time", "zone"), [("261201094800W", "Asia/Tokyo"), ("2026-12-01T08:48:00+00:00", "None")])
def test_sample_listener_zone_is_that_of_dsmr_times(time: str, zone: str, every_s: int) -> None:
    source = {"topic": "p1/{device}", "value": "p", "time": "t", "timezone": "Asia/Tokyo", "every_s": every_s}
    listener = listener_of(sources=[source])
    for text in (time, time.replace("48:", "49:").replace("48", "49")):  # the second message completes a minute
        receive(listener, "p1/home", f'{{"p": 0.5, "t": "{text}"}}')
    assert str(listener.devices["home"].local_zone) == zone


@pytest.mark.parametrize(("time", "ahead_min"), [("11:00:00", -60), ("11:59:59", 0), ("13:00:00", 60)])
def test_sample_listener_clock_offset_is_rounded(time: str, ahead_min: int) -> None:
    """The message takes 300 ms, which is no minute more of a clock that is one hour behind, nor one less ahead."""
    listener = listener_of(sources=[{"preset": "tasmota"}])
    body = NOON.replace("12:00:00", time).encode()
    publication = Publication("tele/home/SENSOR", body, 0, False, False, b"", len(body))
    listener.receive(ReceivedMessage(publication, 0.0, NOON_MS + 300))
    assert listener.devices["home"].ahead_min == [ahead_min]


@pytest.mark.parametrize("sections", [{}, {"sources": [{"preset": "gapcast"}]}])
def test_sample_listener_native_reading_shows_its_clock(sections: dict[str, Any]) -> None:
    listener = listener_of(**sections)
    receive(listener, "gap/home/reading", '{"ts": "2023-01-01T10:00:00Z", "gap_kw": 1.0}')
    assert listener.devices["home"].ahead_min == [-120]


def receive_at(listener: SampleListener, topic: str, payload: str, after_s: float, *, retained: bool = False) -> None:
    body = payload.encode()
    publication = Publication(topic, body, 0, retained, False, b"", len(body))
    listener.receive(ReceivedMessage(publication, 0.0, NOON_MS + round(after_s * 1_000)))


NUMBER = {"sources": [{"preset": "number", "topic": "gap/{device}/reading"}]}
FAST = "gap/home/reading"


@pytest.mark.parametrize("sections", [{}, {"sources": [{"preset": "gapcast"}]}, NUMBER])
@pytest.mark.parametrize(
    ("readings", "is_fast"),
    [
        ([(1.0, 0), (2.0, 10)], True),
        ([(1.0, 0), (1.0, 10)], False),
        ([(1.0, 0.1), (2.0, 59.9)], False),  # once a minute, by the meter's clock
        ([(1.0, 50), (2.0, 65)], False),
    ],
)
def test_sample_listener_several_readings_a_minute_are_fast(
    sections: dict[str, Any], readings: list[tuple[float, float]], is_fast: bool
) -> None:
    listener = listener_of(**sections)
    for power_kw, after_s in readings:
        receive_at(listener, FAST, str(power_kw), after_s)
    assert listener.devices["home"].is_fast == is_fast


def test_sample_listener_samples_and_retained_readings_are_not_fast() -> None:
    listener = listener_of(sources=[{"topic": FAST, "device": "home", "format": "number", "unit": "kW"}])
    for i in range(4):
        receive_at(listener, FAST, str(i), i * 10)
    assert not listener.devices["home"].is_fast
    listener = listener_of()
    for power_kw, retained in ((1.0, True), (2.0, False)):
        reading = f'{{"ts": "2023-01-01T12:00:00Z", "gap_kw": {power_kw}}}'
        receive_at(listener, FAST, reading, 10, retained=retained)
    assert not listener.devices["home"].is_fast


def test_sample_listener_retained_reading_needs_a_time_as_in_the_service() -> None:
    listener, body = listener_of(), b"1.5"
    publication = Publication("gap/home/reading", body, 0, True, False, b"", len(body))
    listener.receive(ReceivedMessage(publication, 0.0, NOON_MS))
    assert not listener.devices
    assert [text.split(": ")[1] for text in listener.rejected] == ["unknown_age"]


def test_sample_listener_null_term_names_the_fix() -> None:
    listener = listener_of(sources=[{"topic": "tibber", "device": "home", "value": "power - production", "unit": "W"}])
    receive(listener, "tibber", '{"power": 345, "production": null}')
    (samples,) = listener.devices.values()
    assert samples.powers_kw == []
    assert samples.missing == "null for production: if that means no power, set null_is_zero = true"


@pytest.mark.parametrize(
    ("source", "paths", "fix"),
    [
        ({"preset": "amsreader"}, ("data.P", "data.PO"), "set in_one_message = false"),
        (
            {"topic": "amsreader", "device": "home", "value": "data.P - data.PO", "unit": "kWh"},
            ("data.P", "data.PO"),
            "read powers (W, kW) instead",
        ),
    ],
)
def test_sample_listener_terms_never_together_are_no_power(
    source: dict[str, Any], paths: tuple[str, str], fix: str
) -> None:
    listener = listener_of(sources=[source])
    for payload in ('{"data": {"P": 345}}', '{"data": {"PO": 0}}', '{"data": {}}', '{"data": {"P": 345}}'):
        receive(listener, "amsreader", payload)
    (samples,) = listener.devices.values()
    assert samples.powers_kw == []
    assert samples.missing == f"{' and '.join(paths)} never arrive in one message: {fix}"
    receive(listener, "amsreader", '{"data": {"P": 345, "PO": 0}}')
    assert len(samples.powers_kw) == (source.get("unit") is None)
