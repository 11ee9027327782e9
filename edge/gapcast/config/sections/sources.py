"""``[[sources]]``: the meters to read. Keys that are not set come from the preset, or are defaults."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from gapcast.config.sections.section import SettingsSection
from gapcast.core.meters.minutes import MAX_EVERY_S, HeldValue
from gapcast.core.meters.sample_advice import native_as_samples
from gapcast.core.meters.source import COUNTERS, FEATURE_KEYS, FeaturePath, Format, Kind, Source, TimeForm, Unit
from gapcast.core.meters.values import Sum, parse_path, parse_sum
from gapcast.presets import presets
from gapcast.text.time_zone_names import zone_of

_MS_PER_S, _MS_PER_MIN = 1_000, 60_000
#: Lowest default of ``hold_s`` with ``on_change``: many such meters repeat an unchanged value every 10 minutes, and as
#: without ``on_change`` a sample is valid for twice the interval. The same for energy counters: the difference of two
#: counts is the energy of all the time between them, so that a short interruption loses none.
_LEAST_HOLD_S = 1_200
#: Keys of a preset that apply to its own meter only, and not to a sum of several meters.
_OF_A_METER = frozenset({"value", "in_one_message", "time", "time_form", *FEATURE_KEYS})
#: Characters that a level of a topic cannot contain.
_NOT_IN_A_LEVEL = re.compile(r"[/+#\x00]")


class SourceSettings(SettingsSection):
    """One of ``[[sources]]``."""

    #: Name of a preset in ``edge/gapcast/presets/presets.toml``.
    preset: str | None = None
    #: Topic pattern; one level each may be ``{device}``, ``{channel}`` and ``{part}``.
    topic: str
    #: The device's name: from the levels of the topic, or fixed.
    device: str = ""
    format: Format = "json"
    #: Path or sum of paths; if there are several, the first that a message contains. For ``{part}`` topics, the parts.
    value: tuple[str, ...] = ()
    #: Path in each JSON message of a topic with ``{part}``; a preset's ``value`` if such a topic replaces the preset's.
    part_value: tuple[str, ...] = ()
    #: Whether each message must contain all terms of a sum; otherwise the terms of several messages are combined.
    in_one_message: bool = False
    #: Whether null means no power for a term of a sum, if the message has another term; otherwise it is unknown.
    null_is_zero: bool = False
    unit: Unit = "auto"
    sign: Literal[1, -1] = 1
    time: str | None = None
    time_form: TimeForm = "auto"
    #: Time zone of timestamps without offset; empty: the site's.
    timezone: str = ""
    kind: Kind = "samples"
    every_s: float = Field(default=60.0, ge=0.1, le=MAX_EVERY_S)
    #: Longest validity of a sample, or time between two counts of an energy counter; None: twice ``every_s``, in whole
    #: minutes, and of a counter or with ``on_change`` at least 1200.
    hold_s: float | None = Field(default=None, ge=0.1, le=1_800)
    #: Whether the meter sends only when its value changes: the time until the next sample then counts as measured.
    on_change: bool = False
    lateness_s: float = Field(default=0.0, ge=0, le=600)
    voltage_v: str | None = None
    current_a: str | None = None
    current_ma: str | None = None
    reactive_kvar: str | None = None
    reactive_var: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _merge_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("preset") is None:
            return values
        name = values["preset"]
        if not isinstance(name, str) or name not in presets():
            msg = f"there is no preset {name!r}; there are {', '.join(sorted(presets()))}"
            raise ValueError(msg)
        return {**_preset_for(name, values), **values}

    @field_validator("value", "part_value", mode="before")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("value", "part_value")
    @classmethod
    def _check_sums(cls, sums: tuple[str, ...]) -> tuple[str, ...]:
        for text in sums:
            parse_sum(text)
        return sums

    @field_validator("time", *FEATURE_KEYS)
    @classmethod
    def _check_path(cls, path: str | None) -> str | None:
        if path is not None:
            parse_path(path)
        return path

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, name: str) -> str:
        if name:
            zone_of(name)
        return name

    @model_validator(mode="after")
    def _check_consistency(self) -> SourceSettings:
        for problem in self._problems():
            raise ValueError(problem)
        return self

    def _problems(self) -> list[str]:
        has_parts = "{part}" in self.topic.split("/")
        meter_time = self.time is not None and self.time_form != "arrival"
        has_json_sum = self.format == "json" and any(len(parse_sum(one)) > 1 for one in self.part_value or self.value)
        rules = {
            'format = "json" needs value, the path to the power (ENERGY.Power); bare numbers need format = "number"': (
                self.format == "json" and not self.value
            ),
            'format = "gapcast" has its own value, unit and time: remove them, or set format = "json"': (
                self.format == "gapcast" and bool(self.value or self.time or self.unit not in {"auto", "kW"})
            ),
            'format = "gapcast" has no samples: remove kind, or replace '
            f'{"preset" if self.preset == "gapcast" else "format"} = "gapcast" by {native_as_samples(self.topic)}': (
                self.format == "gapcast" and self.kind == "samples" and "kind" in self.model_fields_set
            ),
            'format = "number" takes no value, except for a topic with {part}': (
                self.format == "number" and bool(self.value) and not has_parts
            ),
            'a topic with {part} needs format = "number" or part_value, and one value that names the parts': (
                has_parts and (self.format != ("json" if self.part_value else "number") or len(self.value) != 1)
            ),
            "the parts in value are levels of the topic, without /, + and #: write a space on both sides of + and -": (
                has_parts and any(_NOT_IN_A_LEVEL.search(term.path) for terms in self.sums for term in terms)
            ),
            "part_value is for topics with {part}: remove it, or write {part} for the level that differs": (
                bool(self.part_value) and not has_parts
            ),
            'the messages of several meters are combined as they arrive: set time_form = "arrival"': (
                bool(self.part_value) and meter_time
            ),
            "other measured features than power cannot be combined over several meters: remove them": (
                bool(self.part_value) and any(getattr(self, key) is not None for key in FEATURE_KEYS)
            ),
            "a bare number has no time: remove time": self.format == "number" and meter_time,
            'time_form is set without time: set time = "path", or time_form = "arrival"': (
                self.time is None and self.time_form not in {"auto", "arrival"}
            ),
            'values that arrive in several messages are samples: set kind = "samples"': (
                self.kind == "minute" and has_parts
            ),
            'minutes are computed from the differences of an energy counter: set kind = "samples"': (
                self.kind == "minute" and self.unit in COUNTERS
            ),
            "a counter needs exactly one value, with all of its terms in one message: remove the other values": (
                self.unit in COUNTERS and len(self.value) > 1
            ),
            "energy counters on several topics cannot be added: "
            "their times differ; write one topic, or read powers (W, kW)": (
                self.unit in COUNTERS and has_parts and any(len(terms) > 1 for terms in self.sums)
            ),
            "parts of a topic never arrive in one message: remove in_one_message": self.in_one_message and has_parts,
            'null_is_zero is for powers in one JSON message, such as value = "power - powerProduction": remove it': (
                self.null_is_zero and (self.unit in COUNTERS or not has_json_sum)
            ),
            f"hold_s ({self.hold_s}) must not be below every_s ({self.every_s:g})": (
                self.hold_s is not None and self.hold_s < self.every_s
            ),
        }
        return [problem for problem, is_violated in rules.items() if is_violated]

    @property
    def parts(self) -> tuple[str, ...]:
        """The values of ``{part}`` in the topic."""
        return tuple(term.path for term in self.sums[0]) if "{part}" in self.topic.split("/") else ()

    @property
    def topics(self) -> tuple[str, ...]:
        """The topic pattern, repeated for each of its parts."""
        return tuple(self.topic.replace("{part}", part) for part in self.parts) or (self.topic,)

    @property
    def sums(self) -> tuple[Sum, ...]:
        """The terms of each value."""
        return tuple(parse_sum(text) for text in self.value)

    @property
    def is_minute_of_arrival(self) -> bool:
        """Whether each message counts in the minute in which it arrives; a native reading may have a time."""
        return self.kind == "minute" and self.format != "gapcast" and (self.time is None or self.time_form == "arrival")

    def source(self, site_zone: tzinfo) -> Source:
        """Return the source of these settings; ``site_zone`` applies to local times if ``timezone`` is empty."""
        every_ms = round(self.every_s * _MS_PER_S)
        hold_ms = math.ceil(2 * every_ms / _MS_PER_MIN) * _MS_PER_MIN
        if self.hold_s is not None:
            hold_ms = round(self.hold_s * _MS_PER_S)
        elif self.on_change or self.unit in COUNTERS:
            hold_ms = max(hold_ms, _LEAST_HOLD_S * _MS_PER_S)
        return Source(
            name=self.preset or self.topic,
            format=self.format,
            value=self.sums,
            part_value=tuple(parse_sum(text) for text in self.part_value),
            in_one_message=self.in_one_message,
            null_is_zero=self.null_is_zero,
            unit=self.unit,
            sign=self.sign,
            time=parse_path(self.time) if self.time is not None and self.time_form != "arrival" else None,
            time_form=self.time_form,
            zone=zone_of(self.timezone) if self.timezone else site_zone,
            kind="minute" if self.format == "gapcast" else self.kind,
            holding=HeldValue(every_ms, hold_ms, round(self.lateness_s * _MS_PER_S), self.on_change),
            features=tuple(
                FeaturePath(name, path, parse_path(path), per_unit)
                for key, (name, per_unit) in FEATURE_KEYS.items()
                if (path := getattr(self, key)) is not None
            ),
        )


def fixed_devices(sources: Sequence[SourceSettings]) -> list[str]:
    """Return the devices of ``sources``, sorted; empty if a source, or a native reading, may be of any device."""
    devices = {source.device for source in sources}
    return sorted(devices) if all(device and "{" not in device for device in devices) else []


def no_source(device: str, fixed: Sequence[str]) -> str:
    """Return the problem of a ``device`` that is not among ``fixed``, the result of :func:`fixed_devices`.

    >>> no_source("hone", ["flat", "home"])
    "no source has the device 'hone'; there are: flat, home"
    """
    return f"no source has the device {device!r}; there are: {', '.join(fixed)}"


def _preset_for(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of a preset; if the parts of the topic in ``values`` are meters, for each meter's messages.

    An energy counter has no ``hold_s`` of the preset, which is that of a power.
    """
    preset = presets()[name]
    if str(values.get("unit")) in COUNTERS:
        preset = {key: value for key, value in preset.items() if key != "hold_s"}
    if "{part}" not in str(values.get("topic", "")).split("/") or "{part}" in preset["topic"].split("/"):
        return preset
    of_each = {key: value for key, value in preset.items() if key not in _OF_A_METER}
    return of_each if preset.get("format") == "number" else {**of_each, "part_value": preset.get("value", ())}
