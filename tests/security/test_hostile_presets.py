"""Hostile JSON at each path that a preset reads gives a problem, a reading or nothing, but never an error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.app.broker.broker import sources_of
from gapcast.config.settings import Settings
from gapcast.core.meters.minutes import HeldValue
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.readings.reading import Limits
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.mqtt.sources.sources import SourceReader
from gapcast.presets import presets
from tests.support.sources import EXTRAS, LONG_AGO_MS, SourceFeed

#: JSON texts, some of which Python's own encoder would not write.
HOSTILE = (
    "null",
    "true",
    "[]",
    "{}",
    "[[]]",
    '{"a": 1}',
    '""',
    '"x"',
    '"\\u0000"',
    '"nan"',
    '"1e999"',
    "1e400",
    "-1e400",
    "1e308",
    "9" * 4_300,
    "-" + "9" * 4_300,
    "9" * 4_301,
    "9" * 60_000,
    f'"{"9" * 60_000}"',
    "NaN",
    "Infinity",
    '"\\ud800"',
    "[" * 150 + "]" * 150,
    "[" * 30_000,
    "18446744073709551616",
    "-0",
    "0.0",
    f'"{"x" * 60_000}"',
    '"2023-10-29T99:99:99Z"',
    '"9999-12-31T23:59:59-23:59"',
)
NAMES = sorted(presets())
REASONS = {
    "not_json",
    "not_finite",
    "not_a_number",
    "out_of_range",
    "bad_time",
    "clock_not_set",
    "no_value",
    "unknown_age",
    "bad_device",
    "too_large",
    "empty",
    "too_many_devices",
}


def paths_of(preset: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the keys to each value that a preset reads, and to the time and the features."""
    values = preset.get("value", [])
    texts = [values] if isinstance(values, str) else list(values)
    paths = [path for text in texts for path in text.replace(" - ", " + ").removeprefix("- ").split(" + ")]
    if preset.get("format") == "gapcast":
        paths += ["gap_kw", "ts", "voltage_v"]
    paths += [preset["time"]] if "time" in preset else []
    paths += [path for name, path in preset.items() if name.endswith(("_v", "_a", "_ma", "_var", "_kvar"))]
    return [tuple(path.strip().split(".")) for path in paths]


def with_value_at(keys: tuple[str, ...], text: str) -> str:
    for key in reversed(keys):
        text = f"{{{json.dumps(key)}: {text}}}"
    return text


def hostile_documents(preset: dict[str, Any]) -> Iterator[str]:
    """Yield documents in which each value, and each object around it, is replaced by something else."""
    yield from HOSTILE
    for keys in paths_of(preset):
        for depth in range(1, len(keys) + 1):
            for text in HOSTILE:
                yield with_value_at(keys[:depth], text)


def topic_of(preset: dict[str, Any]) -> str:
    part = next((keys[0] for keys in paths_of(preset)), "x")
    return str(preset["topic"].replace("{device}", "a").replace("{channel}", "b").replace("{part}", part))


def check(feed: SourceFeed) -> None:
    assert feed.statistics.internal_errors == {}
    assert set(feed.reasons) <= REASONS
    for reading in feed.readings:
        assert -100 <= reading.gap_kw <= 100
    for detail in feed.details:
        assert len(detail) < 300


@pytest.mark.parametrize("name", NAMES)
def test_preset_hostile_value_at_each_path_makes_no_error(name: str) -> None:
    preset = presets()[name]
    feed = SourceFeed({"preset": name}, site="Europe/Paris", extras=EXTRAS, max_devices=3)
    for i, document in enumerate(hostile_documents(preset)):
        feed.send(topic_of(preset), document, LONG_AGO_MS + 20_000 * i)
    feed.wait()
    check(feed)


json_text = st.recursive(
    st.sampled_from(HOSTILE),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda texts: f"[{','.join(texts)}]")
        | st.dictionaries(st.text(max_size=4), inner, max_size=3).map(
            lambda of: "{" + ",".join(f"{json.dumps(key)}: {text}" for key, text in of.items()) + "}"
        )
    ),
    max_leaves=6,
)


@given(st.sampled_from(NAMES), st.lists(json_text, min_size=1, max_size=4), st.data())
def test_preset_any_hostile_document_makes_no_error(name: str, texts: list[str], data: st.DataObject) -> None:
    preset = presets()[name]
    feed = SourceFeed({"preset": name}, site="Europe/Paris", extras=EXTRAS, max_devices=3)
    for i, text in enumerate(texts):
        keys = data.draw(st.sampled_from([(), *paths_of(preset)]))
        feed.send(
            topic_of(preset), with_value_at(keys, text), LONG_AGO_MS + 30_000 * i, retained=data.draw(st.booleans())
        )
    feed.wait()
    check(feed)


# --- an error that is gapcast's own -------------------------------------------------------------------


class BrokenZone(tzinfo):
    """A time zone that raises."""

    def utcoffset(self, _at: datetime | None) -> timedelta:
        raise RuntimeError

    def tzname(self, _at: datetime | None) -> str:
        raise RuntimeError

    def dst(self, _at: datetime | None) -> timedelta:
        raise RuntimeError


def reader_of(now_ms: list[int], statistics: Statistics, **broken: Any) -> SourceReader:
    """Return a reader of ``meter/{device}``, in which only the first device, named ``a``, has the ``broken`` parts."""
    given = {"topic": "meter/{device}", "value": "power", "unit": "kW", "time": "at", "time_form": "local"}
    settings = Settings.model_validate({"sources": [given | {"topic": "meter/a", "device": "a"}, given]})
    (first, second) = sources_of(settings)
    sources = [(first[0], replace(first[1], **broken)), second]
    return SourceReader(sources, Limits(), (), 10, statistics, lambda: now_ms[0])


def message(device: str, at: str, received_ms: int) -> ReceivedMessage:
    payload = json.dumps({"power": 1.0, "at": at}).encode()
    publication = Publication(f"meter/{device}", payload, 1, False, False, b"", len(payload))
    return ReceivedMessage(publication, 0.0, received_ms)


def test_source_meter_that_raises_is_reset() -> None:
    now_ms, statistics = [LONG_AGO_MS], Statistics()
    reader = reader_of(now_ms, statistics, zone=BrokenZone())
    reader.read(message("b", "2023-01-01T00:00:00", LONG_AGO_MS))
    with pytest.raises(RuntimeError):
        reader.read(message("a", "2023-01-01T00:00:00", LONG_AGO_MS))
    (damaged,) = [meter for meter in reader.meters._meters.values() if meter.name == "a"]
    assert not damaged.has_samples


def test_source_minute_that_raises_does_not_block_others() -> None:
    now_ms, statistics = [LONG_AGO_MS], Statistics()
    endless: Any = None
    reader = reader_of(now_ms, statistics, holding=HeldValue(every_ms=endless))
    for device in ("a", "b"):
        reader.read(message(device, "2023-01-01T00:00:00", LONG_AGO_MS))
    now_ms[0] += 600_000
    closed = reader.close_due(10)
    assert [one.reading.device for one in closed if one.reading is not None] == ["b"]
    assert statistics.internal_errors == {"message": 1}
    assert reader.close_due(10) == []


def test_source_journal_sample_that_raises_is_skipped() -> None:
    now_ms, statistics = [LONG_AGO_MS], Statistics()
    reader = reader_of(now_ms, statistics)
    reader.read(message("a", "2023-01-01T00:00:00", LONG_AGO_MS))
    (sample,) = reader.meters.take_samples()
    again = reader_of(now_ms, statistics)
    damaged: Any = "no time"
    again.meters.replay_samples([sample._replace(at_ms=damaged), sample._replace(topic="meter/b")], [], LONG_AGO_MS)
    assert statistics.internal_errors == {"message": 1}
    assert [state.topic for state in again.meters.capture_state()] == ["meter/b"]
