"""Scores by week: a few numbers per week, for a chart of a year."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.core.documents.figures import round_or_none
from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.time_grid import WEEK_MIN, minute_label

_SQUARED, _ABSOLUTE, _PERSISTENCE_SQUARED, _PERSISTENCE_ABSOLUTE, _N, _HITS, _WIDTH, _BOUNDS_N = range(8)


class Week(NamedTuple):
    """Means over the forecasts of one house with target minutes in one week (UTC, from Thursday).

    ``coverage`` and ``width_kw`` are over the forecasts with an interval; None without any.
    """

    begins_at: str
    n: int
    mse_kw2: float
    mae_kw: float
    persistence_mse_kw2: float
    persistence_mae_kw: float
    coverage: float | None
    width_kw: float | None

    def document(self) -> dict[str, Any]:
        """Return the week as a JSON document."""
        return {name: round_or_none(its) if isinstance(its, float) else its for name, its in self._asdict().items()}


@dataclass(slots=True)
class Weeks:
    """Sums by house and week."""

    _sums: dict[tuple[int, int], F64] = field(default_factory=dict)

    def add(self, outcomes: Outcomes) -> None:
        """Add ``outcomes``."""
        actual_kw = outcomes.actual_kw
        mean_kw, median_kw, lower_kw, upper_kw = outcomes.published_kw.T
        terms = np.empty((len(outcomes), 8))
        width_kw = upper_kw - lower_kw
        terms[:, _SQUARED] = (mean_kw - actual_kw) ** 2
        terms[:, _ABSOLUTE] = np.abs(np.where(np.isnan(median_kw), mean_kw, median_kw) - actual_kw)
        terms[:, _PERSISTENCE_SQUARED] = (outcomes.last_kw - actual_kw) ** 2
        terms[:, _PERSISTENCE_ABSOLUTE] = np.abs(outcomes.last_kw - actual_kw)
        terms[:, _N] = 1
        terms[:, _HITS] = (lower_kw <= actual_kw) & (actual_kw <= upper_kw)  # False for NaN
        terms[:, _WIDTH] = np.where(np.isnan(width_kw), 0.0, width_kw)
        terms[:, _BOUNDS_N] = ~np.isnan(width_kw)
        keys = np.stack((outcomes.rows, outcomes.minutes // WEEK_MIN), axis=1)
        distinct, inverse = np.unique(keys, axis=0, return_inverse=True)
        sums = np.zeros((len(distinct), terms.shape[1]))
        np.add.at(sums, inverse.reshape(-1), terms)
        for (row, week), week_sums in zip(distinct.tolist(), sums, strict=True):
            self._sums[row, week] = self._sums.get((row, week), 0.0) + week_sums

    def for_row(self, row: int) -> list[Week]:
        """Return the weeks of the house of ``row``, in order."""
        return [_week(week, sums) for (of_row, week), sums in sorted(self._sums.items()) if of_row == row]


def _week(week: int, sums: F64) -> Week:
    n, n_bounds = int(sums[_N]), int(sums[_BOUNDS_N])
    means = (sums[:_N] / n).tolist()
    of_bounds = (sums[_HITS:_BOUNDS_N] / n_bounds).tolist() if n_bounds else [None, None]
    return Week(minute_label(week * WEEK_MIN), n, *means, *of_bounds)
