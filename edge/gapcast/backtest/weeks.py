"""Scores by week: what a picture of a year needs, in a few numbers a week."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gapcast.core.grid import DAY_MIN, minute_label
from gapcast.core.learning.outcomes import F64, Outcomes

WEEK_MIN = 7 * DAY_MIN
_SQUARED, _ABSOLUTE, _PERSISTENCE_SQUARED, _PERSISTENCE_ABSOLUTE, _HITS, _WIDTH, _N = range(7)


class Week(NamedTuple):
    """Means over the forecasts of one house whose minutes came in one week (of UTC, from a Thursday on)."""

    begins_at: str
    n: int
    mse_kw2: float
    mae_kw: float
    persistence_mse_kw2: float
    persistence_mae_kw: float
    coverage: float
    width_kw: float


@dataclass(slots=True)
class Weeks:
    """Sums by house and week."""

    _sums: dict[tuple[int, int], F64]

    def __init__(self) -> None:
        self._sums = {}

    def add(self, outcomes: Outcomes) -> None:
        """Count ``outcomes``."""
        came, told = outcomes.actual_kw, outcomes.published_kw
        of_each = np.empty((len(outcomes), 7))
        of_each[:, _SQUARED] = (told[:, 0] - came) ** 2
        of_each[:, _ABSOLUTE] = np.abs(np.where(np.isnan(told[:, 1]), told[:, 0], told[:, 1]) - came)
        of_each[:, _PERSISTENCE_SQUARED] = (outcomes.last_kw - came) ** 2
        of_each[:, _PERSISTENCE_ABSOLUTE] = np.abs(outcomes.last_kw - came)
        of_each[:, _HITS] = (told[:, 2] <= came) & (came <= told[:, 3])
        of_each[:, _WIDTH] = told[:, 3] - told[:, 2]
        of_each[:, _N] = 1
        keys = np.stack((outcomes.rows, outcomes.minutes // WEEK_MIN), axis=1)
        distinct, inverse = np.unique(keys, axis=0, return_inverse=True)
        sums = np.zeros((len(distinct), of_each.shape[1]))
        np.add.at(sums, inverse.reshape(-1), of_each)
        for (row, week), its in zip(distinct.tolist(), sums, strict=True):
            self._sums[row, week] = self._sums.get((row, week), 0.0) + its

    def of(self, row: int) -> list[Week]:
        """Return the weeks of the house that has that row, in their order."""
        return [_week(week, sums) for (of_row, week), sums in sorted(self._sums.items()) if of_row == row]


def _week(week: int, sums: F64) -> Week:
    n = int(sums[_N])
    means = (sums / n).tolist()
    return Week(minute_label(week * WEEK_MIN), n, *means[:_N])
