"""Reads the rows of one house in a Spark worker, like :mod:`gapcast.recordings` reads a file: one value per minute."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import tzinfo
from pathlib import Path

import numpy as np
import pyarrow as pa

from gapcast.core.arrays.array_types import F64, I64, Flags
from gapcast.core.errors import SourceError
from gapcast.core.readings.reading import Limits
from gapcast.core.time_grid import DAY_MIN, EARLIEST_MS, LATEST_MS, MINUTE_MS, instant_label
from gapcast.core.windows.examples import HouseMinutes
from gapcast.recordings.formats.clean_file import content_sha256
from gapcast.recordings.minutes.series import Series, minute_series
from gapcast.recordings.text.fields import PER_KW
from gapcast.recordings.text.layout import Unit
from gapcast.recordings.text.table import MAX_SPAN_MS, Table
from gapcast_fleet.histories.row_times import NO_TIME, RowTimes, row_times
from gapcast_fleet.histories.survey import HouseSurvey

#: Columns of a house's minutes. ``nth`` counts its readings; ``survey`` is in the first row, which has no minute.
MINUTES = "device string, nth int, minute int, gap_kw double, is_filled boolean, survey string"


@dataclass(frozen=True, slots=True)
class HouseRules:
    """How to read rows, and which minutes to return: at most ``limit`` from ``first_minute`` on.

    ``time_kind`` describes times that are instants; "" if they are texts in ``zone`` of the form ``time_format``.
    ``validate_share`` is the share of :class:`~gapcast.core.windows.training_set.Draw`.
    """

    unit: Unit
    limits: Limits
    zone: tzinfo
    time_kind: str = ""
    time_format: str | None = None
    hold_min: float | None = None
    first_minute: int | None = None
    limit: int | None = None
    validate_share: float = 0.1


@dataclass(frozen=True, slots=True)
class HouseRows:
    """Rows of one house ``[R]`` by file and row: their times (epoch ms or text) and power in the file's unit.

    A time or power that is missing is None in a text, NaN in an array. ``is_filled`` marks filled minutes; None: there
    are none.
    """

    file: I64
    time: Sequence[str | None] | F64
    power: F64
    is_filled: Flags | None = None

    @classmethod
    def from_table(cls, table: pa.Table) -> HouseRows:
        """Return the rows of a table with the columns file, row, time, power and filled, in any order."""
        table = table.select(["file", "row", "time", "power", "filled"])
        table = table.sort_by([("file", "ascending"), ("row", "ascending")])
        file, power = (table[name].to_numpy() for name in ("file", "power"))
        is_text = pa.types.is_string(table["time"].type) or pa.types.is_large_string(table["time"].type)
        time = table["time"].to_pylist() if is_text else table["time"].to_numpy().astype(np.float64)
        is_filled = table["filled"].to_numpy().astype(np.float64) == 1
        return cls(file.astype(np.int64), time, power.astype(np.float64), is_filled if is_filled.any() else None)


def house_reader(rules: HouseRules) -> Callable[[pa.Table], pa.Table]:
    """Return the function that Spark calls with the rows of each house; it returns rows of :data:`MINUTES`."""

    def read(table: pa.Table) -> pa.Table:
        name = table["device"][0].as_py()
        survey, (minute, gap_kw, is_filled) = read_house(name, HouseRows.from_table(table), rules)
        nothing = pa.nulls(minute.size, pa.string())
        columns = {
            "device": pa.repeat(name, minute.size + 1),
            "nth": pa.array(np.arange(minute.size + 1), pa.int32()),
            "minute": pa.chunked_array([pa.nulls(1, pa.int32()), pa.array(minute, pa.int32())]),
            "gap_kw": pa.chunked_array([pa.nulls(1, pa.float64()), pa.array(gap_kw, pa.float64())]),
            "is_filled": pa.chunked_array([pa.nulls(1, pa.bool_()), pa.array(is_filled, pa.bool_())]),
            "survey": pa.chunked_array([pa.array([json.dumps(asdict(survey))]), nothing]),
        }
        return pa.table(columns).combine_chunks()

    return read


def read_house(name: str, rows: HouseRows, rules: HouseRules) -> tuple[HouseSurvey, HouseMinutes]:
    """Return the survey of a house, and the requested minutes that have a value.

    Rows are read in order of time, and, if times are equal, of file and row. Unusable rows are refused; a house whose
    other rows give no minute is refused as a whole.
    """
    if not name:
        return _refused(name, rows.power.size, "the rows name no house, or not in UTF-8")
    times = _times(rows, rules)
    kw = rows.power / PER_KW[rules.unit]
    usable, problem = _usable(times, kw, rules)
    if not usable.size:
        return _refused(name, kw.size, problem)
    table = Table(Path(name), "", "", times.instant_ms[usable], kw[usable], usable, each_minute=False)
    try:
        series, report = minute_series(table, rules.hold_min, rules.limits)
    except SourceError as error:
        return _refused(name, kw.size, str(error).removeprefix(f"{table.path}: "))
    if rows.is_filled is not None:
        series = replace(series, filled=_filled_minutes(series, times.instant_ms[usable], rows.is_filled[usable]))
    minutes = _requested(series, rules)
    survey = HouseSurvey(
        name,
        kw.size,
        kw.size - usable.size,
        problem,
        report.n_duplicates,
        minutes.minute.size,
        report.n_minutes,
        report.n_missing,
        series.first_minute,
        series.last_minute,
        report.min_kw,
        report.mean_kw,
        report.max_kw,
        report.sampling,
        times.kind,
        content_sha256(series),
        _validate_minute(minutes.minute, rules.validate_share),
        int(minutes.minute[-1]) if minutes.minute.size else 0,
    )
    return survey, minutes


def _times(rows: HouseRows, rules: HouseRules) -> RowTimes:
    if not isinstance(rows.time, np.ndarray):
        return row_times(rows.time, rows.file, rules.zone, rules.time_format)
    is_time = np.abs(rows.time) < LATEST_MS  # not NaN
    instant_ms = np.rint(np.where(is_time, rows.time, NO_TIME)).astype(np.int64)
    return RowTimes(instant_ms, rules.time_kind, "")


def _usable(times: RowTimes, kw: F64, rules: HouseRules) -> tuple[I64, str]:
    """Return the usable rows, in order of time, and what is wrong with the first of the other rows."""
    is_possible = (times.instant_ms >= EARLIEST_MS) & (times.instant_ms < LATEST_MS)
    is_in_range = np.isnan(kw) | ((kw >= rules.limits.min_kw) & (kw <= rules.limits.max_kw))
    usable = np.flatnonzero(is_possible & is_in_range)
    usable = usable[np.argsort(times.instant_ms[usable], kind="stable")]
    instant_ms, problem = times.instant_ms[usable], ""
    if usable.size and instant_ms[-1] - instant_ms[0] > MAX_SPAN_MS:  # for example a clock that started in 2000
        is_near = np.abs(instant_ms - instant_ms[usable.size // 2]) <= MAX_SPAN_MS // 2
        problem = f"{instant_label(int(instant_ms[~is_near][0]))} is years from the other rows: was the clock wrong?"
        usable = usable[is_near]
    if not is_possible.all():
        problem = times.problem or "a time is missing, before 2000 or after 2099"
    elif not is_in_range.all():
        low, high = rules.limits.min_kw, rules.limits.max_kw
        first_kw = kw[~is_in_range][0]
        problem = f"{first_kw:g} kW is outside {low:g} to {high:g} kW: is it in W? (--unit)"
        if np.isinf(first_kw):
            problem = "a power is infinite, or a text that is not a number: write a number such as 1.5, not 1,5"
    return usable, problem


def _refused(name: str, n_rows: int, problem: str) -> tuple[HouseSurvey, HouseMinutes]:
    nothing = HouseMinutes(np.empty(0, np.int64), np.empty(0), np.empty(0, np.bool_))
    return HouseSurvey(name, n_rows, n_rows, problem), nothing


def _filled_minutes(series: Series, instant_ms: I64, is_filled: Flags) -> Flags:
    """Return which minutes of ``series`` are filled, ``[T]``: minutes whose first row is filled."""
    minute, first_row = np.unique(instant_ms // MINUTE_MS, return_index=True)
    minutes = series.first_minute + np.arange(series.gap_kw.size)
    return np.isin(minutes, minute[is_filled[first_row]])


def _requested(series: Series, rules: HouseRules) -> HouseMinutes:
    start = 0 if rules.first_minute is None else max(0, rules.first_minute - series.first_minute)
    at = (start + np.flatnonzero(~np.isnan(series.gap_kw[start:])))[: rules.limit]
    return HouseMinutes(series.first_minute + at, series.gap_kw[at], np.isnan(series.outcome_kw[at]))


def _validate_minute(minute: I64, share: float) -> int:
    """Return the beginning of the last days (UTC) that hold ``share`` of the readings."""
    days, counts = np.unique(minute // DAY_MIN, return_counts=True)
    n_from_on = np.cumsum(counts[::-1])[::-1]
    enough = days[n_from_on >= share * minute.size]
    return int(enough[-1]) * DAY_MIN if minute.size else 0
