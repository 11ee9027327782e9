"""Reads the CSV of any meter: a header that names the columns, and a time and a power in each row."""

from __future__ import annotations

import csv
import hashlib
from array import array
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gapcast.core.errors import SourceError
from gapcast.core.submeters import measured_name
from gapcast.recordings.fields import PER_KW, number_in, power_unit, separator_of
from gapcast.recordings.layout import Layout
from gapcast.recordings.table import Table
from gapcast.recordings.text_file import decoded, lines, open_text, quoted
from gapcast.recordings.timestamps import LOCAL, TimestampParser


def read(path: Path, layout: Layout, *, progress: bool = False) -> Table:
    """Read the CSV at ``path`` (UTF-8; plain, gzipped, or the only file in a zip) in one pass.

    Raises :class:`SourceError`, with the line, at the first row that does not match ``layout``.
    """
    digest = hashlib.sha256()
    with (
        open_text(path) as (stream, n_bytes),
        tqdm(total=n_bytes, unit="B", unit_scale=True, desc=f"reading {path.name}", disable=not progress) as bar,
    ):
        texts = decoded(path, lines(stream, digest.update, bar.update))
        columns = _Columns(path, next(texts, ""), layout)
        clock = TimestampParser(layout.zone, layout.time_format)
        instant_ms, line, values = array("q"), array("q"), tuple(array("d") for _ in columns.value_at)
        rows = csv.reader(texts, delimiter=columns.separator)
        try:
            for row in rows:
                if row:
                    columns.check(row)
                    instant_ms.append(clock.instant_ms(row[columns.time_at].strip()))
                    line.append(rows.line_num + 1)  # plus the header
                    for at, column in zip(columns.value_at, values, strict=True):
                        column.append(columns.number(row, at))
        except (ValueError, OverflowError, csv.Error) as error:
            raise SourceError(path, str(error), rows.line_num + 1) from error
    if not instant_ms:
        raise SourceError(path, "holds a header and no readings")
    power, *others = (np.array(column) for column in values)
    powers_kw = [values / PER_KW[columns.unit] for values in others[len(layout.features) :]]
    submeters = dict(zip(map(measured_name, layout.submeters), powers_kw, strict=True))
    return Table(
        path=path,
        source=f"{path.name}, column {layout.value_column} ({columns.unit_label})",
        sha256=digest.hexdigest(),
        instant_ms=np.array(instant_ms),
        gap_kw=power / PER_KW[columns.unit],
        line=np.array(line),
        extra={**dict(zip(layout.features, others, strict=False)), **submeters},
        each_minute=False,
        time_kind=clock.kind + (f", in {layout.zone}" if clock.kind == LOCAL else ""),
    )


class _Columns:
    """Positions of a layout's columns in the header, and conversion of their fields."""

    def __init__(self, path: Path, header: str, layout: Layout) -> None:
        if not header.strip():
            raise SourceError(path, "is empty, or its first line is: a header must name the columns", 1)
        self.separator = layout.separator or separator_of(header)
        self._decimal = layout.decimal
        try:
            self._names = [name.strip() for name in next(csv.reader([header], delimiter=self.separator))]
        except csv.Error as error:
            raise SourceError(path, str(error), 1) from error
        value_columns = (layout.value_column, *layout.features.values(), *layout.submeters)
        self.time_at, *self.value_at = (self._place(path, name) for name in (layout.time_column, *value_columns))
        found = power_unit(layout.value_column, layout.unit, layout.default_unit)
        if found is None:
            msg = f"does not state whether {layout.value_column!r} is in W or kW: use --unit"
            raise SourceError(path, msg, 1)
        self.unit, self.unit_label = found

    def check(self, row: list[str]) -> None:
        """Raise :class:`ValueError` if a row has more or fewer fields than the header."""
        if len(row) == len(self._names):
            return
        msg = (
            f"has {len(row)} fields separated by {self.separator!r}, but the header has {len(self._names)}: "
            f"{quoted(self.separator.join(row))}"
        )
        if self.separator == ",":
            msg += " (numbers with a decimal comma must be quoted)"
        raise ValueError(msg)

    def number(self, row: list[str], at: int) -> float:
        """Return a field's number, NaN if it is missing; raise :class:`ValueError` if it is not a number."""
        return number_in(row[at], self._names[at], self._decimal)

    def _place(self, path: Path, name: str) -> int:
        n_found = self._names.count(name)
        if n_found == 1:
            return self._names.index(name)
        if n_found > 1:
            raise SourceError(path, f"has {n_found} columns of the name {name!r}: rename all but one", 1)
        fix = f": is {self.separator!r} the separator? (--separator)" if len(self._names) == 1 else ""
        raise SourceError(path, f"has no column {name!r} among {', '.join(map(quoted, self._names))}{fix}", 1)
