"""Reads readings from a CSV file: in the UCI format, or any with a time and a value column."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple, TextIO

from gapcast.core.errors import PayloadError, SettingsError, SourceError
from gapcast.core.grid import minute_of
from gapcast.core.reading import Limits, in_range, instant_of, power_of

Unit = Literal["W", "kW"]

_UCI_COLUMNS = ["Date", "Time", "Global_active_power"]
_EPOCH = re.compile(r"\d+(\.\d+)?", re.ASCII)
_MISSING = frozenset({"", "?", "nan", "NaN", "NA", "null"})
#: Errors of a damaged or foreign file; an encrypted zip, or one with an unknown compression, raises RuntimeError.
_UNREADABLE = (OSError, EOFError, RuntimeError, UnicodeDecodeError, csv.Error, zipfile.BadZipFile, zlib.error)
_KW_PER = {"kW": 1.0, "W": 0.001}


@dataclass(frozen=True, slots=True)
class CsvColumns:
    """Time column, power column, and unit of a file. Without names: the UCI format."""

    time: str | None = None
    value: str | None = None
    unit: Unit = "kW"


class Minute(NamedTuple):
    """A row of a file: a minute since the epoch, and its power, kW."""

    minute: int
    gap_kw: float


#: Reads a row's time (epoch ms) and power (kW); None if the value is missing.
_ReadRow = Callable[[list[str]], tuple[int, float] | None]


def read_minutes(path: Path, columns: CsvColumns, limits: Limits) -> Iterator[Minute]:
    """Yield the readings of a CSV file (plain, .gz or .zip) in the file's order; missing values are omitted.

    UCI timestamps have no time zone and are read as UTC. Raises :class:`SourceError`, naming the line and the value, if
    the file cannot be used.
    """
    with _opened(path) as text:
        first = text.readline()
        if not first.strip():
            raise SourceError(path, 1, "the file is empty, or its first line is")
        delimiter = max(",;\t", key=first.count)
        header = [name.strip() for name in next(csv.reader([first.removeprefix("\ufeff")], delimiter=delimiter))]
        read_row = _reader(path, header, columns)
        for line, row in enumerate(csv.reader(text, delimiter=delimiter), start=2):
            if not row:
                continue
            try:
                found = read_row(row)
                if found is not None:
                    yield Minute(minute_of(found[0]), power_of(found[1], limits))
            except IndexError as error:
                raise SourceError(path, line, f"has {len(row)} columns where the header has {len(header)}") from error
            except PayloadError as error:
                hint = " (use --unit W for a file in watts)" if error.reason == "out_of_range" else ""
                raise SourceError(path, line, error.detail + hint) from error
            except (ValueError, OverflowError) as error:
                raise SourceError(path, line, f"{delimiter.join(row)[:80]!r} cannot be read: {error}") from error


def _reader(path: Path, header: list[str], columns: CsvColumns) -> _ReadRow:
    if columns.time is None and columns.value is None:
        if header[:3] != _UCI_COLUMNS:
            found = ", ".join(header[:8])
            cure = "name them with --time-column and --value-column"
            raise SourceError(path, 1, f"the columns ({found}) are not those of UCI's household file: {cure}")
        return _read_uci
    for option, name in (("--time-column", columns.time), ("--value-column", columns.value)):
        if name is None:
            raise SourceError(path, 1, f"name the other column too, by {option}: there are {', '.join(header)}")
        if name not in header:
            raise SourceError(path, 1, f"{option}: there is no column {name!r} among {', '.join(header)}")
    at_time, at_value = header.index(str(columns.time)), header.index(str(columns.value))
    kw_per_unit = _KW_PER[columns.unit]

    def read(row: list[str]) -> tuple[int, float] | None:
        value = row[at_value].strip()
        return None if value in _MISSING else (_instant(row[at_time].strip()), float(value) * kw_per_unit)

    return read


def _read_uci(row: list[str]) -> tuple[int, float] | None:
    if row[2] in _MISSING:
        return None
    day, month, year = row[0].split("/")
    hour, minute, second = row[1].split(":")
    when = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    return in_range(int(when.timestamp()) * 1_000, f"{row[0]} {row[1]}"), float(row[2])


def _instant(timestamp: str) -> int:
    """Parse a timestamp to epoch ms: an epoch number, or a date and time (UTC if it has no offset)."""
    if _EPOCH.fullmatch(timestamp):
        return instant_of(float(timestamp))
    when = datetime.fromisoformat(timestamp)
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return instant_of(when.timestamp())


def minute_at(option: str, timestamp: str) -> int:
    """Return the minute (since the epoch) of an option's ISO time, UTC if it has no offset.

    Raises :class:`SettingsError` if it is invalid.
    """
    try:
        when = datetime.fromisoformat(timestamp)
    except ValueError as error:
        msg = f"{option} {timestamp!r} is not a time like 2010-11-01T00:00 ({error})"
        raise SettingsError(msg) from error
    return minute_of(int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1_000))


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
                yield text
        elif path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
                if len(names) != 1:
                    raise SourceError(path, None, f"the archive must hold one file, not {len(names)}")
                with archive.open(names[0]) as raw:
                    yield io.TextIOWrapper(raw, encoding="utf-8", newline="")
        else:
            with path.open(encoding="utf-8", newline="") as text:
                yield text
    except _UNREADABLE as error:
        raise SourceError(path, None, f"cannot be read: {error}") from error
