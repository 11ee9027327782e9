"""``[[sources]]``: what may be set, and what is said where it does not fit."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gapcast.app.broker import sources_of, subscriptions_of
from gapcast.config.loader import load
from gapcast.config.settings import Settings
from gapcast.config.sources import SourceSettings
from gapcast.core.errors import SettingsError
from gapcast.core.meters.minutes import HeldValue
from gapcast.presets import presets


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


JSON = {"topic": "meter/{device}", "value": "power"}


def loaded(*sources: dict[str, Any]) -> Settings:
    return load(None, {}, {"sources": list(sources)})


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_preset_is_a_source_by_itself(name: str) -> None:
    settings = loaded({"preset": name})
    ((topic, source),) = sources_of(settings)
    assert source.name == name
    assert topic.filters == subscriptions_of(settings)


def test_a_preset_is_a_few_lines_that_may_as_well_be_copied() -> None:
    lines = (Path(__file__).parents[1] / "edge" / "gapcast" / "presets" / "presets.toml").read_text(encoding="utf-8")
    assert len(tomllib.loads(lines)) == len(presets())
    for name, keys in presets().items():
        assert len(keys) <= 9
        ((_, copied),), ((_, named),) = sources_of(loaded(keys)), sources_of(loaded({"preset": name}))
        assert copied.value == named.value
        assert copied.holding == named.holding


def test_what_is_set_outranks_the_preset() -> None:
    ((topic, source),) = sources_of(loaded({"preset": "tasmota", "topic": "{device}/tele/SENSOR", "every_s": 10}))
    assert topic.filters == ("+/tele/SENSOR",)
    assert source.unit == "W"
    assert source.holding == HeldValue(every_ms=10_000, hold_ms=60_000, lateness_ms=0)


def test_by_default_a_sample_holds_for_twice_its_usual_distance_in_whole_minutes() -> None:
    for every_s, hold_s in ((1, 60), (10, 60), (30, 60), (31, 120), (60, 120), (300, 600)):
        ((_, source),) = sources_of(loaded(JSON | {"every_s": every_s}))
        assert source.holding.hold_ms == hold_s * 1_000
    ((_, source),) = sources_of(loaded(JSON | {"every_s": 10, "hold_s": 25, "lateness_s": 2.5}))
    assert source.holding == HeldValue(10_000, 25_000, 2_500)


def test_a_local_time_is_of_the_site_unless_the_source_names_a_zone() -> None:
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
        ({}, r"sources\.0\.topic: Field required"),
        ({"preset": "sonoff"}, r"sources\.0: there is no preset 'sonoff'; there are .*tasmota"),
        ({"preset": 5}, r"there is no preset 5"),
        (JSON | {"colour": 1}, r"sources\.0\.colour: there is no such key"),
        ({"topic": "x/{device}"}, r"sources\.0: format = \"json\" needs value"),
        (JSON | {"value": "a + a"}, r"sources\.0\.value: .* names a path twice"),
        (JSON | {"value": []}, "needs value"),
        (JSON | {"time": ""}, r"sources\.0\.time: '' is not a path"),
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
        (JSON | {"topic": "{device}/{part}"}, r'a topic with \{part\} needs format = "number"'),
        ({"preset": "p1-esp", "kind": "minute"}, 'several messages are samples: set kind = "samples"'),
    ],
)
def test_what_does_not_fit_is_said_with_its_key(source: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        loaded(source)


def test_two_sources_may_not_read_one_topic() -> None:
    with pytest.raises(SettingsError, match=r"sources\.1\.topic: .* is read by sources\.0 already"):
        sources_of(loaded(JSON, JSON | {"value": "watts"}))


def test_without_sources_it_is_the_native_topic() -> None:
    assert subscriptions_of(Settings()) == ("gap/+/reading",)


def test_the_page_tells_every_key_and_every_preset() -> None:
    page = (Path(__file__).parents[1] / "docs" / "meters.md").read_text(encoding="utf-8")
    for key in SourceSettings.model_fields:
        assert f"`{key}`" in page, key
    for name in presets():
        assert f'preset = "{name}"' in page, name


def test_every_example_on_the_page_can_be_copied_and_used() -> None:
    page = (Path(__file__).parents[1] / "docs" / "meters.md").read_text(encoding="utf-8")
    examples = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert len(examples) > len(presets()) / 2
    for example in examples:
        Path("gapcast.toml").write_text(example, encoding="utf-8")
        assert sources_of(load(None, {}, {})), example
