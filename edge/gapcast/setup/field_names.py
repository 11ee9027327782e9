"""Names that speak of power, of its unit, and of a device."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_OF_POWER = frozenset({
    "power", "watt", "watts", "w", "kw", "load", "consumption", "grid", "demand", "apower", "leistung", "puissance",
    "potencia", "vermogen",
})  # fmt: skip
_NOT_OF_POWER = frozenset({
    "factor", "apparent", "reactive", "energy", "kwh", "wh", "va", "var", "total", "today", "yesterday", "daily",
    "cost", "price", "limit", "voltage", "current", "frequency", "period", "status", "on", "cycle", "saving",
})  # fmt: skip
#: Levels of a topic that name no device.
_NO_DEVICE = _OF_POWER | frozenset({
    "sensor", "sensors", "state", "tele", "stat", "value", "json", "mqtt", "homeassistant", "home", "meter", "meters",
    "energy", "status", "data", "active",
})  # fmt: skip
_NOT_OF_A_NAME = re.compile(r"[^A-Za-z0-9_.-]")
#: The power of a house in kW is seldom this much, and a number of W seldom less.
_LEAST_W = 10.0


def words_of(name: str) -> frozenset[str]:
    """Return the words of a key or a topic's level, in small letters.

    >>> sorted(words_of("gridPower_kW"))
    ['grid', 'kw', 'power']
    """
    return frozenset(word.lower() for word in _WORDS.findall(name.replace("kW", "KW_").replace("KW_h", "KWH")))


def looks_like_power(name: str) -> bool:
    """Tell whether a name speaks of a power.

    >>> looks_like_power("grid_power"), looks_like_power("power_factor"), looks_like_power("temperature")
    (True, False, False)
    """
    words = words_of(name)
    return bool(words & _OF_POWER) and not words & _NOT_OF_POWER


def unit_in(name: str) -> str | None:
    """Return the unit that a name bears.

    >>> unit_in("power_kw"), unit_in("activePowerW"), unit_in("power")
    ('kW', 'W', None)
    """
    words = words_of(name)
    if "kw" in words:
        return "kW"
    return "W" if words & {"w", "watt", "watts"} else None


def likely_unit(numbers: Sequence[float]) -> str:
    """Return the unit that powers of a house of such numbers are likely in.

    >>> likely_unit([231.0]), likely_unit([0.231, 2.2])
    ('W', 'kW')
    """
    return "W" if max(map(abs, numbers), default=0.0) >= _LEAST_W else "kW"


def device_in(topic: str) -> str:
    """Return a device's name for a topic: its last level that names one.

    >>> device_in("tele/meter 7/power"), device_in("energy/power")
    ('meter_7', 'home')
    """
    named = [level for level in topic.split("/") if level and level.lower() not in _NO_DEVICE]
    return _NOT_OF_A_NAME.sub("_", named[-1])[:64] if named else "home"
