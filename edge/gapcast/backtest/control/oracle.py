"""The lowest possible peaks: the loads are controlled with knowledge of the future power.

The dishwasher starts, and the car charges, so that the highest window of the month becomes as low as possible. For each
evening and each start of the dishwasher, bisection finds the level to which the windows must be filled for the car to
get its energy ("water filling"). With the month's level, the dishwasher starts as early as possible. Within a window
the car's power is constant and continuous (not in steps).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.backtest.control.billing import active_at, billed_windows, month_peaks, months_of, window_starts
from gapcast.backtest.control.controlled_house import NONE, PLUGGED_IN_MIN, ControlledHouse
from gapcast.backtest.control.loads import (
    AMPERE_KW,
    DISHWASHER_KW,
    DISHWASHER_MIN,
    LATEST_START_MIN,
    MOST_A,
    NEED_KWH,
    LoadResult,
)  # fmt: skip
from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.billing.options import DemandOptions
from gapcast.core.time_grid import DAY_MIN

#: Interval between the tried starts of the dishwasher, minutes.
_STEP_MIN = 5
_N_HALVINGS = 40
_MOST_KW = 1e3
_CAR_KW = AMPERE_KW * MOST_A
_ENOUGH = 1e-6


class _Evening(NamedTuple):
    """The K windows of an evening, and S starts of the dishwasher.

    ``at`` ``[T]`` are the indices of the evening's minutes, ``window`` ``[T]`` the window of each minute; ``own_kw``
    ``[K]`` is the house's mean (minus infinity: no limit applies to the window), ``minutes`` ``[K]`` the window's
    minutes, ``delays_min`` ``[S]`` and ``added_kw`` ``[S, K]`` the dishwasher's delay and power.
    """

    at: I64
    window: I64
    own_kw: F64
    minutes: I64
    delays_min: I64
    added_kw: F64


def run_oracle(house: ControlledHouse, options: DemandOptions) -> tuple[F64, LoadResult]:
    """Return the power ``[T]`` of ``house`` with the loads, and their result."""
    total_kw = house.kw.copy()
    result = LoadResult()
    months = months_of(house.local // DAY_MIN)
    peaks = month_peaks(billed_windows(house.kw, house.local, options), 1)
    starts = window_starts(house.local, options.window_min)
    window = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(house.kw)))
    is_active = active_at(house.local[starts] // options.window_min * options.window_min, options.active)
    numbers = np.unique(house.evenings[house.evenings != NONE]).tolist()
    evenings = [_evening(house, window, is_active, np.flatnonzero(house.evenings == number)) for number in numbers]
    by_month: dict[int, list[tuple[_Evening, F64]]] = {}
    for evening in evenings:
        by_month.setdefault(int(months[evening.at[0]]), []).append((evening, _levels(evening)))
    for month, of_month in by_month.items():
        least_kw = max(float(levels_kw.min()) for _, levels_kw in of_month)
        level_kw = max(options.floor_kw, peaks.get(month, 0.0), least_kw)
        for evening, levels_kw in of_month:
            start = int(np.flatnonzero(levels_kw <= level_kw + _ENOUGH)[0])
            car_kw = _car_kw(evening, evening.added_kw[start], level_kw)
            total_kw[evening.at] += _dishwasher(house, evening, start) + car_kw
            result.n_evenings += 1
            result.delay_min += int(evening.delays_min[start])
            result.n_starts += int((np.diff(car_kw > _ENOUGH, prepend=False) & (car_kw > _ENOUGH)).sum())
    return total_kw, result


def _evening(house: ControlledHouse, window: I64, is_active: NDArray[np.bool_], at: I64) -> _Evening:
    numbers, of_minute = np.unique(window[at], return_inverse=True)
    known = ~np.isnan(house.kw[at])
    n_known = np.bincount(of_minute, known, len(numbers))
    sums = np.bincount(of_minute, np.where(known, house.kw[at], 0.0), len(numbers))
    mean_kw = np.where(n_known > 0, sums / np.maximum(n_known, 1), np.inf)  # nothing is drawn in unknown windows
    mean_kw[~is_active[numbers] & (n_known > 0)] = -np.inf
    minutes = np.bincount(of_minute, minlength=len(numbers))
    delays = np.arange(0, LATEST_START_MIN - PLUGGED_IN_MIN + 1, _STEP_MIN)
    added_kw = np.zeros((len(delays), len(numbers)))
    since = (house.local[at] - PLUGGED_IN_MIN) % DAY_MIN
    for i, delay in enumerate(delays.tolist()):
        runs = (since >= delay) & (since < delay + DISHWASHER_MIN)
        added_kw[i] = np.bincount(of_minute, runs, len(numbers)) * DISHWASHER_KW / minutes
    return _Evening(at, of_minute, mean_kw, minutes, delays, added_kw)


def _levels(evening: _Evening) -> F64:
    """Return for each start the lowest level ``[S]`` of the windows with the dishwasher and the car's energy."""
    base_kw = evening.own_kw + evening.added_kw
    is_on = (evening.added_kw > 0) & np.isfinite(base_kw)
    low_kw, high_kw = np.full(len(base_kw), -_MOST_KW), np.full(len(base_kw), _MOST_KW)
    for _ in range(_N_HALVINGS):
        middle_kw = (low_kw + high_kw) / 2
        car_kwh = (_room_kw(base_kw, middle_kw[:, np.newaxis]) * evening.minutes).sum(axis=1) / 60
        enough = car_kwh >= NEED_KWH
        high_kw, low_kw = np.where(enough, middle_kw, high_kw), np.where(enough, low_kw, middle_kw)
    levels_kw: F64 = np.maximum(high_kw, np.where(is_on, base_kw, -_MOST_KW).max(axis=1))
    return levels_kw


def _room_kw(base_kw: F64, level_kw: F64 | float) -> F64:
    room_kw: F64 = np.minimum(np.maximum(level_kw - base_kw, 0.0), _CAR_KW)
    return room_kw


def _dishwasher(house: ControlledHouse, evening: _Evening, start: int) -> F64:
    since = (house.local[evening.at] - PLUGGED_IN_MIN) % DAY_MIN - evening.delays_min[start]
    return np.where((since >= 0) & (since < DISHWASHER_MIN), DISHWASHER_KW, 0.0)


def _car_kw(evening: _Evening, added_kw: F64, level_kw: float) -> F64:
    """Return the car's power in each minute: what the level leaves, until the car has its energy."""
    minute_kwh = _room_kw(evening.own_kw + added_kw, level_kw)[evening.window] / 60
    before_kwh = np.cumsum(minute_kwh) - minute_kwh
    car_kw: F64 = np.minimum(minute_kwh, np.maximum(NEED_KWH - before_kwh, 0.0)) * 60
    return car_kw
