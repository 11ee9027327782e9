"""``gapcast replay`` warns if a gateway with the same configuration does not read what it publishes."""

from __future__ import annotations

from typing import Any

import pytest

from gapcast.commands.replay import unread_warning
from gapcast.config.settings import Settings

TOPIC = "gap/replay/reading"


def warning(*sources: dict[str, Any]) -> str:
    return unread_warning(Settings.model_validate({"sources": list(sources)}), TOPIC)


@pytest.mark.parametrize(
    "sources",
    [
        [],
        [{"preset": "gapcast"}],
        [{"preset": "tasmota"}, {"preset": "gapcast"}],
        [{"topic": "gap/{device}/reading", "value": "gap_kw", "unit": "kW", "time": "ts"}],
    ],
)
def test_replay_that_is_read_has_no_warning(sources: list[dict[str, Any]]) -> None:
    assert warning(*sources) == ""


def test_replay_without_a_source_for_its_topic_is_warned_of() -> None:
    text = warning({"preset": "tasmota"}, {"preset": "shelly-gen1"})
    assert text.startswith(f"a gateway with this configuration does not read {TOPIC}")
    assert "its sources read tele/{device}/SENSOR, shellies/{device}/emeter/{channel}/power" in text
    assert 'add [[sources]] with preset = "gapcast" and topic = "gap/{device}/reading"' in text


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"value": "ENERGY.Power", "unit": "W"}, "reads no power"),
        ({"value": "gap_kw", "unit": "W"}, "reads 1 kW as 0.001 kW"),
        ({"format": "number", "unit": "kW"}, "reads no power (gap/replay/reading: "),
    ],
)
def test_replay_read_differently_is_warned_of(source: dict[str, Any], words: str) -> None:
    assert words in warning({"topic": "gap/{device}/reading", **source})
