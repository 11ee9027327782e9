"""Outcomes of outlooks, and reference forecasts, which need only readings and no model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.time_grid import DAY_MIN, WEEK_MIN

#: The two kinds of forecasts of an outlook, and of their outcomes: a single minute, the mean of all minutes until then.
KINDS = ("point", "mean")
POINT, MEAN_TO = range(2)
#: The reference forecasts, in order: the newest reading, the mean of as many past minutes as the lead time, and the
#: readings of the same minutes a day and a week before.
REFERENCES = ("persistence", "last_window", "yesterday", "last_week")
#: Number of minutes of power before the observed minute that the reference forecasts need.
REACH_MIN = WEEK_MIN
_BACK_MIN = (DAY_MIN, WEEK_MIN)


class MinutePower:
    """The power of one device by minute, and sums of it."""

    def __init__(self, first_minute: int, known_kw: NDArray[np.floating], measured_kw: NDArray[np.floating]) -> None:
        """Use power ``[M]``, kW, from ``first_minute`` on, NaN where it is missing.

        ``known_kw`` is the input of forecasts, ``measured_kw`` the source of outcomes: without filled minutes.
        """
        self._first_minute = first_minute
        self._known, self._measured = _Summed(known_kw), _Summed(measured_kw)

    def outcomes_kw(self, observed_minutes: I64, lead_min: int) -> F64:
        """Return the outcomes ``lead_min`` after ``observed_minutes`` ``[N]``, ``[N, 2]`` by :data:`KINDS`.

        NaN if the minute at the lead time, or for the mean any minute until then, was not measured.
        """
        at = observed_minutes - self._first_minute
        outcomes = np.empty((len(at), len(KINDS)))
        outcomes[:, POINT] = self._measured.at(at + lead_min)
        outcomes[:, MEAN_TO] = self._measured.mean(at + 1, lead_min, lead_min)
        return outcomes

    def references_kw(self, observed_minutes: I64, lead_min: int) -> F64:
        """Return the reference forecasts made at ``observed_minutes`` ``[N]``, ``[N, 2, 4]``, by kind and reference.

        NaN where a reference's power is unknown; a mean of a day or a week before needs at least half of its minutes.
        The mean of the last minutes is over the known minutes; it serves both kinds.
        """
        at = observed_minutes - self._first_minute
        references = np.empty((len(at), len(KINDS), len(REFERENCES)))
        references[:, :, 0] = self._known.at(at)[:, None]
        references[:, :, 1] = self._known.mean(at + 1 - lead_min, lead_min, 1)[:, None]
        for i, back_min in enumerate(_BACK_MIN, start=2):
            references[:, POINT, i] = self._known.at(at + lead_min - back_min)
            references[:, MEAN_TO, i] = self._known.mean(at + 1 - back_min, lead_min, (lead_min + 1) // 2)
        return references


class _Summed:
    """Values ``[M]`` with NaN, and their running sums."""

    def __init__(self, values: NDArray[np.floating]) -> None:
        self._values = values.astype(np.float64)
        is_known = ~np.isnan(self._values)
        self._sums = np.concatenate(([0.0], np.cumsum(np.where(is_known, self._values, 0.0))))
        self._counts = np.concatenate(([0], np.cumsum(is_known)))

    def at(self, places: I64) -> F64:
        """Return the values at ``places`` ``[N]``; NaN outside."""
        n = len(self._values)
        return np.where((places >= 0) & (places < n), self._values.take(places, mode="clip"), np.nan)

    def mean(self, first: I64, n_values: int, n_required: int) -> F64:
        """Return the mean of the ``n_values`` from ``first`` ``[N]`` on; NaN if fewer than ``n_required`` are known."""
        n = len(self._values)
        begin, end = np.clip(first, 0, n), np.clip(first + n_values, 0, n)
        counts = self._counts[end] - self._counts[begin]
        means = (self._sums[end] - self._sums[begin]) / np.maximum(counts, 1)
        return np.where(counts >= n_required, means, np.nan)
