"""Finds the presets that can read the recorded messages, on their own topics or below other prefixes."""

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

#: Its topic matches every sensor of a household; each one that looks like power becomes a separate source.
_PER_TOPIC = "home-assistant"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source that reads some of the recorded messages, and the last power of each device (kW)."""

    source: dict[str, Any]
    devices: dict[str, float]
    topics: frozenset[str]
    #: Whether its unit is known; else ``devices`` holds raw numbers.
    unit_known: bool = True
    #: Number of terms in the sum of its value: more for a complete meter than for one phase.
    n_terms: int = field(default=1)

    @property
    def title(self) -> str:
        """The text shown for selection."""
        topic = self.source.get("topic") or presets()[self.source["preset"]]["topic"]
        name = self.source.get("preset") or self.source.get("value") or "a number"
        return f"{name} on {topic}"


def recognize_presets(recording: MessageRecording, timezone: str) -> list[Candidate]:
    """Return the presets that read ``recording``, complete meters before their phases."""
    found = []
    for name, preset in presets().items():
        for topic in sorted({one for recorded in recording.of_topic for one in _pattern(name, preset, recorded)}):
            source = {"preset": name} | ({} if topic == preset["topic"] else {"topic": topic})
            if name == _PER_TOPIC:
                source["device"] = topic.split("/")[-2]
            candidate = read_by(source, recording, timezone)
            if candidate is None and "time" in preset:  # the meter's clock may never have been set
                candidate = read_by(source | {"time_form": "arrival"}, recording, timezone)
            if candidate is not None:
                found.append(candidate)
    return sorted(found, key=lambda candidate: -candidate.n_terms)


def read_by(source: dict[str, Any], recording: MessageRecording, timezone: str) -> Candidate | None:
    """Return ``source`` with the values that it reads from ``recording``; None if it reads no power."""
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
            listener.receive(received)
            topics.add(received.publication.topic)
    devices = {name: samples.powers_kw[-1] for name, samples in listener.devices.items() if samples.powers_kw}
    if not devices:
        return None
    n_terms = max((len(one) for one in settings.sources[0].sums), default=1)
    return Candidate(source, devices, frozenset(topics), n_terms=n_terms)


def _pattern(name: str, preset: dict[str, Any], topic: str) -> Iterator[str]:
    """Yield the preset's topic with the prefix of ``topic``, if they match."""
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
