"""The blueprints for Home Assistant, as files; tests/homeassistant runs them in a real one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gapcast.core.demand.documents.headroom_document import HEADROOM_FIELDS
from tests.support.optional_tools import ROOT

pytestmark = pytest.mark.once

BLUEPRINTS = sorted((ROOT / "deploy" / "homeassistant" / "blueprints" / "automation" / "gapcast").glob("*.yaml"))
ADDON: dict[str, Any] = yaml.safe_load((ROOT / "homeassistant-addon" / "config.yaml").read_text(encoding="utf-8"))


class Input(str):
    """The name of an input that ``!input`` refers to."""

    __slots__ = ()


class Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """Reads Home Assistant's tag ``!input``."""


Loader.add_constructor("!input", lambda loader, node: Input(loader.construct_scalar(node)))


def load(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(file.read_text(encoding="utf-8"), Loader)  # noqa: S506 - a safe loader's child
    return document


def inputs_used(value: object) -> Iterator[str]:
    if isinstance(value, Input):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from inputs_used(one)
    elif isinstance(value, list):
        for one in value:
            yield from inputs_used(one)


@pytest.mark.parametrize("file", BLUEPRINTS, ids=[file.stem for file in BLUEPRINTS])
def test_blueprint_declares_the_inputs_that_it_uses(file: Path) -> None:
    document = load(file)
    head = document.pop("blueprint")
    assert head["domain"] == "automation"
    assert set(inputs_used(document)) == set(head["input"])
    assert all(one["name"] and one["selector"] for one in head["input"].values())


@pytest.mark.parametrize("file", BLUEPRINTS, ids=[file.stem for file in BLUEPRINTS])
def test_blueprint_requires_the_home_assistant_of_the_addon(file: Path) -> None:
    assert load(file)["blueprint"]["homeassistant"]["min_version"] == ADDON["homeassistant"]


def test_documented_probability_covers_limit_and_fuse() -> None:
    """An appliance that stays below the window's limit may still trip the meter's switch."""
    page = (ROOT / "docs" / "demand-home-assistant.md").read_text(encoding="utf-8")
    (sensor,) = re.findall(r"```yaml\n(# configuration.yaml\n.*?)```", page, re.DOTALL)
    (rest,) = yaml.safe_load(sensor)["sensor"]
    fields = set(re.findall(r"value_json\.(\w+)", rest["value_template"]))
    assert fields == {"p_exceed", "p_fuse"} <= {field.name for field in HEADROOM_FIELDS}


def test_blueprints_are_documented() -> None:
    page = " ".join((ROOT / "docs" / "demand-home-assistant.md").read_text(encoding="utf-8").split())
    assert [file.stem for file in BLUEPRINTS] == ["shed_load", "start_appliance"]
    for file in BLUEPRINTS:
        assert f"../{file.relative_to(ROOT)}" in page
        assert load(file)["blueprint"]["name"] in page


def test_heater_returns_by_the_running_window_and_a_compressor_by_both() -> None:
    """A default of a new input is what existing automations get: they have only the inputs without a default."""
    (file,) = (one for one in BLUEPRINTS if one.stem == "shed_load")
    document = load(file)
    inputs = document["blueprint"]["input"]
    assert {name for name, one in inputs.items() if "default" not in one} == {"headroom", "load", "load_w"}
    assert (inputs["next_counts"]["default"], inputs["shortest_run_min"]["default"]) == (False, 5)
    assert inputs["shortest_run_min"]["selector"]["number"]["min"] == 1, "or a window that is over would do"
    template = document["variables"]["has_room"].strip("{} \n")
    rule = compile(f"({template})", "has_room", "eval")

    def has_room(**values: float) -> bool:
        usual = {"on_from_w": 2_200, "now_w": 2_200, "next_w": 0, "left_min": 5, "shortest_min": 5}
        names = usual | {"next_counts": False, "min_on_min": 0} | values
        return bool(eval(rule, {}, names))  # noqa: S307 - a template of this repository, and valid Python

    shortest = document["variables"]["shortest_min"].partition("{{")[2].strip("} \n")
    for window_min, shortest_min in ((15, 5), (5, 4)):
        times = {"start": 0.0, "end": window_min * 60.0, "shortest_run_min": 5, "min": min}
        assert eval(shortest, {}, times) == shortest_min  # noqa: S307 - likewise
    assert has_room()
    assert not has_room(now_w=2_199)
    assert not has_room(left_min=4)
    for compressor in ({"next_counts": True}, {"min_on_min": 10}):
        assert not has_room(**compressor, next_w=2_199)
        assert has_room(**compressor, next_w=2_200, left_min=1)
        assert not has_room(**compressor, now_w=2_199, next_w=2_200)
