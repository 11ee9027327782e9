"""Topics: patterns of the configuration, and names found in topics."""

from __future__ import annotations

import pytest

from edge.core.errors import PayloadError, SettingsError
from edge.mqtt.backoff import Backoff
from edge.mqtt.topics import DeviceTopic, gateway_topic

READING = DeviceTopic.parse("topics.reading", "gap/{device}/reading")


def test_a_device_is_found_where_its_topic_put_it() -> None:
    assert READING.filter == "gap/+/reading"
    assert READING.device_in(READING.of("meter-1.l2")) == "meter-1.l2"


@pytest.mark.parametrize("pattern", ["{device}", "{device}/power", "a/b/{device}"])
def test_a_device_may_be_any_level(pattern: str) -> None:
    topic = DeviceTopic.parse("topics.reading", pattern)
    assert topic.device_in(topic.of("home")) == "home"


@pytest.mark.parametrize("device", ["", "my meter", "$SYS", "x" * 65, "x" * 300, "a\ufffdb", "größe"])
def test_a_name_that_is_no_device_id_is_refused(device: str) -> None:
    with pytest.raises(PayloadError, match="cannot name a device") as refused:
        READING.device_in(f"gap/{device}/reading")
    assert refused.value.reason == "bad_device"
    assert len(refused.value.detail) < 200


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("gap/reading", "exactly one of its levels"),
        ("gap/{device}/{device}", "exactly one of its levels"),
        ("gap/house-{device}/reading", "exactly one of its levels"),
        ("gap/+/{device}", r"no \+"),
        ("gap/{device}/#", "#"),
        ("gap/{device}/{gateway}", "braces"),
        ("", "not empty"),
        ("gap/{device}/\0", "NUL"),
    ],
)
def test_a_pattern_that_cannot_serve_is_refused_by_its_key(pattern: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem) as refused:
        DeviceTopic.parse("topics.reading", pattern)
    assert str(refused.value).startswith("topics.reading: ")


def test_a_gateways_topic_bears_its_id() -> None:
    assert gateway_topic("topics.status", "gapcast/{gateway}/status", "gw-1") == "gapcast/gw-1/status"
    with pytest.raises(SettingsError, match=r"topics\.status"):
        gateway_topic("topics.status", "gapcast/+/status", "gw-1")


def test_tries_grow_rarer_up_to_four_seconds_and_start_again_after_success() -> None:
    backoff = Backoff()
    assert backoff.wait_s() == 0
    longest_s = []
    for _ in range(8):
        backoff.failed(was_connected=False)
        longest_s.append(backoff.wait_s())
    assert 0.15 < longest_s[0] <= 0.25
    assert all(2.9 < wait_s <= 4.0 for wait_s in longest_s[-3:])
    backoff.succeeded()
    assert backoff.wait_s() == 0
    backoff.failed(was_connected=True)
    assert backoff.wait_s() <= 0.25
