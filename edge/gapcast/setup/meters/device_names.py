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


def with_channel(preset: str, topic: str) -> str:
    """Return the topic with ``{channel}`` instead of ``{device}`` on the level of the preset's ``{channel}``.

    A channel may have characters that a device's name must not have.

    >>> with_channel("zigbee2mqtt", "home/{device}"), with_channel("tasmota", "tele/{device}/SENSOR")
    ('home/{channel}', 'tele/{device}/SENSOR')
    """
    pattern, levels = presets()[preset]["topic"].split("/"), topic.split("/")
    is_of_channel = (DEVICE, CHANNEL) in zip(reversed(levels), reversed(pattern), strict=False)
    return topic.replace(DEVICE, CHANNEL) if is_of_channel and CHANNEL not in levels else topic


def device_by(preset: str, topic: str) -> str | None:
    """Return the device that a topic without ``{device}`` has as the preset's; None if it does not match.

    >>> device_by("tasmota", "cellar/tele/dryer/SENSOR"), device_by("shelly-gen1", "shellies/x/emeter/1/power")
    ('dryer', 'x-1')
    >>> device_by("zigbee2mqtt", "zigbee2mqtt/{device}")
    '{device}'
    """
    pattern = presets()[preset]["topic"].split("/")
    levels = dict(zip(reversed(pattern), reversed(topic.split("/")), strict=False))
    if any(level != levels.get(level) for level in pattern if level not in {DEVICE, CHANNEL, PART}):
        return None
    channel = levels.get(CHANNEL, "")
    channel = channel if channel in {CHANNEL, DEVICE} else NOT_OF_A_NAME.sub("_", channel)
    if levels.get(DEVICE) == PART:  # each part is a meter
        return "home"
    name = "-".join(one for one in (levels.get(DEVICE), channel) if one)
    return name if is_device_id(name.replace(CHANNEL, "x").replace(DEVICE, "x")) else None


def device_on(preset: str, topic: str) -> str:
    """Return a name for the device on a topic that needs one: the preset's if the topic matches, else by its levels.

    >>> device_on("tasmota", "cellar/dryer"), device_on("tasmota", "tele/{part}/SENSOR")
    ('dryer', 'home')
    >>> device_on("shelly-gen1-3em", "shellies/a/emeter/{part}/power")
    'a'
    """
    if (device := device_by(preset, topic)) is not None:
        return device
    levels = topic.split("/")
    if PART in levels:
        return "home"
    return next((level for level in (CHANNEL, DEVICE) if level in levels), None) or device_in(topic)
