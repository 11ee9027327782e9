"""Paths to values in a meter's message, and sums of them.

A path is keys separated by dots (``ENERGY.Power``, ``params.em:0.total_act_power``); a key of digits is an index into a
list (``ENERGY.Power.0``), and a key may have dots itself (``16.7.0``). A sum is paths separated by `` + `` or `` - ``,
for values by phase, or for consumption and export.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from gapcast.core.documents.message_format import SHOWN_CHARS, shown_value
from gapcast.core.errors import PayloadError

_OPERATOR = re.compile(r"\s([+-])\s")
#: A sum whose terms are not separated. A key may begin with a sign, as in OBIS names (``+A``).
_WITHOUT_SPACES = re.compile(r"\w\+\w")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
#: A number with a unit, or with a decimal comma.
_NUMBER_AND_MORE = re.compile(r"[+-]?\d+([.,]\d+)?\s*[A-Za-z%°]{0,3}")
#: Texts that meters and home automation systems publish for an unknown value.
_UNKNOWN = frozenset({"", "nan", "none", "null", "unknown", "unavailable", "undefined"})


class Term(NamedTuple):
    """One path of a sum, as text and as keys, with the sign of the term (1 or -1)."""

    path: str
    keys: tuple[str, ...]
    sign: int


Sum = tuple[Term, ...]


def parse_path(text: str) -> tuple[str, ...]:
    """Return the keys of a path; raise :class:`ValueError` if it is invalid.

    >>> parse_path("params.em:0.total_act_power")
    ('params', 'em:0', 'total_act_power')
    """
    keys = tuple(text.split("."))  # the first may be empty: a Tasmota script without a name publishes {"": {...}}
    if not text or not all(keys[1:]) or text != text.strip() or any(character in text for character in "\n{}"):
        msg = f"{text!r} is not a path: separate the keys by dots, as in ENERGY.Power"
        raise ValueError(msg)
    if " * " in text or " / " in text:
        msg = f"{text!r} is not a path: values are added up by + and -, and unit converts them"
        raise ValueError(msg)
    if _WITHOUT_SPACES.search(text):
        msg = f"{text!r} is not a path: to add up values, write a space on both sides of + and -"
        raise ValueError(msg)
    return keys


def parse_sum(text: str) -> Sum:
    """Return the terms of a sum; raise :class:`ValueError` if it is invalid.

    >>> [(term.path, term.sign) for term in parse_sum("delivered - returned")]
    [('delivered', 1), ('returned', -1)]
    """
    pieces = _OPERATOR.split(f" + {text}" if not text.startswith("- ") else f" {text}")
    terms = tuple(
        Term(path.strip(), parse_path(path.strip()), 1 if operator == "+" else -1)
        for operator, path in zip(pieces[1::2], pieces[2::2], strict=True)
    )
    paths = [term.path for term in terms]
    if len(set(paths)) < len(paths):
        msg = f"{text!r} names a path twice"
        raise ValueError(msg)
    return terms


def look_up(document: object, keys: tuple[str, ...], absent: object = None) -> object:
    """Return the value at ``keys`` of a decoded JSON document; ``absent`` if there is no such value.

    It is null (None) if an object that holds it is null. A key may have dots itself, as OBIS codes have.

    >>> look_up({"ENERGY": {"Power": [52, 5]}}, ("ENERGY", "Power", "1")), look_up({"16.7.0": "403"}, ("16", "7", "0"))
    (5, '403')
    """
    found = document
    for i, key in enumerate(keys):
        if isinstance(found, dict):
            if key not in found:
                return _look_up_with_dots(found, keys[i:], absent) if i + 1 < len(keys) else absent
            found = found[key]
        elif isinstance(found, list) and key.isdecimal() and key.isascii() and len(key) < 4:  # noqa: PLR2004 - digits
            if int(key) >= len(found):
                return absent
            found = found[int(key)]
        else:
            return None if found is None else absent
    return found


def _look_up_with_dots(found: dict[str, object], keys: tuple[str, ...], absent: object) -> object:
    """Return the value at ``keys`` of an object that does not have the first of them, but maybe several as one key.

    If several of its keys begin the path, it is the value of the shortest one that has the rest of the path.
    """
    otherwise = absent
    for n_keys in range(2, len(keys) + 1):
        joined = ".".join(keys[:n_keys])
        if joined not in found:
            continue
        if found[joined] is None:
            otherwise = None
        elif (value := look_up(found[joined], keys[n_keys:], absent)) is not absent:
            return value
    return otherwise


def number_of(value: object, what: str) -> float | None:
    """Return the number ``value`` of a message, which may be text; None if the message marks it as unknown.

    Raises :class:`PayloadError` that names ``what`` for any other value, or one that is not finite.

    >>> number_of("00.250", "power"), number_of("unavailable", "power"), number_of(None, "power")
    (0.25, None, None)
    """
    if value is None:
        return None
    if type(value) is str:
        text = value.strip()
        if text.lower() in _UNKNOWN:
            return None
        if len(text) <= SHOWN_CHARS and _NUMBER.fullmatch(text):
            value = float(text)
    if type(value) is int and value.bit_length() < 64:  # noqa: PLR2004 - a float holds its size
        return float(value)
    if type(value) is int:
        raise PayloadError("out_of_range", f"{what} is out of range: {shown_value(value)}")
    if value == []:  # Victron's bridge sends it if a value is not valid
        return None
    if type(value) is not float:
        raise PayloadError("not_a_number", f"{what} must be a number, not {shown_value(value)}{_fix(value, what)}")
    if math.isnan(value):
        return None
    if math.isinf(value):
        raise PayloadError("not_finite", f"{what} must be finite, not {value}")
    return value


def _fix(value: object, what: str) -> str:
    if isinstance(value, list):
        return f": it is a list; name one item ({what}.0), or for a power a sum of items ({what}.0 + {what}.1)"
    if isinstance(value, Mapping):
        return ": it is an object; name one of its keys"
    if type(value) is str and len(value) <= SHOWN_CHARS and _NUMBER_AND_MORE.fullmatch(value.strip()):
        return ": send the number alone, with a decimal point, as in 1.5"
    return ""
