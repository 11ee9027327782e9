"""Several meters as one device: the sum of meters whose topics differ in one level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from gapcast.core.meters.values import parse_sum
from gapcast.mqtt.sources.source_topics import PART
from gapcast.presets import with_preset
from gapcast.setup.messages.message_recording import MessageRecording
from gapcast.setup.meters.preset_recognition import Candidate, read_by, read_numbers

#: Error for meters that cannot be summed.
NOT_SUPPORTED = (
    "these cannot be added up: gapcast adds values of one message, or of meters of one kind and unit whose topics "
    'differ in one level; for others, see "Several meters as one device" in docs/meters.md'
)
_SHARED_KEYS = ("unit", "every_s", "hold_s", "on_change")
#: Keys of a preset's JSON messages that a sum takes over.
_OF_PRESET = ("preset", "format", "value", "unit", "sign", "kind")


class SumTerm(NamedTuple):
    """One meter of a sum, and its sign (1 or -1)."""

    sign: int
    candidate: Candidate


def sum_of(terms: Sequence[SumTerm], recording: MessageRecording, timezone: str) -> Candidate | None:
    """Return the candidate that reads the sum of these meters, None if a single source cannot."""
    are_counters = any(term.candidate.is_counter for term in terms)  # counters count until different times
    source = None if are_counters else _source_of(terms)
    if source is None:
        return None
    topics = frozenset(topic for term in terms for topic in term.candidate.topics)
    is_unit_known = "unit" in with_preset(source)
    return (read_by if is_unit_known else read_numbers)(source, recording.on(topics.__contains__), timezone)


def _source_of(terms: Sequence[SumTerm]) -> dict[str, Any] | None:
    """Return the source with the differing level as ``{part}``, and the level's values as the terms of the sum."""
    keys = [with_preset(term.candidate.source) for term in terms]
    topics = [topic.split("/") for term in terms for topic in term.candidate.topics]
    if len(topics) != len(terms) or any(one.get("kind") == "minute" or one.get("sign", 1) != 1 for one in keys):
        return None
    if len({one.get("unit") for one in keys}) > 1 or len({len(levels) for levels in topics}) > 1:
        return None
    messages = _messages_of(keys)
    differing = [depth for depth, levels in enumerate(zip(*topics, strict=True)) if len(set(levels)) > 1]
    if messages is None or len(differing) != 1:
        return None
    (depth,) = differing
    value = "".join(
        f" {'+' if term.sign > 0 else '-'} {levels[depth]}" for term, levels in zip(terms, topics, strict=True)
    )
    value = value.removeprefix(" + ").lstrip()
    try:
        is_unchanged = [term.path for term in parse_sum(value)] == [levels[depth] for levels in topics]
    except ValueError:
        return None
    if not is_unchanged:
        return None
    topic = "/".join([*topics[0][:depth], PART, *topics[0][depth + 1 :]])
    own = [term.candidate.source if "preset" in messages else one for term, one in zip(terms, keys, strict=True)]
    shared = {name: own[0][name] for name in _SHARED_KEYS if all(one.get(name, "") == own[0].get(name) for one in own)}
    return {**messages, "topic": topic, "device": "home", "value": value, **shared}


def _messages_of(keys: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the keys for reading the messages of each meter, None if they differ between meters."""
    if all(one.get("format") == "number" for one in keys):
        return {"format": "number"}
    if any([one.get(name) for name in _OF_PRESET] != [keys[0].get(name) for name in _OF_PRESET] for one in keys):
        return None
    if keys[0].get("format", "json") != "json":
        return None
    return {"preset": keys[0]["preset"]} if "preset" in keys[0] else {"part_value": keys[0]["value"]}
