"""The parsed rows of a file of readings, and checks of their times and powers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.documents.message_format import counted
from gapcast.core.errors import SourceError
from gapcast.core.readings.reading import Limits
from gapcast.core.readings.submeters import is_submeter
from gapcast.core.time_grid import DAY_MIN, EARLIEST_MS, LATEST_MS, MINUTE_MS, instant_label
from gapcast.recordings.text.timestamps import LOCAL

#: The longest recording: each of its minutes takes memory.
_MAX_YEARS = 20
MAX_SPAN_MS = _MAX_YEARS * 366 * DAY_MIN * MINUTE_MS
#: From this share of impossible powers among those that are not 0 on, the unit is wrong; fewer are faults of the meter.
_WRONG_UNIT_SHARE = 0.01


class ExportedSeries(NamedTuple):
    """The label of the selected series of an export. Only labels of one ``label_kind`` can be compared."""

    label_kind: str
    label: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one household's file, in the file's order.

    ``instant_ms`` ``[R]`` is each row's time (epoch, UTC), ``gap_kw`` ``[R]`` its active power (kW), NaN if the reading
    is marked as missing, ``line`` ``[R]`` its line in the file. ``extra`` holds the other measured features, by the
    names and units of :data:`gapcast.core.windows.features.MEASURED`, each ``[R]``. ``sha256`` is of the uncompressed
    text. With ``each_minute`` the set has one row per minute, so that any other time is an error; otherwise rows may be
    samples. ``time_kind`` is the kind of the timestamps, for reports. ``hold_min`` is how long a sample holds until the
    next one, if the format sets it; rows are then samples. ``remarks`` are sentences on how the file was read.
    ``exported`` is the series of an export that names it.
    """

    path: Path
    source: str
    sha256: str
    instant_ms: I64
    gap_kw: F64
    line: I64
    extra: Mapping[str, F64] = field(default_factory=dict)
    each_minute: bool = True
    time_kind: str = ""
    hold_min: float | None = None
    remarks: tuple[str, ...] = ()
    exported: ExportedSeries | None = None

    def select(self, chosen: NDArray[np.bool_]) -> Table:
        """Return the rows that are ``chosen`` ``[R]``."""
        extra = {name: values[chosen] for name, values in self.extra.items()}
        return replace(
            self, instant_ms=self.instant_ms[chosen], gap_kw=self.gap_kw[chosen], line=self.line[chosen], extra=extra
        )


def check_times(table: Table) -> None:
    """Raise :class:`SourceError`, with the line, if a time is off the grid, out of order or impossible."""
    instant_ms = table.instant_ms
    if table.each_minute:
        _reject_rows(table, instant_ms % MINUTE_MS != 0, "{time} is not on the one-minute grid")
    problem = "{time} is not a possible time (2000 to 2099): is the column of the times, or --time-format, wrong?"
    _reject_rows(table, (instant_ms < EARLIEST_MS) | (instant_ms >= LATEST_MS), problem)
    is_earlier = np.diff(instant_ms, prepend=instant_ms[0]) < 0
    if is_earlier.sum() > instant_ms.size / 2:
        fix = "the newest row is first: reverse the rows, so that the oldest is first (docs/data.md#your-own-csv)"
        raise SourceError(table.path, fix, int(table.line[int(np.argmax(is_earlier))]))
    # When clocks are set back, local times are repeated for an hour.
    may_be_clock = table.time_kind.startswith(LOCAL) and -np.diff(instant_ms).min(initial=0) <= 60 * MINUTE_MS
    clock = f"; each timestamp is {table.time_kind}: is that the meter's clock? (--timezone)"
    fix = clock if may_be_clock else "; sort them (docs/data.md#several-columns-or-files)"
    problem = f"{{time}} is earlier than the row before it: rows must be in order of time, the oldest first{fix}"
    _reject_rows(table, is_earlier, problem)
    if instant_ms[-1] - instant_ms[0] > MAX_SPAN_MS:
        first, last = instant_label(int(instant_ms[0])), instant_label(int(instant_ms[-1]))
        raise SourceError(table.path, f"spans {first} to {last}, more than {_MAX_YEARS} years: is a time wrong?")


def without_impossible_powers(table: Table, limits: Limits) -> tuple[Table, str]:
    """Return the rows whose power is within ``limits`` or missing, and a sentence on the others, "" if there are none.

    As on the gateway, which rejects such readings, they do not end the validity of a sample. Raises
    :class:`SourceError`, with the line, if they are 1 % of the powers other than 0 or more, or if a submeter's power is
    outside ``limits`` in another row, or if there are no powers.
    """
    present = ~np.isnan(table.gap_kw)
    if not present.any():
        raise SourceError(table.path, "holds no reading: every value is missing")
    outside = present & ~((table.gap_kw >= limits.min_kw) & (table.gap_kw <= limits.max_kw))
    if not (n_outside := int(outside.sum())):
        _check_submeters(table, limits)
        return table, ""
    problem = f"{{gap_kw:g}} kW is outside {limits.min_kw:g} to {limits.max_kw:g} kW: is it in W? (--unit)"
    n_meaningful = int(np.count_nonzero(table.gap_kw[present]))  # zeros and missing values do not show the unit
    if n_outside >= _WRONG_UNIT_SHARE * n_meaningful:
        _reject_rows(table, outside, problem)
    row = int(np.argmax(outside))
    ignored = f"{counted(n_outside, 'row')} ignored: in line {table.line[row]}, "
    within = table.select(~outside)
    _check_submeters(within, limits)
    return within, ignored + problem.format(gap_kw=table.gap_kw[row])


def _check_submeters(table: Table, limits: Limits) -> None:
    for name in filter(is_submeter, table.extra):
        values_kw = table.extra[name]
        outside = (values_kw < limits.min_kw) | (values_kw > limits.max_kw)
        problem = f"{name} is outside {limits.min_kw:g} to {limits.max_kw:g} kW: is it in the unit of the power?"
        _reject_rows(table, outside, f"{{time}}: {problem}")


def _shown(instant_ms: int) -> str:
    """Return a time for an error message, including times outside the calendar's range."""
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
