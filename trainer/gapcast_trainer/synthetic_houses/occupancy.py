"""Occupancy: when people are at home and awake, and when they start an activity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gapcast.core.arrays.array_types import F64, Flags
from gapcast.core.time_grid import DAY_MIN

_WORKDAYS = 5
_HOUR_MIN = 60


@dataclass(frozen=True, slots=True)
class Occupancy:
    """The people of a house; the first day is a Monday.

    ``active`` ``[T]`` is the number of people at home and awake, ``return_min`` ``[D]`` the minute of the day in which
    the last one returns, NaN on days away.
    """

    active: F64
    return_min: F64
    n_people: int

    def starts(self, rng: np.random.Generator, per_day: float, peaks_h: tuple[float, ...] = ()) -> F64:
        """Return the times, in minutes since the start, at which an activity begins ``per_day`` times a day on average.

        The times are a Poisson process, whose rate follows the number of active people, and the hours ``peaks_h``
        (within about an hour and a half) if there are any.
        """
        n_min = self.active.size
        weight = self.active + 0.01
        if peaks_h:
            hour = np.arange(n_min) % DAY_MIN / _HOUR_MIN
            weight = weight * sum(np.exp(-(((hour - peak) / 1.2) ** 2)) + 0.03 for peak in peaks_h)
        n = rng.poisson(per_day * n_min / DAY_MIN)
        chosen = np.searchsorted(np.cumsum(weight), rng.uniform(0, weight.sum(), n))
        times: F64 = np.sort(chosen + rng.uniform(0, 1, n))
        return times


def occupancy(rng: np.random.Generator, n_days: int) -> Occupancy:
    """Return the occupancy of ``n_days`` days from Monday midnight on, with random habits and days away."""
    n_people = int(rng.integers(1, 6))
    active = np.zeros(n_days * DAY_MIN)
    return_min = np.full(n_days, np.nan)
    hour = np.arange(DAY_MIN) / _HOUR_MIN
    away = _days_away(rng, n_days)
    for _ in range(n_people):
        wake_h, sleep_h = rng.normal(6.8, 0.9), rng.normal(22.8, 0.9)
        works = rng.random() < 0.65  # noqa: PLR2004 - the share of people who leave the house on workdays
        leave_h, return_h = wake_h + rng.uniform(0.6, 1.6), rng.normal(17.3, 1.2)
        for day in range(n_days):
            if away[day]:
                continue
            is_workday = day % 7 < _WORKDAYS
            late_h = 0.0 if is_workday else rng.uniform(0.3, 1.8)
            awake = (hour > wake_h + late_h + rng.normal(0, 0.3)) & (hour < sleep_h + rng.normal(0, 0.5))
            back_h = return_h + rng.normal(0, 0.6)
            if works and is_workday:
                awake &= (hour < leave_h + rng.normal(0, 0.2)) | (hour > back_h)
            elif rng.random() < 0.6:  # noqa: PLR2004 - an errand
                begin_h = rng.uniform(9, 17)
                back_h = begin_h + rng.uniform(0.7, 4)
                awake &= (hour < begin_h) | (hour > back_h)
            active[day * DAY_MIN : (day + 1) * DAY_MIN] += awake
            return_min[day] = np.nanmax([return_min[day], back_h * _HOUR_MIN])
    return Occupancy(active, return_min, n_people)


def _days_away(rng: np.random.Generator, n_days: int) -> Flags:
    """Return which days nobody is at home: a journey of some days in about half of the houses."""
    away = np.zeros(n_days, dtype=np.bool_)
    if rng.random() < 0.5 and n_days > 14:  # noqa: PLR2004 - half of them; not in short series
        first = int(rng.integers(7, n_days - 5))
        away[first : first + int(rng.integers(2, 6))] = True
    return away
