"""gapcast does not read its own messages as readings, whether by its settings or through a bridge."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gapcast.config.checks.topic_overlap import overlaps
from gapcast.config.loader import load
from gapcast.config.sections.mqtt import TopicSettings
from gapcast.config.settings import Settings
from gapcast.core.errors import PayloadError, SettingsError
from gapcast.core.readings.reading import Limits
from gapcast.mqtt.payloads import decode, encode_rejection, is_rejection
from gapcast.presets import presets
from tests.support.brokers import MosquittoBroker
from tests.support.gateways import REJECTED, gateway_settings, running
from tests.support.peers import PeerMessage, peer_of
from tests.support.ports import LOOPBACK
from tests.support.sources import SourceFeed

FIRST = 1_288_569_600
LEVELS = ("a", "b", "$s", "")
#: Every topic of up to four levels.
TOPICS = ["/".join(levels) for n in (1, 2, 3, 4) for levels in itertools.product(LEVELS, repeat=n)]
FILTERS = st.builds(
    lambda levels, tail: "/".join(levels[: 3 if tail else 4] + tail),
    st.lists(st.sampled_from(("a", "b", "$s", "", "+")), min_size=1, max_size=4),
    st.sampled_from(([], ["#"])),
)
FORECAST = json.dumps(
    {
        "v": 1, "device": "home", "observed_at": "2010-11-01T00:29:00Z", "target_at": "2010-11-01T00:34:00Z",
        "issued_at": "2026-01-01T12:00:00.123Z", "horizon_min": 5, "gap_kw": 1.31, "median_kw": 1.28, "lower_kw": 0.62,
        "upper_kw": 2.71, "level": 0.9, "model": "lstm", "model_version": "1", "n_observed": 30, "context": 30,
    }
).encode()  # fmt: skip


def of(topic: str, **more: Any) -> dict[str, Any]:
    """Return settings with a source that reads ``topic``."""
    return {"sources": [{"topic": topic, "format": "number", "unit": "kW", **more}]}


def matches(topic: str, subscribed: str) -> bool:
    """Return whether a broker would deliver ``topic`` to the filter: MQTT 5, section 4.7, word for word."""
    levels, wanted = topic.split("/"), subscribed.split("/")
    if levels[0].startswith("$") and wanted[0] in {"+", "#"}:
        return False
    for place, level in enumerate(wanted):
        if level == "#":
            return True
        if place >= len(levels) or level not in {"+", levels[place]}:
            return False
    return len(levels) == len(wanted)


@given(FILTERS, FILTERS)
def test_overlap_of_filters_agrees_with_all_topics(one: str, other: str) -> None:
    both = any(matches(topic, one) and matches(topic, other) for topic in TOPICS)
    assert overlaps(one, other) == overlaps(other, one) == both


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("gap/+/forecast", "gap/{device}/forecast", True),
        ("gap/home/forecast", "gap/{device}/forecast", True),
        ("gap/+/reading", "gap/{device}/forecast", False),
        ("x/gapcast_home/config", "x/gapcast_{device}/config", True),
        ("x/gapcast_/config", "x/gapcast_{device}/config", False),
        ("x/sensor/config", "x/gapcast_{device}/config", False),
        ("a-{device}", "{gateway}-b", True),
        ("a-{device}", "b-{gateway}", False),
        ("gapcast/gw/answer/1", "gapcast/{gateway}/answer/#", True),
    ],
)
def test_overlap_with_placeholders(one: str, other: str, *, expected: bool) -> None:
    assert overlaps(one, other) == overlaps(other, one) == expected


#: Configuration -> the key that reads too much, and the key of the topic that it reads.
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "a wildcard over all of gap": (of("gap/{device}/{channel}"), "sources.0.topic", "topics.forecast"),
    "one device's forecast": (of("gap/home/forecast", device="home"), "sources.0.topic", "topics.forecast"),
    "all topics of three levels": (of("{device}/{channel}/forecast"), "sources.0.topic", "topics.forecast"),
    "a part named forecast": (
        of("gap/{device}/{part}", value="a + forecast"),
        "sources.0.topic",
        "topics.forecast",
    ),
    "the status": (of("gapcast/{device}/status"), "sources.0.topic", "topics.status"),
    "an answer": (of("gapcast/{device}/answer/{channel}"), "sources.0.topic", "topics.answers"),
    "the native topic": ({"topics": {"reading": "gap/{device}/forecast"}}, "topics.reading", "topics.forecast"),
    "an outlook": (
        of("gap/home/outlook", device="home"),
        "sources.0.topic",
        "topics.outlook",
    ),
    "a demand": (
        of("gap/home/demand", device="home") | {"demand": {"limit_kw": 2.5}},
        "sources.0.topic",
        "topics.demand",
    ),
    "plans": ({"topics": {"plan": "gap/{device}/forecast"}}, "topics.plan", "topics.forecast"),
    "requests": ({"topics": {"predict": "gap/home/forecast"}}, "topics.predict", "topics.forecast"),
    "a measured minute": (
        {"homeassistant": {"enabled": True}, **of("gap/home/measured", device="home")},
        "sources.0.topic",
        "topics.measured",
    ),
    "discovery": (
        {"homeassistant": {"enabled": True}, **of("homeassistant/device/{device}/config")},
        "sources.0.topic",
        "homeassistant.discovery_prefix",
    ),
}


@pytest.mark.parametrize(("given", "key", "topic_key"), REFUSED.values(), ids=REFUSED)
def test_settings_that_read_an_own_topic_are_rejected(given: dict[str, Any], key: str, topic_key: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate(given)
    assert f"{key} reads " in str(refused.value)
    assert topic_key in str(refused.value)


@pytest.mark.parametrize(
    "name",
    ["availability", "scores", "rejected", "events", "distribution_check", "demand", "headroom_w", "max_power_w"],
)
def test_source_of_any_published_topic_is_rejected(name: str) -> None:
    topic = getattr(TopicSettings(), name).replace("{gateway}", "{device}")
    with pytest.raises(ValidationError, match=rf"includes the topic topics\.{name} "):
        Settings.model_validate({**of(topic), "demand": {"limit_kw": 2.5}})


@pytest.mark.parametrize("topic", ["gap/home/demand", "gap/home/measured", "homeassistant/device/{device}/config"])
def test_source_of_a_topic_that_is_not_published_is_accepted(topic: str) -> None:
    """This applies without a limit, or without Home Assistant."""
    Settings.model_validate(of(topic, **({} if "{device}" in topic else {"device": "home"})))


def test_configuration_that_reads_an_own_topic_names_a_fix(tmp_path: Path) -> None:
    config = tmp_path / "gapcast.toml"
    config.write_text('[[sources]]\ntopic = "gap/{device}/{channel}"\nformat = "number"\nunit = "kW"\n')
    problem = r"sources\.0\.topic reads 'gap/\+/\+'.*narrow sources\.0\.topic, or change topics\.forecast"
    with pytest.raises(SettingsError, match=problem):
        load(config, {}, {})


def test_shipped_presets_and_defaults_read_no_own_topic() -> None:
    for preset in presets():
        settings: dict[str, Any] = {"homeassistant": {"enabled": True}, "sources": [{"preset": preset}]}
        Settings.model_validate(settings)
    Settings.model_validate({"homeassistant": {"enabled": True}})
    Settings.model_validate({"shards": [0, 1]})


def test_source_that_matches_an_own_topic_by_chance_is_accepted() -> None:
    Settings.model_validate(of("{device}/status/{channel}"))


def test_forecast_as_a_source_message_is_rejected_as_own_echo() -> None:
    feed = SourceFeed({"topic": "x/{device}", "value": "gap_kw", "unit": "kW", "time": "target_at"})
    feed.send("x/home", FORECAST.decode(), FIRST * 1_000)
    assert feed.reasons == ["own_echo"]


@pytest.mark.parametrize(
    "document", [FORECAST, encode_rejection("t", b"x", "not_json", "no", 3)], ids=["forecast", "rejection"]
)
def test_own_document_as_a_native_reading_is_rejected_as_own_echo(document: bytes) -> None:
    with pytest.raises(PayloadError, match=r"own_echo: this is a gapcast (forecast|rejection)"):
        decode("home", document, len(document), 0, Limits())


def test_reading_with_some_of_the_keys_is_accepted() -> None:
    payload = b'{"gap_kw": 1.5, "horizon_min": 5, "topic": "x"}'
    assert decode("home", payload, len(payload), FIRST * 1_000, Limits()).gap_kw == 1.5


@pytest.mark.parametrize(("payload", "expected"), [(b"{", False), (b"[1]", False), (b'{"topic": 1}', False)])
def test_only_a_rejection_is_detected_as_one(payload: bytes, *, expected: bool) -> None:
    assert is_rejection(payload) == expected
    assert is_rejection(encode_rejection("t", payload, "not_json", "no"))


def test_own_entity_in_home_assistant_is_rejected_as_own_echo() -> None:
    """Otherwise it would become a device with its own entities, which would be streamed in turn."""
    feed = SourceFeed({"preset": "home-assistant"})
    for entity in ("gapcast_grid_power_forecast", "gapcast_grid_power_power", "grid_power"):
        feed.send(f"homeassistant/sensor/{entity}/state", "812", FIRST * 1_000)
    feed.wait()
    assert feed.reasons == ["own_echo"] * 2
    assert {reading.device for reading in feed.readings} == {"grid_power"}


def test_own_entity_that_a_source_names_is_read() -> None:
    topic = "homeassistant/sensor/gapcast_helper/state"
    feed = SourceFeed({"preset": "home-assistant", "topic": topic, "device": "home"})
    feed.send(topic, "812", FIRST * 1_000)
    feed.wait()
    assert feed.reasons == []
    assert {reading.device for reading in feed.readings} == {"home"}


# --- beside a real broker ---------------------------------------------------------------------------


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MosquittoBroker]:
    made = MosquittoBroker(tmp_path)
    made.start()
    yield made
    made.stop()


def test_forecasts_returned_by_a_bridge_end_after_one_round(broker: MosquittoBroker, tmp_path: Path) -> None:
    """A bridge copies forecasts and rejections to topics of readings: each is reported once, and none is forecast."""
    sections: dict[str, Any] = {
        "sources": [
            {"topic": "gap/{device}/reading", "format": "gapcast"},
            {"topic": "copy/{device}/power", "value": "gap_kw", "unit": "kW", "time": "target_at", "kind": "minute"},
        ]
    }
    with (
        running(gateway_settings(broker.port, tmp_path / "state", **sections)) as gateway,
        peer_of(LOOPBACK, broker.port) as bridge,
        peer_of(LOOPBACK, broker.port) as meter,
    ):

        def copy(_client: object, _data: object, message: Any) -> None:
            bridge.messages.append(PeerMessage(message.topic, message.payload, 1, False, None, None, (), None))
            if message.topic == REJECTED:
                bridge.send("gap/again/reading", message.payload)
            else:
                bridge.send("copy/home/power", message.payload)

        bridge.client.on_message = copy
        bridge.subscribe("gap/+/forecast")
        bridge.subscribe(REJECTED)
        for minute in range(3):
            meter.publish("gap/home/reading", json.dumps({"ts": FIRST + 60 * minute, "gap_kw": 1.0 + minute}))
        rejected = bridge.wait_for(REJECTED, 2)
        assert {message.document["reason"] for message in rejected} == {"own_echo"}
        gateway.wait_taken(3 + 2 + 2)  # readings, the two forecasts and the two rejections that came back
        meter.publish("gap/last/reading", "1.5")
        gateway.wait_taken(8)
        assert gateway.service.statistics.readings["accepted"] == 4
        assert sum(gateway.service.statistics.forecasts.values()) == 2
        assert len(bridge.on(REJECTED)) == 2
