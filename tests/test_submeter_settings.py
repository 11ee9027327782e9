"""``[[submeters]]``: settings and errors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gapcast.app.broker.broker import submeters_of, subscriptions_of
from gapcast.config.loader import load
from gapcast.config.sections.submeters import names_of
from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError
from gapcast.core.meters.minutes import HeldValue
from gapcast.presets import presets

CAR = {"of": "home", "name": "car", "preset": "tasmota", "topic": "tele/car/SENSOR"}
MAINS = {"preset": "p1-esp", "device": "home"}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(*submeters: dict[str, Any], **sections: Any) -> Settings:
    return load(None, {}, {"submeters": list(submeters), **sections})


def test_submeter_is_read_like_a_source_of_its_preset() -> None:
    settings = loaded({**CAR, "every_s": 10}, {**CAR, "name": "pump", "topic": "tele/pump/SENSOR"})
    car, pump = submeters_of(settings)
    assert (car.device, car.name, car.source.unit) == ("home", "car", "W")
    assert car.source.holding == HeldValue(every_ms=10_000, hold_ms=60_000, lateness_ms=0)
    assert pump.topic.filters == ("tele/pump/SENSOR",)
    assert subscriptions_of(settings) == ("gap/+/reading", "tele/car/SENSOR", "tele/pump/SENSOR")
    assert names_of(settings.submeters) == {"home": ("car", "pump")}


@pytest.mark.parametrize("preset", sorted(presets()))
def test_submeter_may_have_any_preset(preset: str) -> None:
    topic = presets()[preset]["topic"].replace("{device}", "pump").replace("{channel}", "0")
    submeter = {"of": "home", "name": "pump", "preset": preset, "topic": f"cellar/{topic}"}
    (pump,) = submeters_of(loaded(submeter, sources=[MAINS]))
    assert (pump.device, pump.name) == ("home", "pump")


@pytest.mark.parametrize(
    ("submeters", "sections", "problem"),
    [
        ([{**CAR, "of": "my home"}], {}, "submeters.0.of: 'my home' cannot name a device"),
        ([{**CAR, "name": "a/b"}], {}, "submeters.0.name"),
        ([{**CAR, "device": "car"}], {}, "remove device, and name the device that it belongs to as of"),
        ([{**CAR, "topic": "tele/{device}/SENSOR"}], {}, "has {device}: write the topic of this submeter"),
        ([{**CAR, "topic": "tele/{shard}/SENSOR"}], {}, "has {shard}: write the topic of this submeter"),
        ([{"of": "home", "name": "car", "preset": "tasmota"}], {}, "has {device}: write the topic of this submeter"),
        ([{**CAR, "topic": "tele/+/SENSOR"}], {}, "is not a topic pattern"),
        ([CAR, {**CAR, "topic": "x"}], {}, "submeters.1.name: home has a submeter 'car' already"),
        ([CAR, {**CAR, "name": "b"}], {}, "submeters.1.topic: 'tele/car/SENSOR' is already read by submeters.0.topic"),
        ([CAR], {"sources": [{**MAINS, "device": "flat"}]}, "submeters.0.of: no source has the device 'home'"),
        (
            [{**CAR, "topic": "mains"}],
            {"sources": [{"topic": "mains", "device": "home", "value": "kw"}]},
            "submeters.0.topic: 'mains' is already read by sources.0.topic",
        ),
        (
            [{**CAR, "topic": "sensors/power/p1meter/actual_consumption"}],
            {"sources": [MAINS]},
            "submeters.0.topic: 'sensors/power/p1meter/actual_consumption' is already read by sources.0.topic",
        ),
        ([{**CAR, "topic": "gap/home/forecast"}], {}, "which includes the topic topics.forecast"),
        (
            [CAR],
            {"mqtt": {"share_group": "workers", "shared_by": "topic-hash"}},
            "remove the submeters, or shards and mqtt.share_group",
        ),
        ([CAR], {"shards": [0]}, "remove the submeters, or shards and mqtt.share_group"),
        ([{**CAR, "name": f"n{i}", "topic": f"t{i}"} for i in range(9)], {}, "home has 9, at most 8 are read"),
        ([{"name": "car", "preset": "tasmota", "topic": "x"}], {}, "submeters.0.of"),
    ],
)
def test_bad_submeter_is_refused_with_key_and_fix(
    submeters: list[dict[str, Any]], sections: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(problem)):
        submeters_of(loaded(*submeters, **sections))
