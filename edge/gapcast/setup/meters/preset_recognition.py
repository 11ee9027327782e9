"""Finds the presets that can read the recorded messages, on their own topics or below other prefixes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gapcast.check.sample_listener import SampleListener
from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError
from gapcast.core.meters.source import COUNTERS
from gapcast.core.meters.values import parse_sum
from gapcast.mqtt.sources.source_topics import CHANNEL, DEVICE, PART, SourceTopic
from gapcast.presets import PER_TOPIC, presets, with_preset
from gapcast.setup.messages.field_names import may_be_power
from gapcast.setup.messages.message_recording import MessageRecording
from gapcast.setup.messages.number_fields import NumberKind
from gapcast.setup.messages.power_role import PowerRole, role_of
from gapcast.setup.meters.device_names import device_on, needs_name, with_channel

#: Wide enough for the values of energy counters, which are read as W.
_COUNTER_LIMITS_KW = (-1e6, 1e6)
POWER_UNITS = ("W", "kW")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source that reads some of the recorded messages, and the last power of each device (kW)."""

    source: dict[str, Any]
    devices: dict[str, float]
    topics: frozenset[str]
    #: Whether the unit is known; otherwise ``devices`` holds raw numbers.
    unit_known: bool = True
    #: Number of terms in the sum of the value: a complete meter has more than one phase.
    n_terms: int = 1
    #: When the messages with a power arrived, by topic, s; without retained messages, which may be old.
    arrivals_s: Mapping[str, Sequence[float]] = field(default_factory=dict)
    #: The quantity that the number may be by its name.
    kind: NumberKind = NumberKind.POWER
    #: Whether the meter has other channels in the same messages.
    is_channel: bool = False

    @property
    def options(self) -> str:
        """The options that select the candidate."""
        given = ((f"--{key}", self.source.get(key)) for key in ("preset", "topic", "value", "unit"))
        return " ".join(f"{option} {shlex.quote(value)}" for option, value in given if value)

    @property
    def title(self) -> str:
        """The text shown for selection."""
        preset, value, of_part = (self.source.get(key) for key in ("preset", "value", "part_value"))
        name = " ".join(one for one in (preset, value, f"of {of_part}" if of_part else None) if one)
        return f"{name or 'a number'} on {self.pattern}"

    @property
    def number(self) -> str | None:
        """The path to the power in the messages, if there is no preset."""
        path: str | None = self.source.get("part_value") or self.source.get("value")
        return path

    @property
    def is_counter(self) -> bool:
        """Whether the source reads an energy counter; ``devices`` then holds counts."""
        return self.source.get("unit") in COUNTERS or (self.kind is NumberKind.ENERGY and not self.unit_known)

    @property
    def is_likely(self) -> bool:
        """Whether the number is a power by its name, or the only number of a message: P may be the import alone."""
        return self.kind not in {NumberKind.WEAK_POWER, NumberKind.OTHER} or self.number is None

    @property
    def generation_topics(self) -> list[str]:
        """Its topics that are of generation, storage or charging by their names; of a sum, only if all are."""
        found = [topic for topic in sorted(self.topics) if self._role_on(topic) is PowerRole.GENERATION]
        return found if PART not in self.pattern.split("/") or len(found) == len(self.topics) else []

    @property
    def role(self) -> PowerRole:
        """What its power is of by the names of its topics: of several meters, the first to offer."""
        return min(map(self._role_on, self.topics), default=PowerRole.UNKNOWN)

    def _role_on(self, topic: str) -> PowerRole:
        terms = parse_sum(self.number) if self.number is not None else ()
        return role_of([*topic.split("/"), *(terms[0].keys if len(terms) == 1 else ())])

    @property
    def pattern(self) -> str:
        """The topic pattern that the source reads."""
        topic: str = with_preset(self.source)["topic"]
        return topic


def recognize_presets(
    recording: MessageRecording, timezone: str, only: str | None = None, own_keys: Mapping[str, Any] | None = None
) -> list[Candidate]:
    """Return the presets that read ``recording``, complete meters before their phases.

    With ``only``, return only that preset; ``own_keys`` take precedence over the preset's keys.
    """
    found = []
    for name, preset in presets().items() if only is None else [(only, presets()[only])]:
        keys = preset | dict(own_keys or {})
        for topic in sorted(
            {one for recorded in recording.of_topic for one in matching_patterns(name, keys, recorded)}
        ):
            source = {"preset": name} | ({} if topic == preset["topic"] else {"topic": topic}) | dict(own_keys or {})
            if name == PER_TOPIC:
                source["device"] = topic.split("/")[-2]
                unit = recording.stated_unit(topic)
                if unit is not None and unit not in POWER_UNITS:
                    continue
                source |= {"unit": unit} if unit is not None and "unit" not in source else {}
            candidate = _read_preset(source, recording, timezone)
            if candidate is not None:
                found.append(candidate)
    return sorted(found, key=lambda candidate: -candidate.n_terms)


def read_preset_on(
    topic: str, preset: str, own_keys: Mapping[str, Any], recording: MessageRecording, timezone: str
) -> Candidate | None:
    """Return the preset with this topic or pattern as its own; None if it reads no power there."""
    topic = with_channel(preset, topic)
    keys = {} if topic == presets()[preset]["topic"] else {"topic": topic}
    if needs_name(preset, topic):
        keys["device"] = device_on(preset, topic)
    if preset == PER_TOPIC and "unit" not in own_keys:
        unit = recording.stated_unit(topic, own_keys.get("value"))
        if unit is not None and unit not in {*POWER_UNITS, *COUNTERS}:  # ask for it
            return read_numbers({"preset": preset} | keys | dict(own_keys), recording, timezone)
        keys |= {"unit": unit} if unit is not None else {}
    return _read_preset({"preset": preset} | keys | dict(own_keys), recording, timezone)


def _read_preset(source: dict[str, Any], recording: MessageRecording, timezone: str) -> Candidate | None:
    candidate = read_source(source, recording, timezone)
    if candidate is None and "time" in presets()[source["preset"]]:  # the meter's clock may never have been set
        candidate = read_source(source | {"time_form": "arrival"}, recording, timezone)
    return candidate


def read_by(
    source: dict[str, Any],
    recording: MessageRecording,
    timezone: str,
    kind: NumberKind = NumberKind.POWER,
    *,
    is_channel: bool = False,
    limits_kw: tuple[float, float] | None = None,
) -> Candidate | None:
    """Return ``source`` with the values that it reads from ``recording``; None if it reads no power."""
    limits = {"min_kw": limits_kw[0], "max_kw": limits_kw[1]} if limits_kw else {}
    try:
        settings = Settings.model_validate({"sources": [source], "site": {"timezone": timezone}, "limits": limits})
    except ValueError:
        return None
    try:
        listener = SampleListener(settings)
    except SettingsError:
        return None
    arrivals_s: dict[str, list[float]] = {}
    topics = set()
    for received in recording.in_order():
        publication = received.publication
        if listener.reads(publication.topic):
            n_without_power = listener.n_without_power
            if listener.receive(received):
                topics.add(publication.topic)
            if not publication.retained and listener.n_without_power == n_without_power:
                arrivals_s.setdefault(publication.topic, []).append(received.received_s)
    devices = {name: samples.powers_kw[-1] for name, samples in sorted(listener.devices.items()) if samples.powers_kw}
    if not devices:
        return None
    n_terms = max((len(one) for one in settings.sources[0].sums), default=1)
    return Candidate(
        source, devices, frozenset(topics), n_terms=n_terms, arrivals_s=arrivals_s, kind=kind, is_channel=is_channel
    )


def read_numbers(
    source: dict[str, Any], recording: MessageRecording, timezone: str, kind: NumberKind = NumberKind.POWER
) -> Candidate | None:
    """Return the candidate of a source without a unit, or of an energy counter, with the numbers of its messages."""
    limits_kw = _COUNTER_LIMITS_KW if kind is NumberKind.ENERGY or source.get("unit") in COUNTERS else None
    as_watts = read_by(source | {"unit": "W"}, recording, timezone, kind, limits_kw=limits_kw)
    if as_watts is None:
        return None
    numbers = {name: 1_000 * power_kw for name, power_kw in as_watts.devices.items()}
    return replace(as_watts, source=source, devices=numbers, unit_known="unit" in source)


def read_source(
    source: dict[str, Any], recording: MessageRecording, timezone: str, kind: NumberKind = NumberKind.POWER
) -> Candidate | None:
    """Return the candidate of a source with its powers, or its numbers if it is a counter or the unit is unknown."""
    has_power = source["unit"] not in COUNTERS if "unit" in source else "preset" in source
    return (read_by if has_power else read_numbers)(source, recording, timezone, kind)


def single_meters(candidate: Candidate, recording: MessageRecording, timezone: str) -> list[Candidate]:
    """Return one candidate for each meter that a candidate's topic pattern matches, with a fixed topic and name.

    Empty if the pattern has no ``{device}`` or ``{channel}``.
    """
    levels = candidate.pattern.split("/")
    if not {DEVICE, CHANNEL} & set(levels):
        return []
    keys = with_preset(candidate.source)
    parts = [term.path for term in parse_sum(value)] if isinstance(value := keys.get("value"), str) else []
    by_topic: dict[str, str] = {}
    for topic in sorted(candidate.topics):
        fixed = [of if one in {DEVICE, CHANNEL} else one for one, of in zip(levels, topic.split("/"), strict=True)]
        match = SourceTopic.parse("", candidate.pattern, keys.get("device", ""), parts).match(topic)
        if match is not None:
            by_topic.setdefault("/".join(fixed), match.device)
    recorded = recording.on(candidate.topics.__contains__)
    found = (
        read_source(candidate.source | {"topic": topic, "device": name}, recorded, timezone, candidate.kind)
        for topic, name in by_topic.items()
    )
    return [one for one in found if one is not None]


def matching_patterns(name: str, preset: dict[str, Any], topic: str) -> Iterator[str]:
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
    if name != PER_TOPIC:
        yield "/".join((*levels[:n_before], *pattern))
    elif may_be_power(levels[-2]):
        yield topic
