"""The state of meters by topic: bounded, and reset where it may be damaged."""

from __future__ import annotations

from math import inf
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from gapcast.mqtt.sources import meter_registry
from gapcast.mqtt.sources.meter import Meter
from tests.support.sources import LONG_AGO_MS, SourceFeed

MINUTE_MS = 60_000


def test_routes_of_topics_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anyone who may publish can invent topics of one device."""
    monkeypatch.setattr(meter_registry, "_MAX_ROUTES", 2)
    source = {"topic": "tele/{channel}/power", "device": "home", "unit": "kW", "format": "number", "every_s": 30}
    meters = SourceFeed(source).reader.meters
    found = {topic: meters.route(topic) for topic in ("tele/a/power", "tele/b/power", "tele/c/power")}
    again = {topic: meters.route(topic) for topic in reversed(found)}
    assert again == found, "the meter of one device"
    assert [again[topic] is found[topic] for topic in found] == [False, False, True], "only the last was cached"


def test_devices_that_two_sources_name_are_logged_once() -> None:
    kw = {"unit": "kW", "format": "number", "kind": "minute"}
    feed = SourceFeed({"topic": "tele/{device}", **kw}, {"topic": "cellar/tele/{device}", **kw})
    with capture_logs() as logs:
        for minute in range(3):
            for topic in ("tele/tv", "cellar/tele/tv", "tele/lamp", "cellar/tele/oven"):
                feed.send(topic, "1", LONG_AGO_MS + minute * MINUTE_MS)
    (line,) = logs
    assert (line["event"], line["device"]) == ("source.same_device", "tv")
    assert line["topics"] == ["tele/tv", "cellar/tele/tv"]
    assert 'device = "cellar-{device}"' in line["fix"]
    feed.reader.meters.forget("tv")
    assert feed.reader.meters.shared == {}


def meter_of(feed: SourceFeed, topic: str) -> Meter:
    route = feed.reader.meters.route(topic)
    assert route is not None
    return route.meter


def test_meter_whose_message_raises_begins_again() -> None:
    """Otherwise one damaged state would reject all further messages of the meter."""
    feed = SourceFeed({"topic": "{device}/power", "unit": "kW", "format": "number", "every_s": 30})
    feed.send("home/power", "9", LONG_AGO_MS)
    meter = meter_of(feed, "home/power")
    meter.means, meter.behind_ms = cast("Any", None), 9
    with pytest.raises(AttributeError):
        feed.send("home/power", "9", LONG_AGO_MS + 30_000)
    assert (meter.last_ms, meter.behind_ms, meter.awaited_ms) == (None, 0, inf)
    for at_ms in range(LONG_AGO_MS + MINUTE_MS, LONG_AGO_MS + 4 * MINUTE_MS, 30_000):
        feed.send("home/power", "1.5", at_ms)
    assert [reading.gap_kw for reading in feed.readings] == [1.5, 1.5], "nothing of before the error"
