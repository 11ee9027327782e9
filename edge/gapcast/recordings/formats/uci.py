"""Reads UCI's "Individual household electric power consumption" data set.

A zip with ``household_power_consumption.txt``, or that text itself: fields separated by ``;``,
day/month/year, ``?`` for a missing value, CRLF or LF. Times have no offset and no
daylight-saving jumps; they are interpreted as UTC.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from codecs import BOM_UTF8
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from tqdm import tqdm

from gapcast.core.arrays.array_types import F64
from gapcast.core.errors import SourceError
from gapcast.core.readings.submeters import is_submeter, measured_name
from gapcast.recordings.text.field_block import FieldBlock
from gapcast.recordings.text.field_times import seconds_of_day
from gapcast.recordings.text.table import Table
from gapcast.recordings.text.text_file import blocks, lines_of, open_text, quoted

SOURCE = (
    "UCI Individual household electric power consumption, Hebrail and Berard 2012, "
    "doi 10.24432/C58K54, CC BY 4.0 (household_power_consumption.txt)"
)
TIME_KIND = "a time without an offset or daylight-saving jumps, read as UTC"
MEMBER = "household_power_consumption.txt"
COLUMNS = (
    "Date", "Time", "Global_active_power", "Global_reactive_power", "Voltage",
    "Global_intensity", "Sub_metering_1", "Sub_metering_2", "Sub_metering_3",
)  # fmt: skip
V = TypeVar("V")
#: Number of rows and of missing readings of the complete set as published.
N_ROWS, N_MISSING = 2_075_259, 25_979
MEAN_KW = 1.0916150365
_MEAN_TOLERANCE_KW = 1e-9
URL = "https://archive.ics.uci.edu/static/public/235/individual+household+electric+power+consumption.zip"
_HEADER = ";".join(COLUMNS).encode()
_GAP = COLUMNS.index("Global_active_power")
#: gapcast's names, which contain the units, of the columns from there on.
_FEATURES = ("gap_kw", "reactive_kvar", "voltage_v", "current_a")
#: Names of the submeters, whose values are watt-hours per minute, and kW per watt-hour and minute.
_SUBMETERS = tuple(name.lower() for name in COLUMNS[_GAP + len(_FEATURES) :])
_KW_PER_WH = 0.06
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]*)?")  # `float` alone would let nan, inf, 1e9 and 1_000 pass
_MISSING = ("?", "")
#: Characters of the longest date.
_DATE_WIDTH = len("31/12/2006")


def read(path: Path, *, submeters: bool = False, progress: bool = False) -> Table:
    """Read power, reactive power, voltage and current from the zip or text at ``path``, and ``submeters`` if requested.

    Raises :class:`SourceError` at the first line in another format, or if the file lacks requested columns.
    """
    digest = hashlib.sha256()
    wanted = (*_FEATURES, *map(measured_name, _SUBMETERS if submeters else ()))
    with (
        open_text(path, MEMBER) as (stream, n_bytes),
        tqdm(total=n_bytes, unit="B", unit_scale=True, desc=f"reading {path.name}", disable=not progress) as bar,
    ):
        rest = blocks(stream, digest.update, bar.update)
        header, ends, data = next(rest, b"").partition(b"\n")
        names = _header(path, header.removeprefix(BOM_UTF8).rstrip(b"\r"))
        features = wanted[: len(names) - _GAP]
        if submeters and len(features) < len(wanted):
            raise SourceError(path, f"has no {', '.join(COLUMNS[len(names) :])}: leave out --submeters", 1)
        rows = _Rows(path, len(names), len(features))
        for block in chain([data] if ends else [], rest):
            if not rows.add_block(block):
                rows.add_lines(block)
    if not rows.second:
        raise SourceError(path, "holds a header and no readings")
    instant_ms = np.array(rows.second) * 1_000
    gap_kw, *others = (np.array(column) for column in rows.columns)
    extra = dict(zip(features[1:], others, strict=False))
    for name in filter(is_submeter, extra):
        extra[name] = extra[name] * _KW_PER_WH
    row_line = np.arange(2, instant_ms.size + 2)
    return Table(path, SOURCE, digest.hexdigest(), instant_ms, gap_kw, row_line, extra, time_kind=TIME_KIND)


def completeness(n_rows: int, n_missing: int) -> str:
    """Return a sentence on whether a table is the complete set, judged by its rows and its rows without a value."""
    if (n_rows, n_missing) == (N_ROWS, N_MISSING):
        return "this is the whole set: rows and missing readings are as many as were published"
    return (
        f"this is not the whole set: {n_rows:,} rows with {n_missing:,} missing readings, "
        f"of {N_ROWS:,} with {N_MISSING:,} as published"
    )


def check_whole(path: Path, *, progress: bool = False) -> None:
    """Raise :class:`SourceError` unless ``path`` is the complete set, judged by its counts and its mean power."""
    table = read(path, progress=progress)
    mean_kw = float(np.nanmean(table.gap_kw))
    n_rows, n_missing = table.gap_kw.size, int(np.isnan(table.gap_kw).sum())
    if (n_rows, n_missing) != (N_ROWS, N_MISSING):
        raise SourceError(path, completeness(n_rows, n_missing))
    if abs(mean_kw - MEAN_KW) > _MEAN_TOLERANCE_KW:
        problem = f"this is not the set as published: its mean power is {mean_kw:.10f} kW, not {MEAN_KW:.10f} kW"
        raise SourceError(path, problem)


class _Rows:
    """The rows of a file so far: their times, s since the epoch, and the first ``n_kept`` of the numbers."""

    def __init__(self, path: Path, n_fields: int, n_kept: int) -> None:
        self._path, self._n_fields = path, n_fields
        self._n_lines = 1  # the header
        self._empty_line = 0  # the first one, which may only be at the end; 0: none
        self.second, self.columns = array("q"), tuple(array("d") for _ in range(n_kept))
        self._day_of, self._second_of = _CachedParser(_parse_date), _CachedParser(_parse_time)
        self._number_of = _CachedParser(_parse_number)

    def add_block(self, text: bytes) -> bool:
        """Add the rows of a block of lines if all are plain; return whether they are. Otherwise nothing changes."""
        block = None if self._empty_line else FieldBlock.try_parse(text, b";", self._n_fields)
        days = None if block is None else block.runs(0, _DATE_WIDTH)
        second = None if block is None else seconds_of_day(block, 1)
        if block is None or days is None or second is None:
            return False
        first, run_of = days
        try:
            day = np.array([self._day_of[block.text(0, row).encode()] for row in first.tolist()])[run_of]
            numbers = [self._numbers(block, column) for column in range(_GAP, self._n_fields)]
        except ValueError:
            return False  # reading line by line finds its line
        self.second.frombytes((day + second).tobytes())
        for column, values in zip(self.columns, numbers, strict=False):  # without the submeters unless requested
            column.frombytes(values.tobytes())
        self._n_lines += len(block)
        return True

    def _numbers(self, block: FieldBlock, column: int) -> F64:
        values, others = block.numbers(column)
        for row in others.tolist():
            values[row] = self._number_of[block.text(column, row).encode()]
        return values

    def add_lines(self, block: bytes) -> None:
        """Add the rows of a block, line by line; raise :class:`SourceError`, with the line, if one is invalid."""
        for line in lines_of(block):
            self._n_lines += 1
            if not line:
                self._empty_line = self._empty_line or self._n_lines
                continue
            if self._empty_line:
                raise SourceError(self._path, _wrong_count(b"", 1, self._n_fields), self._empty_line)
            fields = line.split(b";")
            if len(fields) != self._n_fields:
                raise SourceError(self._path, _wrong_count(line, len(fields), self._n_fields), self._n_lines)
            try:
                self.second.append(self._day_of[fields[0]] + self._second_of[fields[1]])
                numbers = [self._number_of[field] for field in fields[_GAP:]]  # all, so that a broken row is detected
            except ValueError as error:
                raise SourceError(self._path, _wrong_field(fields, error), self._n_lines) from error
            for column, value in zip(self.columns, numbers, strict=False):
                column.append(value)


class _CachedParser(dict[bytes, V], Generic[V]):
    """A parser with a cache: millions of rows have only a few thousand different texts."""

    def __init__(self, parse: Callable[[str], V]) -> None:
        super().__init__()
        self._parse = parse

    def __missing__(self, field: bytes) -> V:
        self[field] = value = self._parse(field.decode("ascii"))
        return value


def _parse_date(text: str) -> int:
    return int(datetime.strptime(text, "%d/%m/%Y").replace(tzinfo=UTC).timestamp())


def _parse_time(text: str) -> int:
    time = datetime.strptime(text, "%H:%M:%S").replace(tzinfo=UTC)
    return time.hour * 3_600 + time.minute * 60 + time.second


def _parse_number(text: str) -> float:
    """Return a number, NaN if it is missing."""
    if text in _MISSING:
        return np.nan
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return float(text)


def _header(path: Path, line: bytes) -> list[str]:
    """Return the columns of a file: all of the set, or its first ones, up to the power or further."""
    names = line.decode("utf-8", "replace").split(";")
    if len(names) > _GAP and names == list(COLUMNS[: len(names)]):
        return names
    if not line:
        raise SourceError(path, "is empty" if path.stat().st_size == 0 else "has no header", None)
    problem = (
        "is not UCI's household set, nor an export of Home Assistant or InfluxDB: "
        f"name its columns by --time-column and --value-column (found {quoted(line)})"
    )
    for separator, name in ((b",", "','"), (b"\t", "tabs")):
        if line.replace(separator, b";") == _HEADER:
            problem = f"is not UCI's household set as published: its fields are separated by {name}, not ';'"
    raise SourceError(path, problem, 1)


def _wrong_count(line: bytes, n_fields: int, n_columns: int) -> str:
    return f"has {n_fields} fields separated by ';', not {n_columns}: {quoted(line)}"


def _wrong_field(fields: list[bytes], error: ValueError) -> str:
    for column, parse, form in (
        (0, _parse_date, "a date as day/month/year"),
        (1, _parse_time, "a time as hours:minutes:seconds"),
        *((column, _parse_number, "a number or '?'") for column in range(_GAP, len(COLUMNS))),
    ):
        try:
            parse(fields[column].decode("ascii"))
        except ValueError:
            return f"{COLUMNS[column]} is {quoted(fields[column])}, not {form}"
    return str(error)
