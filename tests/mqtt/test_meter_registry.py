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


def test_forgotten_meter_has_no_route_left_on_any_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter_registry, "_MAX_ROUTES", 3)
    source = {"topic": "tele/{device}/{channel}", "device": "{device}", "unit": "kW", "format": "number", "every_s": 30}
    meters = SourceFeed(source).reader.meters
    topics = ["tele/tv/a", "tele/tv/b", "tele/lamp/a", "tele/tv/c"]  # the fourth clears the cache
    before, again = ({topic: meters.route(topic) for topic in topics} for _ in range(2))
    assert [one is not None and one.meter for one in before.values()] == [one and one.meter for one in again.values()]
    meters.forget("tv")
    after = {topic: meters.route(topic) for topic in topics}
    for topic in topics:
        old, new = before[topic], after[topic]
        assert old is not None
        assert new is not None
        assert (old.meter is new.meter) == ("lamp" in topic)


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


ZIGBEE = [("zigbee2mqtt/Kitchen plug", '{"power": 96}'), ("zigbee2mqtt/Kitchen_plug", '{"power": 2000}')]
PLUGS = [(f"tele/{name}/SENSOR", '{"ENERGY": {"Power": 230}}') for name in ("a", "b")]


@pytest.mark.parametrize(
    ("source", "messages", "device"),
    [
        ({"preset": "zigbee2mqtt"}, ZIGBEE, "Kitchen_plug"),
        ({"preset": "tasmota", "device": "home", "time_form": "arrival"}, PLUGS, "home"),
    ],
)
def test_meters_of_one_source_with_one_name_are_logged_once(
    source: dict[str, Any], messages: list[tuple[str, str]], device: str
) -> None:
    feed = SourceFeed(source)
    with capture_logs() as logs:
        for topic, payload in messages * 3:
            feed.send(topic, payload)
    (line,) = logs
    assert (line["event"], line["device"]) == ("source.same_device", device)
    assert line["topics"] == [topic for topic, _ in messages]


@pytest.mark.parametrize(
    ("source", "messages"),
    [
        ({"preset": "p1-esp"}, [(f"sensors/power/p1meter/actual_{x}", "1") for x in ("consumption", "returndelivery")]),
        (
            {"preset": "shelly-gen2-status", "device": "home"},
            [("em/status/temperature:0", '{"tC": 41}'), ("em/status/em:0", '{"total_act_power": 1}')],
        ),
    ],
)
def test_meter_with_one_value_on_several_topics_is_not_logged(
    source: dict[str, Any], messages: list[tuple[str, str]]
) -> None:
    feed = SourceFeed(source)
    with capture_logs() as logs:
        for topic, payload in messages * 3:
            feed.send(topic, payload)
    assert logs == []
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
