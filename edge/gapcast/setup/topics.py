"""Topics as the user enters them: a topic, an MQTT filter, or a pattern such as ``tele/{device}/SENSOR``."""

from __future__ import annotations

from collections.abc import Iterable

from gapcast.config.checks.topic_overlap import overlaps
from gapcast.core.errors import SettingsError
from gapcast.mqtt.sources.source_topics import CHANNEL, DEVICE, PART, SourceTopic

EVERYTHING = "#"
_ONE_LEVEL = "+"
#: Last levels of the topics on which Home Assistant's statestream sends a state, and its unit.
_STATE, _UNIT = "/state", "/unit_of_measurement"


def filter_of(topic: str) -> str:
    """Return the subscription that matches a topic, or a source's pattern.

    >>> filter_of("tele/{device}/SENSOR"), filter_of("")
    ('tele/+/SENSOR', '#')
    """
    for name in (DEVICE, CHANNEL, PART):
        topic = topic.replace(name, _ONE_LEVEL)
    return topic or EVERYTHING


def state_of_unit(topic: str) -> str | None:
    """Return the topic of the state whose unit is sent on ``topic``, None if it is not the topic of a unit.

    >>> state_of_unit("homeassistant/sensor/grid_power/unit_of_measurement")
    'homeassistant/sensor/grid_power/state'
    """
    return topic.removesuffix(_UNIT) + _STATE if topic.endswith(_UNIT) else None


def unit_topics(topics: Iterable[str]) -> tuple[str, ...]:
    """Return the topics on which the units of the entered topics of states are sent.

    >>> unit_topics(["homeassistant/sensor/{device}/state", "tele/plug/SENSOR"])
    ('homeassistant/sensor/{device}/unit_of_measurement',)
    """
    return tuple(topic.removesuffix(_STATE) + _UNIT for topic in topics if topic.endswith(_STATE))


def has_wildcard(topic: str) -> bool:
    """Return whether a topic is a filter, which a configuration cannot contain.

    >>> has_wildcard("tele/+/SENSOR"), has_wildcard("tele/{device}/SENSOR")
    (True, False)
    """
    return bool({_ONE_LEVEL, EVERYTHING} & set(topic.split("/")))


def has_device(topic: str) -> bool:
    """Return whether a topic is a pattern that reads several devices.

    >>> has_device("tele/{device}/SENSOR"), has_device("meter/{part}/power")
    (True, False)
    """
    return not {DEVICE, CHANNEL}.isdisjoint(topic.split("/"))


def is_single_topic(topic: str) -> bool:
    """Return whether a topic names exactly one topic.

    >>> is_single_topic("tele/plug/SENSOR"), is_single_topic("tele/{device}/SENSOR")
    (True, False)
    """
    return not has_wildcard(topic) and "{" not in topic


def is_within(topic: str, entered: str) -> bool:
    """Return whether messages on ``topic`` belong to the entered topic, filter or pattern.

    >>> is_within("tele/plug/SENSOR", "tele/#"), is_within("tele/plug/SENSOR", "tele/{device}/STATE")
    (True, False)
    """
    return overlaps(filter_of(entered), topic)


def topic_problem(topic: str) -> str | None:
    """Return what is wrong with an entered topic, None if it is valid.

    >>> topic_problem("tele/{device}/SENSOR"), topic_problem("tele/#/SENSOR")
    (None, "'tele/#/SENSOR' is not a topic: # is the last level only, + and {device} are whole levels")
    """
    levels = topic.split("/")
    named = "/".join("x" if one in {_ONE_LEVEL, EVERYTHING} else one for one in levels)
    if EVERYTHING in levels[:-1] or _ONE_LEVEL in named or EVERYTHING in named:
        return f"{topic!r} is not a topic: # is the last level only, + and {DEVICE} are whole levels"
    try:
        SourceTopic.parse("", named, "home")
    except SettingsError as error:
        return str(error).partition(": ")[2]
    return None
