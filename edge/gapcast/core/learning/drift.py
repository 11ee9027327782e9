"""Drift: a lasting change of a device's errors, detected day by day and reported once. 100 bytes per device.

A two-sided tabular CUSUM (Page 1954, "Continuous inspection schemes"; NIST/SEMATECH e-Handbook 6.3.2.3) on the
logarithm of each day's mean absolute error. Errors that grow threefold are reported after 3 days (median, three
houses); a quiet house of 121 days had no change reported: docs/decisions/0011-drift.md has the figures and reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gapcast.core.learning.columns import Columns, check_columns
from gapcast.core.learning.outcomes import F64, Outcomes, Runs
from gapcast.core.window import I64

#: Slack and limit of the CUSUM, in standard deviations of the device's own days.
K, H = 0.75, 5.0
#: Days for the baseline of a device before any change is reported, and again after each change.
QUIET_DAYS = 7
#: Outcomes that a day needs: with fewer they may all be from the night.
MIN_OUTCOMES_PER_DAY = 600
_DAY_MIN = 1440
_LARGEST_KW = 1e9
#: Minimum error: with constant power the logarithm would be minus infinity.
_SMALLEST_KW = 0.005
#: The baseline averages this many days, and one day moves it by at most this many deviations.
_MEMORY_DAYS, _FARTHEST = 60, 3.0
#: Prior deviation of a house's days, with the weight of this many days: seven days alone are too few to estimate it.
_PRIOR_DEVIATION, _PRIOR_DAYS = 0.35, 7
#: Minimum deviation: if all days were alike, every small difference would count as a change.
_MIN_DEVIATION = 0.15
#: Maximum difference of mean logarithms of errors.
_LARGEST_LOG = 50.0
#: Sums of logarithms beyond this are damaged state.
_LARGEST_SUM = 1e4
_FIRST_ROWS = 16
_NO_DAY = -1
# Columns of the state: the baseline; a CUSUM per direction, its days since 0, and their distance from the baseline.
_MEAN, _VARIANCE, _N_DAYS = 0, 1, 2
_UP, _DOWN = 3, 6
_N_STATE = 9


@dataclass(frozen=True, slots=True)
class ErrorChange:
    """Over the last ``n_days`` days, a device's errors ``grew`` or ``shrank`` to ``factor`` times the baseline.

    ``minute`` is that of the outcome that ended the day of the detection.
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
        self._min_outcomes = min_outcomes
        self._state: F64 = _new_state(_FIRST_ROWS)
        self._day: I64 = np.full(_FIRST_ROWS, _NO_DAY, dtype=np.int64)
        self._today: F64 = np.zeros((_FIRST_ROWS, 2))  # outcomes, and their absolute errors' sum

    def add(self, outcomes: Outcomes) -> list[ErrorChange]:
        """Add outcomes, those of one device in order; return the changes detected at the end of days."""
        if not len(outcomes):
            return []
        n_rows = int(outcomes.rows.max()) + 1
        rows, minutes, errors_kw = outcomes.rows, outcomes.minutes, _errors_kw(outcomes)
        if n_rows > self._max_devices:
            tracked = rows < self._max_devices
            rows, minutes, errors_kw = rows[tracked], minutes[tracked], errors_kw[tracked]
            n_rows = int(rows.max(initial=-1)) + 1
        self._grow(n_rows)
        known = errors_kw == errors_kw  # noqa: PLR0124 - NaN is not
        today = np.stack((known, np.where(known, errors_kw, 0.0)), axis=1)
        runs = Runs.of(rows, minutes // _DAY_MIN)
        if runs is None:
            return self._add(rows, minutes, today)
        rows, minutes = rows[runs.order][runs.first], minutes[runs.order][runs.first]
        today, changes = np.add.reduceat(today[runs.order], runs.first), []
        for nth in range(int(runs.nth.max(initial=-1)) + 1):
            now = runs.nth == nth
            changes += self._add(rows[now], minutes[now], today[now])
        return changes

    def _add(self, rows: I64, minutes: I64, today: F64) -> list[ErrorChange]:
        """Add ``today``, outcomes and their absolute errors' sum, to the days of ``minutes``, each row once."""
        days = minutes // _DAY_MIN
        is_new = days != self._day[rows]
        changes = self._begin_day(rows[is_new], days[is_new], minutes[is_new]) if is_new.any() else []
        self._today[rows] += today
        return changes

    def _begin_day(self, rows: I64, days: I64, minutes: I64) -> list[ErrorChange]:
        """Begin a new day for ``rows``; update the CUSUM with the previous one."""
        n, total_kw = self._today[rows].T
        complete = (days > self._day[rows]) & (n >= self._min_outcomes)
        self._day[rows] = days
        self._today[rows] = 0
        if not complete.any():
            return []
        levels = np.log(np.maximum(total_kw[complete] / n[complete], _SMALLEST_KW))
        return self._update_cusum(rows[complete], minutes[complete], levels)

    def _update_cusum(self, rows: I64, minutes: I64, levels: F64) -> list[ErrorChange]:
        """Update the CUSUM with ``levels``, the logarithms of a day's mean absolute errors of ``rows``."""
        state = self._state[rows]
        counts = state[:, (_VARIANCE, _N_DAYS, _UP, _UP + 1, _DOWN, _DOWN + 1)]
        damaged = ~((np.abs(state) <= _LARGEST_SUM).all(axis=1) & (counts >= 0).all(axis=1))
        state[damaged] = _new_state(1)
        n_days = state[:, _N_DAYS]
        far = levels - state[:, _MEAN]
        deviation = np.maximum(np.sqrt(state[:, _VARIANCE]), _MIN_DEVIATION)
        clipped = np.clip(far, -_FARTHEST * deviation, _FARTHEST * deviation)
        is_active = n_days >= QUIET_DAYS
        changes: list[ErrorChange] = []
        changed = np.zeros(len(rows), dtype=bool)
        for first, sign in ((_UP, 1), (_DOWN, -1)):
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
        state[:, _MEAN] += moves / np.minimum(n_days + 1, _MEMORY_DAYS)
        spread = np.where(n_days == 0, 0, clipped**2 - state[:, _VARIANCE])
        state[:, _VARIANCE] += spread / np.minimum(n_days + _PRIOR_DAYS, _MEMORY_DAYS)
        state[:, _N_DAYS] = np.minimum(n_days + 1, _MEMORY_DAYS)
        state[changed] = _new_state(1)
        self._state[rows] = state
        return changes

    def forget(self, row: int) -> None:
        """Reset ``row``."""
        if row < len(self._day):
            self._state[row] = _new_state(1)
            self._day[row], self._today[row] = _NO_DAY, 0

    def columns(self, rows: Sequence[int]) -> dict[str, NDArray[np.generic]]:
        """Return a copy of ``rows`` as columns with stable names; an untracked row looks like a new one."""
        at = np.asarray(rows, dtype=np.int64)
        unknown = at >= min(len(self._day), self._max_devices)
        at = np.where(unknown, 0, at)
        state, day, today = self._state[at], self._day[at], self._today[at]
        state[unknown], day[unknown], today[unknown] = _new_state(1), _NO_DAY, 0
        return {"state": state, "day": day, "today": today}

    def restore_columns(self, columns: Columns) -> None:
        """Restore the result of :meth:`columns` into the first rows.

        Raises :class:`ValueError` if the columns do not fit.
        """
        n_rows = min(check_columns(columns, self.columns(()), ("state", "day", "today")), self._max_devices)
        self._grow(n_rows)
        for name, array in (("state", self._state), ("day", self._day), ("today", self._today)):
            array[:n_rows] = columns[name][:n_rows]

    def copy(self) -> Drift:
        """Return a copy that later outcomes do not change."""
        copied = Drift(self._max_devices, self._min_outcomes)
        copied._state, copied._day, copied._today = self._state.copy(), self._day.copy(), self._today.copy()
        return copied

    def _grow(self, n_rows: int) -> None:
        while n_rows > len(self._day):
            n_more = len(self._day)
            self._state = np.concatenate([self._state, _new_state(n_more)])
            self._day = np.concatenate([self._day, np.full(n_more, _NO_DAY, dtype=np.int64)])
            self._today = np.concatenate([self._today, np.zeros((n_more, 2))])


def _new_state(n_rows: int) -> F64:
    """Return the initial state of devices, ``[n_rows, 9]``."""
    state = np.zeros((n_rows, _N_STATE))
    state[:, _VARIANCE] = _PRIOR_DEVIATION**2
    return state


def _errors_kw(outcomes: Outcomes) -> F64:
    """Return the absolute errors of the published median, or of the mean if there is no median."""
    mean_kw, median_kw = outcomes.published_kw[:, 0], outcomes.published_kw[:, 1]
    published_kw = np.where(np.isnan(median_kw), mean_kw, median_kw)
    return np.minimum(np.abs(published_kw - outcomes.actual_kw), _LARGEST_KW)
