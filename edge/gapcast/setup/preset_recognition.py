"""Which presets read what was heard, under their own topics or below others' prefixes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gapcast.check.sample_listener import SampleListener
from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError
from gapcast.core.meters.values import parse_sum
from gapcast.mqtt.routes import CHANNEL, DEVICE, PART
from gapcast.presets import presets
from gapcast.setup.field_names import looks_like_power
from gapcast.setup.message_recording import MessageRecording

#: Its own topic takes every sensor of a house; each that looks like a power is a source of its own.
_PER_TOPIC = "home-assistant"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source that reads something of what was heard, and the last power of each device (kW)."""

    source: dict[str, Any]
    devices: dict[str, float]
    topics: frozenset[str]
    #: Whether its unit is known; else ``devices`` has its numbers as they are.
    unit_known: bool = True
    #: How many terms its value is added up of: a whole meter rather than one of its phases.
    n_terms: int = field(default=1)

    @property
    def title(self) -> str:
        """What people choose it by."""
        topic = self.source.get("topic") or presets()[self.source["preset"]]["topic"]
        name = self.source.get("preset") or self.source.get("value") or "a number"
        return f"{name} on {topic}"


def recognize_presets(recording: MessageRecording, timezone: str) -> list[Candidate]:
    """Return what the presets read of ``recording``, whole meters before their parts."""
    found = []
    for name, preset in presets().items():
        for topic in sorted({one for heard in recording.of_topic for one in _pattern(name, preset, heard)}):
            source = {"preset": name} | ({} if topic == preset["topic"] else {"topic": topic})
            if name == _PER_TOPIC:
                source["device"] = topic.split("/")[-2]
            candidate = read_by(source, recording, timezone)
            if candidate is None and "time" in preset:  # its clock may never have been set
                candidate = read_by(source | {"time_form": "arrival"}, recording, timezone)
            if candidate is not None:
                found.append(candidate)
    return sorted(found, key=lambda candidate: -candidate.n_terms)


def read_by(source: dict[str, Any], recording: MessageRecording, timezone: str) -> Candidate | None:
    """Return ``source`` with what it reads of ``recording``; None where that is no power."""
    try:
        settings = Settings.model_validate({"sources": [source], "site": {"timezone": timezone}})
    except ValueError:
        return None
    try:
        listener = SampleListener(settings)
    except SettingsError:
        return None
    topics = set()
    for received in recording.in_order():
        if listener.reads(received.publication.topic):
            listener.hear(received)
            topics.add(received.publication.topic)
    devices = {name: heard.powers_kw[-1] for name, heard in listener.devices.items() if heard.powers_kw}
    if not devices:
        return None
    n_terms = max((len(one) for one in settings.sources[0].sums), default=1)
    return Candidate(source, devices, frozenset(topics), n_terms=n_terms)


def _pattern(name: str, preset: dict[str, Any], topic: str) -> Iterator[str]:
    """Yield the preset's topic, below the prefix that ``topic`` has before it, where they fit."""
    pattern, levels = preset["topic"].split("/"), topic.split("/")
    n_before = len(levels) - len(pattern)
    if n_before < 0:
        return
    parts = {term.path for term in parse_sum(preset["value"])} if PART in pattern else set()
    for wanted, level in zip(pattern, levels[n_before:], strict=True):
        if wanted == PART and level not in parts:
            return
        if wanted not in {DEVICE, CHANNEL, PART, level}:
            return
    if name != _PER_TOPIC:
        yield "/".join((*levels[:n_before], *pattern))
    elif looks_like_power(levels[-2]):
        yield topic
