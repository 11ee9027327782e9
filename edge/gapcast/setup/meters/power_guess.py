"""Finds candidates for meters without a preset: numbers whose names suggest power, else energy counters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from gapcast.core.meters.source import COUNTERS
from gapcast.core.meters.values import look_up, parse_path, parse_sum
from gapcast.presets import PER_TOPIC, presets
from gapcast.setup.messages.field_names import device_in, is_average_power, is_explicit_power, is_momentary
from gapcast.setup.messages.json_leaves import Document, document_of, leaves
from gapcast.setup.messages.message_recording import MessageRecording
from gapcast.setup.messages.number_fields import NumberField, NumberKind, number_fields
from gapcast.setup.meters.preset_recognition import POWER_UNITS, Candidate, read_source
from gapcast.setup.topics import is_within

#: Maximum number of fields of a topic that may be powers or counters, and of other fields; and of meters in a list.
_MAX_NAMED, _MAX_OTHERS, _MAX_LISTED = 32, 8, 4
_ZIGBEE = "zigbee2mqtt"


def guess_power_sources(
    recording: MessageRecording, timezone: str, known: Collection[str], *, any_name: bool, counters: bool = False
) -> list[Candidate]:
    """Return candidates on topics other than ``known``, likeliest first; with ``any_name``, every number is one.

    With ``counters``, return energy counters; otherwise only if there is no power.
    """
    found = []
    for topic in sorted(set(recording.of_topic) - set(known)):
        of_topic = recording.on(topic.__eq__)
        payloads = [received.publication.payload for received in of_topic.in_order()]
        unit = recording.stated_unit(topic)
        sources = _sources(topic, payloads, any_name=any_name, counters=counters)
        for source, kind in sources if unit is None else _sources_in(unit, topic, any_name=any_name, counters=counters):
            candidate = read_source_as_stated(source, of_topic, timezone, kind)
            if candidate is not None:
                found.append(candidate)
    found.sort(key=lambda candidate: candidate.kind)
    has_power = bool(known) or (bool(found) and found[0].kind < NumberKind.ENERGY)
    return [one for one in found if one.kind < NumberKind.ENERGY] if has_power and not any_name else found


def read_source_as_stated(
    source: dict[str, Any], recording: MessageRecording, timezone: str, kind: NumberKind
) -> Candidate | None:
    """Return the candidate of a source in the unit that its messages or names state; without a unit if it reads none.

    Some meters name watts kW.
    """
    found = read_source(source, recording, timezone, kind)
    if found is not None or "preset" in source or source.get("unit") not in POWER_UNITS:
        return found
    return read_source({key: source[key] for key in source if key != "unit"}, recording, timezone, kind)


def likely_fields(
    topic: str, payloads: Sequence[bytes], *, any_name: bool, counters: bool = False
) -> list[NumberField]:
    """Return the numbers of a topic that may be its power or energy: all of the likeliest kind, or every number."""
    fields = number_fields(topic, payloads)
    if counters:
        fields = [field for field in fields if field.kind >= NumberKind.ENERGY]
    named = [field for field in fields if field.kind is not NumberKind.OTHER]
    if not any_name:
        return [field for field in named if field.kind is named[0].kind][:_MAX_NAMED]
    return named[:_MAX_NAMED] + [field for field in fields if field.kind is NumberKind.OTHER][:_MAX_OTHERS]


def _sources(
    topic: str, payloads: Sequence[bytes], *, any_name: bool, counters: bool
) -> Iterator[tuple[dict[str, Any], NumberKind]]:
    own = {"topic": topic, "device": device_in(topic)}
    documents = [document for payload in reversed(payloads) if (document := document_of(payload))]
    known = (
        {} if counters else {name: document for document in reversed(documents) for name in _presets_by_value(document)}
    )
    for name, document in known.items():
        value = presets()[name]["value"]
        for keys in _values_of(value, document) if isinstance(value, str) else [{}]:
            yield {"preset": name} | own | keys, NumberKind.POWER
    if known:
        return
    for field in likely_fields(topic, payloads, any_name=any_name, counters=counters):
        value = {"value": field.path} if field.path else {"format": "number"}
        preset = sender_of(topic, field.name) if field.path and field.kind < NumberKind.ENERGY else {}
        yield preset | own | value | _unit_of(field), field.kind


def sender_of(topic: str, name: str) -> dict[str, str]:
    """Return the preset of a sender that this topic identifies; empty if there is none, or ``name`` is not of a power.

    >>> sender_of("zigbee2mqtt/kitchen/plug", "power_l1"), sender_of("zigbee2mqtt/sink", "consumption")
    ({'preset': 'zigbee2mqtt'}, {})
    """
    return {"preset": _ZIGBEE} if topic.startswith(f"{_ZIGBEE}/") and is_explicit_power(name) else {}


def without_values_of_others(guessed: Iterable[Candidate], known: Iterable[Candidate]) -> list[Candidate]:
    """Return the guesses without those on the patterns of recognized Zigbee meters whose names do not say power.

    Another meter of the same pattern would be recognized; what its devices call load or demand is rarely a power.
    """
    patterns = {one.pattern for one in known if one.source.get("preset") == _ZIGBEE}
    return [
        one
        for one in guessed
        if is_explicit_power(one.number or "") or not any(is_within(one.pattern, pattern) for pattern in patterns)
    ]


def _sources_in(
    unit: str, topic: str, *, any_name: bool, counters: bool
) -> Iterator[tuple[dict[str, Any], NumberKind]]:
    """Yield the source of a state of Home Assistant in the unit that it states; none if that is of neither kind.

    Unless ``any_name``, none for a peak or a limit by its name either.
    """
    own = {"topic": topic, "device": device_in(topic), "unit": unit}
    if unit in POWER_UNITS and not counters:
        name = topic.split("/")[-2]
        if is_momentary(name):
            yield {"preset": PER_TOPIC} | own, NumberKind.POWER
        elif any_name or is_average_power(name):
            yield {"preset": PER_TOPIC} | own, NumberKind.WEAK_POWER
    elif unit in COUNTERS:
        yield own | {"format": "number"}, NumberKind.ENERGY


def _unit_of(field: NumberField) -> dict[str, str]:
    return {"unit": field.unit} if field.unit else {}


def _presets_by_value(document: Document) -> Iterator[str]:
    """Yield the presets whose value, and time if they have one, are in ``document``; of a list of values, a sum."""
    paths = {path for path, _ in leaves(document)}
    for name, preset in presets().items():
        if preset.get("format", "json") != "json":
            continue
        value = preset.get("value", ())
        sums = [parse_sum(value)] if isinstance(value, str) else [one for one in map(parse_sum, value) if len(one) > 1]
        time = {preset["time"]} if "time" in preset else set()
        if any({term.path for term in terms} | time <= paths for terms in sums):
            yield name


def _values_of(path: str, document: Document) -> Iterator[dict[str, Any]]:
    """Yield the settings for a preset's value at ``path``: none for a number; for a list, its sum and each item."""
    items = look_up(document, parse_path(path)) if " " not in path else None
    if not isinstance(items, list) or len(items) > _MAX_LISTED:
        yield {}
        return
    paths = [f"{path}.{i}" for i in range(len(items))]
    yield from ({"value": value} for value in dict.fromkeys((" + ".join(paths), *paths)))
