"""Input columns of boosted trees: lags, time of day, and the same minutes of yesterday and last week."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.time_grid import DAY_MIN, WEEK_MIN
from gapcast.core.windows.features import offset_min
from gapcast.core.windows.window import WindowSpec, cut
from gapcast.recordings.minutes.series import Series

#: Older minutes are averaged over this many minutes.
_COARSE_MIN = 5
#: Half-widths, in minutes, of the averages around the target's minute yesterday and a week ago.
_AROUND_MIN = (2, 15, 60)


@dataclass(frozen=True, slots=True)
class ColumnSet:
    """The input columns of a peer.

    ``n_lags`` single readings (as the difference from the last reading, which is a column itself), earlier readings up
    to ``context`` minutes as five-minute means, time of day and weekday in the house with ``clock``, the power around
    the target's time of day yesterday and last week with ``seasons``, and with ``extremes`` the lowest and the highest
    of the single readings and of the whole context, as differences from the last reading.
    """

    name: str
    n_lags: int
    context: int
    clock: bool
    seasons: bool
    extremes: bool = False

    @property
    def about(self) -> str:
        """A description of the columns."""
        words = [f"{self.context} min" if self.context > self.n_lags else f"{self.n_lags} lags"]
        words += ["time of day"] if self.clock else []
        words += ["yesterday", "last week"] if self.seasons else []
        words += ["extremes"] if self.extremes else []
        return ", ".join(words)


COLUMN_SETS = (
    ColumnSet("lightgbm-30", 30, 30, clock=False, seasons=False),
    ColumnSet("lightgbm-60", 60, 60, clock=True, seasons=False),
    ColumnSet("lightgbm-180", 60, 180, clock=True, seasons=True),
)

#: The columns of the peers of several houses, none of which needs a week of history.
HOUSE_COLUMNS = ColumnSet("lightgbm-house", 60, 180, clock=True, seasons=False, extremes=True)


class PeerColumns:
    """Computes the columns for minutes of one series."""

    def __init__(self, series: Series, column_set: ColumnSet, horizon_min: int) -> None:
        self.series = series
        self.column_set = column_set
        self.horizon_min = horizon_min
        self._first_minute = series.first_minute
        self._windows = cut(series.gap_kw, WindowSpec(column_set.context))
        self._minute = series.first_minute + self._windows.origin
        known = ~np.isnan(series.gap_kw)
        self._summed = np.concatenate(([0.0], np.cumsum(np.where(known, series.gap_kw, 0.0))))
        self._counted = np.concatenate(([0], np.cumsum(known)))

    def at(self, observed_minute: I64) -> F32:
        """Return the columns ``[N, C]`` of ``observed_minute`` ``[N]`` (the file's, each with a window).

        Windows are padded and filled by the window contract; missing values of yesterday and last week are NaN.
        """
        window = self._windows[np.searchsorted(self._minute, observed_minute)]
        last = window[:, -1:]
        parts = [last, window[:, -self.column_set.n_lags : -1] - last]
        older = window[:, : self.column_set.context - self.column_set.n_lags]
        if older.size:
            parts.append(older.reshape(len(older), -1, _COARSE_MIN).mean(axis=2) - last)
        if self.column_set.extremes:
            near = window[:, -self.column_set.n_lags :]
            found = [edge(part, axis=1) for part in (near, window) for edge in (np.min, np.max)]
            parts.append(np.column_stack(found) - last)
        target = observed_minute + self.horizon_min
        if self.column_set.clock:
            local = target + offset_min(target, self.series.zone)
            parts.append(np.column_stack((local % DAY_MIN, local // DAY_MIN % 7)).astype(np.float32))
        if self.column_set.seasons:
            ago = [self._mean(target - back, around) for back in (DAY_MIN, WEEK_MIN) for around in _AROUND_MIN]
            parts.append(np.column_stack(ago).astype(np.float32))
        return np.concatenate(parts, axis=1)

    def reading_at_horizon(self, observed_minute: I64) -> F64:
        """Return the readings at the horizon after ``observed_minute`` ``[N]``, kW."""
        return self.series.gap_kw[observed_minute - self._first_minute + self.horizon_min]

    def _mean(self, minute: I64, around_min: int) -> F64:
        """Return the mean of the readings within ``around_min`` of ``minute`` ``[N]``, kW, NaN if there are none."""
        low, high = (
            np.clip(minute + edge - self._first_minute, 0, self._counted.size - 1)
            for edge in (-around_min, around_min + 1)
        )
        n = self._counted[high] - self._counted[low]
        mean: F64 = np.where(n > 0, (self._summed[high] - self._summed[low]) / np.maximum(n, 1), np.nan)
        return mean
