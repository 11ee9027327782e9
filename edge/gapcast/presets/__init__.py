"""Presets for meters, defined in ``presets.toml`` beside this file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

#: Its topic matches every sensor that Home Assistant streams; setup makes a source of each that looks like power.
PER_TOPIC = "home-assistant"


@cache
def presets() -> dict[str, dict[str, Any]]:
    """Return the keys that each preset sets in a source, by preset name."""
    return tomllib.loads((Path(__file__).parent / "presets.toml").read_text(encoding="utf-8"))


def with_preset(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of ``source``, and those of its preset, if it has one, that it does not set itself."""
    return presets().get(source.get("preset", ""), {}) | dict(source)
