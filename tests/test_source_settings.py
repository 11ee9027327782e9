"""``[[sources]]``: settings and errors."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from gapcast.app.broker.broker import (
    described_subscriptions,
    samples_fix_of,
    session_options,
    sources_of,
    subscriptions_of,
)
from gapcast.config.loader import load
from gapcast.config.sections.sources import SourceSettings
from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError
from gapcast.core.meters.minutes import HeldValue
from gapcast.core.meters.sample_advice import native_as_samples
from gapcast.presets import presets
from tests.test_docs_links import anchor_of


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


JSON = {"topic": "meter/{device}", "value": "power"}
PARTS = {"topic": "x/{part}", "device": "home", "value": "a + b", "part_value": "p"}


def loaded(*sources: dict[str, Any]) -> Settings:
    return load(None, {}, {"sources": list(sources)})


@pytest.mark.parametrize("name", sorted(presets()))
def test_source_every_preset_is_complete(name: str) -> None:
    settings = loaded({"preset": name})
    ((topic, source),) = sources_of(settings)
    assert source.name == name
    assert topic.filters == subscriptions_of(settings)


def test_source_preset_equals_its_lines() -> None:
    lines = (Path(__file__).parents[1] / "edge" / "gapcast" / "presets" / "presets.toml").read_text(encoding="utf-8")
    assert len(tomllib.loads(lines)) == len(presets())
    for name, keys in presets().items():
        assert len(keys) <= 9
        ((_, copied),), ((_, named),) = sources_of(loaded(keys)), sources_of(loaded({"preset": name}))
        assert copied.value == named.value
        assert copied.holding == named.holding


def test_source_settings_override_the_preset() -> None:
    ((topic, source),) = sources_of(loaded({"preset": "tasmota", "topic": "{device}/tele/SENSOR", "every_s": 10}))
    assert topic.filters == ("+/tele/SENSOR",)
    assert source.unit == "W"
    assert source.holding == HeldValue(every_ms=10_000, hold_ms=60_000, lateness_ms=0)


def test_source_hold_defaults_to_twice_the_interval() -> None:
    for every_s, hold_s in ((1, 60), (10, 60), (30, 60), (31, 120), (60, 120), (300, 600)):
        ((_, source),) = sources_of(loaded(JSON | {"every_s": every_s}))
        assert source.holding.hold_ms == hold_s * 1_000
    ((_, source),) = sources_of(loaded(JSON | {"every_s": 30, "hold_s": 30}))
    assert source.holding.hold_ms == 30_000
    ((_, source),) = sources_of(loaded(JSON | {"every_s": 10, "hold_s": 25, "lateness_s": 2.5}))
    assert source.holding == HeldValue(10_000, 25_000, 2_500)


def test_source_on_change_holds_for_twenty_minutes_by_default() -> None:
    for every_s, hold_s in ((1, 1_200), (60, 1_200), (600, 1_200), (900, 1_800)):
        ((_, source),) = sources_of(loaded(JSON | {"on_change": True, "every_s": every_s}))
        assert source.holding.hold_ms == hold_s * 1_000
    ((_, source),) = sources_of(loaded(JSON | {"on_change": True, "hold_s": 90}))
    assert source.holding.hold_ms == 90_000


@pytest.mark.parametrize("unit", ["Wh", "kWh"])
def test_source_counter_has_twenty_minutes_between_counts_by_default(unit: str) -> None:
    for every_s, hold_s in ((30, 1_200), (300, 1_200), (900, 1_800)):
        ((_, source),) = sources_of(loaded(JSON | {"unit": unit, "every_s": every_s}))
        assert source.holding.hold_ms == hold_s * 1_000
    ((_, source),) = sources_of(loaded(JSON | {"unit": unit, "hold_s": 90}))
    assert source.holding.hold_ms == 90_000


def test_source_counter_does_not_have_the_hold_of_the_preset_power() -> None:
    counter = {"preset": "shelly-gen2", "value": "params.emdata:0.total_act", "unit": "Wh"}
    for keys, hold_s in (({}, 1_200), ({"hold_s": 600}, 600), ({"unit": "W"}, 600)):
        ((_, source),) = sources_of(loaded(counter | keys))
        assert (source.holding.hold_ms, source.holding.on_change) == (hold_s * 1_000, True)


def test_source_time_zone_defaults_to_the_site() -> None:
    local = JSON | {"time": "t", "time_form": "local"}
    for timezone, name in (("", "Europe/Paris"), ("UTC", "UTC"), ("America/New_York", "America/New_York")):
        settings = Settings.model_validate(
            {"site": {"timezone": "Europe/Paris"}, "sources": [local | {"timezone": timezone}]}
        )
        ((_, source),) = sources_of(settings)
        assert str(source.zone) == name


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({}, r"sources\.0\.topic: is missing"),
        ({"preset": "sonoff"}, r"sources\.0: there is no preset 'sonoff'; there are .*tasmota"),
        ({"preset": 5}, r"there is no preset 5"),
        (JSON | {"colour": 1}, r"sources\.0\.colour: there is no such key"),
        (
            {"topic": "x/{device}"},
            r"sources\.0: format = \"json\" needs value, .*; bare numbers need format = \"number\"",
        ),
        (JSON | {"value": "a + a"}, r"sources\.0\.value: .* names a path twice"),
        (JSON | {"value": []}, "needs value"),
        (JSON | {"time": ""}, r"sources\.0\.time: '' is not a path"),
        (JSON | {"value": "ENERGY..Power"}, r"sources\.0\.value: 'ENERGY\.\.Power' is not a path: separate the keys"),
        (JSON | {"value": "power / 1000"}, r"'power / 1000' is not a path: values are added up .* unit converts them"),
        (JSON | {"voltage_v": " x"}, r"sources\.0\.voltage_v: ' x' is not a path"),
        (JSON | {"unit": "VA"}, r"sources\.0\.unit"),
        (JSON | {"sign": 2}, r"sources\.0\.sign"),
        (JSON | {"every_s": 0}, r"sources\.0\.every_s"),
        (JSON | {"hold_s": 5}, r"hold_s \(5\.0\) must not be below every_s \(60\)"),
        (JSON | {"timezone": "Paris"}, r"sources\.0\.timezone: there is no such time zone"),
        (JSON | {"time_form": "local"}, "time_form is set without time"),
        (JSON | {"unit": "kWh", "kind": "minute"}, "minutes are computed from the differences of an energy counter"),
        (JSON | {"unit": "Wh", "value": ["a", "b"]}, "a counter needs exactly one value"),
        (JSON | {"format": "number"}, r"takes no value, except for a topic with \{part\}"),
        ({"topic": "x/{device}", "format": "number", "time": "t"}, "a bare number has no time"),
        ({"topic": "x/{device}", "format": "gapcast", "value": "p"}, "has its own value, unit and time"),
        ({"topic": "x/{device}", "format": "gapcast", "unit": "W"}, "has its own value, unit and time"),
        (
            {"preset": "gapcast", "topic": "x/{device}", "kind": "samples"},
            r"remove kind, or replace preset = \"gapcast\" by topic = \"x/\{device\}\", value = .* = \"ts\"",
        ),
        (
            {"topic": "x/{device}", "format": "gapcast", "kind": "samples"},
            r"no samples: remove kind, or replace format = \"gapcast\" by topic = \"x/\{device\}\", value = ",
        ),
        (
            {"topic": "x/{device}/{part}", "format": "number", "value": ["a", "b"]},
            "one value that names the parts",
        ),
        (JSON | {"topic": "{device}/{part}"}, r'a topic with \{part\} needs format = "number"'),
        (JSON | {"part_value": "p"}, "part_value is for topics with {part}"),
        (PARTS | {"in_one_message": True}, "parts of a topic never arrive in one message: remove in_one_message"),
        (JSON | {"null_is_zero": True}, "null_is_zero is for powers in one JSON message"),
        (PARTS | {"null_is_zero": True}, "null_is_zero is for powers in one JSON message"),
        ({"preset": "p1-esp", "null_is_zero": True}, "null_is_zero is for powers in one JSON message"),
        (JSON | {"value": "a - b", "unit": "kWh", "null_is_zero": True}, "null_is_zero is for powers in one JSON"),
        (PARTS | {"time": "t"}, "the messages of several meters are combined as they arrive"),
        (PARTS | {"voltage_v": "v"}, "other measured features than power cannot be combined over several meters"),
        (PARTS | {"format": "number"}, r'a topic with \{part\} needs format = "number" or part_value'),
        ({"preset": "p1-esp", "kind": "minute"}, 'several messages are samples: set kind = "samples"'),
        (
            PARTS | {"value": "plug-l1 +plug-l2"},
            "the parts in value are levels of the topic, .*: write a space on both",
        ),
        (PARTS | {"value": "plug-l1+plug-l2"}, r"'plug-l1\+plug-l2' is not a path: to add up values, write a space on"),
        (PARTS | {"value": "plug/l1 + plug/l2"}, "the parts in value are levels of the topic, without /"),
        ({"preset": "p1-esp", "unit": "Wh"}, "energy counters on several topics cannot be added"),
    ],
)
def test_source_error_names_the_key(source: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        loaded(source)


@pytest.mark.parametrize("source", [PARTS, {"topic": "x/{device}", "format": "number"}], ids=["parts", "number"])
def test_source_without_a_time_uses_the_arrival_time(source: dict[str, Any]) -> None:
    """As in the error for any other time; a preset may have a path to a time."""
    (found,) = loaded(source | {"time": "t", "time_form": "arrival"}).sources
    assert found.time_form == "arrival"


def test_native_source_may_be_of_minutes_and_its_fix_reads_samples() -> None:
    (found,) = loaded({"preset": "gapcast", "kind": "minute"}).sources
    assert found.source(UTC).kind == "minute"
    fix = tomllib.loads(native_as_samples("x/{device}").partition(" (")[0].replace(", ", "\n").replace(" and ", "\n"))
    assert loaded(fix).sources[0].source(UTC).kind == "samples"


@pytest.mark.parametrize(
    ("sources", "samples_fix"),
    [
        (
            [],
            'add a source with topic = "gap/{device}/reading", value = "gap_kw", unit = "kW" and time = "ts" (no time',
        ),
        ([{"preset": "number"}], 'set kind = "samples" in its source'),
        ([JSON], 'set kind = "samples" in its source'),
        ([{"preset": "gapcast", "topic": "x/{device}"}], 'set topic = "x/{device}", value = "gap_kw", unit = "kW" and'),
        (
            [JSON | {"kind": "minute"}, {"preset": "gapcast"}],
            'set kind = "samples" in its source, or if it sends native readings, set topic = "gap/{device}/reading", ',
        ),
    ],
)
def test_samples_fix_names_the_configured_source(sources: list[dict[str, Any]], samples_fix: str) -> None:
    assert described_subscriptions(loaded(*sources)).samples_fix.startswith(samples_fix)


def test_samples_fix_of_a_submeter_names_its_topic() -> None:
    submeter = {"of": "home", "name": "car", "preset": "gapcast", "topic": "gap/home/reading/car"}
    settings = load(None, {}, {"submeters": [submeter]})
    assert samples_fix_of(settings.submeters, settings).startswith('set topic = "gap/home/reading/car", value = ')


def test_sources_with_overlapping_topics_are_rejected() -> None:
    with pytest.raises(SettingsError, match=r"sources\.1\.topic: .* is already read by sources\.0"):
        sources_of(loaded(JSON, JSON | {"value": "watts"}))


FLAT = {"topic": "tele/flat", "value": "kw", "device": "flat"}


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"demand": {"devices": [{"device": "hone"}]}}, r"demand\.devices\.0\.device"),
        ({"forecast": {"devices": {"hone": {"horizon_min": 5}}}}, r"forecast\.devices\.hone"),
    ],
)
def test_device_that_no_source_has_is_an_error(sections: dict[str, Any], key: str) -> None:
    sources = [FLAT, FLAT | {"topic": "tele/home", "device": "home"}]
    with pytest.raises(SettingsError, match=rf"{key}: no source has the device 'hone'; there are: flat, home"):
        load(None, {}, {"sources": sources, **sections})


@pytest.mark.parametrize("sources", [[], [FLAT, {"topic": "x/{device}", "value": "kw"}]], ids=["native", "pattern"])
def test_device_of_a_topic_may_have_any_name(sources: list[dict[str, Any]]) -> None:
    demand = {"devices": [{"device": "hone"}, {"device": "flat"}]}
    settings = load(None, {}, {"sources": sources, "demand": demand})
    assert len(settings.demand.devices) == 2


def test_device_of_a_fixed_source_has_its_own_keys() -> None:
    sections = {"demand": {"devices": [{"device": "flat"}]}, "forecast": {"devices": {"flat": {"horizon_min": 5}}}}
    assert load(None, {}, {"sources": [FLAT], **sections}).forecast.horizons_min == {"flat": 5}


def test_sources_absent_use_the_native_topic() -> None:
    assert subscriptions_of(Settings()) == ("gap/+/reading",)


def test_source_within_the_pattern_of_another_is_subscribed_once() -> None:
    """A broker delivers a message once for each matching subscription, also to a session of an earlier version."""
    head = {"preset": "tasmota-sml", "topic": "tele/head/SENSOR", "device": "head"}
    sources = [head, {"preset": "tasmota"}]
    car = {"of": "head", "name": "car", "preset": "tasmota", "topic": "tele/car/SENSOR"}
    settings = load(None, {}, {"gateway": {"id": "gw"}, "sources": sources, "submeters": [car]})
    assert subscriptions_of(settings) == ("tele/+/SENSOR",)
    assert session_options(settings, {}).stale_subscriptions == ("tele/head/SENSOR", "tele/car/SENSOR")
    group = {"share_group": "workers", "shared_by": "topic-hash"}
    shared = load(None, {}, {"gateway": {"id": "gw"}, "sources": sources, "mqtt": group})
    assert subscriptions_of(shared) == ("$share/workers/tele/+/SENSOR",)
    assert session_options(shared, {}).stale_subscriptions == (
        "tele/head/SENSOR", "tele/+/SENSOR", "$share/workers/tele/head/SENSOR",
    )  # fmt: skip


def text_of(page: str) -> str:
    return (Path(__file__).parents[1] / "docs" / page).read_text(encoding="utf-8")


def test_sources_pages_document_every_key_and_preset() -> None:
    keys, meters = text_of("meter-settings.md"), text_of("meters.md")
    for key in SourceSettings.model_fields:
        assert f"| `{key}`" in keys or f", `{key}`" in keys, key
    for name in presets():
        assert f'preset = "{name}"' in meters, name


def test_sources_page_lists_every_section_in_its_table() -> None:
    """A reader finds the own meter in the table."""
    page = text_of("meters.md")
    rows = "".join(line for line in page.splitlines() if line.startswith("| "))
    linked = set(re.findall(r"\]\(#([a-z0-9-]+)\)", rows))
    assert {anchor_of(heading) for heading in re.findall(r"^## (.+)$", page, re.MULTILINE)} == linked


@pytest.mark.parametrize("page", ["meters.md", "submeters.md"])
def test_sources_page_examples_are_valid(page: str) -> None:
    examples = re.findall(r"```toml\n(.*?)```", text_of(page), re.DOTALL)
    assert examples
    for example in examples:
        Path("gapcast.toml").write_text(example, encoding="utf-8")
        assert sources_of(load(None, {}, {})), example
