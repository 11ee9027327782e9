"""Validates a table of rows and converts it to a one-minute series, with a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from gapcast.core.features import GAP
from gapcast.core.grid import EARLIEST_MS, LATEST_MS, MINUTE_MS, instant_label, minute_label
from gapcast.core.window import I64, MAX_FILL_MIN
from gapcast_trainer.datasets.minutes import SamplingInterval, sampling_of, to_minutes
from gapcast_trainer.datasets.table import F64, Table
from gapcast_trainer.errors import DatasetError

#: The edge's default limits: power outside indicates a wrong unit.
MIN_KW, MAX_KW = -100.0, 100.0


@dataclass(frozen=True, slots=True)
class Series:
    """One household, minute by minute: ``gap_kw`` ``[T]`` from ``first_minute`` on, NaN where missing.

    ``extra`` holds the other measured features, by the names and units of :data:`gapcast.core.features.MEASURED`,
    each ``[T]``, NaN where missing.
    """

    first_minute: int
    gap_kw: F64
    extra: Mapping[str, F64] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def last_minute(self) -> int:
        """The minute (since the epoch) of the last value."""
        return self.first_minute + self.gap_kw.size - 1


@dataclass(frozen=True, slots=True)
class Report:
    """The contents and gaps of a file. Times are RFC 3339 in UTC, power in kW, lengths in minutes."""

    source: str
    sha256: str
    n_minutes: int
    n_readings: int
    n_missing: int
    n_missing_rows: int
    n_gaps: int
    n_gaps_filled: int
    longest_gap_min: int
    longest_gap_from: str | None
    first: str
    last: str
    min_kw: float
    mean_kw: float
    max_kw: float
    n_rows: int
    sampling: str
    usual_s: float
    features: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the report as sentences for a terminal."""
        longest = f"; the longest is {self.longest_gap_min:,} min from {self.longest_gap_from}" if self.n_gaps else ""
        measured = f"; with {', '.join(self.features)}" if self.features else ""
        return [
            f"{self.n_rows:,} rows, {self.sampling}{measured}",
            f"{self.n_minutes:,} minutes from {self.first} to {self.last}",
            f"{self.n_readings:,} readings, {self.min_kw:g} to {self.max_kw:g} kW, mean {self.mean_kw:.10f} kW",
            f"{self.n_missing:,} minutes missing ({self.n_missing_rows:,} of them have no row at all) "
            f"in {self.n_gaps:,} gaps{longest}",
        ]


def check(table: Table, hold_min: float | None = None) -> tuple[Series, Report]:
    """Validate the rows and place them on the one-minute grid.

    Rows at other intervals than a minute are samples: :mod:`gapcast_trainer.datasets.minutes` defines how they are
    averaged, and ``hold_min``. Raises :class:`DatasetError`, with the line, if a time is off the grid
    (of a set with one row per minute), out of order, duplicate or impossible, or if a power is out of range.
    """
    instant_ms, gap_kw = table.instant_ms, table.gap_kw
    present = ~np.isnan(gap_kw)
    if table.each_minute:
        _reject_rows(table, instant_ms % MINUTE_MS != 0, "{time} is not on the one-minute grid")
    _reject_rows(table, (instant_ms < EARLIEST_MS) | (instant_ms >= LATEST_MS), "{time} is no possible time")
    step_ms = np.diff(instant_ms, prepend=instant_ms[0] - 1)
    _reject_rows(table, step_ms == 0, "{time} is given twice")
    _reject_rows(table, step_ms < 0, "{time} is earlier than the row before it: rows must be in order of time")
    out_of_range = present & ~((gap_kw >= MIN_KW) & (gap_kw <= MAX_KW))
    _reject_rows(
        table, out_of_range, f"{{gap_kw:g}} kW is outside of {MIN_KW:g} to {MAX_KW:g} kW: is it in W? (--unit)"
    )
    if not present.any():
        raise DatasetError(table.path, "holds no reading: every value is missing")

    sampling = SamplingInterval(60.0, None) if table.each_minute else sampling_of(instant_ms, hold_min)
    first_minute, columns = to_minutes(instant_ms, {GAP: gap_kw, **table.extra}, sampling)
    read = np.flatnonzero(~np.isnan(columns[GAP]))
    if not read.size:
        raise DatasetError(table.path, "holds too few samples for the mean of any minute")
    if sampling.hold_min is not None:  # the first and the last minute may have too little coverage
        columns = {name: values[read[0] : read[-1] + 1] for name, values in columns.items()}
        first_minute += int(read[0])
    series = Series(first_minute, columns.pop(GAP), MappingProxyType(columns))
    return series, _report(table, series, sampling)


def _reject_rows(table: Table, wrong: NDArray[np.bool_], problem: str) -> None:
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    time = instant_label(int(table.instant_ms[row])).replace(".000Z", "Z")
    more = int(wrong.sum()) - 1
    also = f" ({more:,} more such rows)" if more else ""
    raise DatasetError(table.path, problem.format(time=time, gap_kw=table.gap_kw[row]) + also, int(table.line[row]))


def _report(table: Table, series: Series, sampling: SamplingInterval) -> Report:
    missing = np.isnan(series.gap_kw)
    starts, lengths = gaps(missing)
    longest = int(np.argmax(lengths)) if lengths.size else None
    readings = series.gap_kw[~missing]
    has_row = np.zeros(missing.size, bool)
    at = table.instant_ms // MINUTE_MS - series.first_minute
    has_row[at[(at >= 0) & (at < missing.size)]] = True
    return Report(
        source=table.source,
        sha256=table.sha256,
        n_minutes=int(missing.size),
        n_readings=int(readings.size),
        n_missing=int(missing.sum()),
        n_missing_rows=int((missing & ~has_row).sum()),
        n_gaps=int(lengths.size),
        n_gaps_filled=int((lengths <= MAX_FILL_MIN).sum()),
        longest_gap_min=0 if longest is None else int(lengths[longest]),
        longest_gap_from=None if longest is None else minute_label(series.first_minute + int(starts[longest])),
        first=minute_label(series.first_minute),
        last=minute_label(series.last_minute),
        min_kw=float(readings.min()),
        mean_kw=float(readings.mean()),
        max_kw=float(readings.max()),
        n_rows=table.gap_kw.size,
        sampling=str(sampling),
        usual_s=sampling.usual_s,
        features=tuple(series.extra),
    )


def gaps(missing: NDArray[np.bool_]) -> tuple[I64, I64]:
    """Return the start and the length of each run of missing minutes in ``missing`` ``[T]``."""
    edges = np.diff(missing.astype(np.int8), prepend=0, append=0)
    starts = np.flatnonzero(edges == 1).astype(np.int64)
    return starts, np.flatnonzero(edges == -1).astype(np.int64) - starts
