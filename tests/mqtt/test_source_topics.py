"""Source topics: valid patterns, and the device of a topic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.errors import PayloadError, SettingsError
from gapcast.core.readings.reading import is_device_id
from gapcast.mqtt.sources.source_topics import SourceTopic, TopicMatch

LEVELS = st.text(st.characters(exclude_characters="+#\0{}/", exclude_categories=["Cs"]), max_size=8)


@pytest.mark.parametrize(
    ("pattern", "device", "topic", "match"),
    [
        ("tele/{device}/SENSOR", "", "tele/plug/SENSOR", TopicMatch("plug", "")),
        ("tele/{device}/SENSOR", "", "tele/plug/STATE", None),
        ("tele/{device}/SENSOR", "", "tele/plug/SENSOR/x", None),
        ("tele/{device}/SENSOR", "plug.{device}", "tele/1/SENSOR", TopicMatch("plug.1", "")),
        ("dsmr/json", "home", "dsmr/json", TopicMatch("home", "")),
        ("{device}/status/{channel}", "", "shelly/status/em:0", TopicMatch("shelly-em_0", "")),
        ("{device}/status/{channel}", "{channel}.{device}", "shelly/status/em:0", TopicMatch("em_0.shelly", "")),
        ("{device}/status/{channel}", "{device}", "shelly/status/em:0", TopicMatch("shelly", "")),
    ],
)
def test_route_finds_source_and_device(pattern: str, device: str, topic: str, match: TopicMatch | None) -> None:
    assert SourceTopic.parse("sources.0", pattern, device).match(topic) == match


def test_route_distinguishes_parts() -> None:
    topic = SourceTopic.parse("sources.0", "p1/{device}/{part}", parts=("in", "out"))
    assert topic.filters == ("p1/+/in", "p1/+/out")
    assert topic.match("p1/home/out") == TopicMatch("home", "out")
    assert topic.match("p1/home/gas") is None


@given(st.lists(LEVELS, max_size=3), st.lists(LEVELS, max_size=3), LEVELS, LEVELS)
def test_route_any_topic_has_a_device_or_is_rejected(
    before: list[str], after: list[str], device: str, channel: str
) -> None:
    topic = SourceTopic.parse("sources.0", "/".join([*before, "{device}", *after, "{channel}"]))
    assert topic.filters == ("/".join([*before, "+", *after, "+"]),)
    named = "/".join([*before, device, *after, channel])
    problem = ""
    try:
        match = topic.match(named)
    except PayloadError as refused:
        problem = str(refused)
    else:
        assert match is not None
        assert is_device_id(match.device)
    assert not problem or problem.startswith("bad_device: ")
    assert len(problem) < 250


@pytest.mark.parametrize(
    ("pattern", "device", "words"),
    [
        ("tele/+/SENSOR", "", r"sources\.3\.topic: .* write \{device\} instead of \+"),
        ("", "", r"sources\.3\.topic"),
        ("tele/#", "home", "leave out #"),
        ("tele/{thing}/SENSOR", "home", "other braces"),
        ("tele/x{device}/SENSOR", "", r"may have \{device\} once, and as a whole level"),
        ("{device}/{device}", "", r"may have \{device\} once"),
        ("x" * 70_000, "home", "is not a topic pattern"),
        ("dsmr/json", "", r'has no \{device\}: give it one, or name the device, as device = "home"'),
        ("{device}/x", "{device}-{channel}", r"has no \{channel\}"),
        ("dsmr/json", "my home", r"sources\.3\.device: 'my home' cannot name a device"),
        ("{device}/x", "{gateway}-{device}", "cannot name a device"),
    ],
)
def test_route_invalid_pattern_is_rejected_by_key(pattern: str, device: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        SourceTopic.parse("sources.3", pattern, device)
