"""Advice if no meter was detected: wait for slow meters, or name the field of a message."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator

from gapcast.core.documents.message_format import listed
from gapcast.core.meters.source import COUNTERS
from gapcast.core.meters.values import look_up, parse_sum
from gapcast.presets import presets
from gapcast.setup.messages.json_leaves import Document, document_of, leaves
from gapcast.setup.messages.message_recording import MessageRecording
from gapcast.setup.messages.number_fields import NumberKind, number_fields, paths_of
from gapcast.setup.meters.preset_answers import MeterAnswer
from gapcast.setup.meters.preset_recognition import matching_patterns
from gapcast.setup.topics import is_within

#: A power that is a text with its unit, and a number with a decimal comma.
_WITH_UNIT = re.compile(r"[+-]?\d{1,9}(?:[.,]\d{1,9})? ?k?W", re.ASCII)
_WITH_COMMA = re.compile(r"[+-]?\d{1,9},\d{1,9}", re.ASCII)
_SHOWN, _SHOWN_PATHS, _SHOWN_DEVICES = 12, 8, 5
#: Waiting time for three messages of a meter that sends every five minutes, s.
_LONG_WAIT_S = 700
#: Waiting time for one message of a Tasmota device, which sends every 300 s by default, s.
_TASMOTA_WAIT_S = 310
_TASMOTA_PREFIXES = frozenset({"tele", "stat"})
_TASMOTA_POWER = frozenset({"SENSOR"})
_TASMOTA_SENDS = _TASMOTA_POWER | {"LWT", "STATE", "RESULT", "POWER", "POWER1"}
#: The prefix, the device and what is sent.
_MIN_LEVELS = 3


def shown_messages(recording: MessageRecording) -> Iterator[str]:
    """Yield a line for each topic, with its newest message, and another with the paths of its numbers."""
    for topic in sorted(recording.of_topic)[:_SHOWN]:
        payload = recording.of_topic[topic].newest.publication.payload[:60].decode("utf-8", "replace")
        yield f"  {topic}  {payload}"
        if paths := _paths_of(topic, recording):
            yield f"    numbers: {listed(paths, _SHOWN_PATHS)}"


def tasmota_hint(recording: MessageRecording, meter: MeterAnswer) -> str | None:
    """Return advice for Tasmota devices, which send a power every 300 s; None if there are none, or all have sent.

    >>> tasmota_hint(MessageRecording(), MeterAnswer("tele/dryer/SENSOR"))
    'Tasmota device dryer sends every 300 s by default: enter `TelePeriod 10` on its console, or pass --wait 310'
    """
    topics = [*recording.of_topic, meter.topic or ""]
    found, sent = _tasmota_devices(topics, _TASMOTA_SENDS), _tasmota_devices(recording.of_topic, _TASMOTA_POWER)
    names = sorted(name for name in found - sent if not name.startswith("{") and name not in {"+", "#"})
    is_tasmota = meter.preset == "tasmota" or any(topic.startswith("tasmota/discovery/") for topic in topics)
    if not names and (sent or not is_tasmota):
        return None
    who = f"device{'s' * (len(names) > 1)} {listed(names, _SHOWN_DEVICES)}" if names else "devices"
    does = "sends" if len(names) == 1 else "send"
    how = f"enter `TelePeriod 10` on its console, or pass --wait {_TASMOTA_WAIT_S}"
    return f"Tasmota {who} {does} every 300 s by default: {how}"


def _tasmota_devices(topics: Iterable[str], sends: Collection[str]) -> set[str]:
    """Return the devices whose topics end with one of ``sends``."""
    levels = (topic.split("/") for topic in topics)
    return {one[-2] for one in levels if len(one) >= _MIN_LEVELS and one[0] in _TASMOTA_PREFIXES and one[-1] in sends}


def preset_hint(recording: MessageRecording, preset: str, meter: MeterAnswer) -> str | None:
    """Return how to select another power in the messages that ``preset`` would read; None if they have none."""
    keys, topic = presets()[preset], meter.topic
    read = paths_of(meter.value or keys.get("value", ()))
    for one in sorted(recording.of_topic):
        if any(matching_patterns(preset, keys, one)) if topic is None else is_within(one, topic):
            fields = number_fields(one, recording.payloads(one))
            paths = [field.path for field in fields if field.path and field.kind < NumberKind.ENERGY]
            if others := [path for path in paths if path not in read]:
                options = shlex.join(["--preset", preset, "--topic", one, "--value", others[0]])
                return f"the powers on {one} are {listed(others, _SHOWN_PATHS)}: select one, such as {options}"
    return None


def field_hint(recording: MessageRecording) -> str | None:
    """Return how to select a number of the messages; None if none can be a power.

    A power by its name is the example. The user has to choose among the others, which can be anything.
    """
    topics = sorted(recording.of_topic)
    fields = [(topic, field) for topic in topics for field in number_fields(topic, recording.payloads(topic))]
    if powers := [one for one in fields if one[1].kind < NumberKind.ENERGY]:
        topic, field = min(powers, key=lambda one: one[1].kind)
        return f"select the number that is the power, such as {_options(topic, field.path, field.unit or 'W')}"
    others = [(topic, field) for topic, field in fields if field.is_conceivable]
    if not others:
        return None
    of_one = len({topic for topic, _ in others}) == 1
    path = "PATH" if all(field.path for _, field in others) else ""
    in_json = ", and --value PATH in JSON" if not path and any(field.path for _, field in others) else ""
    return f"select the number that is the power: {_options(others[0][0] if of_one else 'TOPIC', path)}{in_json}"


def value_hint(recording: MessageRecording, meter: MeterAnswer) -> str | None:
    """Return why the number that the answers name is no power; None if they name none, or the messages lack it.

    >>> value_hint(MessageRecording(), MeterAnswer("lab/meter", value="power", unit="kW")) is None
    True
    """
    if meter.preset is not None or (meter.value is None and meter.unit is None):
        return None
    topic = meter.topic or ""
    found = {field.path for field in number_fields(topic, recording.payloads(topic))}
    if found.issuperset([term.path for term in parse_sum(meter.value)] if meter.value else [""]):
        quantity = "an energy counter" if meter.unit in COUNTERS else "a power"
        fix = ": if they are in W, pass --unit W" if meter.unit == "kW" else ""
        return f"its numbers are out of the range of {quantity} in {meter.unit or 'W or kW'}{fix}"
    if nulls := _nulls_in(meter.value or "", map(document_of, recording.payloads(topic))):
        fix = "if that means no power, set null_is_zero = true in the configuration (docs/meter-settings.md)"
        return f"{' and '.join(nulls)} {'is' if len(nulls) == 1 else 'are'} null: {fix}"
    return None


def _nulls_in(value: str, documents: Iterable[Document]) -> list[str]:
    """Return the terms of a sum that are null in a message with another term; empty if there is no such message."""
    terms = parse_sum(value) if value else ()
    for document in documents:
        found = {term.path: look_up(document, term.keys, "") for term in terms}
        nulls = [path for path, value in found.items() if value is None]
        if nulls and any(type(value) in {int, float, str} and value != "" for value in found.values()):
            return nulls
    return []


def advice(recording: MessageRecording, meter: MeterAnswer) -> str:
    """Return advice if no meter was detected."""
    if hint := tasmota_hint(recording, meter):
        return hint
    if hint := value_hint(recording, meter):
        return hint
    hint = field_hint(recording) if meter.preset is None else preset_hint(recording, meter.preset, meter)
    if hint or (hint := _form_hint(recording)):
        return f"{hint}; or listen longer (--wait)"
    return f"listen longer, such as --wait {_LONG_WAIT_S} for a meter that sends every 5 minutes"


def _form_hint(recording: MessageRecording) -> str | None:
    """Return the problem of a number with a unit or a decimal comma, and how to solve it; None if there is none."""
    for topic in sorted(recording.of_topic):
        for payload in recording.payloads(topic):
            values = [*leaves(document_of(payload)), ("", payload.decode("utf-8", "replace"))]
            for path, value in values:
                text = value.strip() if isinstance(value, str) else ""
                what = f"{path} on {topic}" if path else topic
                if _WITH_UNIT.fullmatch(text):
                    return f"{what} is the text {text!r}: let the meter send the number without its unit"
                if _WITH_COMMA.fullmatch(text):
                    return f"{what} is the text {text!r}: let the meter send it with a decimal point, as in 1.5"
    return None


def _options(topic: str, path: str, unit: str = "W") -> str:
    value = f" --value {shlex.quote(path)}" if path else ""
    return f"--topic {shlex.quote(topic)}{value} --unit {unit}"


def _paths_of(topic: str, recording: MessageRecording) -> list[str]:
    return [field.path for field in number_fields(topic, recording.payloads(topic)) if field.path]
