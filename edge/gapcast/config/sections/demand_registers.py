"""The keys of ``[demand]`` for the meter's own registers: their topics, paths and unit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from pydantic import Field, field_validator

from gapcast.config.sections.section import SettingsSection
from gapcast.core.billing.registers import Register
from gapcast.core.meters.values import parse_path

DEVICE = "{device}"


class RegisterKeys(SettingsSection):
    """The keys of registers, in ``[demand]`` and each of ``[[demand.devices]]``."""

    #: Topic of the demand of the meter's running window (DSMR 1-0:1.4.0); None: it is computed from the readings.
    running_topic: str | None = Field(default=None, min_length=1)
    #: Topic of the highest window of the meter's month (DSMR 1-0:1.6.0); None: it is computed from the readings.
    month_peak_topic: str | None = Field(default=None, min_length=1)
    #: Paths to their values in a JSON message; empty: the message is a number.
    running_path: str = ""
    month_peak_path: str = ""
    #: Unit of both registers.
    register_unit: Literal["kW", "W"] = "kW"

    @field_validator("running_path", "month_peak_path")
    @classmethod
    def _check_path(cls, path: str) -> str:
        if path:
            parse_path(path)
        return path


class RegisterTopic(NamedTuple):
    """One register: the key of its topic, the topic, its device (empty: the topic has ``{device}``), path and unit."""

    key: str
    register: Register
    topic: str
    device: str
    path: str
    unit: Literal["kW", "W"]


def register_topics(section: str, keys: RegisterKeys, device: str) -> Iterator[RegisterTopic]:
    """Yield the registers of ``keys`` in ``section``; ``device`` is empty for the registers of ``[demand]``."""
    for register in Register:
        topic = getattr(keys, f"{register.value}_topic")
        if topic is not None:
            path = getattr(keys, f"{register.value}_path")
            yield RegisterTopic(f"{section}.{register.value}_topic", register, topic, device, path, keys.register_unit)


def register_problems(registers: list[RegisterTopic]) -> Iterator[str]:
    """Yield each problem with the topics of ``registers`` in a sentence that names the key and the fix."""
    for one in registers:
        has_device = one.topic.split("/").count(DEVICE) == 1 and one.topic.count(DEVICE) == 1
        plain = one.topic.replace(DEVICE, "device")
        if any(character in plain for character in "+#\0{}"):
            yield f"{one.key}: {one.topic!r} is not a topic: it must not contain +, #, NUL or braces, except {DEVICE}"
        elif not one.device and not has_device:
            fix = f"give it {DEVICE} as a level, or move it to [[demand.devices]] with the name of the device"
            yield f"{one.key}: {one.topic!r} does not name the device: {fix}"
        elif one.device and DEVICE in one.topic:
            yield f"{one.key}: {one.topic!r} has {DEVICE}: write the topic of {one.device}, or move it to [demand]"
