"""Reads the CSV of any meter: a header that names the columns, and a time and a power in each row."""

from __future__ import annotations

import csv
import hashlib
import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from gapcast.core.features import GAP, MEASURED
from gapcast_trainer.datasets.stamps import TimestampParser
from gapcast_trainer.datasets.table import Table
from gapcast_trainer.datasets.text import BLOCK_BYTES, lines, open_text, quoted
from gapcast_trainer.errors import DatasetError

Unit = Literal["W", "kW"]
#: Names of the other measured features.
FEATURES = tuple(name for name in MEASURED if name != GAP)

_PER_KW: Mapping[Unit, float] = {"W": 1_000.0, "kW": 1.0}
_UNIT_AT_END = re.compile(r"(?:^|[^a-z])(k?w)[^a-z]*$", re.IGNORECASE)  # power_w, gap_kw, Power (kW)
_SEPARATORS = ",;\t|"
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", re.ASCII)  # `float` alone would let 1_000 pass
_COMMA_IS_POINT = str.maketrans(",.", ".,")
_MISSING = frozenset({"", "?", "nan", "NaN", "NA", "null", "unknown", "unavailable"})


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a file.

    ``unit`` None: the name of the value's column must contain it. ``separator`` None: the most frequent one of
    ``, ; | tab`` in the header. ``zone`` and ``time_format`` are those of
    :class:`~gapcast_trainer.datasets.stamps.TimestampParser`.
    ``features`` are columns by the names of :data:`FEATURES`, in the units in these names.
    """

    time_column: str
    value_column: str
    unit: Unit | None = None
    separator: str | None = None
    decimal: Literal[".", ","] = "."
    time_format: str | None = None
    zone: tzinfo | None = None
    features: Mapping[str, str] = field(default_factory=dict)


def unit_in(name: str) -> Unit | None:
    """Return the unit that a column's name ends with, or None.

    >>> unit_in("aggregate_w"), unit_in("Power (kW)"), unit_in("power"), unit_in("energy_kwh"), unit_in("low")
    ('W', 'kW', None, None, None)
    """
    found = _UNIT_AT_END.search(name)
    return None if found is None else "kW" if len(found[1]) > 1 else "W"


def read(path: Path, layout: Layout, *, progress: bool = False) -> Table:
    """Read the CSV at ``path`` (UTF-8; plain, gzipped, or the only file in a zip) in one pass.

    Raises :class:`DatasetError`, with the line, at the first row that does not match ``layout``.
    """
    digest = hashlib.sha256()
    with (
        open_text(path) as (stream, n_bytes),
        tqdm(total=n_bytes, unit="B", unit_scale=True, desc=f"reading {path.name}", disable=not progress) as bar,
    ):
        texts = _decoded(path, lines(stream, digest.update, bar.update))
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
        except (ValueError, csv.Error) as error:
            raise DatasetError(path, str(error), rows.line_num + 1) from error
    if not instant_ms:
        raise DatasetError(path, "holds a header and no readings")
    power, *others = (np.array(column) for column in values)
    return Table(
        path=path,
        source=f"{path.name}, column {layout.value_column} ({columns.unit})",
        sha256=digest.hexdigest(),
        instant_ms=np.array(instant_ms),
        gap_kw=power / _PER_KW[columns.unit],
        line=np.array(line),
        extra=dict(zip(layout.features, others, strict=True)),
        each_minute=False,
    )


class _Columns:
    """Positions of a layout's columns in the header, and conversion of their fields."""

    def __init__(self, path: Path, header: str, layout: Layout) -> None:
        if not header.strip():
            raise DatasetError(path, "is empty, or its first line is: a header must name the columns", 1)
        self.separator = layout.separator or max(_SEPARATORS, key=header.count)
        self._decimal = layout.decimal
        self._names = [name.strip() for name in next(csv.reader([header], delimiter=self.separator))]
        value_columns = (layout.value_column, *layout.features.values())
        self.time_at, *self.value_at = (self._place(path, name) for name in (layout.time_column, *value_columns))
        self.unit = layout.unit or self._stated_unit(path, layout.value_column)

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
        text = row[at].strip()
        if text in _MISSING:
            return np.nan
        plain = text if self._decimal == "." else text.translate(_COMMA_IS_POINT)
        if not _NUMBER.fullmatch(plain):
            other = "," if self._decimal == "." else "."
            fix = f" with the decimal sign {self._decimal!r} (--decimal names another)" if other in text else ""
            msg = f"{self._names[at]} is {quoted(text)}, not a number{fix}"
            raise ValueError(msg)
        return float(plain)

    def _place(self, path: Path, name: str) -> int:
        n_found = self._names.count(name)
        if n_found == 1:
            return self._names.index(name)
        if n_found > 1:
            raise DatasetError(path, f"has {n_found} columns of the name {name!r}: rename all but one", 1)
        fix = f": is {self.separator!r} the separator? (--separator)" if len(self._names) == 1 else ""
        raise DatasetError(path, f"has no column {name!r} among {', '.join(map(quoted, self._names))}{fix}", 1)

    @staticmethod
    def _stated_unit(path: Path, name: str) -> Unit:
        unit = unit_in(name)
        if unit is None:
            raise DatasetError(path, f"does not state whether {name!r} is in W or kW: use --unit", 1)
        return unit


def _decoded(path: Path, found: Iterator[bytes]) -> Iterator[str]:
    for number, line in enumerate(found, 1):
        if len(line) > BLOCK_BYTES:
            raise DatasetError(path, "is longer than any line of readings: is it a text?", number)
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DatasetError(path, f"is not UTF-8 text: {quoted(line)}", number) from error
