"""Recognizes power, its unit, and the device from the names of keys and topic levels."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gapcast.mqtt.sources.source_topics import NOT_OF_A_NAME

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
#: The end of German compounds of power, with P and N for the two directions (MomentanleistungP).
_COMPOUND = re.compile(r"[Ll]eistung(?![a-z])([PN](?![A-Za-z]))?")
_DIRECTIONS = {"P": "_import", "N": "_export"}
_POWER_WORDS = frozenset({
    "power", "powers", "watt", "watts", "w", "kw", "load", "consumption", "grid", "demand", "apower", "leistung",
    "puissance", "potencia", "vermogen",
})  # fmt: skip
_NON_POWER_WORDS = frozenset({
    "factor", "apparent", "aprt", "reactive", "energy", "kwh", "wh", "va", "var", "total", "today", "yesterday",
    "daily", "cost", "price", "limit", "voltage", "current", "frequency", "period", "status", "on", "cycle", "saving",
    "temperature", "humidity", "pressure", "count", "outage", "outages", "fail", "failure", "failures", "percent",
    "percentage", "cpu", "transmit", "tx", "pulses", "peak", "average", "avg", "mean", "max", "min", "threshold",
    "delay", "available", "blind", "schein", "nenn", "maximal", "spitzen", "durchschnitts", "heiz", "sende",
})  # fmt: skip
#: Words of other quantities that are also used for power: the total of all phases, and the current value.
_AMBIGUOUS_WORDS = frozenset({"total", "current"})
#: Words of a power over some time, or of a setting.
_LIMIT_WORDS = frozenset({"peak", "max", "maximum", "min", "minimum", "limit", "threshold"})
_AVERAGE_WORDS = frozenset({"average", "avg", "mean"})
#: Words that mean power, whatever other words a name has.
_EXPLICIT_WORDS = _POWER_WORDS - {"load", "consumption", "grid", "demand"}
#: Words of a load or a demand of heat, which is no power: pi_heating_demand, load_estimate.
_HEAT_WORDS = frozenset({"heating", "estimate"})
#: A load of a processor over some minutes: load1, load_15m.
_COUNTED_LOAD = re.compile(r"(?:load|demand)[ _-]?\d", re.IGNORECASE)
#: The letter of power, as readers of smart meters use it, also with the number of a channel, or i (in) and o (out). It
#: may also be of a pressure or of particles.
_LETTER = re.compile(r"P\d?|P[io]")
#: Other symbols of power: its OBIS code, and the names of P1IB and of some scripts of Tasmota.
_SYMBOL = re.compile(r"(?:\d-\d:)?16[._]7[._]0(?:\*255)?|\w*momentary_active_(?:import|export)|\w*TPWRCURR")
#: The energy counters of these scripts.
_COUNTER_SYMBOL = re.compile(r"\w*TPWR(?:IN|OUT)")
#: Words of a direction, of which a total is a counter.
_DIRECTION_WORDS = frozenset({"import", "export"})
_ENERGY_WORDS = frozenset({"energy", "aenergy", "kwh", "wh"})
#: Words of names that are no energy counter, but a price, or the energy of a day.
_NON_ENERGY_WORDS = _NON_POWER_WORDS - {"energy", "kwh", "wh", "total", "count", "peak"}
#: Words that follow the symbol of energy, such as in E_in.
_OF_COUNTER = frozenset({"e", "in", "out", "total", "sum", "import", "export"})
#: Words of numbers about a message or its sender: a time, an identifier, a state of the device.
_METADATA_WORDS = frozenset({
    "time", "timestamp", "ts", "date", "epoch", "rtc", "up", "uptime", "version", "id", "idx", "hwid", "mac", "serial",
    "channel", "port", "battery", "rssi", "snr", "lqi", "linkquality", "signal", "quality", "wifi", "vcc", "heap",
    "temp", "interval", "brightness", "illuminance", "lux", "co2",
})  # fmt: skip
#: Topic levels that do not name a device.
_NON_DEVICE_WORDS = _POWER_WORDS | frozenset({
    "sensor", "sensors", "state", "tele", "stat", "value", "json", "mqtt", "homeassistant", "home", "meter", "meters",
    "energy", "status", "data", "active", "events", "rpc",
})  # fmt: skip
#: Levels that only count, the power of Z-Wave JS UI, and the current of an inverter.
_COUNTS = re.compile(r"(endpoint_)?\d{1,4}|66049|ac|dc", re.IGNORECASE)
#: A household's power is rarely above this number in kW, and rarely below it in W.
_LEAST_W = 10.0
#: A household's counter is rarely above this number in kWh: it takes decades.
_LEAST_WH = 200_000.0


def words_of(name: str) -> frozenset[str]:
    """Return the words of a key or a topic level, in lower case.

    >>> sorted(words_of("gridPower_kW")), sorted(words_of("NetzleistungN"))
    (['grid', 'kw', 'power'], ['export', 'leistung', 'netz'])
    """
    separated = _COMPOUND.sub(lambda found: f"_leistung{_DIRECTIONS.get(found[1], '')}", name)
    return frozenset(word.lower() for word in _WORDS.findall(separated.replace("kW", "KW_").replace("KW_h", "KWH")))


def looks_like_power(name: str) -> bool:
    """Return whether a name suggests a power value.

    >>> looks_like_power("grid_power"), looks_like_power("power_factor"), looks_like_power("temperature")
    (True, False, False)
    """
    words = words_of(name)
    if not words & _EXPLICIT_WORDS and (words & _HEAT_WORDS or _COUNTED_LOAD.search(name)):
        return False
    return bool(words & _POWER_WORDS) and not words & _NON_POWER_WORDS


def may_be_power(name: str) -> bool:
    """Return whether a name suggests or can mean a power: a total may be over all phases or over time.

    >>> may_be_power("total_active_power"), may_be_power("current_power_consumption"), may_be_power("total_energy_w")
    (True, True, False)
    """
    words = words_of(name)
    is_possible = is_explicit_power(name) and not words & (_NON_POWER_WORDS - _AMBIGUOUS_WORDS)
    return (is_possible and not _is_total_energy(name)) or looks_like_power(name) or bool(_SYMBOL.fullmatch(name))


def is_ambiguous_power(name: str) -> bool:
    """Return whether a name is a letter that may mean a power or another quantity.

    >>> is_ambiguous_power("P1"), is_ambiguous_power("power")
    (True, False)
    """
    return bool(_LETTER.fullmatch(name))


def is_average_power(name: str) -> bool:
    """Return whether a name suggests the average of a power: over some minutes, if it has "min" as well.

    >>> is_average_power("power_1min_avg"), is_average_power("average_voltage"), is_average_power("power")
    (True, False, False)
    """
    words = words_of(name)
    others = _NON_POWER_WORDS - _AVERAGE_WORDS - _AMBIGUOUS_WORDS - {"min"}
    return bool(words & _AVERAGE_WORDS) and is_explicit_power(name) and not words & others


def is_momentary(name: str) -> bool:
    """Return whether a power with this name is the current one: no peak, average, limit or threshold.

    >>> is_momentary("kitchen"), is_momentary("p1_meter_peak_demand_current_month")
    (True, False)
    """
    return not words_of(name) & (_LIMIT_WORDS | _AVERAGE_WORDS)


def is_explicit_power(name: str) -> bool:
    """Return whether a name has a word that means power, whatever other words it has.

    >>> is_explicit_power("power_factor"), is_explicit_power("grid")
    (True, False)
    """
    return bool(words_of(name) & _EXPLICIT_WORDS)


def looks_like_energy(name: str) -> bool:
    """Return whether a name suggests an energy counter.

    >>> [looks_like_energy(name) for name in ("energy_kwh", "E_in", "aenergy.total", "energy_today", "energy_cost")]
    [True, True, True, False, False]
    """
    words = words_of(name)
    is_symbol = bool(_COUNTER_SYMBOL.fullmatch(name)) or ("e" in words and words <= _OF_COUNTER)
    return is_symbol or _is_total_energy(name) or (bool(words & _ENERGY_WORDS) and not words & _NON_ENERGY_WORDS)


def _is_total_energy(name: str) -> bool:
    """Return whether a name is that of HomeWizard's counters, such as total_power_import."""
    words = words_of(name)
    is_total = "total" in words and bool(words & _DIRECTION_WORDS) and is_explicit_power(name)
    return is_total and not words & {"active", "current"} and unit_in(name) is None


def is_other_quantity(name: str) -> bool:
    """Return whether a name has a word of another quantity than power.

    >>> is_other_quantity("grid_voltage"), is_other_quantity("total"), is_other_quantity("kitchen")
    (True, False, False)
    """
    return bool(words_of(name) & (_NON_POWER_WORDS - {"total"}))


def is_metadata(name: str) -> bool:
    """Return whether a name is of a number about the message or the device, such as a time or a signal strength.

    >>> is_metadata("timestamp"), is_metadata("meterId"), is_metadata("value")
    (True, True, False)
    """
    return bool(words_of(name) & _METADATA_WORDS)


def unit_in(name: str) -> str | None:
    """Return the unit that a name contains.

    >>> unit_in("power_kw"), unit_in("activePowerW"), unit_in("power")
    ('kW', 'W', None)
    """
    words = words_of(name)
    if "kw" in words:
        return "kW"
    return "W" if words & {"w", "watt", "watts"} else None


def energy_unit_in(name: str) -> str | None:
    """Return the unit of energy that a name contains.

    >>> energy_unit_in("energy_kwh"), energy_unit_in("totalWh"), energy_unit_in("energy")
    ('kWh', 'Wh', None)
    """
    words = words_of(name)
    return "kWh" if "kwh" in words else "Wh" if "wh" in words else None


def likely_unit(numbers: Sequence[float]) -> str:
    """Return the likely unit of a household's power values.

    >>> likely_unit([231.0]), likely_unit([0.231, 2.2])
    ('W', 'kW')
    """
    return "W" if max(map(abs, numbers), default=0.0) >= _LEAST_W else "kW"


def likely_energy_unit(counts: Sequence[float]) -> str:
    """Return the likely unit of a household's energy counters.

    >>> likely_energy_unit([12_345.6]), likely_energy_unit([12_345_600])
    ('kWh', 'Wh')
    """
    return "Wh" if max(map(abs, counts), default=0.0) >= _LEAST_WH else "kWh"


def device_in(topic: str) -> str:
    """Return a device name for a topic: its last level that can name one, and does not only count.

    >>> device_in("tele/meter 7/power"), device_in("energy/power"), device_in("N/c0/pvinverter/31/Ac/Power")
    ('meter_7', 'home', 'pvinverter')
    """
    levels = [level for level in topic.split("/") if level and level.lower() not in _NON_DEVICE_WORDS]
    named = [level for level in levels if not _COUNTS.fullmatch(level)] or levels
    return NOT_OF_A_NAME.sub("_", named[-1])[:64] if named else "home"
