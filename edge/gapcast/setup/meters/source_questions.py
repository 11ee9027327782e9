"""Asks for what a meter's messages do not contain: its unit, its device's name, and what it measures."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from gapcast.core.errors import SettingsError
from gapcast.mqtt.sources.source_topics import CHANNEL, DEVICE, PART
from gapcast.presets import presets, with_preset
from gapcast.setup.messages.field_names import likely_energy_unit, likely_unit
from gapcast.setup.messages.message_recording import MessageRecording
from gapcast.setup.meters.device_names import device_by, needs_name, with_channel
from gapcast.setup.meters.meter_candidates import source_of_value
from gapcast.setup.meters.meter_search import ChosenMeter
from gapcast.setup.meters.preset_answers import MeterAnswer, device_problem
from gapcast.setup.meters.preset_recognition import POWER_UNITS, Candidate, single_meters
from gapcast.setup.meters.sending_interval import with_interval
from gapcast.setup.prompts import Prompts, ask_valid
from gapcast.setup.topics import has_device, has_wildcard, is_within

UNITS, COUNTER_UNITS = POWER_UNITS, ("kWh", "Wh")
_MEASURED, _BOTH = ("house", "plug"), "both"
_PLUG = re.compile(r"plug|steckdose|socket|prise", re.IGNORECASE)
_ABOUT_PLUGS = (
    "  The models are trained on whole houses. For a single plug, the online model adapts to its readings; the page "
    "compares the forecasts with persistence (no change)."
)


class SourceQuestions:
    """Completes the sources of the chosen meters, in their order."""

    def __init__(self, prompts: Prompts, show: Callable[[str], None], devices: Sequence[str]) -> None:
        self._prompts = prompts
        self._show = show
        self._given = list(devices)
        self._taken: list[str] = []

    def sources(
        self, chosen: Sequence[ChosenMeter], recording: MessageRecording, timezone: str
    ) -> list[dict[str, Any]]:
        """Return the sources of ``chosen``, each with its device's name, unit and interval, exact topics first.

        Raises :class:`SettingsError` if a name cannot be used, or an answer is missing.
        """
        if self._given and len(self._given) != len(chosen):
            msg = f"--device: {len(self._given)} names for {len(chosen)} meters: give one name for each"
            raise SettingsError(msg)
        sources = []
        for one in chosen:
            given = self._given.pop(0) if self._given else None
            if one.candidate is None:
                sources.append(self._without_messages(one.answer, given))
                continue
            source = self._with_name(
                self._with_unit(one.candidate, one.answer.unit, recording), one.candidate, recording, timezone, given
            )
            source, sentence = with_interval(source, one.candidate)
            if source.get("null_is_zero"):
                self._show(f"  {source['value']}: null counts as 0, as no power in this direction (null_is_zero)")
            if sentence:
                self._show(f"  {sentence}")
            sources.append(source)
        self._ask_what_is_measured(chosen)
        return exact_first(sources)

    def _with_unit(self, candidate: Candidate, unit: str | None, recording: MessageRecording) -> dict[str, Any]:
        """Return the source with its unit: the given one, the preset's, or from a prompt."""
        source = dict(candidate.source)
        if unit is not None:
            source["unit"] = unit
        elif not candidate.unit_known:
            name, number = next(iter(candidate.devices.items()))
            units, likely = (COUNTER_UNITS, likely_energy_unit) if candidate.is_counter else (UNITS, likely_unit)
            default = likely([*candidate.devices.values()]) if self._prompts.is_interactive else None
            other = recording.stated_unit(candidate.pattern, candidate.source.get("value"))
            stated = f" (Home Assistant states {other})" if other is not None else ""
            question = f"{name} sends {number:.10g}{stated}: is that in {' or '.join(units)}?"
            source["unit"] = self._prompts.text(question, default, "--unit", units)
        return source

    def _with_name(
        self,
        source: dict[str, Any],
        candidate: Candidate,
        recording: MessageRecording,
        timezone: str,
        given: str | None,
    ) -> dict[str, Any]:
        """Return the source with its device's name; with a new name it reads only that device."""
        names = list(candidate.devices)
        if len(names) > 1:
            if given is not None:
                msg = (
                    f"--device {given}: {candidate.title} reads {len(names)} meters ({', '.join(names[:5])}): "
                    "give each its own --topic, and a --device for each"
                )
                raise SettingsError(msg)
            for name in names:
                self._reserve(name)
            return source
        (received,) = names
        name = given or self._ask_name(received)
        self._reserve(name)
        if name == received:
            return source
        alone = next(iter(single_meters(candidate, recording, timezone)), None)
        return source | ({"topic": alone.source["topic"]} if alone is not None else {}) | {"device": name}

    def _ask_name(self, default: str) -> str:
        if not self._prompts.is_interactive:
            return default
        return ask_valid(
            self._prompts, self._show, "Name of this device", default, "--device",
            lambda name: device_problem(name, self._taken),
        )  # fmt: skip

    def _ask_name_for(self, preset: str, topic: str) -> str:
        """Return the name of a device whose topic has no level for it, from the preset's topic or from a prompt."""
        default = device_by(preset, topic)
        if self._prompts.is_interactive and CHANNEL not in topic.split("/"):
            return self._ask_name(default or "home")
        if default is None:
            msg = f"--device: {topic!r} has no {DEVICE}, and does not match the preset {preset}: name the device"
            raise SettingsError(msg)
        return default

    def _reserve(self, name: str) -> None:
        """Reserve the name of a device; two meters with the same name would be read as one."""
        if (problem := device_problem(name, self._taken)) is not None:
            msg = f"--device: {problem}"
            raise SettingsError(msg)
        self._taken.append(name)

    def _without_messages(self, meter: MeterAnswer, given: str | None) -> dict[str, Any]:
        """Return a source made only from the answers."""
        topic = meter.topic
        if topic is not None and has_wildcard(topic):
            msg = f"--topic {topic}: write {DEVICE} for the level that names the device; no message on it was received"
            raise SettingsError(msg)
        preset = meter.preset
        if preset is None and (topic is None or (meter.value is None and self._prompts.is_interactive)):
            preset = self._prompts.text("Which meter is it (docs/meters.md)", None, "--preset", sorted(presets()))
        if preset is not None and topic is not None:
            topic = with_channel(preset, topic)
            given = self._ask_name_for(preset, topic) if given is None and needs_name(preset, topic) else given
        if given is not None and CHANNEL not in given:
            self._reserve(given)
        if preset is not None:
            own = {"topic": topic, "device": given, "value": meter.value, "unit": meter.unit}
            return {"preset": preset} | {key: value for key, value in own.items() if value is not None}
        topic = topic or ""  # without a topic there is a preset
        levels = topic.split("/")
        if meter.value is not None:
            source = source_of_value(topic, meter.value, meter.unit)
        elif DEVICE in levels and PART not in levels:
            source = {"topic": topic, "format": "number"}
        else:
            source = {"topic": topic, "device": "home", "format": "number"}
        if given is not None or "device" in source:
            source["device"] = given or "home"
        return source | {"unit": meter.unit or self._prompts.text("W or kW?", None, "--unit", UNITS)}

    def _ask_what_is_measured(self, chosen: Sequence[ChosenMeter]) -> None:
        """Ask whether the meters measure whole houses, and explain what that means for the forecasts."""
        if not self._prompts.is_interactive:
            return
        are_several = len(self._taken) > 1
        question = "Does it measure the whole house or a single plug?"
        if are_several:
            question = "Do they measure whole houses or single plugs?"
        choices: Sequence[str] = (*_MEASURED, _BOTH) if are_several else _MEASURED
        are_plugs = {bool(_PLUG.search(_description(one))) for one in chosen}
        likely = _BOTH if len(are_plugs) > 1 else _MEASURED[any(map(_PLUG.search, self._taken)) or are_plugs == {True}]
        if self._prompts.text(question, likely, "", choices) != _MEASURED[0]:
            self._show(_ABOUT_PLUGS)


def exact_first(sources: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the sources, a single topic before the patterns that match it: a message is read by the first match.

    >>> [one["topic"] for one in exact_first([{"topic": "tele/{device}/SENSOR"}, {"topic": "tele/plug/SENSOR"}])]
    ['tele/plug/SENSOR', 'tele/{device}/SENSOR']
    """
    ordered: list[dict[str, Any]] = []
    for source in sources:
        topic = with_preset(source)["topic"]
        others = [with_preset(one)["topic"] for one in ordered]
        patterns = (i for i, one in enumerate(others) if has_device(one) and is_within(topic, one))
        ordered.insert(len(ordered) if has_device(topic) else next(patterns, len(ordered)), source)
    return ordered


def _description(meter: ChosenMeter) -> str:
    """Return the description of a meter in its messages, or in the answers without any."""
    if meter.candidate is None:
        return meter.answer.title
    return " ".join((meter.candidate.title, *meter.candidate.devices))
