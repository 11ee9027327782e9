"""Parses a column of timestamps with numpy, by the rules of :class:`~.timestamps.TimestampParser`.

Parsed are times of one width like ``2020-01-31T12:00``, with or without seconds and an offset, whole numbers since the
epoch, and a given format of digits such as ``%d.%m.%Y %H:%M``. All others are left to the parser of single times.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gapcast.core.arrays.array_types import I64
from gapcast.core.time_grid import DAY_MIN, MINUTE_MS
from gapcast.recordings.text.field_block import FieldBlock
from gapcast.recordings.text.timestamps import EPOCH_NUMBER, EPOCH_UNITS_FROM, LOCAL, WITH_OFFSET, TimestampParser

_ISO = ("%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S")
_WIDTHS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2}
_ZULU, _OFFSET_WIDTH = ord("Z"), len("+01:00")
#: A decimal sign that occurs in no field.
_NO_POINT = b"\0"
_LONGEST, _EPOCH_YEAR = 32, 1970
#: The range of each part; the last day depends on the month. Other years are left to the parser of single times.
_RANGES = {"Y": (_EPOCH_YEAR, 2_200), "m": (1, 12), "d": (1, 31), "H": (0, 23), "M": (0, 59), "S": (0, 59)}


class _Form(NamedTuple):
    """A format of fixed width: the position of each part by its directive, and of each literal character."""

    parts: dict[str, int]
    literals: dict[int, int]
    width: int

    @property
    def is_whole(self) -> bool:
        """Whether the format states a date and a time."""
        return {*"YmdHM"} <= self.parts.keys()

    @classmethod
    def try_parse(cls, form: str) -> _Form | None:
        """Return the form of a format for ``strptime``; None if it is not of fixed width.

        >>> _Form.try_parse("%d.%m.%Y %H:%M").width, _Form.try_parse("%d %b")
        (16, None)
        """
        parts: dict[str, int] = {}
        literals: dict[int, int] = {}
        width, characters = 0, iter(form)
        for character in characters:
            if character != "%":
                literals[width] = ord(character)
                width += 1
                continue
            directive = next(characters, "")
            if directive not in _WIDTHS or directive in parts:
                return None
            parts[directive] = width
            width += _WIDTHS[directive]
        is_plain = form.isascii() and form.isprintable() and form == form.strip()
        return cls(parts, literals, width) if is_plain else None


_TIME = _Form({"H": 0, "M": 3, "S": 6}, {2: ord(":"), 5: ord(":")}, 8)


def instants_ms(block: FieldBlock, column: int, clock: TimestampParser) -> I64 | None:
    """Return the instants (epoch ms, UTC) of ``column``, ``[R]``, as ``clock`` would parse them, and advance ``clock``.

    None, without advancing, if a time is of a form that is not parsed here, or invalid.
    """
    is_number = clock.form is None and block.text(column, 0).isdigit()
    found = _epoch_ms(block, column) if is_number else _calendar_ms(block, column, clock)
    if found is None or clock.kind not in {"", found.kind}:
        return None
    clock.kind = found.kind
    if (found.earlier_ms == found.later_ms).all():
        clock.advance(found.earlier_ms)
        return found.earlier_ms
    both = zip(found.earlier_ms.tolist(), found.later_ms.tolist(), strict=True)
    return np.array([clock.resolve(*candidates) for candidates in both], dtype=np.int64)


def seconds_of_day(block: FieldBlock, column: int) -> I64 | None:
    """Return the times of day of ``column`` ``[R]``, s, all of the form ``17:24:00``; None if one has another form."""
    if (block.lengths(column) != _TIME.width).any():
        return None
    parts = _parts(block.characters(column, _TIME.width).astype(np.int64), _TIME)
    return None if parts is None else parts["H"] * 3_600 + parts["M"] * 60 + parts["S"]


class _Candidates(NamedTuple):
    """The kind of times, and the earlier and the later instant that each can mean, ``[R]``, ms."""

    kind: str
    earlier_ms: I64
    later_ms: I64


def _epoch_ms(block: FieldBlock, column: int) -> _Candidates | None:
    """Return the instants of whole numbers without a sign; None if there are other fields."""
    found = block.numbers(column, _NO_POINT)
    values = found.values
    if np.isnan(values).any() or np.signbit(values).any():
        return None
    unit_ms = np.full(len(values), 1_000.0)
    for least, of_unit_ms in reversed(EPOCH_UNITS_FROM):
        unit_ms[values >= least] = of_unit_ms
    instant_ms = np.rint(values * unit_ms).astype(np.int64)
    return _Candidates(EPOCH_NUMBER, instant_ms, instant_ms)


def _calendar_ms(block: FieldBlock, column: int, clock: TimestampParser) -> _Candidates | None:
    """Return the instants of times of day in one form; None if there are other fields, or times that do not exist."""
    lengths = block.lengths(column)
    width = int(lengths[0])
    if not 0 < width <= _LONGEST or (lengths != width).any():
        return None
    characters = block.characters(column, width).astype(np.int64)
    ahead_ms = None if clock.form is not None else _offsets_ms(characters)
    if ahead_ms is not None:
        characters = characters[: -1 if characters[-1, 0] == _ZULU else -_OFFSET_WIDTH]
    forms = map(_Form.try_parse, _ISO if clock.form is None else (clock.form,))
    fitting = (form for form in forms if form is not None and form.width == len(characters) and form.is_whole)
    found = (_parsed_ms(characters, form) for form in fitting)
    local_ms = next((found_ms for found_ms in found if found_ms is not None), None)
    if local_ms is None:
        return None
    if ahead_ms is not None:
        return _Candidates(WITH_OFFSET, local_ms - ahead_ms, local_ms - ahead_ms)
    candidates = clock.local_candidates_ms(local_ms)
    return None if candidates is None else _Candidates(LOCAL, *candidates)


def _offsets_ms(characters: I64) -> I64 | None:
    """Return the offsets from UTC, ms, at the end of the times ``characters`` ``[width, R]``; None if one has none."""
    if (characters[-1] == _ZULU).all():
        return np.zeros(characters.shape[1], dtype=np.int64)
    if len(characters) < _OFFSET_WIDTH:
        return None
    sign, tens_h, hours, colon, tens_min, minutes = characters[-_OFFSET_WIDTH:]
    is_signed = ((sign == ord("+")) | (sign == ord("-"))) & (colon == ord(":"))
    digits = np.stack((tens_h, hours, tens_min, minutes)) - ord("0")
    if not is_signed.all() or not _are_digits(digits):
        return None
    hours, minutes = digits[0] * 10 + digits[1], digits[2] * 10 + digits[3]
    if (hours > _RANGES["H"][1]).any() or (minutes > _RANGES["M"][1]).any():
        return None
    return np.asarray(np.where(sign == ord("-"), -1, 1) * (hours * 60 + minutes) * MINUTE_MS)


def _parsed_ms(characters: I64, form: _Form) -> I64 | None:
    """Return the times in ``characters`` ``[width, R]``, ms since an epoch; None if one is not of ``form``."""
    parts = _parts(characters, form)
    if parts is None:
        return None
    month = (parts["Y"] - _EPOCH_YEAR) * 12 + parts["m"] - 1
    first, after = (one.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) for one in (month, month + 1))
    if (parts["d"] > after - first).any():
        return None
    minute = (first + parts["d"] - 1) * DAY_MIN + parts["H"] * 60 + parts["M"]
    return np.asarray(minute * MINUTE_MS + parts.get("S", 0) * 1_000)


def _parts(characters: I64, form: _Form) -> dict[str, I64] | None:
    """Return each part of the times ``characters`` ``[width, R]`` by its directive; None if one is not of ``form``."""
    if any((characters[at] != literal).any() for at, literal in form.literals.items()):
        return None
    digits, parts = characters - ord("0"), {}
    for directive, at in form.parts.items():
        of_part = digits[at : at + _WIDTHS[directive]]
        if not _are_digits(of_part):
            return None
        parts[directive] = part = 10 ** np.arange(len(of_part))[::-1] @ of_part
        least, most = _RANGES[directive]
        if (part < least).any() or (part > most).any():
            return None
    return parts


def _are_digits(values: I64) -> bool:
    return bool(((values >= 0) & (values <= 9)).all())  # noqa: PLR2004 - the digits
