"""A meter that is silent beyond its interval: its minutes are filled, counted and logged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from gapcast.presets import presets
from tests.support.sources import LONG_AGO_MS, SourceFeed

SECOND, MINUTE = 1_000, 60_000
FIRST = LONG_AGO_MS // MINUTE
PLUG = {"topic": "meter/{device}", "format": "number", "unit": "kW", "every_s": 10, "hold_s": 300}


def send_at(feed: SourceFeed, seconds: Sequence[int], device: str = "plug") -> None:
    """Send a sample at each of ``seconds``, while the clock closes minutes."""
    for second in seconds:
        at_ms = LONG_AGO_MS + second * SECOND
        while feed.now_ms and feed.now_ms < at_ms - MINUTE:
            feed.wait(60)
        feed.send(f"meter/{device}", "1.5", at_ms)


def filled(feed: SourceFeed) -> list[int]:
    return [reading.minute - FIRST for reading in feed.readings if reading.is_filled]


def test_source_silent_for_three_minutes_is_filled_counted_and_logged() -> None:
    feed = SourceFeed(PLUG)
    with capture_logs() as logs:
        send_at(feed, [*range(0, 60, 10), *range(240, 901, 10)])
    assert [reading.minute - FIRST for reading in feed.readings] == [*range(15)], "the stream goes on"
    assert filled(feed) == [1, 2, 3]
    assert feed.statistics.n_filled_minutes == 3
    begin, end = (line for line in logs if line["event"].startswith("source.filling"))
    assert (begin["event"], begin["log_level"], begin["device"]) == ("source.filling", "warning", "plug")
    assert (begin["minute"], begin["last_sample"]) == ("2023-01-01T00:01:00Z", "2023-01-01T00:00:50.000Z")
    assert (begin["every_s"], begin["source"]) == (10.0, "meter/{device}")
    assert begin["fix"].startswith("check the meter, which is configured to send every 10 s; ")
    assert "set every_s; " in begin["fix"]
    assert "set on_change = true" in begin["fix"]
    assert (end["event"], end["log_level"], end["device"]) == ("source.filling_ended", "info", "plug")
    assert end["n_minutes"] == 3


@pytest.mark.parametrize(
    ("keys", "minutes"),
    [
        ({"every_s": 10}, {0: False}),
        ({"every_s": 10, "hold_s": 300}, {0: False, 1: True, 2: True, 3: True}),
        ({"every_s": 300}, dict.fromkeys(range(4), False)),
        ({"every_s": 10, "hold_s": 300, "on_change": True}, dict.fromkeys(range(4), False)),
    ],
    ids=str,
)
def test_source_example_of_the_meters_page(keys: dict[str, Any], minutes: dict[int, bool]) -> None:
    feed = SourceFeed({"topic": "meter/{device}", "format": "number", "unit": "kW", **keys})
    send_at(feed, [*range(0, 60, 10), 240])
    assert {reading.minute - FIRST: reading.is_filled for reading in feed.readings} == minutes


def test_source_alternating_filled_and_measured_minutes_is_logged_once() -> None:
    feed = SourceFeed(PLUG | {"every_s": 60, "hold_s": 120})
    with capture_logs() as logs:
        send_at(feed, range(0, 3_600, 110))
    assert len(filled(feed)) > 10
    assert [line["event"] for line in logs if "filling" in line["event"]] == ["source.filling"]


@pytest.mark.parametrize(
    "source", [PLUG | {"on_change": True}, PLUG | {"every_s": 240}, PLUG | {"kind": "minute"}], ids=str
)
def test_source_whose_value_is_known_is_not_filled(source: dict[str, Any]) -> None:
    feed = SourceFeed(source)
    with capture_logs() as logs:
        send_at(feed, [0, 240, 480])
    assert len(feed.readings) >= 3
    assert (filled(feed), feed.statistics.n_filled_minutes) == ([], 0)
    assert [line for line in logs if "filling" in line["event"]] == []


def test_source_on_change_fills_minutes_between_rare_messages() -> None:
    """For example a heat pump of constant power that repeats it every ten minutes."""
    feed = SourceFeed({"topic": "meter/{device}", "format": "number", "unit": "kW", "on_change": True})
    send_at(feed, range(0, 3_607, 601))
    assert [reading.minute - FIRST for reading in feed.readings[:60]] == list(range(60))
    assert filled(feed) == []


def test_presets_of_meters_that_send_on_change_set_the_key() -> None:
    on_change = {name for name, keys in presets().items() if keys.get("on_change")}
    assert on_change == {name for name, keys in presets().items() if "hold_s" in keys}
    assert on_change == {
        "shelly-gen2", "shelly-gen2-phases", "shelly-gen2-two-channels", "shelly-gen2-status", "home-assistant",
        "zigbee2mqtt",
    }  # fmt: skip
