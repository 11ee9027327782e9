"""The topics of a source: a pattern, the filter to subscribe to, and the device that a topic belongs to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gapcast.core.errors import PayloadError, SettingsError
from gapcast.core.readings.reading import DEVICE_ID_RULE, device_id_problem, is_device_id
from gapcast.mqtt.topics import is_publishable

#: Prefix of the names of gapcast's entities in Home Assistant.
_OWN_ENTITY = "gapcast_"
DEVICE, CHANNEL, PART = "{device}", "{channel}", "{part}"
#: Characters that a device's name must not have.
NOT_OF_A_NAME = re.compile(r"[^A-Za-z0-9_.-]")


class TopicMatch(NamedTuple):
    """The device of a topic, and the part of its value; empty if the value has no parts."""

    device: str
    part: str


def is_own_entity(topic: str) -> bool:
    """Return whether Home Assistant's statestream publishes one of gapcast's own entities on ``topic``.

    >>> is_own_entity("homeassistant/sensor/gapcast_home_forecast/state"), is_own_entity("homeassistant/sensor/x/state")
    (True, False)
    """
    levels = topic.split("/")
    return levels[-3:-2] == ["sensor"] and levels[-2].startswith(_OWN_ENTITY)


@dataclass(frozen=True, slots=True)
class SourceTopic:
    """A topic pattern, the naming pattern of its devices, and the parts of their value."""

    pattern: str
    levels: tuple[str, ...]
    device: str
    parts: tuple[str, ...]

    @classmethod
    def parse(cls, key: str, pattern: str, device: str = "", parts: Sequence[str] = ()) -> SourceTopic:
        """Parse a source's topic and device; raise :class:`SettingsError` naming ``key`` if they are invalid."""
        levels = tuple(pattern.split("/"))
        for name in (DEVICE, CHANNEL, PART):
            if pattern.count(name) != levels.count(name) or pattern.count(name) > 1:
                msg = f"{key}.topic: {pattern!r} may have {name} once, and as a whole level, as in tele/{DEVICE}/SENSOR"
                raise SettingsError(msg)
        plain = re.sub(r"\{(device|channel|part)\}", "x", pattern)
        if not is_publishable(plain):
            fix = f"write {DEVICE} instead of +; leave out #, NUL, other braces"
            msg = f"{key}.topic: {pattern!r} is not a topic pattern: {fix}"
            raise SettingsError(msg)
        name = device or (f"{DEVICE}-{CHANNEL}" if CHANNEL in levels else DEVICE)
        for used in (DEVICE, CHANNEL):
            if used in name and used not in levels:
                msg = f'{key}.topic: {pattern!r} has no {used}: give it one, or name the device, as device = "home"'
                raise SettingsError(msg)
        if not is_device_id(name.replace(DEVICE, "x").replace(CHANNEL, "x")):
            msg = f"{key}.device: {name!r} cannot name a device: {DEVICE_ID_RULE} and {DEVICE}"
            raise SettingsError(msg)
        return cls(pattern, levels, name, tuple(parts))

    @property
    def filters(self) -> tuple[str, ...]:
        """The subscriptions that match every device."""
        filters = "/".join("+" if level in {DEVICE, CHANNEL} else level for level in self.levels)
        return tuple(filters.replace(PART, part) for part in self.parts) or (filters,)

    def match(self, topic: str) -> TopicMatch | None:
        """Return the device and part of ``topic``, None if the topic does not match this pattern.

        Characters of a channel that are not allowed in a device name become ``_``. Raises :class:`PayloadError` if the
        resulting name is not a valid device name.

        >>> SourceTopic.parse("x", "{device}/status/{channel}").match("shellypro3em-1/status/em:0")
        TopicMatch(device='shellypro3em-1-em_0', part='')
        """
        levels = topic.split("/")
        if len(levels) != len(self.levels):
            return None
        device, part = self.device, ""
        for of_pattern, of_topic in zip(self.levels, levels, strict=True):
            if of_pattern == DEVICE:
                device = device.replace(DEVICE, of_topic)
            elif of_pattern == CHANNEL:
                device = device.replace(CHANNEL, NOT_OF_A_NAME.sub("_", of_topic))
            elif of_pattern == PART and of_topic in self.parts:
                part = of_topic
            elif of_pattern != of_topic:
                return None
        if not is_device_id(device):
            raise PayloadError("bad_device", device_id_problem(device))
        return TopicMatch(device, part)
