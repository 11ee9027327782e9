"""Topic patterns with ``{device}`` and ``{gateway}``: conversion to filters and topics, and back to names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gapcast.core.errors import PayloadError, SettingsError
from gapcast.core.readings.reading import device_id_problem, is_device_id

#: Maximum number of characters of a topic that is shown.
SHOWN_TOPIC_CHARS = 120
_DEVICE = "{device}"
_MAX_TOPIC_BYTES = 65_535
_GATEWAY = "{gateway}"
_RULE = "it must not be empty or contain +, #, NUL or braces, except {device} or {gateway} where the key allows it"


@dataclass(frozen=True, slots=True)
class DeviceTopic:
    """A topic pattern with the device's name as one level, for example ``gap/{device}/reading``."""

    pattern: str
    before: str
    after: str

    @classmethod
    def parse(cls, key: str, pattern: str) -> DeviceTopic:
        """Parse a configured pattern; raise :class:`SettingsError` naming ``key`` if it is invalid."""
        if _GATEWAY in pattern:
            only = "only the gateway's own topics may, such as topics.status: write its id instead"
            msg = f"{key}: {pattern!r} must not contain {_GATEWAY}; {only}"
            raise SettingsError(msg)
        _check(key, pattern, pattern.replace(_DEVICE, "device"))
        if pattern.split("/").count(_DEVICE) != 1 or pattern.count(_DEVICE) != 1:
            msg = f"{key}: {pattern!r} must have {_DEVICE} as exactly one of its levels, as in gap/{_DEVICE}/reading"
            raise SettingsError(msg)
        before, _, after = pattern.partition(_DEVICE)
        return cls(pattern, before, after)

    @property
    def filter(self) -> str:
        """The subscription that matches every device."""
        return f"{self.before}+{self.after}"

    def for_device(self, device: str) -> str:
        """Return the device's topic."""
        return f"{self.before}{device}{self.after}"

    def matches(self, topic: str) -> bool:
        """Return whether the filter matches ``topic``."""
        return (
            topic.endswith(self.after) and topic.startswith(self.before) and topic.count("/") == self.pattern.count("/")
        )

    def device_in(self, topic: str) -> str:
        """Return the device of a matching ``topic``; raise :class:`PayloadError` if its name is invalid."""
        device = topic[len(self.before) : len(topic) - len(self.after)]
        if not is_device_id(device):
            raise PayloadError("bad_device", device_id_problem(device))
        return device


def filter_covers(one: str, other: str) -> bool:
    """Return whether the filter ``one`` matches the topic ``other``, or all topics of ``other`` if it is a filter.

    As in section 4.7 of MQTT 5 and 3.1.1.

    >>> filter_covers("gap/+/reading", "gap/home/reading"), filter_covers("gap/home/reading", "gap/+/reading")
    (True, False)
    """
    levels, covered = one.split("/"), other.split("/")
    if levels[0] in {"+", "#"} and covered[0].startswith("$"):
        return False
    if levels[-1] == "#":  # also matches the level above it
        levels.pop()
        covered = covered[: len(levels)]
    return len(levels) == len(covered) and all(
        level == own or (level == "+" and own != "#") for level, own in zip(levels, covered, strict=True)
    )


def without_covered(filters: Iterable[str], wider: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the filters without those that another one, or one of ``wider``, covers.

    A broker may deliver a message once for each subscription that matches it.

    >>> without_covered(["tele/plug/SENSOR", "tele/+/SENSOR", "tele/tv/STATE"], ["tele/tv/#"])
    ('tele/+/SENSOR',)
    """
    distinct, others = dict.fromkeys(filters), set(wider)
    wide = [one for one in {*distinct, *others} if "+" in one or "#" in one]
    return tuple(
        one for one in distinct if one not in others and not any(filter_covers(w, one) for w in wide if w != one)
    )


@dataclass(frozen=True, slots=True)
class DemandTopics:
    """The topics of demands: published documents and numbers, and the changes that are read."""

    demand: DeviceTopic
    headroom_w: DeviceTopic
    max_power_w: DeviceTopic
    limit: DeviceTopic
    month_peak: DeviceTopic


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of readings, forecasts, outlooks, demands and reports."""

    reading: DeviceTopic
    forecast: DeviceTopic
    rejected: str
    availability: DeviceTopic
    scores: DeviceTopic
    events: str
    plan: DeviceTopic
    outlook: DeviceTopic
    demand: DemandTopics


def gateway_topic(key: str, pattern: str, gateway: str) -> str:
    """Return a gateway's own topic, with its id in place of ``{gateway}``; raise :class:`SettingsError`."""
    topic = pattern.replace(_GATEWAY, gateway)
    _check(key, pattern, topic)
    return topic


def answer_prefix(key: str, pattern: str, gateway: str) -> str:
    """Return the prefix of response topics; raise :class:`SettingsError` if it does not end with a slash.

    >>> answer_prefix("topics.answers", "gapcast/{gateway}/answer/", "gw-1")
    'gapcast/gw-1/answer/'
    """
    prefix = gateway_topic(key, pattern, gateway)
    if not prefix.endswith("/"):
        msg = f"{key}: {pattern!r} must end with a slash, as gapcast/{{gateway}}/answer/ does"
        raise SettingsError(msg)
    return prefix


def is_publishable(topic: str) -> bool:
    """Return whether messages can be published on ``topic``: it is no filter, has no placeholder, and is not too long.

    >>> is_publishable("gap/home/reading"), is_publishable("gap/+/reading"), is_publishable("gap/{device}/reading")
    (True, False, False)
    """
    return bool(topic) and not set("+#\0{}") & set(topic) and len(topic.encode()) <= _MAX_TOPIC_BYTES


def _check(key: str, pattern: str, topic: str) -> None:
    """Raise :class:`SettingsError` that quotes ``pattern``, as configured, if ``topic``, made from it, is invalid."""
    if not is_publishable(topic):
        msg = f"{key}: {pattern!r} is not a topic to publish on: {_RULE}"
        raise SettingsError(msg)
