"""The columns of a model's input: measured features, and features derived from the local time.

A model's card names its features. Measured features are part of each reading; derived features are computed here from
the minutes alone, for edge and trainer alike.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from types import MappingProxyType

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gapcast.core.arrays.array_types import F32, I64
from gapcast.core.time_grid import DAY_MIN, EPOCH_WEEKDAY, WEEK_MIN

GAP = "gap_kw"
#: Measured features with their units. The first is always present.
MEASURED = MappingProxyType({GAP: "kW", "reactive_kvar": "kvar", "voltage_v": "V", "current_a": "A"})
#: The angle of each minute of the day on a circle ``[1440]``.
ANGLES_OF_DAY = np.arange(DAY_MIN) * (2 * np.pi / DAY_MIN)
#: No time zone of the IANA database changes its offset twice within this time: equal offsets at both ends hold between.
_STEADY_MIN = 3 * DAY_MIN


def _periodic(function: Callable[[float], float], period_min: int) -> F32:
    return np.array([function(2 * math.pi * minute / period_min) for minute in range(period_min)], dtype=np.float32)


_TABLES: dict[str, F32] = {
    "tod_sin": _periodic(math.sin, DAY_MIN),
    "tod_cos": _periodic(math.cos, DAY_MIN),
    "dow_sin": _periodic(math.sin, WEEK_MIN),
    "dow_cos": _periodic(math.cos, WEEK_MIN),
}
#: Features derived from a minute's local time: sine and cosine of the time of day and of the week.
DERIVED = tuple(_TABLES)
UNITS = MappingProxyType({**MEASURED, **dict.fromkeys(DERIVED, "1")})


def measured_in(names: Sequence[str]) -> tuple[str, ...]:
    """Return the measured features among ``names``, in their order.

    >>> measured_in(["gap_kw", "voltage_v", "tod_sin"])
    ('gap_kw', 'voltage_v')
    """
    return tuple(name for name in names if name in MEASURED)


def problem_with(names: Sequence[str]) -> str | None:
    """Return why ``names`` cannot be a model's features, None if they can.

    The order is :data:`GAP`, other measured features, derived features, each once.

    >>> problem_with(["gap_kw", "tod_sin", "voltage_v"])
    'measured features come before derived ones, but voltage_v follows tod_sin'
    """
    if not names or names[0] != GAP:
        return f"the first feature must be {GAP}, not {names[0] if names else 'none'}"
    unknown = [name for name in names if name not in UNITS]
    if unknown:
        return f"unknown feature {unknown[0]}: use one of {', '.join(UNITS)}"
    if len(set(names)) < len(names):
        return f"a feature is named twice in {', '.join(names)}"
    for before, after in itertools.pairwise(names):
        if before in DERIVED and after in MEASURED:
            return f"measured features come before derived ones, but {after} follows {before}"
    return None


def assemble(measured: F32, newest_minute: I64, names: Sequence[str], zone: tzinfo = UTC) -> F32:
    """Return a model's input ``[N, context, F]``: the measured columns followed by the derived ones.

    ``measured`` is ``[N, context, M]``, oldest first; ``newest_minute`` ``[N]`` (since the epoch) is
    each window's last minute, and ``zone`` the local time zone. Padded minutes have the time of their position in the
    window.
    """
    derived = _derived_in(tuple(names))
    if not derived:
        return measured
    n, context, n_measured = measured.shape
    newest = np.asarray(newest_minute, dtype=np.int64)
    if n == 1:
        one = _columns_of(int(newest[0]), derived, n_measured, context, zone).copy()
        one[:, :n_measured] = measured[0]
        return one[np.newaxis]
    if n and (newest == newest[0]).all():  # in a stream nearly all windows end in the same minute
        inputs = np.empty((n, context, n_measured + len(derived)), dtype=np.float32)
        inputs[...] = _columns_of(int(newest[0]), derived, n_measured, context, zone)
    else:
        inputs = _columns_at(newest, derived, n_measured, context, zone)
    inputs[:, :, :n_measured] = measured
    return inputs


@functools.lru_cache(maxsize=64)
def _derived_in(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name in _TABLES)


@functools.lru_cache(maxsize=64)
def _columns_of(newest_minute: int, derived: tuple[str, ...], n_measured: int, context: int, zone: tzinfo) -> F32:
    """Return ``[context, n_measured + D]``: zeros, and the ``derived`` columns of a window that ends at this minute.

    With the columns of zeros, rows are copied to inputs as a whole.
    """
    oldest = newest_minute - (context - 1)
    offset = 0 if zone is UTC else _offset_at(newest_minute, zone)
    if zone is not UTC and (context > _STEADY_MIN or _offset_at(oldest, zone) != offset):
        columns: F32 = _columns_at(np.array([newest_minute], dtype=np.int64), derived, n_measured, context, zone)[0]
    else:
        starting_at = _starting_at(derived, n_measured, context)
        columns = starting_at[(oldest + offset + EPOCH_WEEKDAY * DAY_MIN) % len(starting_at)]
    return columns


def _columns_at(newest: I64, derived: tuple[str, ...], n_measured: int, context: int, zone: tzinfo) -> F32:
    """Return a new array ``[N, context, n_measured + D]``: the columns of windows that end at ``newest`` ``[N]``."""
    oldest = newest - (context - 1)
    offset, offset_before = offset_min(np.array((newest, oldest)), zone)
    starting_at = _starting_at(derived, n_measured, context)
    columns: F32 = starting_at[(oldest + offset + EPOCH_WEEKDAY * DAY_MIN) % len(starting_at)]
    has_change = offset != offset_before  # the offset from UTC changes within these windows
    if context > _STEADY_MIN and zone is not UTC:
        has_change[:] = True
    if has_change.any():
        minutes = newest[has_change, np.newaxis] + np.arange(1 - context, 1)
        local = minutes + offset_min(minutes, zone) + EPOCH_WEEKDAY * DAY_MIN
        for at, name in enumerate(derived, n_measured):
            columns[has_change, :, at] = _TABLES[name][local % _TABLES[name].size]
    return columns


@functools.lru_cache(maxsize=64)
def _starting_at(derived: tuple[str, ...], n_measured: int, context: int) -> F32:
    """Return zeros and the derived features over ``context`` minutes, ``[period, context, n_measured + D]``.

    The period is the longest one of these features, a multiple of the others; each of its minutes begins a row. Rows
    are views of the same columns, and are copied as a whole, several times faster than column by column.
    """
    period = max(_TABLES[name].size for name in derived)
    columns = np.zeros((period + context - 1, n_measured + len(derived)), dtype=np.float32)
    for at, name in enumerate(derived, n_measured):
        columns[:, at] = np.resize(_TABLES[name], len(columns))
    return sliding_window_view(columns, (context, columns.shape[1]))[:, 0]


def offset_min(minutes: I64, zone: tzinfo) -> I64:
    """Return the offset of ``zone`` from UTC at each of ``minutes`` (since the epoch), in minutes."""
    if zone is UTC or not minutes.size:
        return np.zeros_like(minutes)
    low, high = int(minutes.min()), int(minutes.max())
    ahead_min = _offset_at(low, zone)
    if high - low <= _STEADY_MIN and _offset_at(high, zone) == ahead_min:
        return np.full_like(minutes, ahead_min)
    blocks, block_of = np.unique(minutes // _STEADY_MIN, return_inverse=True)
    starts = [block * _STEADY_MIN for block in blocks.tolist()]
    at_start = np.array([_offset_at(start, zone) for start in starts], dtype=np.int64)
    at_end = np.array([_offset_at(start + _STEADY_MIN - 1, zone) for start in starts], dtype=np.int64)
    offsets: I64 = at_start[block_of.reshape(minutes.shape)]
    changing = (at_start != at_end)[block_of.reshape(minutes.shape)]
    distinct, inverse = np.unique(minutes[changing], return_inverse=True)
    offsets[changing] = np.array([_offset_at(minute, zone) for minute in distinct.tolist()], dtype=np.int64)[inverse]
    return offsets


def minute_of_day(minutes: I64, zone: tzinfo) -> I64:
    """Return the minute of the day in ``zone`` of each of ``minutes`` (since the epoch)."""
    found: I64 = (minutes if zone is UTC else minutes + offset_min(minutes, zone)) % DAY_MIN
    return found


def minute_of_day_at(minute: int, zone: tzinfo) -> int:
    """Return the minute of the day in ``zone`` at ``minute`` (since the epoch): :func:`minute_of_day` of one minute.

    >>> minute_of_day_at(21_474_749, UTC)
    29
    """
    return (minute if zone is UTC else minute + _offset_at(minute, zone)) % DAY_MIN


def local_day_at(minute: int, zone: tzinfo) -> int:
    """Return the day in ``zone`` at ``minute`` (since the epoch), counted from 1970-01-01.

    >>> from datetime import timedelta, timezone
    >>> local_day_at(1_439, UTC), local_day_at(1_439, timezone(timedelta(hours=1)))
    (0, 1)
    """
    return (minute if zone is UTC else minute + _offset_at(minute, zone)) // DAY_MIN


def _offset_at(minute: int, zone: tzinfo) -> int:
    ahead = datetime.fromtimestamp(minute * 60, zone).utcoffset()
    return 0 if ahead is None else round(ahead.total_seconds() / 60)
