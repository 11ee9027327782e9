"""The name of the device whose messages a preset reads, by their topic."""

from __future__ import annotations

from gapcast.core.readings.reading import is_device_id
from gapcast.mqtt.sources.source_topics import CHANNEL, DEVICE, NOT_OF_A_NAME, PART
from gapcast.presets import presets
from gapcast.setup.messages.field_names import device_in


def needs_name(preset: str, topic: str) -> bool:
    """Return whether a source with this preset and topic needs the name of its device.

    >>> needs_name("tasmota", "tele/dryer/SENSOR"), needs_name("p1-esp", "p1/{part}")
    (True, False)
    """
    device = presets()[preset].get("device", DEVICE)
    return any(level in device and level not in topic.split("/") for level in (DEVICE, CHANNEL))


def device_by(preset: str, topic: str) -> str | None:
    """Return the device that a topic without ``{device}`` has as the preset's; None if it does not match.

    >>> device_by("tasmota", "cellar/tele/dryer/SENSOR"), device_by("shelly-gen1", "shellies/x/emeter/1/power")
    ('dryer', 'x-1')
    """
    pattern = presets()[preset]["topic"].split("/")
    levels = dict(zip(reversed(pattern), reversed(topic.split("/")), strict=False))
    if any(level != levels.get(level) for level in pattern if level not in {DEVICE, CHANNEL, PART}):
        return None
    channel = levels.get(CHANNEL, "")
    channel = channel if channel == CHANNEL else NOT_OF_A_NAME.sub("_", channel)
    if levels.get(DEVICE) == PART:  # each part is a meter
        return "home"
    name = "-".join(one for one in (levels.get(DEVICE), channel) if one)
    return name if is_device_id(name.replace(CHANNEL, "x")) else None


def device_on(preset: str, topic: str) -> str:
    """Return a name for the device on a topic that needs one: the preset's if the topic matches, else by its levels.

    >>> device_on("tasmota", "cellar/dryer"), device_on("tasmota", "tele/{part}/SENSOR")
    ('dryer', 'home')
    """
    levels = topic.split("/")
    if PART in levels:  # each part is a meter
        return "home"
    return device_by(preset, topic) or (CHANNEL if CHANNEL in levels else device_in(topic))
