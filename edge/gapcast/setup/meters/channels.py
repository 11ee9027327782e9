"""The channels of a meter that sends several in its messages: em1:0 and em1:1 of a Shelly, phases of a Zigbee meter."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from gapcast.core.errors import PayloadError
from gapcast.mqtt.sources.source_topics import SourceTopic
from gapcast.presets import presets, with_preset
from gapcast.setup.messages.field_names import words_of
from gapcast.setup.messages.json_leaves import document_of, leaves
from gapcast.setup.messages.message_recording import MessageRecording
from gapcast.setup.messages.number_fields import paths_of
from gapcast.setup.meters.preset_recognition import Candidate, matching_patterns, read_by

#: The first channel in a path: em1:0, switch:0.
_FIRST = re.compile(r"(?<=:)0(?=\.)")
_MAX_CHANNELS = 8
#: What Zigbee2MQTT appends to the name of a value for each phase of a meter: ``power`` is phase A alone.
_PHASES = ("", "_phase_b", "_phase_c")


def with_channels(
    found: Sequence[Candidate], recording: MessageRecording, timezone: str, only: str | None = None
) -> list[Candidate]:
    """Return the candidates, with added channels for each topic whose messages have several, or one besides the first.

    The sum of the channels comes first; with ``only``, the channels that this preset reads.
    """
    names = [name for name, preset in presets().items() if not isinstance(preset.get("value", ""), str)]
    channels: list[Candidate] = []
    for name in names if only is None else [one for one in names if one == only]:
        for topic in sorted(recording.of_topic):
            for pattern in matching_patterns(name, presets()[name], topic):
                channels += _channels_of(name, pattern, topic, recording, timezone)
    topics = {topic for one in channels for topic in one.topics}
    known = [one for one in found if not (_is_first_only(one) and one.topics <= topics)]
    for whole in [one for one in channels if one.n_terms > 1]:  # a preset may read all channels, or too few of them
        paths = _paths_in(whole)
        known = [one for one in known if not (one.topics == whole.topics and _paths_in(one) < paths)]
        if any(one.topics == whole.topics and _paths_in(one) == paths for one in known):
            channels.remove(whole)
    return sorted([*known, *channels], key=lambda one: -one.n_terms)


def may_have_others(candidate: Candidate, recording: MessageRecording) -> bool:
    """Return whether ``candidate`` reads channels of a meter that may have others that have not sent yet."""
    return candidate.is_channel or (
        _is_first_only(candidate)
        and any(
            _FIRST.search(path) and not _is_total(path)
            for topic in candidate.topics
            for path in _sent_paths(topic, recording) & _paths_in(candidate)
        )
    )


def _is_first_only(candidate: Candidate) -> bool:
    """Return whether the value is a preset's list of first channels, of which the first present one is read."""
    return "value" not in candidate.source and not isinstance(with_preset(candidate.source).get("value", ""), str)


def _paths_in(candidate: Candidate) -> frozenset[str]:
    return paths_of(with_preset(candidate.source).get("value", ()))


def _channels_of(
    name: str, pattern: str, topic: str, recording: MessageRecording, timezone: str
) -> Iterator[Candidate]:
    sent, values = _sent_paths(topic, recording), presets()[name]["value"]
    if any(_is_total(value) and value in sent for value in values):
        return
    for value in values:
        paths = [path for path in _channel_paths(value) if path in sent]
        if paths in ([], [value]) or f"{value}_phase_a" in sent:  # then the value is the sum of all phases
            continue
        try:
            match = SourceTopic.parse("", pattern, presets()[name].get("device", "")).match(topic)
        except PayloadError:
            return
        source: dict[str, Any] = {"preset": name, "topic": topic, "device": match.device if match else "home"}
        for one in dict.fromkeys((" + ".join(paths), *paths)):
            candidate = read_by(source | {"value": one}, recording.on(topic.__eq__), timezone, is_channel=True)
            if candidate is not None:
                yield candidate


def _channel_paths(first: str) -> list[str]:
    """Return the paths that the channels have if the first one has the path ``first``.

    >>> _channel_paths("power"), _channel_paths("switch:0.apower")[1]
    (['power', 'power_phase_b', 'power_phase_c'], 'switch:1.apower')
    """
    if _FIRST.search(first):
        return [_FIRST.sub(str(i), first) for i in range(_MAX_CHANNELS)]
    return [f"{first}{phase}" for phase in _PHASES]


def _sent_paths(topic: str, recording: MessageRecording) -> set[str]:
    documents = map(document_of, recording.payloads(topic))
    return {path for document in documents for path, value in leaves(document) if isinstance(value, int | float)}


def _is_total(path: str) -> bool:
    """Return whether a power is the total of all phases."""
    return "total" in words_of(path.rpartition(".")[2])
