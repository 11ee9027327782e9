"""``gapcast setup``: the question for another unit, which meters that send on gapcast's own topic do not have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.setup.messages.message_recording import MessageRecording
from gapcast.setup.meters.preset_answers import PresetAnswers
from gapcast.setup.run import Setup

NOON_MS = 1_672_574_400_000


class DefaultPrompts:
    """A person who accepts the proposed answers."""

    is_interactive = True

    def __init__(self) -> None:
        self.questions: list[str] = []

    def confirm(self, question: str, *, default: bool) -> bool:
        self.questions.append(question)
        return default


def test_setup_of_native_readings_offers_no_unit(tmp_path: Path) -> None:
    recording, prompts, shown = MessageRecording(), DefaultPrompts(), list[str]()
    for minute, payload in enumerate((b"41.5", b"42.5", b"41.0")):
        publication = Publication("gap/home/reading", payload, 0, False, False, b"", len(payload))
        recording.add(ReceivedMessage(publication, 60.0 * minute, NOON_MS + 60_000 * minute))
    sources = [{"preset": "gapcast"}]
    sections: dict[str, Any] = {"mqtt": {"host": "localhost"}, "site": {"timezone": "UTC"}, "sources": sources}
    setup = Setup(PresetAnswers(config=tmp_path / "gapcast.toml"), cast("Any", prompts), shown.append, shown.append, {})
    setup._review(sections, recording)
    assert prompts.questions == ["Are these power values correct?"]
    assert sources == [{"preset": "gapcast"}]
    assert any("41.5 kW is high for a house" in line for line in shown)
    assert shown[-1].endswith("let the meter send kW, or to another topic (docs/meters.md)")


class WrongUnits(DefaultPrompts):
    """A person who corrects the units once."""

    def confirm(self, question: str, *, default: bool) -> bool:
        return bool(self.questions)

    def text(self, question: str, default: str | None, option: str, choices: Sequence[str] = ()) -> str:
        self.questions.append(question)
        return "kW"


def test_setup_asks_the_unit_of_a_pattern_by_its_topic(tmp_path: Path) -> None:
    prompts = WrongUnits()
    sources = [
        {"topic": "lab/a", "device": "a", "format": "number", "unit": "W"},
        {"topic": "lab/{channel}/w", "device": "lab-{channel}", "format": "number", "unit": "W"},
        {"topic": "attic/{device}", "format": "number", "unit": "W"},
        {"preset": "tasmota"},
    ]
    sections: dict[str, Any] = {"mqtt": {"host": "localhost"}, "site": {"timezone": "UTC"}, "sources": sources}
    setup = Setup(PresetAnswers(config=tmp_path / "gapcast.toml"), cast("Any", prompts), print, print, {})
    setup._review(sections, MessageRecording(n_messages=1))
    assert prompts.questions == [
        f"Which unit does {name} send?" for name in ("a", "lab/{channel}/w", "attic/{device}", "tasmota")
    ]
