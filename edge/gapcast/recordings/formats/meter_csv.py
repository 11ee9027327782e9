"""Reads the CSV of any meter: a header with the column names, and a time and a power in each row."""

from __future__ import annotations

import csv
import hashlib
import re
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gapcast.core.arrays.array_types import F64
from gapcast.core.errors import SourceError
from gapcast.core.readings.submeters import measured_name
from gapcast.recordings.text.field_block import FieldBlock
from gapcast.recordings.text.field_times import instants_ms
from gapcast.recordings.text.fields import (
    PER_KW,
    counter_problem,
    energy_problem,
    has_thousands_as_decimals,
    number_in,
    power_unit,
    separator_of,
    unit_in,
)
from gapcast.recordings.text.layout import Layout
from gapcast.recordings.text.table import Table
from gapcast.recordings.text.text_file import blocks, decoded, lines_of, open_text, quoted
from gapcast.recordings.text.timestamps import LOCAL, TimestampParser

#: A line before the header that Excel reads and some programs write.
_DECLARED_SEPARATOR = re.compile(rb"(?:\xef\xbb\xbf)?sep=([,;|\t])\r?")


def read(path: Path, layout: Layout, *, progress: bool = False) -> Table:
    """Read the CSV at ``path`` (UTF-8; plain, gzipped, or the only file in a zip) in one pass.

    Raises :class:`SourceError`, with the line, at the first row that does not match ``layout``.
    """
    digest = hashlib.sha256()
    with (
        open_text(path) as (stream, n_bytes),
        tqdm(total=n_bytes, unit="B", unit_scale=True, desc=f"reading {path.name}", disable=not progress) as bar,
    ):
        rest = blocks(stream, digest.update, bar.update)
        header, ends, data = next(rest, b"").partition(b"\n")
        n_lines = 1
        if (declared := _DECLARED_SEPARATOR.fullmatch(header)) is not None:
            layout = replace(layout, separator=layout.separator or declared[1].decode())
            header, ends, data = data.partition(b"\n")
            n_lines = 2
        columns = _Columns(path, next(decoded(path, lines_of(header))), layout)
        rows = _Rows(path, columns, TimestampParser(layout.zone, layout.time_format), n_lines)
        for block in chain([data] if ends else [], rest):
            if not rows.add_block(block):
                rows.add_lines(
                    chain([block], rest) if b'"' in block else [block]
                )  # quoted fields may have several lines
    if not rows.instant_ms:
        raise SourceError(path, "holds a header and no readings")
    power, *others = (np.array(column) for column in rows.values)
    powers = dict(zip((layout.value_column, *layout.submeters), (power, *others[len(layout.features) :]), strict=True))
    _check_counters(path, layout, powers)
    if columns.unit == "W" and (name := next((one for one in powers if has_thousands_as_decimals(powers[one])), "")):
        problem = (
            f"column {name!r} is in W, and has {layout.decimal!r} only from 1000 on: remove the separators of thousands"
        )
        raise SourceError(path, problem)
    powers_kw = [values / PER_KW[columns.unit] for values in others[len(layout.features) :]]
    submeters = dict(zip(map(measured_name, layout.submeters), powers_kw, strict=True))
    return Table(
        path=path,
        source=f"{path.name}, column {layout.value_column} ({columns.unit_label})",
        sha256=digest.hexdigest(),
        instant_ms=np.array(rows.instant_ms),
        gap_kw=power / PER_KW[columns.unit],
        line=np.array(rows.line),
        extra={**dict(zip(layout.features, others, strict=False)), **submeters},
        each_minute=False,
        time_kind=rows.clock.kind + (f", in {layout.zone}" if rows.clock.kind == LOCAL else ""),
    )


def _check_counters(path: Path, layout: Layout, powers: Mapping[str, F64]) -> None:
    """Raise :class:`SourceError` if a column ``[R]`` of ``powers`` has the values of an energy counter."""
    for name, values in powers.items():
        if layout.may_only_rise and (layout.unit or unit_in(name)):
            continue
        if problem := counter_problem(name, values):
            fix = "; if it is a power, state its unit by --unit" if layout.may_only_rise else ""
            raise SourceError(path, f"{problem}{fix}")


class _Rows:
    """The rows of a file so far: their times, lines and values."""

    def __init__(self, path: Path, columns: _Columns, clock: TimestampParser, n_lines: int) -> None:
        self._path, self._columns, self.clock = path, columns, clock
        self._n_lines = n_lines  # up to the header
        self.instant_ms, self.line = array("q"), array("q")
        self.values = tuple(array("d") for _ in columns.value_at)

    def add_block(self, text: bytes) -> bool:
        """Add the rows of a block of lines if all are plain; return whether they are. Otherwise nothing changes."""
        columns = self._columns
        block = FieldBlock.try_parse(text, columns.separator.encode(), columns.n_fields)
        if block is None:
            return False
        try:
            values = [columns.numbers(block, at) for at in columns.value_at]
        except ValueError:
            return False  # reading line by line finds its line
        instant_ms = instants_ms(block, columns.time_at, self.clock)
        if instant_ms is None:
            return False
        self.instant_ms.frombytes(instant_ms.tobytes())
        self.line.extend(range(self._n_lines + 1, self._n_lines + len(block) + 1))
        for column, of_block in zip(self.values, values, strict=True):
            column.frombytes(of_block.tobytes())
        self._n_lines += len(block)
        return True

    def add_lines(self, texts: Iterable[bytes]) -> None:
        """Add the rows of blocks of lines, line by line; raise :class:`SourceError`, with the line, at an error."""
        columns = self._columns
        found = (line for text in texts for line in lines_of(text))
        rows = csv.reader(decoded(self._path, found, self._n_lines + 1), delimiter=columns.separator)
        try:
            for row in rows:
                if any(row):
                    columns.check(row)
                    self.instant_ms.append(self.clock.instant_ms(row[columns.time_at].strip()))
                    self.line.append(self._n_lines + rows.line_num)
                    for at, column in zip(columns.value_at, self.values, strict=True):
                        column.append(columns.number(row, at))
        except (ValueError, OverflowError, csv.Error) as error:
            raise SourceError(self._path, str(error), self._n_lines + rows.line_num) from error
        self._n_lines += rows.line_num


class _Columns:
    """Positions of a layout's columns in the header, and conversion of their fields."""

    def __init__(self, path: Path, header: str, layout: Layout) -> None:
        if not header.strip():
            raise SourceError(path, "is empty, or its first line is: a header must name the columns", 1)
        value_columns = (layout.value_column, *layout.features.values(), *layout.submeters)
        self.separator = layout.separator or separator_of(header, (layout.time_column, *value_columns))
        self._decimal = layout.decimal
        try:
            self._names = [name.strip() for name in next(csv.reader([header], delimiter=self.separator))]
        except csv.Error as error:
            problem = "has lines that end with a carriage return alone: save it with line feeds"
            raise SourceError(path, problem if "\r" in header else str(error), 1) from error
        self.time_at, *self.value_at = (self._place(path, name) for name in (layout.time_column, *value_columns))
        if energy := next(filter(None, map(energy_problem, (layout.value_column, *layout.submeters))), None):
            raise SourceError(path, energy, 1)
        found = power_unit(layout.value_column, layout.unit, layout.default_unit)
        if found is None:
            msg = f"does not state whether {layout.value_column!r} is in W or kW: use --unit"
            raise SourceError(path, msg, 1)
        self.unit, self.unit_label = found

    @property
    def n_fields(self) -> int:
        """The number of fields of each row."""
        return len(self._names)

    def check(self, row: list[str]) -> None:
        """Raise :class:`ValueError` if a row has more or fewer fields than the header."""
        if len(row) == len(self._names):
            return
        msg = (
            f"has {len(row)} fields separated by {self.separator!r}, but the header has {len(self._names)}: "
            f"{quoted(self.separator.join(row))}"
        )
        if len(row) < len(self._names):
            msg += " (is the row cut off? complete or remove it)"
        elif self.separator == ",":
            msg += " (numbers with a decimal comma must be quoted)"
        raise ValueError(msg)

    def number(self, row: list[str], at: int) -> float:
        """Return a field's number, NaN if it is missing; raise :class:`ValueError` if it is not a number."""
        return number_in(row[at], self._names[at], self._decimal)

    def numbers(self, block: FieldBlock, at: int) -> F64:
        """Return the numbers of a column of ``block``, with the same result as :meth:`number` for each field."""
        values, others = block.numbers(at, self._decimal.encode())
        for row in others.tolist():
            values[row] = number_in(block.text(at, row), self._names[at], self._decimal)
        return values

    def _place(self, path: Path, name: str) -> int:
        n_found = self._names.count(name)
        if n_found == 1:
            return self._names.index(name)
        if n_found > 1:
            raise SourceError(path, f"has {n_found} columns of the name {name!r}: rename all but one", 1)
        fix = ""
        if len(self._names) == 1:
            fix = f": is {self.separator!r} the separator (--separator), and the header the first line?"
        if all(one[:1] in "0123456789+-." for one in self._names):
            fix = ": the first line must be a header with the names of the columns"
        raise SourceError(path, f"has no column {name!r} among {', '.join(map(quoted, self._names))}{fix}", 1)
