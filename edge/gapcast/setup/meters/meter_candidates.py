"""Finds the sources in the recorded messages that the answers for a meter may mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from gapcast.core.meters.source import COUNTERS
from gapcast.core.meters.values import parse_sum
from gapcast.mqtt.sources.source_topics import DEVICE, PART
from gapcast.presets import PER_TOPIC
from gapcast.setup.messages.field_names import device_in, energy_unit_in, unit_in
from gapcast.setup.messages.message_recording import MessageRecording
from gapcast.setup.messages.number_fields import NumberField, NumberKind, number_fields
from gapcast.setup.messages.power_role import PowerRole
from gapcast.setup.meters.channels import with_channels
from gapcast.setup.meters.power_guess import (
    guess_power_sources,
    likely_fields,
    read_source_as_stated,
    sender_of,
    without_values_of_others,
)
from gapcast.setup.meters.preset_answers import MeterAnswer
from gapcast.setup.meters.preset_recognition import (
    POWER_UNITS,
    Candidate,
    read_preset_on,
    read_source,
    recognize_presets,
)
from gapcast.setup.topics import EVERYTHING, filter_of, has_wildcard, is_single_topic, is_within


def candidates(recording: MessageRecording, timezone: str, meter: MeterAnswer) -> list[Candidate]:
    """Return the candidates that match the answers for a meter, likeliest first: generation and storage last."""
    return sorted(_matching(recording, timezone, meter), key=_rank)


def _rank(candidate: Candidate) -> tuple[bool, bool, NumberKind, PowerRole, bool]:
    role, kind = candidate.role, candidate.kind
    is_guess = "preset" not in candidate.source
    return kind >= NumberKind.ENERGY, role is PowerRole.GENERATION, kind, role, is_guess


def _matching(recording: MessageRecording, timezone: str, meter: MeterAnswer) -> list[Candidate]:
    topic = meter.topic or EVERYTHING
    is_any = filter_of(topic) == EVERYTHING
    recorded = recording if is_any else recording.on(lambda one: is_within(one, topic))
    if topic in recorded.units:  # the state of one entity of Home Assistant
        recorded = replace(recorded, units={topic: meter.unit or recorded.units[topic]})
        if meter.preset is None and meter.value is None and recorded.units[topic] not in COUNTERS:
            meter = replace(meter, preset=PER_TOPIC)
    if meter.preset is not None:
        own = {key: value for key, value in (("value", meter.value), ("unit", meter.unit)) if value is not None}
        known = _of_preset(meter.preset, topic, own, recorded, timezone)
        if meter.preset == PER_TOPIC and (has_wildcard(topic) or DEVICE in topic.split("/")):
            known += _entities_in_power_units(known, own, recorded, timezone, any_name=not is_any)
        if "value" in own or PART in topic.split("/"):
            return known
        known = with_channels(known, recorded, timezone, meter.preset)
        guessed = [] if known else guess_power_sources(recorded, timezone, (), any_name=False)
        of_preset = [one for one in guessed if one.source.get("preset") == meter.preset]
        return known or _with_pattern(of_preset, topic, recorded, timezone)
    if meter.value is not None:
        sources = _sources_with_value(meter, recorded)
        is_given = meter.unit is not None
        found = (_read_value(one, recorded, timezone, kind, is_unit_given=is_given) for one, kind in sources)
        return [one for one in found if one is not None]
    is_counter = meter.unit in COUNTERS
    known = [] if is_counter else with_channels(_recognized(topic, recorded, timezone), recorded, timezone)
    recognized = {one for candidate in known for one in (*candidate.topics, *_part_topics(candidate, recorded))}
    guessed = guess_power_sources(recorded, timezone, recognized, any_name=not is_any, counters=is_counter)
    guessed = without_values_of_others(guessed, known) if is_any else guessed
    if meter.unit is not None:
        is_power = [one for one in guessed if is_counter or not one.is_counter]
        of_unit = (_with_unit(one, meter.unit, recorded, timezone) for one in is_power or guessed)
        guessed = [one for one in of_unit if one is not None]
    return known + _with_pattern(guessed, topic, recorded, timezone)


def _part_topics(candidate: Candidate, recording: MessageRecording) -> list[str]:
    """Return the topics of the other values of a meter that sends each of its values on its own topic."""
    has_parts = PART in candidate.pattern.split("/")
    return [topic for topic in recording.of_topic if has_parts and is_within(topic, candidate.pattern)]


def _recognized(topic: str, recording: MessageRecording, timezone: str) -> list[Candidate]:
    """Return the recognized presets; on the topic or pattern that the user entered, if it is no filter."""
    found = recognize_presets(recording, timezone)
    if has_wildcard(topic):
        return found
    names = dict.fromkeys(one.source["preset"] for one in found)
    return [one for name in names for one in _of_preset(name, topic, {}, recording, timezone)]


def _of_preset(
    name: str, topic: str, own_keys: Mapping[str, Any], recording: MessageRecording, timezone: str
) -> list[Candidate]:
    """Return the candidates of a preset on an entered topic, each on its own topic if it is one for each entity."""
    if has_wildcard(topic) or (name == PER_TOPIC and DEVICE in topic.split("/")):
        return recognize_presets(recording, timezone, name, own_keys)
    found = read_preset_on(topic, name, own_keys, recording, timezone)
    return [] if found is None else [found]


def _entities_in_power_units(
    known: list[Candidate], own_keys: dict[str, str], recording: MessageRecording, timezone: str, *, any_name: bool
) -> list[Candidate]:
    """Return the entities of Home Assistant with a stated unit of power whose names do not say power."""
    stated = recording.on(recording.units.__contains__)
    topics = {topic for one in known for topic in one.topics}
    others = guess_power_sources(stated, timezone, topics, any_name=any_name)
    entities = [one for one in others if one.source.get("preset") == PER_TOPIC]
    found = (read_source(one.source | own_keys, stated, timezone, one.kind) for one in entities)
    return [one for one in found if one is not None]


def source_of_value(topic: str, value: str, unit: str | None) -> dict[str, Any]:
    """Return the source for the given value on a topic or pattern.

    >>> source_of_value("lab/{part}/power", "a + b", "W")["device"]
    'home'
    """
    levels = topic.split("/")
    source: dict[str, Any] = {"topic": topic}
    if DEVICE not in levels:
        source["device"] = "home" if PART in levels else device_in(topic)
    if PART in levels:
        source["format"] = "number"
    name = value.rpartition(".")[2]
    known_unit = unit or unit_in(name) or energy_unit_in(name)
    if is_single_topic(topic) and known_unit not in COUNTERS:
        source = sender_of(topic, name) | source
    return source | {"value": value} | ({"unit": known_unit} if known_unit else {})


def _sources_with_value(meter: MeterAnswer, recording: MessageRecording) -> Iterator[tuple[dict[str, Any], NumberKind]]:
    is_fixed = meter.topic is not None and not has_wildcard(meter.topic)
    for topic in [meter.topic] if is_fixed else sorted(recording.of_topic):
        if topic and meter.value:
            source = source_of_value(topic, meter.value, meter.unit or _unit_beside(topic, meter.value, recording))
            if PART in topic.split("/"):
                yield from _sums_of_parts(source, recording)
            else:
                yield source, NumberKind.POWER


def _read_value(
    source: dict[str, Any], recording: MessageRecording, timezone: str, kind: NumberKind, *, is_unit_given: bool
) -> Candidate | None:
    """Return the candidate of a given value; with ``null_is_zero`` if a null for one direction leaves no power."""
    read = read_source if is_unit_given else read_source_as_stated
    found = read(source, recording, timezone, kind)
    if found is None and len({term.sign for term in parse_sum(source["value"])}) > 1:
        found = read(source | {"null_is_zero": True}, recording, timezone, kind)
    return found


def _unit_beside(topic: str, value: str, recording: MessageRecording) -> str | None:
    """Return the unit that the messages of a topic state beside each term of a value; None if they do not."""
    units = {field.path: field.stated_unit for field in number_fields(topic, recording.payloads(topic))}
    found = {units.get(term.path) for term in parse_sum(value)}
    return found.pop() if len(found) == 1 else None


def _sums_of_parts(source: dict[str, Any], recording: MessageRecording) -> Iterator[tuple[dict[str, Any], NumberKind]]:
    """Yield the source of bare numbers, or one source for each number in the JSON messages of its parts.

    Bare numbers with a unit of power that Home Assistant states are its entities.
    """
    unit = source.get("unit") or recording.stated_unit(source["topic"], source["value"])
    if "unit" not in source and unit in POWER_UNITS:
        of_entities = {key: value for key, value in source.items() if key != "format"}
        yield {"preset": PER_TOPIC} | of_entities | {"unit": unit}, NumberKind.POWER
        return
    level = source["topic"].split("/").index(PART)
    parts = {term.path for term in parse_sum(source["value"])}
    fields: dict[str, NumberField] = {}
    for topic in recording.of_topic:
        if topic.split("/")[level] in parts:
            for field in likely_fields(topic, recording.payloads(topic), any_name=True):
                fields.setdefault(field.path, field)
    for field in sorted(fields.values(), key=lambda field: field.kind):
        if not field.path:
            yield source, NumberKind.POWER
            continue
        of_each = {key: value for key, value in source.items() if key != "format"}
        unit = source.get("unit") or field.unit
        yield of_each | {"part_value": field.path} | ({"unit": unit} if unit else {}), field.kind


def _with_unit(candidate: Candidate, unit: str, recording: MessageRecording, timezone: str) -> Candidate | None:
    """Return the candidate with the given unit, None if it reads nothing; a counter in watts is in fact a power."""
    if candidate.unit_known and candidate.is_counter == (unit in COUNTERS):
        return candidate
    kind = NumberKind.OTHER if candidate.is_counter and unit not in COUNTERS else candidate.kind
    return read_source(candidate.source | {"unit": unit}, recording, timezone, kind)


def _with_pattern(found: list[Candidate], topic: str, recording: MessageRecording, timezone: str) -> list[Candidate]:
    """Return the candidates of single topics, combined into candidates of the pattern that the user entered.

    Entities of Home Assistant keep their own topics: the pattern also matches those in other units.
    """
    if DEVICE not in topic.split("/") or has_wildcard(topic) or recording.units.keys() & recording.of_topic.keys():
        return found
    joined: dict[str, Candidate] = {}
    for candidate in found:
        source = {
            "topic": topic,
            **{key: candidate.source[key] for key in candidate.source if key not in {"topic", "device"}},
        }
        if repr(source) in joined:
            continue
        whole = read_source(source, recording, timezone, candidate.kind)
        if whole is not None:
            joined[repr(source)] = replace(whole, unit_known=candidate.unit_known, kind=candidate.kind)
    return list(joined.values())
