"""Detects subscriptions that receive gapcast's own messages: the overlap of two MQTT topic patterns.

gapcast must not read its own messages: each forecast would become a reading and cause the next forecast.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

#: A placeholder of the configuration, which matches any text without a slash.
_PLACEHOLDER = re.compile(r"\{[a-z]+\}")
_ONE_LEVEL, _MANY_LEVELS = "+", "#"


def overlaps(one: str, other: str) -> bool:
    """Return whether some topic matches both filters (MQTT 5, section 4.7), which may have ``{placeholders}``.

    >>> overlaps("gap/+/forecast", "gap/{device}/forecast"), overlaps("gap/#", "gap"), overlaps("#", "$SYS/load")
    (True, True, False)
    """
    first, second = one.split("/"), other.split("/")
    for left, right in ((first, second), (second, first)):
        if left[0] in {_ONE_LEVEL, _MANY_LEVELS} and right[0].startswith("$"):
            return False
    for depth in range(max(len(first), len(second))):
        left_level = first[depth] if depth < len(first) else None
        right_level = second[depth] if depth < len(second) else None
        if _MANY_LEVELS in {left_level, right_level}:
            return True
        if left_level is None or right_level is None or not _levels_overlap(left_level, right_level):
            return False
    return True


def echo_problems(subscribed: Mapping[str, tuple[str, ...]], published: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each subscription that receives a published topic.

    Both are given by configuration key: ``subscribed`` as filters, ``published`` as patterns. A device or gateway could
    have any name, for example ``status``; such a match alone is not an echo: a filter must share a fixed level with the
    published topic, or have wildcards at the levels of its device and gateway.
    """
    for key, filters in subscribed.items():
        for topic_key, topic in published.items():
            found = [one for one in filters if overlaps(one, topic) and not _needs_matching_name(one, topic)]
            if found:
                yield (
                    f"{key} reads {found[0]!r}, which includes the topic {topic_key} ({topic!r}) that gapcast itself "
                    f"publishes, and its messages would be read as readings: narrow {key}, or change {topic_key}"
                )
                break


def _needs_matching_name(subscribed: str, topic: str) -> bool:
    """Return whether ``topic`` is received only if a device or gateway happens to be named like a fixed level."""
    by_name = shared = False
    for left, right in zip(subscribed.split("/"), topic.split("/"), strict=False):
        is_fixed = left not in {_ONE_LEVEL, _MANY_LEVELS}
        by_name |= is_fixed and _PLACEHOLDER.search(right) is not None
        shared |= is_fixed and left == right
    return by_name and not shared


def _levels_overlap(one: str, other: str) -> bool:
    """Return whether some level of a topic matches both."""
    one_parts, other_parts = _PLACEHOLDER.split(one), _PLACEHOLDER.split(other)
    if one == other or _ONE_LEVEL in {one, other}:
        return True
    if len(one_parts) > 1 and len(other_parts) > 1:  # both have placeholders: compare beginnings and ends
        return _compatible(one_parts[0], other_parts[0]) and _compatible(one_parts[-1][::-1], other_parts[-1][::-1])
    parts, fixed = (one_parts, other) if len(one_parts) > 1 else (other_parts, one)
    return re.fullmatch(".+".join(map(re.escape, parts)), fixed, re.DOTALL) is not None


def _compatible(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)
