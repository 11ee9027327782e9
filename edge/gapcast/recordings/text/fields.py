"""Fields of text files: numbers, missing values, and units in names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.recordings.text.layout import Unit
from gapcast.recordings.text.text_file import quoted

SEPARATORS = ",;\t|"
PER_KW: Mapping[Unit, float] = {"W": 1_000.0, "kW": 1.0}
#: Unit at the end of the name of a counter or of an interval's energy: energy_kwh, Total (Wh).
_ENERGY_AT_END = re.compile(r"(?:^|[^a-z])([kM]?Wh)[^a-z]*$", re.IGNORECASE)
_UNIT_AT_END = re.compile(r"(?:^|[^a-z])(k?w)[^a-z]*$", re.IGNORECASE)  # power_w, gap_kw, Power (kW)
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", re.ASCII)  # `float` alone would let 1_000 pass
#: A power with its unit, which --unit states.
_WITH_UNIT = re.compile(r"[-+]?[\d.,]+\s*k?W", re.ASCII | re.IGNORECASE)
_COMMA_IS_POINT = str.maketrans(",.", ".,")
#: A counter rises at least so often in all, and for each reset, which is to at most this part of its value.
_MIN_RISES, _MIN_RISES_PER_RESET, _RESET_TO = 100, 20, 0.1
#: A decimal sign that separates thousands is in at least so many powers; and the error of a product of two decimals.
_MIN_THOUSANDS, _ROUNDING = 20, 1e-6
_ENERGY_FIX = "choose a column of power (W or kW), or convert the energy (docs/data.md#energy-to-power)"
#: Texts of a missing value.
MISSING = frozenset({"", "?", "nan", "NaN", "NA", "null", "unknown", "unavailable"})


def unit_in(name: str) -> Unit | None:
    """Return the unit that a column's name ends with, or None.

    >>> unit_in("aggregate_w"), unit_in("Power (kW)"), unit_in("power"), unit_in("energy_kwh"), unit_in("low")
    ('W', 'kW', None, None, None)
    """
    found = _UNIT_AT_END.search(name)
    return None if found is None else "kW" if len(found[1]) > 1 else "W"


def energy_unit_in(name: str) -> str | None:
    """Return the unit of energy that a column's name ends with, or None.

    >>> energy_unit_in("energy_kwh"), energy_unit_in("Total (Wh)"), energy_unit_in("power_kw"), energy_unit_in("growh")
    ('kwh', 'Wh', None, None)
    """
    found = _ENERGY_AT_END.search(name)
    return None if found is None else found[1]


def energy_problem(value_column: str) -> str | None:
    """Return the problem if a column's name ends with a unit of energy, whatever unit is given; else None.

    >>> energy_problem("power") is None
    True
    """
    energy = energy_unit_in(value_column)
    return None if energy is None else f"column {value_column!r} is an energy ({energy}), not a power: {_ENERGY_FIX}"


def counter_problem(value_column: str, values: F64) -> str | None:
    """Return the problem if the values ``[R]`` of a column are those of an energy counter; else None."""
    return f"column {value_column!r} only rises, like an energy counter: {_ENERGY_FIX}" if is_counter(values) else None


def is_counter(values: F64) -> bool:
    """Return whether ``values`` ``[R]`` only rise, except for rare falls to about zero: a counter with resets.

    >>> is_counter(np.arange(200.0) % 150), is_counter(np.arange(200.0) % 2)
    (True, False)
    """
    known = values[~np.isnan(values)]
    steps = np.diff(known)
    n_rises, falls = int(np.count_nonzero(steps > 0)), np.flatnonzero(steps < 0)
    if n_rises < max(_MIN_RISES, _MIN_RISES_PER_RESET * len(falls)):
        return False
    return bool((known[falls + 1] <= _RESET_TO * known[falls]).all())


def has_thousands_as_decimals(values_w: F64) -> bool:
    """Return whether ``values_w`` ``[R]``, in watts, are whole below 1,000, with "1,234" read as 1.234 from there on.

    >>> power_w = np.arange(100.0, 3_000.0, 7.0)
    >>> has_thousands_as_decimals(np.where(power_w < 1_000, power_w, power_w / 1_000))
    True
    """
    known = np.abs(values_w[~np.isnan(values_w)])
    decimals = known[known % 1 != 0]
    n_with_three = np.count_nonzero(np.abs(decimals * 100 - np.round(decimals * 100)) > _ROUNDING)
    is_grouped = len(decimals) >= _MIN_THOUSANDS and decimals.min() > 1 and 2 * n_with_three > len(decimals)
    return bool(is_grouped and decimals.max() < 100 < known.max() < 1_000)  # noqa: PLR2004 - one to three digits


def power_unit(value_column: str, unit: Unit | None, default_unit: Unit | None) -> tuple[Unit, str] | None:
    """Return the unit of a column and its description: ``unit``, else the unit in its name, else ``default_unit``.

    >>> power_unit("power_w", None, "kW"), power_unit("power", None, "kW")
    (('W', 'W'), ('kW', 'kW, assumed: its name states no unit'))
    """
    if stated := unit or unit_in(value_column):
        return stated, stated
    return None if default_unit is None else (default_unit, f"{default_unit}, assumed: its name states no unit")


def is_number(text: str) -> bool:
    """Return whether a field is a number, or missing.

    >>> is_number("-1.5e3"), is_number("unavailable"), is_number("1_000"), is_number("on")
    (True, True, False, False)
    """
    return text in MISSING or _NUMBER.fullmatch(text) is not None


def number_in(field: str, name: str, decimal: Literal[".", ","] = ".") -> float:
    """Return a field's number, NaN if it is missing.

    Raises :class:`ValueError`, with a message for users that calls the field ``name``, if it is not a number.
    """
    text = field.strip()
    if text in MISSING:
        return np.nan
    plain = text if decimal == "." else text.translate(_COMMA_IS_POINT)
    if not _NUMBER.fullmatch(plain):
        fix = ""
        if _WITH_UNIT.fullmatch(text):
            fix = ": remove the unit from the values, and state it with --unit"
        elif "." in text and "," in text:
            fix = ": remove the separators of thousands"
        elif ("," if decimal == "." else ".") in text:
            fix = f" with the decimal sign {decimal!r} (--decimal names another; remove separators of thousands)"
        msg = f"{name} is {quoted(text)}, not a number{fix}"
        raise ValueError(msg)
    return float(plain)


def separator_of(header: str, names: Sequence[str] = ()) -> str:
    """Return the most frequent separator of a header line, of those that separate the columns ``names``, if any does.

    >>> separator_of("time;power, total;unit"), separator_of("time;power, total", ["time", "power, total"])
    (';', ';')
    """

    def separates_names(separator: str) -> bool:
        return {one.strip().strip('"') for one in header.split(separator)}.issuperset(names)

    return max(SEPARATORS, key=lambda one: (separates_names(one), header.count(one)))
