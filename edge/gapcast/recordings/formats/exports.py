"""Reads exports of Home Assistant and InfluxDB: recognized by their header, one series chosen by name."""

from __future__ import annotations

import csv
import hashlib
import re
from array import array
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from gapcast.core.documents.message_format import listed
from gapcast.core.errors import SourceError
from gapcast.recordings.formats import home_assistant, influxdb
from gapcast.recordings.formats.export_kind import ExportKind, ExportRow, SeriesName
from gapcast.recordings.text.fields import PER_KW, is_counter, number_in, separator_of, unit_in
from gapcast.recordings.text.layout import FileFormat, Unit
from gapcast.recordings.text.table import ExportedSeries, Table
from gapcast.recordings.text.text_file import decoded, lines, open_text, quoted
from gapcast.recordings.text.timestamps import LOCAL, TimestampParser

KINDS = (home_assistant.HISTORY, home_assistant.STATISTICS, influxdb.ANNOTATED, influxdb.INFLUXQL)
#: Time format of statistics, as written by integrations for Home Assistant.
_DAY_FIRST = re.compile(r"\d\d\.\d\d\.\d{4} \d\d:\d\d")
_DAY_FIRST_FORM = "%d.%m.%Y %H:%M"
#: Maximum number of series that an error lists.
_MAX_LISTED = 20


class Detected(NamedTuple):
    """The kind of an export, and the separator of its fields."""

    kind: ExportKind
    separator: str


def detect(path: Path) -> Detected | None:
    """Return the kind of export at ``path`` by its first line, or None."""
    try:
        with open_text(path) as (stream, _):
            texts = decoded(path, lines(stream, lambda _: None, lambda _: None))
            header = next((text for text in texts if text.strip()), "")
        separator = separator_of(header)
        names = [name.strip().lower() for name in next(csv.reader([header], delimiter=separator), [])]
    except (SourceError, csv.Error):
        return None  # the reader of another format reports it
    return next((Detected(kind, separator) for kind in KINDS if names and kind.matches(names)), None)


def read(path: Path, detected: Detected, form: FileFormat, *, progress: bool = False) -> Table:
    """Read the series ``form.entity`` of the export at ``path``, or its only series, in one pass.

    Raises :class:`SourceError`, with the line if there is one, if the file cannot be used, or holds several series and
    ``form`` names none.
    """
    kind, digest = detected.kind, hashlib.sha256()
    selection = _Selection(path, form.entity, form.zone)
    with (
        open_text(path) as (stream, n_bytes),
        tqdm(total=n_bytes, unit="B", unit_scale=True, desc=f"reading {path.name}", disable=not progress) as bar,
    ):
        texts = decoded(path, lines(stream, digest.update, bar.update))
        rows = csv.reader(texts, delimiter=detected.separator)
        try:
            for row in kind.rows(rows):
                selection.add(row, rows.line_num)
        except (ValueError, OverflowError, csv.Error) as error:
            raise SourceError(path, str(error), rows.line_num) from error
    name, values = selection.result()
    if unit_in(name.unit) is None and is_counter(np.array(values.value)):
        raise SourceError(path, f"{name.label} only rises, like an energy counter: choose a sensor of power")
    unit = _unit_of(path, name, form)
    instant_ms = np.array(values.instant_ms)
    try:
        left_out = kind.check(instant_ms)
    except ValueError as error:
        raise SourceError(path, str(error)) from error
    used = slice(left_out.n_rows, None)
    return Table(
        path=path,
        source=f"{path.name}, {name.label} ({unit}), {kind.name}",
        sha256=digest.hexdigest(),
        instant_ms=instant_ms[used],
        gap_kw=np.array(values.value)[used] / PER_KW[unit],
        line=np.array(values.line)[used],
        each_minute=False,
        time_kind=values.time_kind,
        hold_min=kind.hold_min,
        remarks=(left_out.remark,) if left_out.remark else (),
        exported=ExportedSeries(kind.label_kind or kind.name, name.label) if any(name.names) else None,
    )


@dataclass(slots=True)
class _Values:
    """The rows of a series, or the first error among them, with its line."""

    zone: tzinfo | None
    instant_ms: array[int] = field(default_factory=lambda: array("q"))
    value: array[float] = field(default_factory=lambda: array("d"))
    line: array[int] = field(default_factory=lambda: array("q"))
    clock: TimestampParser | None = None
    error: tuple[str, int] | None = None

    def add(self, row: ExportRow, line: int) -> None:
        """Add a row; after an error, rows are ignored."""
        if self.error is not None:
            return
        if self.clock is None:
            self.clock = TimestampParser(self.zone, _DAY_FIRST_FORM if _DAY_FIRST.fullmatch(row.time) else None)
        try:
            instant_ms, value = self.clock.instant_ms(row.time), number_in(row.value, row.series.label)
        except (ValueError, OverflowError) as error:
            self.error = str(error), line
            return
        self.instant_ms.append(instant_ms)
        self.value.append(value)
        self.line.append(line)

    @property
    def time_kind(self) -> str:
        """The kind of the timestamps, for reports."""
        kind = self.clock.kind if self.clock is not None else ""
        return kind + (f", in {self.zone}" if kind == LOCAL else "")


class _Selection:
    """The series of an export, and the values of the selected one."""

    def __init__(self, path: Path, words: str | None, zone: tzinfo | None) -> None:
        self._path, self._words, self._zone = path, words, zone
        self._series: dict[SeriesName, _Values | None] = {}  # None: not selected

    def add(self, row: ExportRow, line: int) -> None:
        """Add a row. Without a name, only the first series can be selected."""
        if row.series not in self._series:
            is_selected = not self._series if self._words is None else row.series.is_selected_by(self._words)
            self._series[row.series] = _Values(self._zone) if is_selected else None
        if (values := self._series[row.series]) is not None:
            values.add(row, line)

    def result(self) -> tuple[SeriesName, _Values]:
        """Return the selected series; raise :class:`SourceError` unless exactly one is selected, without an error."""
        if not self._series:
            raise SourceError(self._path, "holds a header and no values")
        selected = [(name, values) for name, values in self._series.items() if values is not None]
        series = listed(sorted(name.label for name in self._series), _MAX_LISTED)
        if self._words is None and len(self._series) > 1:
            raise SourceError(self._path, f"holds {len(self._series)} series: choose one by --entity: {series}")
        if not selected:
            raise SourceError(self._path, f"has no --entity {quoted(self._words or '')}; it holds: {series}")
        if len(selected) > 1:
            problem = f"--entity {quoted(self._words or '')} names {len(selected)} series: add a word that only one has"
            raise SourceError(self._path, f"{problem}; it holds: {series}")
        (found,) = selected
        if found[1].error is not None:
            raise SourceError(self._path, *found[1].error)
        return found


def _unit_of(path: Path, name: SeriesName, form: FileFormat) -> Unit:
    """Return the unit of a series: the stated one, else the export's."""
    stated = form.unit or unit_in(name.unit)
    if stated is not None:
        return stated
    if name.unit:
        problem = f"{name.label} is in {name.unit}: choose a power in W or kW, or state its unit by --unit"
        raise SourceError(path, problem)
    raise SourceError(path, f"does not state whether {name.label} is in W or kW: use --unit")
