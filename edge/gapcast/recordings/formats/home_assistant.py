"""Exports of Home Assistant: "Download data" of the history page, and its short-term statistics.

The history has a row for each change of an entity's state, at any time, and one with the state at the beginning of the
period. Before the states that the recorder still has, the page puts means of whole hours, recognized by their times on
the full hour.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gapcast.core.arrays.array_types import I64
from gapcast.core.documents.message_format import counted
from gapcast.core.time_grid import DAY_MIN, MINUTE_MS, instant_label
from gapcast.recordings.formats.export_kind import ExportKind, ExportRow, SeriesName, SkippedRows, column_of, field_at
from gapcast.recordings.text.fields import unit_in

_SECOND_MS, _HOUR_MS = 1_000, 60 * MINUTE_MS
_LONGEST_MEAN_MS = 5 * MINUTE_MS
_ID = ("entity_id", "statistic_id")
_LABEL_KIND = "Home Assistant's entities"
_CHANGED = ("last_changed", "last_updated")
_START, _MEAN, _UNIT = ("start", "start_ts"), ("mean",), ("unit", "unit_of_measurement")
_STATES = "export the states instead, by Download data on the history page, or from the recorder's database"
_TOO_COARSE = "is too coarse to learn five-minute forecasts"


def _history_rows(lines: Iterator[list[str]]) -> Iterator[ExportRow]:
    """Yield the states of each row; rows of other domains may have more or fewer fields."""
    return _rows(lines, ("state",), _CHANGED)


def _statistics_rows(lines: Iterator[list[str]]) -> Iterator[ExportRow]:
    return _rows(lines, _MEAN, _START)


def _rows(lines: Iterator[list[str]], value: tuple[str, ...], time: tuple[str, ...]) -> Iterator[ExportRow]:
    header = [name.strip().lower() for name in next(fields for fields in lines if fields)]
    id_at, value_at, time_at, unit_at = (column_of(header, *names) for names in (_ID, value, time, _UNIT))
    series: dict[str, SeriesName] = {}
    for fields in lines:
        if not fields:
            continue
        if not field_at(fields, time_at):
            msg = f"has no {header[time_at or 0]}"
            raise ValueError(msg)
        name = field_at(fields, id_at)
        if name not in series:
            unit = field_at(fields, unit_at) or unit_in(name) or ""
            series[name] = SeriesName(name or "mean", frozenset({name}), unit)
        yield ExportRow(series[name], fields[time_at or 0].strip(), field_at(fields, value_at))


def _check_history(instant_ms: I64) -> SkippedRows:
    """Leave out the means of hours before the first state."""
    is_hour = instant_ms % _HOUR_MS == 0
    n_hours = len(is_hour) if is_hour.all() else int(np.argmin(is_hour))
    if n_hours == 0 or (n_hours == 1 and (len(is_hour) == 1 or _is_state(*instant_ms[:2].tolist()))):
        return SkippedRows()
    if n_hours == len(is_hour):
        msg = f"holds a value every full hour: an hourly mean {_TOO_COARSE}; {_STATES}"
        raise ValueError(msg)
    first = instant_label(int(instant_ms[n_hours])).replace(".000Z", "Z")
    rows = f"skipped {counted(n_hours, 'hourly mean')} before {first} (too coarse to learn five-minute forecasts)"
    return SkippedRows(n_hours, rows)


def _is_state(full_hour_ms: int, next_ms: int) -> bool:
    """Return whether a single row on the hour is a state: the next is as exact, or later than the hour's mean allows.

    Means follow each other until the first state.
    """
    return next_ms % _SECOND_MS == 0 or next_ms - full_hour_ms > _HOUR_MS


def _check_statistics(instant_ms: I64) -> SkippedRows:
    """Accept the five-minute means of the short-term statistics; reject longer ones."""
    step_ms = int(np.median(np.diff(instant_ms))) if len(instant_ms) > 1 else 0
    if step_ms > _LONGEST_MEAN_MS:
        msg = f"holds means of {step_ms / MINUTE_MS:g} min (long-term statistics): each {_TOO_COARSE}; {_STATES}"
        raise ValueError(msg)
    return SkippedRows(
        0, f"means of five minutes hide what happens within them, so that scores look too good; {_STATES}"
    )


HISTORY = ExportKind(
    "Home Assistant's history",
    lambda header: {"entity_id", "state"} <= {*header} and column_of(header, *_CHANGED) is not None,
    _history_rows,
    _check_history,
    hold_min=DAY_MIN,
    label_kind=_LABEL_KIND,
)
STATISTICS = ExportKind(
    "Home Assistant's statistics",
    lambda header: "mean" in header and column_of(header, *_START) is not None,
    _statistics_rows,
    _check_statistics,
    label_kind=_LABEL_KIND,
)
