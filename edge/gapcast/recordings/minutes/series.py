"""Validates a table of rows and converts it to a one-minute series, with a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.errors import SourceError
from gapcast.core.readings.reading import Limits
from gapcast.core.readings.submeters import is_submeter
from gapcast.core.time_grid import MINUTE_MS, minute_label
from gapcast.core.windows.features import GAP
from gapcast.core.windows.window import MAX_FILL_MIN
from gapcast.recordings.minutes.minute_means import SamplingInterval, filled_minutes, sampling_of, to_minutes
from gapcast.recordings.minutes.report import Report
from gapcast.recordings.text.table import Table, check_times, without_impossible_powers

#: Shortest usual interval of samples that is too long, and the interval of times without the time of day.
_TOO_FAR_APART_S = 86_400
#: The edge's default limits: power outside them indicates a wrong unit.
LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Series:
    """One household, minute by minute: ``gap_kw`` ``[T]`` from ``first_minute`` on, NaN where missing.

    ``extra`` holds the other measured features, by the names and units of
    :data:`gapcast.core.windows.features.MEASURED`, each ``[T]``, NaN where missing. ``filled`` ``[T]`` marks minutes in
    which nothing was measured for most of the time: they are in windows, but are not outcomes; None: no such minutes.
    ``zone`` is the household's, for features of the time of day and the week. ``submeters`` are the household's
    submeters, each ``[T]``, kW, NaN where missing, by their keys in
    :attr:`gapcast.core.readings.reading.Reading.measured`.
    """

    first_minute: int
    gap_kw: F64
    extra: Mapping[str, F64] = field(default_factory=lambda: MappingProxyType({}))
    filled: NDArray[np.bool_] | None = None
    zone: tzinfo = UTC
    submeters: Mapping[str, F64] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def last_minute(self) -> int:
        """The minute (since the epoch) of the last value."""
        return self.first_minute + self.gap_kw.size - 1

    @property
    def outcome_kw(self) -> F64:
        """The power of minutes that can be outcomes, ``[T]``: of measured minutes, else NaN."""
        return self.gap_kw if self.filled is None else np.where(self.filled, np.nan, self.gap_kw)


def minute_series(table: Table, hold_min: float | None = None, limits: Limits = LIMITS) -> tuple[Series, Report]:
    """Validate the rows and place them on the one-minute grid.

    Rows at other intervals than a minute are samples, averaged by :mod:`gapcast.recordings.minutes.minute_means`, which
    also defines ``hold_min``; if it or the format sets a holding time, values are valid for that long, and no minute is
    filled. Of several rows with the same time the first is used, as on the gateway for messages with a time of their
    own; a few rows with a power outside ``limits`` are ignored. Raises :class:`SourceError`, with the line, if a time
    is off the grid (of a set with one row per minute), out of order or impossible, or if too many powers are outside
    ``limits``.
    """
    check_times(table)
    row_ms = table.instant_ms
    table, outside_problem = without_impossible_powers(table, limits)
    is_first = np.diff(table.instant_ms, prepend=table.instant_ms[0] - 1) > 0
    n_duplicates = int(is_first.size - is_first.sum())
    if n_duplicates:
        table = table.select(is_first)
    sampling = _sampling_of(table, hold_min)
    first_minute, columns = to_minutes(table.instant_ms, {GAP: table.gap_kw, **table.extra}, sampling)
    holds_changes = hold_min is not None or table.hold_min is not None
    filled = None if holds_changes else filled_minutes(table.instant_ms, table.gap_kw, sampling)
    read = np.flatnonzero(~np.isnan(columns[GAP]))
    if not read.size:
        raise SourceError(table.path, "holds too few samples for the mean of any minute")
    if sampling.hold_min is not None:  # the first and the last minute may have too little coverage
        columns = {name: values[read[0] : read[-1] + 1] for name, values in columns.items()}
        first_minute += int(read[0])
        filled = None if filled is None or not filled.any() else filled[read[0] : read[-1] + 1]
    submeters = MappingProxyType({name: columns.pop(name) for name in list(columns) if is_submeter(name)})
    gap_kw = columns.pop(GAP)
    series = Series(first_minute, gap_kw, MappingProxyType(columns), filled, submeters=submeters)
    report = _report(table, row_ms, series, sampling)
    return series, replace(report, n_duplicates=n_duplicates, outside_problem=outside_problem)


def _sampling_of(table: Table, hold_min: float | None) -> SamplingInterval:
    if table.each_minute:
        return SamplingInterval(60.0, None)
    sampling = sampling_of(table.instant_ms, hold_min)
    if table.hold_min is None:
        if sampling.usual_s >= _TOO_FAR_APART_S:
            problem = f"its rows are usually {sampling.usual_s / 3_600:,.0f} h apart: too far for the power of minutes"
            fix = "if the time of day is in another column, join the two into one"
            raise SourceError(table.path, f"{problem} (less than a day; {fix})")
        return sampling
    return SamplingInterval(sampling.usual_s, table.hold_min if hold_min is None else hold_min)


def _report(table: Table, row_ms: I64, series: Series, sampling: SamplingInterval) -> Report:
    """Return the report on a file with rows at ``row_ms`` ``[N]``, of which ``table`` has those that are used."""
    missing = np.isnan(series.gap_kw)
    starts, lengths = gaps(missing)
    longest = int(np.argmax(lengths)) if lengths.size else None
    readings = series.gap_kw[~missing]
    has_row = np.zeros(missing.size, bool)
    at = row_ms // MINUTE_MS - series.first_minute
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
        n_rows=row_ms.size,
        sampling=str(sampling),
        usual_s=sampling.usual_s,
        features=tuple(series.extra),
    )


def gaps(missing: NDArray[np.bool_]) -> tuple[I64, I64]:
    """Return the start and the length of each run of missing minutes in ``missing`` ``[T]``."""
    edges = np.diff(missing.astype(np.int8), prepend=0, append=0)
    starts = np.flatnonzero(edges == 1).astype(np.int64)
    return starts, np.flatnonzero(edges == -1).astype(np.int64) - starts
