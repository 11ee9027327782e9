"""Validates a table of rows and converts it to a one-minute series, with a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from gapcast.core.errors import SourceError
from gapcast.core.features import GAP
from gapcast.core.grid import DAY_MIN, EARLIEST_MS, LATEST_MS, MINUTE_MS, instant_label, minute_label
from gapcast.core.reading import Limits
from gapcast.core.submeters import is_submeter
from gapcast.core.window import F64, I64, MAX_FILL_MIN
from gapcast.core.wording import counted
from gapcast.recordings.minute_means import SamplingInterval, filled_minutes, sampling_of, to_minutes
from gapcast.recordings.table import Table
from gapcast.recordings.timestamps import LOCAL

#: The longest recording: each minute of it takes memory.
_MAX_YEARS = 20
MAX_SPAN_MS = _MAX_YEARS * 366 * DAY_MIN * MINUTE_MS
#: A usual interval of samples that is too long, and that of times without the time of day.
_TOO_FAR_APART_S = 86_400
#: The edge's default limits: power outside indicates a wrong unit.
LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Series:
    """One household, minute by minute: ``gap_kw`` ``[T]`` from ``first_minute`` on, NaN where missing.

    ``extra`` holds the other measured features, by the names and units of :data:`gapcast.core.features.MEASURED`,
    each ``[T]``, NaN where missing. ``filled`` ``[T]`` marks minutes in which nothing was measured for most of the
    time: they are in windows, but no outcomes; None: there are none. ``zone`` is the household's,
    for features of the time of day and the week. ``submeters`` are those of the household, each ``[T]``, kW, NaN where
    missing, by the keys that :attr:`gapcast.core.reading.Reading.measured` has for them.
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
        """The power of minutes that can be outcomes, ``[T]``: that of measured ones, else NaN."""
        return self.gap_kw if self.filled is None else np.where(self.filled, np.nan, self.gap_kw)


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
    n_duplicates: int = 0

    def lines(self, zone: tzinfo = UTC) -> list[str]:
        """Return the report as sentences for a terminal; first and last minute in ``zone`` as well."""
        longest = f"; the longest is {self.longest_gap_min:,} min from {self.longest_gap_from}" if self.n_gaps else ""
        measured = f"; with {', '.join(self.features)}" if self.features else ""
        return [
            f"{self.n_rows:,} rows, {self.sampling}{measured}",
            f"{self.n_minutes:,} minutes from {self.first} to {self.last}{self._local_span(zone)}",
            f"{self.n_readings:,} readings, {self.min_kw:g} to {self.max_kw:g} kW, mean {self.mean_kw:.10f} kW",
            f"{self.n_missing:,} minutes missing ({self.n_missing_rows:,} of them have no row at all) "
            f"in {counted(self.n_gaps, 'gap')}{longest}",
            *self.duplicate_lines(),
        ]

    def _local_span(self, zone: tzinfo) -> str:
        """Return first and last minute by the clock of ``zone``, to append; nothing for UTC."""
        if str(zone) == str(UTC):
            return ""
        first, last = (datetime.fromisoformat(when).astimezone(zone) for when in (self.first, self.last))
        return f" ({first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} in {zone})"

    def duplicate_lines(self) -> list[str]:
        """Return a sentence on ignored rows, if there are any."""
        if not self.n_duplicates:
            return []
        have = "has" if self.n_duplicates == 1 else "have"
        return [f"{counted(self.n_duplicates, 'row')} {have} the time of the row before: ignored"]


def minute_series(table: Table, hold_min: float | None = None, limits: Limits = LIMITS) -> tuple[Series, Report]:
    """Validate the rows and place them on the one-minute grid.

    Rows at other intervals than a minute are samples: :mod:`gapcast.recordings.minute_means` defines how they are
    averaged, and ``hold_min``; if that is given, or the format says so, values are known for so long, and no minute is
    filled. Of several rows with the same time the first one counts, as on the gateway. Raises :class:`SourceError`,
    with the line, if a time is off the grid (of a set with one row per minute), out of order or impossible, or if a
    power is outside ``limits``.
    """
    _reject_bad_times(table)
    is_first = np.diff(table.instant_ms, prepend=table.instant_ms[0] - 1) > 0
    n_duplicates = int(is_first.size - is_first.sum())
    if n_duplicates:
        table = table.select(is_first)
    _reject_bad_power(table, limits)
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
    return series, _report(table, series, sampling, n_duplicates)


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


def _reject_bad_times(table: Table) -> None:
    instant_ms = table.instant_ms
    if table.each_minute:
        _reject_rows(table, instant_ms % MINUTE_MS != 0, "{time} is not on the one-minute grid")
    problem = "{time} is not a possible time (2000 to 2099): is the column of the times, or --time-format, wrong?"
    _reject_rows(table, (instant_ms < EARLIEST_MS) | (instant_ms >= LATEST_MS), problem)
    is_earlier = np.diff(instant_ms, prepend=instant_ms[0]) < 0
    is_local = table.time_kind.startswith(LOCAL)
    fix = f"; each timestamp is {table.time_kind}: is that the meter's clock? (--timezone)" if is_local else ""
    problem = f"{{time}} is earlier than the row before it: rows must be in order of time, the oldest first{fix}"
    _reject_rows(table, is_earlier, problem)
    if instant_ms[-1] - instant_ms[0] > MAX_SPAN_MS:
        first, last = instant_label(int(instant_ms[0])), instant_label(int(instant_ms[-1]))
        raise SourceError(table.path, f"spans {first} to {last}, more than {_MAX_YEARS} years: is a time wrong?")


def _reject_bad_power(table: Table, limits: Limits) -> None:
    for name in filter(is_submeter, table.extra):
        values_kw = table.extra[name]
        outside = (values_kw < limits.min_kw) | (values_kw > limits.max_kw)
        problem = f"{name} is outside of {limits.min_kw:g} to {limits.max_kw:g} kW: is it in the unit of the power?"
        _reject_rows(table, outside, f"{{time}}: {problem}")
    present = ~np.isnan(table.gap_kw)
    out_of_range = present & ~((table.gap_kw >= limits.min_kw) & (table.gap_kw <= limits.max_kw))
    problem = f"{{gap_kw:g}} kW is outside of {limits.min_kw:g} to {limits.max_kw:g} kW: is it in W? (--unit)"
    _reject_rows(table, out_of_range, problem)
    if not present.any():
        raise SourceError(table.path, "holds no reading: every value is missing")


def _shown(instant_ms: int) -> str:
    """Return a time for an error message, also one that no calendar has."""
    try:
        return instant_label(instant_ms).replace(".000Z", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{instant_ms // 1_000} s after 1970"


def _reject_rows(table: Table, wrong: NDArray[np.bool_], problem: str) -> None:
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    time = _shown(int(table.instant_ms[row]))
    more = int(wrong.sum()) - 1
    also = f" ({more:,} more such rows)" if more else ""
    raise SourceError(table.path, problem.format(time=time, gap_kw=table.gap_kw[row]) + also, int(table.line[row]))


def _report(table: Table, series: Series, sampling: SamplingInterval, n_duplicates: int) -> Report:
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
        n_rows=table.gap_kw.size + n_duplicates,
        sampling=str(sampling),
        usual_s=sampling.usual_s,
        features=tuple(series.extra),
        n_duplicates=n_duplicates,
    )


def gaps(missing: NDArray[np.bool_]) -> tuple[I64, I64]:
    """Return the start and the length of each run of missing minutes in ``missing`` ``[T]``."""
    edges = np.diff(missing.astype(np.int8), prepend=0, append=0)
    starts = np.flatnonzero(edges == 1).astype(np.int64)
    return starts, np.flatnonzero(edges == -1).astype(np.int64) - starts
