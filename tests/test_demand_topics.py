"""Topics of demands in the configuration: gapcast reads none of its own, and reads no message twice."""

from __future__ import annotations

from typing import Any

import pytest

from gapcast.app.broker.broker import register_sources_of, session_options
from gapcast.config.loader import load
from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError
from gapcast.mqtt.topics import DeviceTopic

PLUG = {"topic": "p1/json", "format": "json", "value": "power", "device": "home", "unit": "W"}


def settings_of(demand: dict[str, Any] | None = None, **sections: Any) -> Settings:
    demand = {"limit_kw": 2.5} if demand is None else {"limit_kw": 2.5} | demand
    return load(None, {}, {"gateway": {"id": "gw"}, "demand": demand, **sections})


def subscribed(settings: Settings) -> tuple[set[str], set[str]]:
    """The topics of requests and changes, and those of them that need MQTT 5."""
    options = session_options(settings, {})
    return set(options.request_topics), set(options.request_topics_mqtt5)


def test_topics_of_demands_are_subscribed_only_with_a_limit() -> None:
    without = load(None, {}, {"gateway": {"id": "gw"}})
    assert subscribed(without) == ({"gap/+/plan"}, {"gapcast/gw/predict"})
    assert subscribed(settings_of()) == (
        {"gap/+/plan", "gap/+/demand/limit", "gap/+/demand/month_peak"},
        {"gapcast/gw/predict", "gapcast/gw/headroom"},
    )


def test_registers_are_subscribed_once() -> None:
    devices = [{"device": "home", "running_topic": "p1/json", "month_peak_topic": "p1/peak", "running_path": "a.b"}]
    settings = settings_of({"devices": devices}, sources=[PLUG])
    assert "p1/json" not in subscribed(settings)[0]
    assert "p1/peak" in subscribed(settings)[0]
    running, peak = register_sources_of(settings)
    assert (running.topic, running.device, running.path, running.per_unit) == ("p1/json", "home", ("a", "b"), 1.0)
    assert (peak.filter, peak.path) == ("p1/peak", ())


def test_register_within_the_pattern_of_a_source_is_subscribed_once() -> None:
    demand = {"devices": [{"device": "home", "running_topic": "p1/home/json", "running_path": "a"}]}
    settings = settings_of(
        demand, sources=[{key: PLUG[key] for key in PLUG if key != "device"} | {"topic": "p1/{device}/json"}]
    )
    options = session_options(settings, {})
    assert options.subscriptions == ("p1/+/json",)
    assert "p1/home/json" not in options.request_topics
    assert options.stale_subscriptions == ("p1/home/json",)


def test_registers_of_all_devices_have_a_pattern() -> None:
    demand = {"running_topic": "p1/{device}/demand", "register_unit": "W", "devices": [{"device": "car", "risk": 0.1}]}
    (source,) = register_sources_of(settings_of(demand))
    assert source.topic == DeviceTopic.parse("x", "p1/{device}/demand")
    assert (source.filter, source.per_unit) == ("p1/+/demand", 0.001)


@pytest.mark.parametrize(
    ("demand", "sections", "problem"),
    [
        ({}, {"topics": {"reading": "gap/{device}/demand"}}, r"topics\.reading reads .* topics\.demand"),
        ({}, {"sources": [PLUG | {"topic": "gap/home/headroom_w"}]}, r"sources\.0\.topic reads .* topics\.headroom_w"),
        ({}, {"topics": {"demand_limit": "gap/{device}/demand"}}, r"topics\.demand_limit reads .* topics\.demand"),
        ({}, {"topics": {"month_peak": "gap/{device}/forecast"}}, r"topics\.month_peak reads .* topics\.forecast"),
        ({}, {"topics": {"headroom": "gapcast/gw/status"}}, r"topics\.headroom reads .* topics\.status"),
        (
            {},
            {"topics": {"demand_limit": "gap/{device}/plan"}},
            r"topics\.demand_limit: .* is already read by topics\.plan",
        ),
        (
            {},
            {"topics": {"month_peak": "gap/{device}/reading"}},
            r"topics\.month_peak: .* is already read by topics\.reading",
        ),
        ({"running_topic": "gap/{device}/forecast"}, {}, r"demand\.running_topic reads .* topics\.forecast"),
        ({"running_topic": "gap/{device}/plan"}, {}, r"demand\.running_topic: .* is already read by topics\.plan"),
        (
            {"running_topic": "gap/{device}/reading"},
            {},
            r"demand\.running_topic: .* is already read by topics\.reading",
        ),
        (
            {"devices": [{"device": "home", "running_topic": "gap/home/reading"}]},
            {},
            r"demand\.devices\.0\.running_topic: .* is already read by topics\.reading",
        ),
        ({"running_topic": "p1/demand"}, {}, r"demand\.running_topic: 'p1/demand' does not name the device: give it"),
        ({"month_peak_topic": "p1/{device}x"}, {}, r"demand\.month_peak_topic: .* does not name the device"),
        ({"month_peak_topic": "p1/+/{device}"}, {}, r"demand\.month_peak_topic: 'p1/\+/\{device\}' is not a topic"),
        ({"running_topic": ""}, {}, r"demand\.running_topic"),
        ({"running_path": "a{b"}, {}, r"demand\.running_path.* is not a path"),
        ({"register_unit": "MW"}, {}, r"demand\.register_unit"),
        (
            {"devices": [{"device": "home", "running_topic": "p1/{device}/x"}]},
            {},
            r"demand\.devices\.0\.running_topic: .* has \{device\}: write the topic of home",
        ),
    ],
)
def test_topics_that_cannot_be_are_rejected(demand: dict[str, Any], sections: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        settings_of(demand, **sections)


def test_topics_of_demands_need_not_differ_without_a_limit() -> None:
    load(None, {}, {"topics": {"reading": "gap/{device}/demand"}})
