"""Splits a block of delimited text into fields, and parses the numbers of a column, with numpy instead of line by line.

Only plain text is split: lines with equal numbers of fields, in ASCII and without quotes. The caller reads other blocks
line by line, so that the rules for them, and their errors, are in one place.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64, I64

U8 = NDArray[np.uint8]
_NEWLINE, _RETURN, _MINUS, _ZERO = b"\n\r-0"
#: Minimum number of fields: with one field, an empty line would be a row.
_FEWEST_FIELDS = 2
#: Longer fields are left to the line reader: :mod:`csv` limits their length.
_LONGEST = 1_000
#: A number with this many digits is exact in float64, as is the power of ten by which it is divided: the quotient is
#: rounded once, and equals the number that ``float`` returns (W. Clinger, *How to read floating point numbers
#: accurately*, 1990).
_MOST_DIGITS = 15
_POWERS_OF_TEN = 10.0 ** np.arange(_MOST_DIGITS + 1)
#: Padding bytes after the text, so that fields can be read in equal lengths.
_PADDING = bytes(32)


class Numbers(NamedTuple):
    """The numbers of R fields: ``values`` ``[R]``, NaN where a field is empty or in ``others``.

    ``others`` are the indices of fields that are not of the form ``-12.34``, with at most 15 digits: they may be
    numbers of another form, words for a missing value, or errors.
    """

    values: F64
    others: I64


class FieldBlock:
    """The fields of R lines: ``starts`` and ``ends`` ``[R, n_fields]`` are their positions in ``data``."""

    def __init__(self, data: U8, starts: I64, ends: I64) -> None:
        self._data, self._starts, self._ends = data, starts, ends

    @classmethod
    def try_parse(cls, text: bytes, separator: bytes, n_fields: int) -> FieldBlock | None:
        """Split ``text``, whole lines without the last line's end; return None if the text is not plain.

        >>> FieldBlock.try_parse(b"a;1.5", b";", 2).numbers(1).values.tolist(), FieldBlock.try_parse(b"a;1.5", b";", 3)
        ([1.5], None)
        """
        if n_fields < _FEWEST_FIELDS or not text.isascii() or b'"' in text or b"\0" in text:
            return None
        data = np.frombuffer(b"".join((text, b"\n", _PADDING)), dtype=np.uint8)
        is_newline = data == _NEWLINE
        places = np.flatnonzero(is_newline | (data == separator[0]))
        if len(places) % n_fields:
            return None
        starts = np.concatenate(([0], places[:-1] + 1)).reshape(-1, n_fields)
        ends = places.reshape(-1, n_fields)
        ends_line = is_newline[ends]
        if not ends_line[:, -1].all() or ends_line[:, :-1].any():
            return None
        if n_returns := text.count(b"\r"):
            has_return = data[ends[:, -1] - 1] == _RETURN
            if np.count_nonzero(has_return) != n_returns:
                return None
            ends[:, -1] -= has_return
        if (ends - starts).max() > _LONGEST:
            return None
        return cls(data, starts, ends)

    def __len__(self) -> int:
        """Return the number of lines."""
        return len(self._starts)

    def text(self, column: int, row: int) -> str:
        """Return a field."""
        return self._data[self._starts[row, column] : self._ends[row, column]].tobytes().decode("ascii")

    def lengths(self, column: int) -> I64:
        """Return the length of each field of ``column``, ``[R]``."""
        return self._ends[:, column] - self._starts[:, column]

    def characters(self, column: int, width: int) -> U8:
        """Return the first ``width`` (at most 32) characters of each field of ``column``, ``[width, R]``.

        Beyond the end of a field they are the characters that follow it.
        """
        return np.asarray(self._data[self._starts[:, column] + np.arange(width)[:, np.newaxis]])

    def runs(self, column: int, width: int) -> tuple[I64, I64] | None:
        """Return the first row of each run of equal fields of ``column``, and the run index of each row ``[R]``.

        None if a field has more than ``width`` characters.
        """
        lengths = self.lengths(column)
        if lengths.max() > width:
            return None
        characters = np.where(np.arange(width)[:, np.newaxis] < lengths, self.characters(column, width), 0)
        is_first = np.ones(len(lengths), dtype=bool)
        is_first[1:] = (characters[:, 1:] != characters[:, :-1]).any(axis=0)
        return np.flatnonzero(is_first), np.cumsum(is_first) - 1

    def numbers(self, column: int, point: bytes = b".") -> Numbers:
        """Return the numbers of ``column``, with the decimal sign ``point``."""
        lengths = self.lengths(column)
        width = int(min(lengths.max(), _MOST_DIGITS + 2))
        characters = self.characters(column, width)
        digits = characters - np.uint8(_ZERO)
        is_inside = np.arange(width)[:, np.newaxis] < lengths
        is_digit = (digits < 10) & is_inside  # noqa: PLR2004 - the digits; others wrap around
        is_point = (characters == point[0]) & is_inside
        is_minus = characters[:1] == _MINUS
        n_digits, n_points = is_digit.sum(axis=0), is_point.sum(axis=0)
        is_negative = is_minus.any(axis=0) & (lengths > 0)
        is_number = (n_digits + n_points + is_negative == lengths) & (n_points <= 1) & (n_digits <= _MOST_DIGITS)
        first = np.where(is_negative, is_digit[1:2].any(axis=0), is_digit[:1].any(axis=0))
        is_number &= first
        mantissa, n_decimals = np.zeros(len(lengths)), np.zeros(len(lengths), dtype=np.int64)
        after = np.zeros(len(lengths), dtype=bool)
        for digit, is_one, point_here in zip(digits, is_digit, is_point, strict=True):
            np.copyto(mantissa, mantissa * 10 + digit, where=is_one)
            n_decimals += is_one & after
            after |= point_here
        values = mantissa / _POWERS_OF_TEN[np.minimum(n_decimals, _MOST_DIGITS)]
        np.negative(values, out=values, where=is_negative)
        values[~is_number] = np.nan
        return Numbers(values, np.flatnonzero(~is_number & (lengths > 0)))
