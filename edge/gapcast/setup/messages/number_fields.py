"""The numbers in the messages of a topic, and the quantity that each may be by its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import IntEnum
from functools import cache, lru_cache
from itertools import islice
from typing import NamedTuple

from gapcast.core.errors import PayloadError
from gapcast.core.meters.source import COUNTERS
from gapcast.core.meters.values import number_of, parse_sum
from gapcast.presets import presets
from gapcast.setup.messages.field_names import (
    energy_unit_in,
    is_ambiguous_power,
    is_average_power,
    is_explicit_power,
    is_metadata,
    is_other_quantity,
    looks_like_energy,
    looks_like_power,
    may_be_power,
    unit_in,
    words_of,
)
from gapcast.setup.messages.json_leaves import VALUE, JsonLeaf, document_of, json_leaves, leaves

_MAX_NAMED = 32
#: The last levels of a topic that may name a power.
_N_LEVELS = 3
#: Words of levels below the level that names the power.
_PLAIN_WORDS = frozenset({
    "state", "value", "sensor", "total", "sum", "l", "phase", "a", "b", "c", "in", "out", "import", "export", "active",
    "now", "instant", "net",
})  # fmt: skip
#: Units in lower case.
_UNITS = {
    "w": "W", "watt": "W", "watts": "W", "kw": "kW", "kilowatt": "kW", "kilowatts": "kW", "wh": "Wh", "kwh": "kWh",
}  # fmt: skip
#: Units of other quantities that names call power too, and those that gapcast does not convert, in lower case.
_OTHER_UNITS = frozenset({"%", "va", "kva", "var", "kvar", "v", "a", "hz", "dbm", "mw", "gw", "w/m2", "w/m²"})
#: The OBIS code of a power, which may be a key with dots: of import minus export (16.7.0), or of one of them.
_CODE = re.compile(r"(?:\d-\d:)?(?:16|1|2)[._]7[._]0(?:\*255)?")
_N_OF_CODE = 3
#: The end of the topic of a power in W by Z-Wave JS UI, which has the number of the value, and the name of this value.
_ZWAVE_POWER, _ZWAVE_NAME = "/value/66049", "Electric_W_Consumed"
#: Keys that only count, in an object whose name is the quantity.
_OF_PARENT = frozenset({"total", "in", "out", "import", "export", "sum"})


class NumberKind(IntEnum):
    """The quantity that a number may be by its name, in the order in which setup offers them."""

    POWER = 0
    MAYBE_POWER = 1
    #: A power only where nothing else is one.
    WEAK_POWER = 2
    ENERGY = 3
    OTHER = 4


class NumberField(NamedTuple):
    """A number of a topic's messages: its path, empty if the message is a number, and the name that describes it.

    ``stated_unit`` is the unit beside it in the message.
    """

    path: str
    kind: NumberKind
    name: str
    stated_unit: str | None = None

    @property
    def is_conceivable(self) -> bool:
        """Whether a user may know that the number is a power, although its name does not say so."""
        return self.kind is NumberKind.OTHER and not (is_other_quantity(self.name) or is_metadata(self.name))

    @property
    def unit(self) -> str | None:
        """The unit beside the field, else that in its name."""
        return self.stated_unit or (energy_unit_in if self.kind is NumberKind.ENERGY else unit_in)(self.name)


def number_fields(topic: str, payloads: Iterable[bytes]) -> list[NumberField]:
    """Return the numbers in any of the messages of a topic, the likeliest power first.

    A letter that may be a power is likelier one beside an energy counter, and an item of a list is less likely the
    power of the meter than a number that is alone.

    >>> [field.path for field in number_fields("meter", [b'{"E_in": 12.5, "P": 420}', b'{"rssi": -60}'])]
    ['P', 'E_in', 'rssi']
    """
    fields: dict[str, NumberField] = {}
    items: dict[str, NumberField] = {}
    for payload in payloads:
        if number_in(payload) is not None:
            fields.setdefault("", NumberField("", *_kind_of_topic(topic)))
        for leaf in json_leaves(document_of(payload)):
            if not (leaf.path in fields or leaf.path in items) and _number(leaf.value) is not None:
                (items if leaf.is_one_of_several else fields)[leaf.path] = _field_in(topic, leaf)
    has_energy = any(field.kind is NumberKind.ENERGY for field in fields.values())
    found = [_confirmed(field) if has_energy else field for field in fields.values()]
    likeliest = NumberKind.WEAK_POWER if any(one.kind < NumberKind.ENERGY for one in found) else NumberKind.MAYBE_POWER
    found += [field._replace(kind=max(field.kind, likeliest)) for field in items.values()]
    return sorted(found, key=lambda field: (field.kind, not field.is_conceivable))


def _field_in(topic: str, leaf: JsonLeaf) -> NumberField:
    """Return the field of a leaf; the unit beside it precedes the name: a consumption in kWh is an energy.

    With an unknown unit, it is a power at most if its name says so. Several numbers that only a topic names can be
    anything.
    """
    field = _field_of(topic, leaf.name) if leaf.name else NumberField("", *_kind_of_topic(topic))
    kind, stated = field.kind, leaf.unit.lower()
    unit = _UNITS.get(stated)
    if leaf.is_one_of_several and not leaf.name:
        kind = NumberKind.OTHER
    if unit in COUNTERS and kind is not NumberKind.OTHER:
        kind = NumberKind.ENERGY
    elif stated and unit is None:
        is_power = kind < NumberKind.ENERGY and is_explicit_power(field.name) and stated not in _OTHER_UNITS
        kind = NumberKind.WEAK_POWER if is_power else NumberKind.OTHER
    return NumberField(leaf.path, kind, field.name, unit)


def _confirmed(field: NumberField) -> NumberField:
    is_letter = field.kind is NumberKind.WEAK_POWER and is_ambiguous_power(field.name)
    return field._replace(kind=NumberKind.MAYBE_POWER) if is_letter else field


def power_paths(topic: str, payload: bytes) -> frozenset[str]:
    """Return the paths in a message that a preset reads, else the paths of possible powers or energy counters.

    >>> sorted(power_paths("plug", b'{"load_w": 96, "energy": 12.3, "voltage": 231}'))
    ['energy', 'load_w']
    >>> sorted(power_paths("plug", b'{"power": 96, "energy": 12.3, "voltage": 231}'))
    ['power']
    """
    known = preset_paths().intersection(path for path, value in leaves(document_of(payload)) if value is not None)
    named = (field.path for field in number_fields(topic, [payload]) if field.kind is not NumberKind.OTHER)
    return known or frozenset(islice(named, _MAX_NAMED))


@cache
def preset_paths() -> frozenset[str]:
    """Return the paths of the values of all presets."""
    return frozenset[str]().union(*(paths_of(preset.get("value", ())) for preset in presets().values()))


def paths_of(value: str | Sequence[str]) -> frozenset[str]:
    """Return the paths of a value: of the terms of its sum, or of each of its sums.

    >>> sorted(paths_of("a + b")), sorted(paths_of(("a", "b - c")))
    (['a', 'b'], ['a', 'b', 'c'])
    """
    return frozenset(term.path for one in ([value] if isinstance(value, str) else value) for term in parse_sum(one))


def number_in(payload: bytes) -> float | None:
    """Return the number that a message consists of, None if it is something else."""
    return _number(payload.decode("utf-8", errors="replace"))


def _number(value: object) -> float | None:
    try:
        return number_of(value, "")
    except PayloadError:
        return None


@lru_cache(maxsize=4_096)
def _field_of(topic: str, path: str) -> NumberField:
    levels = path.split(".")
    if levels[-1].lower() == VALUE:
        levels = levels[:-1]
        if not levels:
            return NumberField(path, *_kind_of_topic(topic))
    name = ".".join(levels[-2:]) if words_of(levels[-1]) <= _OF_PARENT else levels[-1]
    if _CODE.fullmatch(code := ".".join(levels[-_N_OF_CODE:])):
        name = code
    return NumberField(path, _kind_of_name(name), name)


def _kind_of_name(name: str) -> NumberKind:
    if looks_like_power(name):
        return NumberKind.POWER
    if may_be_power(name):
        return NumberKind.MAYBE_POWER
    if is_ambiguous_power(name) or is_average_power(name) or _CODE.fullmatch(name):
        return NumberKind.WEAK_POWER
    return NumberKind.ENERGY if looks_like_energy(name) else NumberKind.OTHER


@lru_cache(maxsize=4_096)
def _kind_of_topic(topic: str) -> tuple[NumberKind, str]:
    """Return the quantity of a number on a topic, by the last level that names a quantity, and that level."""
    if topic.endswith(_ZWAVE_POWER):
        return _kind_of_name(_ZWAVE_NAME), _ZWAVE_NAME
    below: list[str] = []
    for level in reversed(topic.split("/")[-_N_LEVELS:]):
        kind = _kind_of_name(level)
        if kind < NumberKind.ENERGY:
            if all(word in _PLAIN_WORDS or word.isdigit() for one in below for word in words_of(one)):
                return kind, level
            # power/kitchen is one, grid/phases is not
            return (NumberKind.MAYBE_POWER if is_explicit_power(level) else NumberKind.OTHER), level
        if kind is NumberKind.ENERGY:
            return kind, level
        if is_other_quantity(level):
            break
        below.append(level)
    return NumberKind.OTHER, topic.rpartition("/")[2]
