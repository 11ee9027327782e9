"""Drift: a lasting change of a device's errors, detected day by day and reported once. 100 bytes per device.

A two-sided tabular CUSUM (Page 1954, "Continuous inspection schemes"; NIST/SEMATECH e-Handbook 6.3.2.3) on the
logarithm of each day's mean absolute error. Errors that grow threefold are reported after 3 days (median, three
houses); no change was reported for a quiet house in 121 days: docs/decisions/0011-drift.md has the figures and reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64
from gapcast.core.arrays.device_rows import DAMAGED, Columns, check_columns
from gapcast.core.forecasts.outcomes import Outcomes, groups_in_order
from gapcast.core.learning.scores.compiled_scores import new_drift_state
from gapcast.core.learning.scores.drift_state import DOWN, MEAN, N_DAYS, UP, VARIANCE, EndedDays

#: Slack and limit of the CUSUM, in standard deviations of the device's own days.
K, H = 0.75, 5.0
#: Days for the baseline of a device before any change is reported, and again after each change.
QUIET_DAYS = 7
#: Minimum number of outcomes in a day: fewer may all be from the night.
MIN_OUTCOMES_PER_DAY = 600
#: Minimum error: at constant power the logarithm would be minus infinity.
_SMALLEST_KW = 0.005
#: The baseline averages this many days, and one day moves it by at most this many deviations.
_MEMORY_DAYS, _FARTHEST = 60, 3.0
#: The prior deviation of a house's days has the weight of this many days: seven days are too few to estimate it.
_PRIOR_DAYS = 7
#: Minimum deviation: if all days were alike, every small difference would count as a change.
_MIN_DEVIATION = 0.15
#: Maximum difference of mean logarithms of errors.
_LARGEST_LOG = 50.0
#: Sums of logarithms beyond this are damaged state.
_LARGEST_SUM = 1e4


@dataclass(frozen=True, slots=True)
class ErrorChange:
    """Over the last ``n_days`` days, a device's errors ``grew`` or ``shrank`` to ``factor`` times the baseline.

    ``minute`` is the minute of the outcome that ended the day of the detection.
    """

    row: int
    minute: int
    direction: Literal["grew", "shrank"]
    factor: float
    n_days: int


class Drift:
    """Detects changes for each row below ``max_devices``. If time goes back, the day in progress is dropped."""

    def __init__(self, max_devices: int, min_outcomes: int = MIN_OUTCOMES_PER_DAY) -> None:
        """Track ``max_devices``; a day needs ``min_outcomes``."""
        self._max_devices = max_devices
        self._state = new_drift_state(max_devices, min_outcomes)

    def add(self, outcomes: Outcomes) -> list[ErrorChange]:
        """Add outcomes, in order for each device; return the changes detected at the end of days."""
        ended = self._state.add(outcomes)
        if ended is None:
            return []
        groups = groups_in_order(ended.rows, np.arange(len(ended.rows)))
        if groups is None:
            return self._update_cusum(ended)
        return [change for group in groups for change in self._update_cusum(ended.select(group))]

    @np.errstate(**DAMAGED)
    def _update_cusum(self, ended: EndedDays) -> list[ErrorChange]:
        """Update the CUSUM with the logarithms of the mean absolute errors of ``ended``, each row once."""
        rows, minutes = ended.rows, ended.minutes
        levels: F64 = np.log(np.maximum(ended.mean_kw, _SMALLEST_KW))
        cusums, initial = self._state.arrays["state"], self._state.initial("state")
        state = cusums[rows]
        counts = state[:, (VARIANCE, N_DAYS, UP, UP + 1, DOWN, DOWN + 1)]
        damaged = ~((np.abs(state) <= _LARGEST_SUM).all(axis=1) & (counts >= 0).all(axis=1))
        state[damaged] = initial
        n_days = state[:, N_DAYS]
        far = levels - state[:, MEAN]
        deviation = np.maximum(np.sqrt(state[:, VARIANCE]), _MIN_DEVIATION)
        clipped = np.clip(far, -_FARTHEST * deviation, _FARTHEST * deviation)
        is_active = n_days >= QUIET_DAYS
        changes: list[ErrorChange] = []
        changed = np.zeros(len(rows), dtype=bool)
        for first, sign in ((UP, 1), (DOWN, -1)):
            cusum = np.where(is_active, np.maximum(state[:, first] + sign * clipped / deviation - K, 0), 0)
            is_positive = cusum > 0
            state[:, first] = cusum
            state[:, first + 1] = np.where(is_positive, state[:, first + 1] + 1, 0)
            state[:, first + 2] = np.where(is_positive, state[:, first + 2] + far, 0)
            for i in np.flatnonzero(cusum > H).tolist():
                n, total = state[i, first + 1 : first + 3].tolist()
                direction: Literal["grew", "shrank"] = "grew" if sign > 0 else "shrank"
                changes.append(
                    ErrorChange(
                        int(rows[i]), int(minutes[i]), direction, float(np.exp(min(total / n, _LARGEST_LOG))), int(n)
                    )
                )
            changed |= cusum > H
        # The first day is the baseline; later days move it by their share.
        moves = np.where(n_days == 0, far, clipped)
        state[:, MEAN] += moves / np.minimum(n_days + 1, _MEMORY_DAYS)
        spread = np.where(n_days == 0, 0, clipped**2 - state[:, VARIANCE])
        state[:, VARIANCE] += spread / np.minimum(n_days + _PRIOR_DAYS, _MEMORY_DAYS)
        state[:, N_DAYS] = np.minimum(n_days + 1, _MEMORY_DAYS)
        state[changed] = initial
        cusums[rows] = state
        return changes

    def forget(self, row: int) -> None:
        """Reset ``row``."""
        self._state.forget(row)

    def columns(self, rows: Sequence[int]) -> dict[str, NDArray[np.generic]]:
        """Return a copy of ``rows`` as columns with stable names; an untracked row equals a new one."""
        return self._state.tracked_columns(np.asarray(rows, dtype=np.int64), self._max_devices)

    def restore_columns(self, columns: Columns) -> None:
        """Restore the result of :meth:`columns` into the first rows.

        Raises :class:`ValueError` if the columns do not fit.
        """
        n_rows = min(check_columns(columns, self.columns(()), ("state", "day", "today")), self._max_devices)
        self._state.grow(n_rows)
        for name, array in self._state.arrays.items():
            array[:n_rows] = columns[name][:n_rows]
