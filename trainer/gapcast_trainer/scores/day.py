"""The forecasts of one real day, for plots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gapcast.core.arrays.array_types import F32, I64
from gapcast.core.forecasts.forecast import LOWER, MEDIAN, UPPER
from gapcast.core.time_grid import DAY_MIN
from gapcast_trainer.scores.minutes import Minutes
from gapcast_trainer.scores.model_outputs import ModelOutputs

#: Minimum share of forecast minutes for a complete day.
_COMPLETE = 0.99


@dataclass(frozen=True, slots=True)
class Day:
    """Observed and forecast power, kW, ``[n]`` each, at ``local_minute``, by the clock of the file's zone since 1970.

    Each forecast was made ``horizon_min`` minutes before its target.
    """

    horizon_min: int
    local_minute: I64
    actual_kw: F32
    mean_kw: F32
    median_kw: F32 | None
    lower_kw: F32 | None
    upper_kw: F32 | None


def choose_day(minutes: Minutes) -> I64:
    """Return the indices of the forecasts of one complete day in the file's zone, with the median error of persistence.

    If no day is complete, the day with the most forecasts is used. A day with a clock change is not complete.
    """
    day = minutes.local_minutes(minutes.horizon_min) // DAY_MIN
    names, index, count = np.unique(day, return_inverse=True, return_counts=True)
    error = minutes.last_kw.astype(np.float64) - minutes.actual_kw(minutes.horizon_min)
    mse = np.bincount(index, error**2) / count
    complete = np.flatnonzero((count >= _COMPLETE * DAY_MIN) & (count <= DAY_MIN))
    if not complete.size:
        complete = np.array([int(np.argmax(count))])
    chosen = complete[np.argsort(mse[complete], kind="stable")[complete.size // 2]]
    return np.flatnonzero(day == names[chosen]).astype(np.int64)


def day_of(outputs: ModelOutputs, minutes: Minutes, places: I64) -> Day:
    """Return the forecasts at ``places``, for the longest lead time."""
    chosen = minutes.select(places)
    mean, quantiles = outputs.select(places).at(minutes.horizon_min)

    def quantile(level: float) -> F32 | None:
        return quantiles[:, outputs.levels.index(level)] if quantiles is not None and level in outputs.levels else None

    return Day(
        horizon_min=minutes.horizon_min,
        local_minute=chosen.local_minutes(minutes.horizon_min),
        actual_kw=chosen.actual_kw(minutes.horizon_min),
        mean_kw=mean,
        median_kw=quantile(MEDIAN),
        lower_kw=quantile(LOWER),
        upper_kw=quantile(UPPER),
    )
