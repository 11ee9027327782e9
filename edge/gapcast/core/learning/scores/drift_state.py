"""The state of drift: a baseline, two CUSUMs and the day in progress of every tracked device. 100 bytes per device."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.arrays.device_rows import DAMAGED, DeviceRows
from gapcast.core.forecasts.outcomes import Outcomes, groups_in_order, tracked_outcomes
from gapcast.core.time_grid import DAY_MIN

Places = NDArray[np.intp]
#: Columns of the CUSUM state: the baseline; a CUSUM per direction, its days since 0, and their distance from the
#: baseline.
MEAN, VARIANCE, N_DAYS = 0, 1, 2
UP, DOWN = 3, 6
_N_COLUMNS = 9
#: Prior deviation of a house's days.
PRIOR_DEVIATION = 0.35
_NO_DAY = -1
_LARGEST_KW = 1e9
_FIRST_ROWS = 16


class EndedDays(NamedTuple):
    """Complete days that ended: ``rows`` ``[N]``, and mean absolute errors ``mean_kw`` ``[N]``.

    ``minutes`` ``[N]`` are the minutes of the outcomes that ended the days. The days are in the order of these
    outcomes.
    """

    rows: I64
    minutes: I64
    mean_kw: F64

    def select(self, which: Places) -> EndedDays:
        """Return the selected days."""
        return EndedDays(self.rows[which], self.minutes[which], self.mean_kw[which])


class DriftState(DeviceRows):
    """State of each row below ``max_devices``. If time goes back, the day in progress is dropped.

    ``state`` ``[9]`` has the columns above; ``day`` is the day in progress, and ``today`` ``[2]`` the number of its
    outcomes and the sum of their absolute errors, kW, added sequentially.
    """

    def __init__(self, max_devices: int, min_outcomes: int) -> None:
        """Track ``max_devices``; a complete day has ``min_outcomes``."""
        self.max_devices, self.min_outcomes = max_devices, min_outcomes
        cusum = np.zeros(_N_COLUMNS)
        cusum[VARIANCE] = PRIOR_DEVIATION**2
        super().__init__({"state": cusum, "day": np.array(_NO_DAY, dtype=np.int64), "today": np.zeros(2)}, _FIRST_ROWS)

    @np.errstate(**DAMAGED)
    def add(self, outcomes: Outcomes) -> EndedDays | None:
        """Add outcomes, in order for each device; return the complete days that ended, None without any.

        Outcomes of untracked rows are ignored.
        """
        outcomes, n_rows = tracked_outcomes(outcomes, self.max_devices)
        if not n_rows:
            return None
        rows, days, errors_kw = outcomes.rows, outcomes.minutes // DAY_MIN, _errors_kw(outcomes)
        self.grow(n_rows)
        day, today = self.arrays["day"], self.arrays["today"]
        known = errors_kw == errors_kw  # noqa: PLR0124 - NaN is not
        errors = np.stack((known, np.where(known, errors_kw, 0.0)), axis=1)
        groups = groups_in_order(rows, days)
        if groups is None:
            at, totals = self._begin_days(np.flatnonzero(days != day[rows]), rows, days)
            today[rows] += errors
        else:
            ended = []
            for group in groups:
                begins = group[days[group] != day[rows[group]]]
                _, first = np.unique(rows[begins], return_index=True)
                ended.append(self._begin_days(begins[first], rows, days))
                np.add.at(today, rows[group], errors[group])
            at, totals = np.concatenate([at for at, _ in ended]), np.concatenate([totals for _, totals in ended])
            order = np.argsort(at)
            at, totals = at[order], totals[order]
        return self._ended(outcomes, at, totals) if at.size else None

    def _begin_days(self, first: Places, rows: I64, days: I64) -> tuple[Places, F64]:
        """Begin the days of the outcomes ``first``, each in another row.

        Return the outcomes that ended a complete day, and the sums of these days, ``[N, 2]``.
        """
        if not first.size:
            return first, np.empty((0, 2))
        begins, days, day, today = rows[first], days[first], self.arrays["day"], self.arrays["today"]
        totals = today[begins]
        is_complete = (days > day[begins]) & (totals[:, 0] >= self.min_outcomes)
        day[begins], today[begins] = days, 0
        return first[is_complete], totals[is_complete]

    def _ended(self, outcomes: Outcomes, at: Places, totals: F64) -> EndedDays:
        """Return the days with the sums ``totals`` ``[N, 2]`` that the outcomes ``at`` ended."""
        return EndedDays(outcomes.rows[at], outcomes.minutes[at], totals[:, 1] / totals[:, 0])


def _errors_kw(outcomes: Outcomes) -> F64:
    """Return the absolute errors of the published median, or of the mean if there is no median."""
    mean_kw, median_kw = outcomes.published_kw[:, 0], outcomes.published_kw[:, 1]
    published_kw = np.where(np.isnan(median_kw), mean_kw, median_kw)
    return np.minimum(np.abs(published_kw - outcomes.actual_kw), _LARGEST_KW)
