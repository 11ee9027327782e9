"""A single reader of users' files: converts any supported format to one value per minute, as the gateway would."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.documents.message_format import counted
from gapcast.core.errors import SettingsError, SourceError
from gapcast.core.meters.plausibility import plausibility_warning
from gapcast.core.readings.reading import Limits
from gapcast.core.readings.submeters import MAX_AGE_MIN, name_of
from gapcast.core.time_grid import EARLIEST_MS, LATEST_MS, local_label, minute_of
from gapcast.recordings.formats import clean_file, exports, meter_csv, uci
from gapcast.recordings.minutes.report import Report
from gapcast.recordings.minutes.series import LIMITS, Series, minute_series
from gapcast.recordings.text.layout import NO_OPTIONS, FileFormat
from gapcast.recordings.text.table import ExportedSeries

_PARQUET_BEGINS = b"PAR1"
_UCI_OR_PARQUET = FileFormat()
_STANDARD_INPUT = Path("-")
#: From this interval between samples on, several consecutive minutes have the same power.
_COARSE_S = 120.0


class Minute(NamedTuple):
    """A minute since the epoch, its mean power, kW, and whether nothing was measured for most of it."""

    minute: int
    gap_kw: float
    is_filled: bool = False


class RecordingMinutes(Iterator[Minute]):
    """The minutes of one house in order, one by one, or many at a time as columns."""

    def __init__(self, minutes: I64, gap_kw: F64, is_filled: NDArray[np.bool_]) -> None:
        """Iterate over ``minutes`` ``[N]``, rising, with their power and whether they are filled, each ``[N]``."""
        self._columns = minutes, gap_kw, is_filled
        self._at = 0
        self._one_by_one: Iterator[Minute] | None = None

    def __len__(self) -> int:
        """Return the number of remaining minutes."""
        return len(self._columns[0]) - self._at

    def __next__(self) -> Minute:
        """Return the next minute."""
        if self._one_by_one is None:
            self._one_by_one = map(Minute, *(column[self._at :].tolist() for column in self._columns))
        minute = next(self._one_by_one)
        self._at += 1
        return minute

    def first(self, n: int | None) -> RecordingMinutes:
        """Return at most the next ``n`` minutes (None: all)."""
        minutes, gap_kw, is_filled = self._columns
        part = slice(self._at, None if n is None else self._at + n)
        return RecordingMinutes(minutes[part], gap_kw[part], is_filled[part])

    @property
    def bounds(self) -> tuple[int, int]:
        """The first and the last remaining minute; there must be at least one."""
        minutes = self._columns[0]
        return int(minutes[self._at]), int(minutes[-1])

    def shifted(self, n_min: int) -> RecordingMinutes:
        """Return the remaining minutes, shifted by ``n_min`` minutes."""
        minutes, gap_kw, is_filled = self._columns
        return RecordingMinutes(minutes[self._at :] + n_min, gap_kw[self._at :], is_filled[self._at :])

    def take(self, n: int) -> tuple[I64, F64, NDArray[np.bool_]]:
        """Return at most the next ``n`` minutes, their power and whether they are filled, and advance past them."""
        first, self._at = self._at, min(self._at + n, len(self._columns[0]))
        self._one_by_one = None
        minutes, gap_kw, is_filled = self._columns
        taken = slice(first, self._at)
        return minutes[taken], gap_kw[taken], is_filled[taken]


@dataclass(frozen=True, slots=True)
class Recording:
    """A file of one household: its minutes, its report, and the kind of its timestamps.

    ``remarks`` are sentences on how the file was read. ``holds_changes``: each value holds until the next one, because
    of the format or ``--hold``. ``exported`` is the series of an export that names it.
    """

    path: Path
    series: Series
    report: Report
    time_kind: str
    remarks: tuple[str, ...] = ()
    holds_changes: bool = False
    exported: ExportedSeries | None = None

    def minutes(self, first_minute: int | None = None) -> RecordingMinutes:
        """Return the minutes that have a value, from ``first_minute`` on."""
        start = 0 if first_minute is None else max(0, first_minute - self.series.first_minute)
        gap_kw = self.series.gap_kw[start:]
        present = np.flatnonzero(~np.isnan(gap_kw)).astype(np.int64)
        is_filled = np.isnan(self.series.outcome_kw[start:][present])
        return RecordingMinutes(present + (self.series.first_minute + start), gap_kw[present], is_filled)

    @property
    def submeters(self) -> tuple[str, ...]:
        """The names of the submeters."""
        return tuple(map(name_of, self.series.submeters))

    def submeters_kw(self, minute: int) -> dict[str, float]:
        """Return the known powers of submeters in ``minute``, by their keys in ``Reading.measured``."""
        at = minute - self.series.first_minute
        powers_kw = ((name, float(values[at])) for name, values in self.series.submeters.items())
        return {name: kw for name, kw in powers_kw if not math.isnan(kw)}

    def with_newest_submeters(self) -> Recording:
        """Return the recording in which a submeter's power is the newest one of at most :data:`MAX_AGE_MIN` before.

        The service attaches these powers to readings.
        """
        newest = {name: values.copy() for name, values in self.series.submeters.items()}
        for name, values in self.series.submeters.items():
            for age_min in range(1, MAX_AGE_MIN + 1):
                later = newest[name][age_min:]
                np.copyto(later, values[:-age_min], where=np.isnan(later))
        return replace(self, series=replace(self.series, submeters=newest))

    def lines(self, zone: tzinfo) -> list[str]:
        """Return a description of the file for a terminal; times are in ``zone``."""
        report, series = self.report, self.series
        first, last = (local_label(minute, zone) for minute in (series.first_minute, series.last_minute))
        remarks = (*report.ignored_lines(), *self._unit_remarks(), *self._remarks(), *self._zone_remarks(zone))
        return [
            f"{self.path.name}: {report.n_rows:,} rows, {report.sampling}",
            f"  source: {report.source}; each timestamp is {self.time_kind}",
            f"  {report.n_minutes:,} minutes from {first} to {last} ({zone}), {report.n_missing:,} of them missing "
            f"in {counted(report.n_gaps, 'gap')}"
            + (f", the longest {report.longest_gap_min:,} min" if report.n_gaps else ""),
            f"  {report.min_kw:.4g} to {report.max_kw:.4g} kW, mean {report.mean_kw:.4f} kW",
            *([f"  submeters: {', '.join(self.submeters)}"] if self.submeters else []),
            *(f"  {line}" for line in remarks),
        ]

    def _unit_remarks(self) -> list[str]:
        """Return a sentence if the unit of the powers is probably wrong."""
        median_kw = float(np.nanmedian(np.abs(self.series.gap_kw)))
        if not plausibility_warning([median_kw]):
            return []
        return [f"a median of {median_kw:.3g} kW is unusual for a house: is the unit right? (--unit)"]

    def _remarks(self) -> tuple[str, ...]:
        """Return the remarks on the file, else a remark if the power of most minutes was not measured."""
        usual_s = self.report.usual_s
        if self.remarks or self.holds_changes or self.report.is_mostly_missing or usual_s < _COARSE_S:
            return self.remarks
        every = f"a value every {usual_s / 60:g} min, constant in between"
        return (f"{every}: scores are not representative for a one-minute meter",)

    def _zone_remarks(self, zone: tzinfo) -> list[str]:
        """Return a sentence if the file was prepared in another time zone than ``zone``."""
        prepared = str(self.series.zone)
        if prepared in {str(UTC), str(zone)}:
            return []
        return [f"prepared in time zone {prepared}: set site.timezone to it, for models that use the time of day"]


def read_recording(
    path: Path, form: FileFormat = _UCI_OR_PARQUET, limits: Limits = LIMITS, *, progress: bool = False
) -> Recording:
    """Read a file of any supported format: plain, gzipped or zipped text; exports are recognized by their header.

    Raises :class:`SourceError`, with the line, if the file cannot be used.
    """
    if _is_stream(path):
        raise SourceError(path, "is a stream, which cannot be read twice: save it to a file, and name that")
    has_options = form.unit is not None or form.hold_min is not None or form.entity is not None
    is_parquet = _is_parquet(path)
    detected = None if is_parquet or form.layout is not None else exports.detect(path)
    if form.submeters and (is_parquet or form.layout is not None or detected is not None):
        raise SourceError(path, "is not UCI's set: name the columns of submeters by --submeter-column")
    if is_parquet:
        if form.layout is not None:
            raise SourceError(path, "is Parquet of `gapcast-trainer prepare`, which needs no --time-column")
        if has_options:
            raise SourceError(path, f"is not an export: {NO_OPTIONS}")
        clean = clean_file.read(path)
        return Recording(path, clean.series, clean.report, "a minute in UTC")
    if form.layout is not None:
        table = meter_csv.read(path, form.layout, progress=progress)
    elif detected is not None:
        table = exports.read(path, detected, form, progress=progress)
    elif has_options:
        raise SourceError(path, f"is not an export: {NO_OPTIONS}")
    else:
        table = uci.read(path, submeters=form.submeters, progress=progress)
    series, report = minute_series(table, form.hold_min, limits)
    holds_changes = table.hold_min is not None or form.hold_min is not None
    remarks = table.remarks
    if form.layout is not None and report.is_mostly_missing and not holds_changes:
        fix = "if the meter writes only changes, set --hold MINUTES, the longest time a value stays valid"
        n_empty = int(np.isnan(table.gap_kw).sum())
        is_without_rows = 2 * report.n_missing_rows >= report.n_missing
        cause = fix if is_without_rows or not n_empty else f"{counted(n_empty, 'row')} have no value"
        remarks = (*remarks, f"most minutes are missing: {cause}")
    return Recording(path, series, report, table.time_kind, remarks, holds_changes, table.exported)


def minute_at(option: str, timestamp: str, zone: tzinfo = UTC) -> int:
    """Return the minute (since the epoch) of an option's ISO time, which is in ``zone`` if it has no offset.

    Raises :class:`SettingsError` if it is invalid.
    """
    try:
        when = datetime.fromisoformat(timestamp)
    except ValueError as error:
        msg = f"{option} {timestamp!r} is not a time like 2010-11-01T00:00 ({error})"
        raise SettingsError(msg) from error
    instant_ms = (when if when.tzinfo else when.replace(tzinfo=zone)).timestamp() * 1_000
    if not EARLIEST_MS <= instant_ms < LATEST_MS:
        msg = f"{option} {timestamp!r} is not from 2000 to 2099"
        raise SettingsError(msg)
    return minute_of(int(instant_ms))


def _is_stream(path: Path) -> bool:
    try:
        return path == _STANDARD_INPUT or path.is_fifo()
    except OSError:  # its reader reports that it cannot be read
        return False


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(_PARQUET_BEGINS)) == _PARQUET_BEGINS
    except OSError as error:
        raise SourceError(path, f"cannot be read ({error.strerror or error})") from error
