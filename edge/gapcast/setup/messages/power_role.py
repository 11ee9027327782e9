"""What a power is of, by the names of its topic and its keys: the whole house, or generation, storage or charging."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from gapcast.setup.messages.field_names import words_of

#: Words of the power of a whole house, and of generation, storage and charging.
_HOUSE_WORDS = frozenset({"grid", "mains", "house", "haus", "netz", "bezugs", "import", "imported"})
_GENERATION_WORDS = frozenset({
    "solar", "pv", "inverter", "pvinverter", "wechselrichter", "battery", "akku", "dc", "charge", "charger", "wallbox",
    "loadpoint", "loadpoints", "production", "produced", "export", "exported", "returned", "lade", "einspeise",
})  # fmt: skip


class PowerRole(IntEnum):
    """What a power is of by its name, in the order in which setup offers it."""

    HOUSE = 0
    UNKNOWN = 1
    GENERATION = 2


def role_of(names: Sequence[str]) -> PowerRole:
    """Return what a power is of by the levels of its topic and the keys of its path: the last one that says so.

    >>> [role_of(topic.split("/")).name for topic in ("pv/grid_power", "solar/ac/total", "meters/total", "tv/power")]
    ['HOUSE', 'GENERATION', 'HOUSE', 'UNKNOWN']
    """
    words = [words_of(name) for name in reversed(names)]
    for one in words:
        if one & _GENERATION_WORDS:
            return PowerRole.GENERATION
        if one & _HOUSE_WORDS:
            return PowerRole.HOUSE
        if "load" in one:  # of an inverter, the house; of something else, its own
            is_beside_generation = any(other & _GENERATION_WORDS for other in words)
            return PowerRole.HOUSE if is_beside_generation else PowerRole.UNKNOWN
    return PowerRole.HOUSE if any("total" in one for one in words) else PowerRole.UNKNOWN
