"""Topics: valid patterns, and the device that a topic names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.errors import PayloadError, SettingsError
from gapcast.mqtt.topics import DeviceTopic, filter_covers, gateway_topic, without_covered

KEY = "topics.reading"
FILTERS = st.builds(
    lambda levels, tail: "/".join([*levels, *tail]),
    st.lists(st.sampled_from(("a", "$s", "", "+")), min_size=1, max_size=3),
    st.sampled_from(([], ["#"])),
)
LEVELS = st.text(st.characters(exclude_characters="+#\0{}/", exclude_categories=["Cs"]), max_size=8)


@given(
    st.lists(LEVELS, max_size=3), st.lists(LEVELS, max_size=3), st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True)
)
def test_topic_device_at_any_level(before: list[str], after: list[str], device: str) -> None:
    topic = DeviceTopic.parse(KEY, "/".join([*before, "{device}", *after]))
    assert topic.for_device(device) == "/".join([*before, device, *after])
    assert topic.filter == "/".join([*before, "+", *after])
    assert topic.device_in(topic.for_device(device)) == device


@pytest.mark.parametrize(
    "name", ["", " ", "my meter", "$home", "zähler", "a+b", "home\n", "x" * 65, "x" * 300, "\N{REPLACEMENT CHARACTER}"]
)
def test_topic_invalid_device_is_rejected_by_name(name: str) -> None:
    topic = DeviceTopic.parse(KEY, "gap/{device}/reading")
    with pytest.raises(PayloadError, match="use 1 to 64 of A-Z") as refused:
        topic.device_in(topic.for_device(name))
    assert refused.value.reason == "bad_device"
    assert repr(name)[1:60].rstrip("'") in refused.value.detail
    assert len(refused.value.detail) < 160


@pytest.mark.parametrize(
    "pattern",
    [
        "gap/reading", "gap/{device}/{device}", "gap/m-{device}/reading", "{device}/m-{device}", "{device}{device}",
        "gap/{device}x",
    ],
)  # fmt: skip
def test_topic_pattern_needs_the_device_as_one_level(pattern: str) -> None:
    with pytest.raises(SettingsError, match=r"topics\.reading: .* exactly one of its levels"):
        DeviceTopic.parse(KEY, pattern)


UNFIT = ["", "a/+/{device}", "a/#", "a/\0/{device}", "a/{gate}/{device}", "{other}", "x" * 65_536, "ä" * 32_768]


@pytest.mark.parametrize("pattern", UNFIT, ids=range(len(UNFIT)))
def test_topic_pattern_invalid_is_rejected_by_key(pattern: str) -> None:
    with pytest.raises(SettingsError, match=r"topics\.reading: .* is not a topic to publish on"):
        DeviceTopic.parse(KEY, pattern)
    with pytest.raises(SettingsError, match=r"topics\.status: .* is not a topic to publish on"):
        gateway_topic("topics.status", pattern, "gw-1")


def test_topic_errors_quote_the_configured_pattern() -> None:
    with pytest.raises(SettingsError, match=r"'a/\{gateway\}/\{device\}' must not contain \{gateway\}; only the gate"):
        DeviceTopic.parse(KEY, "a/{gateway}/{device}")
    with pytest.raises(SettingsError, match=r"'a/\+/\{device\}' is not a topic"):
        DeviceTopic.parse(KEY, "a/+/{device}")
    with pytest.raises(SettingsError, match=r"'a/\+/\{gateway\}' is not a topic"):
        gateway_topic("topics.status", "a/+/{gateway}", "gw-1")


def test_topic_of_a_gateway_contains_its_id() -> None:
    assert gateway_topic("topics.status", "gapcast/{gateway}/status", "gw-1") == "gapcast/gw-1/status"
    assert gateway_topic("topics.status", "site/status", "gw-1") == "site/status"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("tele/+/SENSOR", "tele/plug/SENSOR", True),
        ("tele/+/SENSOR", "tele/plug/STATE", False),
        ("tele/+", "tele/plug/SENSOR", False),
        ("tele/+", "tele/#", False),
        ("tele/#", "tele/+", True),
        ("tele/#", "tele", True),
        ("tele/#", "stat/plug", False),
        ("tele/plug/#", "tele", False),
        ("#", "tele/#", True),
        ("#", "$SYS/#", False),
        ("+/load", "$SYS/load", False),
        ("$SYS/#", "$SYS/load", True),
    ],
)
def test_filter_covers_as_in_the_specification(one: str, other: str, *, expected: bool) -> None:
    """Section 4.7 of MQTT 5."""
    assert filter_covers(one, other) == expected


@given(st.lists(FILTERS, max_size=5), st.lists(FILTERS, max_size=2))
def test_filters_without_covered_ones_cover_all(filters: list[str], wider: list[str]) -> None:
    kept = without_covered(filters, wider)
    assert all(any(filter_covers(one, other) for one in (*kept, *wider)) for other in filters)
    assert not any(filter_covers(one, other) for one in (*kept, *wider) for other in kept if one is not other)
