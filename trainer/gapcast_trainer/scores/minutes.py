"""The scored minutes: the outcome of each forecast, and its groups."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo

import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64, Flags
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.examples import WHOLE_MIN
from gapcast.core.windows.features import offset_min
from gapcast.core.windows.window import MAX_FILL_MIN
from gapcast.recordings.minutes.series import Series

HOURS = tuple(range(24))
#: Groups of forecasts around gaps, by readings since the history began (again), and by windows with filled minutes.
AFTER_GAPS = (
    "2 to 4 readings since a restart",
    "5 to 9 readings since a restart",
    "10 to 29 readings since a restart",
    "filled minutes in the last 30",
)
_SINCE_RESTART = (2, 5, 10, WHOLE_MIN)


@dataclass(frozen=True, slots=True)
class Minutes:
    """N forecasts to be scored, in order of time.

    ``observed_minute`` ``[N]`` is since the epoch, ``last_kw`` ``[N]`` the reading there, ``target_kw`` ``[N, L]`` the
    outcomes at ``lead_times_min``: NaN if not observed, which is never the case at the last lead time. ``age_min``
    ``[N]`` counts minutes since the history began, ``n_seen`` ``[N]`` the readings in them, ``n_filled`` ``[N]`` the
    filled minutes among the last 30. ``whole`` ``[N]`` marks the headline: 30 consecutive measured readings.
    ``sampled`` ``[N]`` marks the sample for slow peers. ``zone`` is the zone of hours and months.
    """

    lead_times_min: tuple[int, ...]
    observed_minute: I64
    last_kw: F32
    target_kw: F32
    age_min: I64
    n_seen: I64
    n_filled: I64
    whole: Flags
    sampled: Flags
    zone: tzinfo = UTC

    def __len__(self) -> int:
        """Return the number of forecasts."""
        return int(self.observed_minute.size)

    @property
    def horizon_min(self) -> int:
        """The longest lead time, minutes."""
        return self.lead_times_min[-1]

    def select(self, chosen: I64) -> Minutes:
        """Return the forecasts at ``chosen`` (ascending indices into these forecasts)."""
        return replace(
            self,
            observed_minute=self.observed_minute[chosen],
            last_kw=self.last_kw[chosen],
            target_kw=self.target_kw[chosen],
            age_min=self.age_min[chosen],
            n_seen=self.n_seen[chosen],
            n_filled=self.n_filled[chosen],
            whole=self.whole[chosen],
            sampled=self.sampled[chosen],
        )

    def actual_kw(self, lead_min: int) -> F32:
        """Return the outcomes ``lead_min`` later, kW, ``[N]``, NaN if not observed."""
        return self.target_kw[:, self.lead_times_min.index(lead_min)]

    def hours(self, lead_min: int) -> I64:
        """Return the hour of day, 0 to 23, that each target lies in, ``[N]``, by the clock of the file's zone."""
        return self.local_minutes(lead_min) % DAY_MIN // 60

    def months(self, lead_min: int) -> tuple[I64, list[str]]:
        """Return each target's month as an index into the list of months, which is returned as well (``2010-01``)."""
        month = self.local_minutes(lead_min).astype("datetime64[m]").astype("datetime64[M]")
        names, index = np.unique(month, return_inverse=True)
        return index.astype(np.int64), [str(name) for name in names]

    def local_minutes(self, lead_min: int) -> I64:
        """Return the minute of each target by the clock of the file's zone, since 1970, ``[N]``."""
        target = self.observed_minute + lead_min
        return target + offset_min(target, self.zone)

    def after_gaps(self) -> list[Flags]:
        """Return the members of each group of :data:`AFTER_GAPS`, ``[N]`` each."""
        edges = itertools.pairwise(_SINCE_RESTART)
        return [*((self.n_seen >= low) & (self.n_seen < high) for low, high in edges), self.n_filled > 0]


def minutes_at(series: Series, observed_minute: I64, lead_times_min: tuple[int, ...], n_sampled: int = 0) -> Minutes:
    """Return the scored minutes for ``observed_minute`` ``[N]`` (readings of ``series``, ascending).

    ``n_sampled`` of the headline's minutes are sampled, always the same ones.
    """
    present = ~np.isnan(series.gap_kw)
    at = observed_minute - series.first_minute
    age_min, n_seen, n_filled = _history(present)
    ahead = at[:, np.newaxis] + np.asarray(lead_times_min)
    beyond = ahead >= series.gap_kw.size
    target: F64 = np.where(beyond, np.nan, series.outcome_kw[np.where(beyond, 0, ahead)])
    whole = (n_seen[at] >= WHOLE_MIN) & (n_filled[at] == 0)
    places = np.flatnonzero(whole)
    drawn = np.random.default_rng(1).choice(places, min(n_sampled, places.size), replace=False)
    sampled = np.zeros(at.size, dtype=np.bool_)
    sampled[drawn] = True
    return Minutes(
        lead_times_min=lead_times_min,
        observed_minute=observed_minute,
        last_kw=series.gap_kw[at].astype(np.float32),
        target_kw=target.astype(np.float32),
        age_min=age_min[at],
        n_seen=n_seen[at],
        n_filled=n_filled[at],
        whole=whole,
        sampled=sampled,
        zone=series.zone,
    )


def _history(present: Flags) -> tuple[I64, I64, I64]:
    """Return ``age_min``, ``n_seen`` and ``n_filled`` of :class:`Minutes` for each reading's minute ``[T]``."""
    minute = np.arange(present.size, dtype=np.int64)
    at = np.flatnonzero(present)
    begins = np.diff(at, prepend=-MAX_FILL_MIN - 2) > MAX_FILL_MIN + 1  # the first reading starts a history
    began = np.zeros(present.size, dtype=np.int64)
    began[at[begins]] = at[begins]
    began = np.maximum.accumulate(began)
    so_far = np.concatenate(([0], np.cumsum(present)))
    n_seen = so_far[minute + 1] - so_far[began]
    oldest = np.maximum(minute - WHOLE_MIN + 1, began)
    n_filled = minute + 1 - oldest - (so_far[minute + 1] - so_far[oldest])
    return minute + 1 - began, n_seen, n_filled
