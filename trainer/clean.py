"""From a table of rows to a one-minute series: what is checked, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.core.grid import EARLIEST_MS, LATEST_MS, minute_label
from edge.core.window import I64, MAX_FILL_MIN
from trainer.datasets.table import F64, Table
from trainer.errors import DatasetError

#: The range that the edge accepts by default: outside of it the unit is wrong, not the house.
MIN_KW, MAX_KW = -100.0, 100.0
_MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Series:
    """One household, minute by minute: ``gap_kw`` ``[T]`` from ``first_minute`` on, NaN where missing."""

    first_minute: int
    gap_kw: F64

    @property
    def last_minute(self) -> int:
        """The minute (since the epoch) of the last value."""
        return self.first_minute + self.gap_kw.size - 1


@dataclass(frozen=True, slots=True)
class Report:
    """What a file held and lacked. Times are RFC 3339 in UTC, power in kW, lengths in minutes."""

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

    def lines(self) -> list[str]:
        """Return the report as sentences for a terminal."""
        longest = f"; the longest is {self.longest_gap_min:,} min from {self.longest_gap_from}" if self.n_gaps else ""
        return [
            f"{self.n_minutes:,} minutes from {self.first} to {self.last}",
            f"{self.n_readings:,} readings, {self.min_kw:g} to {self.max_kw:g} kW, mean {self.mean_kw:.10f} kW",
            f"{self.n_missing:,} minutes missing ({self.n_missing_rows:,} of them have no row at all) "
            f"in {self.n_gaps:,} gaps{longest}",
            f"{self.n_gaps_filled:,} gaps are of at most {MAX_FILL_MIN} min: a stream fills those by a straight line",
        ]


def check(table: Table) -> tuple[Series, Report]:
    """Judge the rows and lay them on the one-minute grid.

    Raises :class:`DatasetError`, with the line, where a time is off the grid, out of order, given
    twice or impossible, or a power is not finite or out of range.
    """
    second, gap_kw = table.second, table.gap_kw
    present = ~np.isnan(gap_kw)
    _refuse(table, second % _MINUTE_S != 0, "{time} is not on the one-minute grid")
    _refuse(table, (second < EARLIEST_MS // 1_000) | (second >= LATEST_MS // 1_000), "{time} is no possible time")
    step = np.diff(second, prepend=second[0] - 1)
    _refuse(table, step == 0, "{time} is given twice")
    _refuse(table, step < 0, "{time} is earlier than the row before it: rows must be in order of time")
    out_of_range = present & ~((gap_kw >= MIN_KW) & (gap_kw <= MAX_KW))
    _refuse(table, out_of_range, f"{{gap_kw:g}} kW is outside of {MIN_KW:g} to {MAX_KW:g} kW: is it in W?")
    if not present.any():
        raise DatasetError(table.path, "holds no reading: every value is missing")

    minute = second // _MINUTE_S
    grid = np.full(int(minute[-1] - minute[0]) + 1, np.nan)
    grid[minute - minute[0]] = gap_kw
    series = Series(int(minute[0]), grid)
    return series, _report(table, series)


def _refuse(table: Table, wrong: np.ndarray[tuple[int], np.dtype[np.bool_]], problem: str) -> None:
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    time = f"{np.datetime64(int(table.second[row]), 's')}Z"
    more = int(wrong.sum()) - 1
    also = f" ({more:,} more such rows)" if more else ""
    raise DatasetError(table.path, problem.format(time=time, gap_kw=table.gap_kw[row]) + also, table.line_of(row))


def _report(table: Table, series: Series) -> Report:
    missing = np.isnan(series.gap_kw)
    starts, lengths = gaps(missing)
    longest = int(np.argmax(lengths)) if lengths.size else None
    readings = series.gap_kw[~missing]
    return Report(
        source=table.source,
        sha256=table.sha256,
        n_minutes=int(missing.size),
        n_readings=int(readings.size),
        n_missing=int(missing.sum()),
        n_missing_rows=int(missing.size - table.second.size),
        n_gaps=int(lengths.size),
        n_gaps_filled=int((lengths <= MAX_FILL_MIN).sum()),
        longest_gap_min=0 if longest is None else int(lengths[longest]),
        longest_gap_from=None if longest is None else minute_label(series.first_minute + int(starts[longest])),
        first=minute_label(series.first_minute),
        last=minute_label(series.last_minute),
        min_kw=float(readings.min()),
        mean_kw=float(readings.mean()),
        max_kw=float(readings.max()),
    )


def gaps(missing: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[I64, I64]:
    """Return where each run of missing minutes starts in ``missing`` ``[T]``, and how long it is."""
    edges = np.diff(missing.astype(np.int8), prepend=0, append=0)
    starts = np.flatnonzero(edges == 1).astype(np.int64)
    return starts, np.flatnonzero(edges == -1).astype(np.int64) - starts
