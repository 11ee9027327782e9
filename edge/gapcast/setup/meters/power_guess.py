"""Finds candidates for meters without a preset: numbers whose names suggest power."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from gapcast.core.errors import PayloadError
from gapcast.core.meters.values import look_up, number_of, parse_path, parse_sum
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.presets import presets
from gapcast.setup.messages.field_names import device_in, looks_like_power, may_be_power, unit_in
from gapcast.setup.messages.message_recording import MessageRecording
from gapcast.setup.meters.preset_recognition import Candidate, read_by, read_numbers
from gapcast.text.json_input import JsonError, decode_json

_MAX_DEPTH, _MAX_PER_TOPIC = 5, 4


def guess_power_sources(
    recording: MessageRecording, timezone: str, known: Collection[str], *, any_name: bool
) -> list[Candidate]:
    """Return candidates on topics other than ``known``; with ``any_name``, every number is one."""
    found = []
    for topic in sorted(set(recording.of_topic) - set(known)):
        for source in _sources(topic, recording.of_topic[topic][-1], any_name=any_name):
            if unit := unit_in(str(source.get("value", topic)).replace("/", ".").split(".")[-1]):
                source["unit"] = unit
            known_unit = unit or "preset" in source
            candidate = (read_by if known_unit else read_numbers)(source, recording, timezone)
            if candidate is not None:
                found.append(candidate)
    return found


def _sources(topic: str, received: ReceivedMessage, *, any_name: bool) -> Iterator[dict[str, Any]]:
    payload = received.publication.payload
    own = {"topic": topic, "device": device_in(topic)}
    if _number(payload) is not None:
        named = any(may_be_power(level) for level in topic.split("/")[-3:])
        if named or any_name:
            yield own | {"format": "number"}
        return
    try:
        document = decode_json(payload) if payload else None
    except JsonError:
        return  # not a format that gapcast can read
    if not isinstance(document, dict):
        return
    known = list(_presets_by_value(document))
    if known:
        for name in known:
            yield from ({"preset": name} | own | value for value in _values_of(presets()[name]["value"], document))
        return
    numbers = {path: path.split(".")[-1] for path in _paths(document)}
    paths = [path for path, name in numbers.items() if any_name or looks_like_power(name)]
    paths = paths or [path for path, name in numbers.items() if may_be_power(name)]
    yield from (own | {"value": path} for path in paths[:_MAX_PER_TOPIC])


def _number(payload: bytes) -> float | None:
    try:
        return number_of(payload.decode("utf-8", errors="replace"), "the payload")
    except PayloadError:
        return None


def _presets_by_value(document: dict[str, Any]) -> Iterator[str]:
    """Yield the presets whose value, and time if they have one, are in ``document``."""
    for name, preset in presets().items():
        value = preset.get("value")
        if isinstance(value, str) and preset.get("format", "json") == "json":
            wanted = {term.path for term in parse_sum(value)} | ({preset["time"]} if "time" in preset else set())
            if wanted <= set(_paths(document, numbers=False)):
                yield name


def _values_of(path: str, document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the settings for a preset's value at ``path``: none for a number; for a list, its sum and each item."""
    items = look_up(document, parse_path(path)) if " " not in path else None
    if not isinstance(items, list) or len(items) > _MAX_PER_TOPIC:
        yield {}
        return
    paths = [f"{path}.{i}" for i in range(len(items))]
    yield from ({"value": value} for value in dict.fromkeys((" + ".join(paths), *paths)))


def _paths(document: dict[str, Any], before: str = "", depth: int = 1, *, numbers: bool = True) -> Iterator[str]:
    """Yield the paths to the numbers of a message, or to all values."""
    for key, value in document.items():
        path = f"{before}{key}"
        if isinstance(value, dict) and depth < _MAX_DEPTH:
            yield from _paths(value, f"{path}.", depth + 1, numbers=numbers)
        elif not numbers or (isinstance(value, int | float) and not isinstance(value, bool)):
            yield path
