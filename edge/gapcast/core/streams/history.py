"""Recent readings and forecasts by minute, as shown by REST: a ring buffer per device, for the first devices.

28 bytes per minute. The ring is filled from the device's window, so that it also holds minutes that a later reading
confirmed and minutes of the window restored after a restart. If time goes back, as in a restarted replay, the device's
ring is cleared, so that two runs are never mixed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32
from gapcast.core.forecasts.forecast import DECIMALS, Forecasts
from gapcast.core.streams.device_streams import Stream
from gapcast.core.time_grid import minute_label

#: Minutes of the ring beyond the stored past, for the targets of the newest forecasts.
AHEAD_MIN = 60
_NEVER = -1_000_000
_PUBLISHED = ("gap_kw", "median_kw", "lower_kw", "upper_kw")
I32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class HistoryColumns:
    """The last minutes of one device, oldest first, power in kW, NaN for a missing value.

    ``read_minutes`` ``[R]`` and ``read_kw`` ``[R]`` are the readings; ``target_minutes`` ``[F]`` the target minutes
    of forecasts, ``published_kw`` ``[F, 4]`` their mean, median, lower and upper bound, and ``actual_kw``
    ``[F]`` the readings of those minutes.
    """

    horizon_min: int
    read_minutes: I32
    read_kw: F32
    target_minutes: I32
    published_kw: F32
    actual_kw: F32

    def readings(self) -> list[dict[str, str | float | None]]:
        """Return the readings in the form of the REST document."""
        readings = zip(self.read_minutes.tolist(), _rounded(self.read_kw), strict=True)
        return [{"ts": minute_label(minute), "gap_kw": kw} for minute, kw in readings]

    def forecasts(self) -> list[dict[str, str | float | None]]:
        """Return the forecasts with their outcomes in the form of the REST document."""
        columns = [_rounded(column) for column in (*self.published_kw.T, self.actual_kw)]
        return [
            {
                "observed_at": minute_label(minute - self.horizon_min),
                "target_at": minute_label(minute),
                **dict(zip((*_PUBLISHED, "actual_kw"), values, strict=True)),
                "came_kw": values[-1],  # the name of actual_kw in 0.1.0, for one more version
            }
            for minute, *values in zip(self.target_minutes.tolist(), *columns, strict=True)
        ]


class History:
    """Stores the last ``n_minutes`` of the devices in the first ``max_devices`` rows of the buffers."""

    def __init__(self, n_minutes: int = 0, max_devices: int = 0) -> None:
        """Store nothing if either argument is 0."""
        self.n_minutes = n_minutes
        #: Rows from this index on are not stored.
        self.max_devices = max_devices if n_minutes else 0
        self._width = n_minutes + AHEAD_MIN
        self._newest: I32 = np.empty(0, np.int32)  # the minute of the last reading
        self._read_minutes: I32 = np.empty((0, self._width), np.int32)
        self._read_kw: F32 = np.empty((0, self._width), np.float32)
        self._target_minutes: I32 = np.empty((0, self._width), np.int32)
        self._published_kw: F32 = np.empty((0, self._width, len(_PUBLISHED)), np.float32)

    @property
    def n_bytes_per_device(self) -> int:
        """Bytes of one device's history; 0 without history."""
        return self._width * 4 * (3 + len(_PUBLISHED)) if self.max_devices else 0

    def record_reading(self, stream: Stream) -> None:
        """Store the newest reading of ``stream``, and the readings in its window that are not stored yet.

        A filled minute is not stored, because nothing was measured and it is no outcome.
        """
        row, minute = stream.row, stream.last_minute
        if row >= len(self._newest):
            self._grow(row + 1)
        known = int(self._newest[row])
        if minute <= known:
            self.forget(row)
            known = _NEVER
        values, minutes, kw = stream.block[stream.at], self._read_minutes, self._read_kw
        known = max(known, minute - self.n_minutes)
        back, bits = 0, stream.observed & ~stream.filled
        while bits and minute - back > known:
            if bits & 1:
                at = (minute - back) % self._width
                minutes[row, at] = minute - back
                kw[row, at] = values[stream.end - 1 - back].flat[0]
            back, bits = back + 1, bits >> 1
        self._newest[row] = minute

    def record_forecasts(self, rows: list[int], forecasts: Forecasts) -> None:
        """Store ``forecasts``, the i-th in ``rows[i]``, unless the run of a forecast is over."""
        if not self.max_devices or min(rows) >= self.max_devices:
            return
        horizon_min = forecasts.model.lead_times_min[-1]
        columns = (forecasts.gap_kw, forecasts.median_kw, forecasts.lower_kw, forecasts.upper_kw)
        if len(rows) == 1:  # with scalars, which are faster for one row
            one, minute = rows[0], forecasts.observed_minutes[0]
            if minute <= self._newest[one]:
                slot = (minute + horizon_min) % self._width
                self._target_minutes[one, slot] = minute + horizon_min
                self._published_kw[one, slot] = [math.nan if column is None else column[0] for column in columns]
            return
        observed = np.asarray(forecasts.observed_minutes, dtype=np.int32)
        every_row = np.asarray(rows)
        stored = np.flatnonzero(every_row < self.max_devices)
        stored = stored[observed[stored] <= self._newest[every_row[stored]]]  # else the run is over
        row, target = every_row[stored], observed[stored] + horizon_min
        at = target % self._width
        self._target_minutes[row, at] = target
        for i, column in enumerate(columns):
            self._published_kw[row, at, i] = np.nan if column is None else np.asarray(column, dtype=np.float32)[stored]

    def forget(self, row: int) -> None:
        """Remove the history of ``row``."""
        if row < len(self._newest):
            self._newest[row] = _NEVER
            self._read_minutes[row] = self._target_minutes[row] = _NEVER

    def columns_of(self, row: int, n_minutes: int, horizon_min: int) -> HistoryColumns:
        """Return a copy of the last ``n_minutes`` of ``row``, and of the forecasts up to ``horizon_min`` after them."""
        if row >= len(self._newest) or self._newest[row] == _NEVER:
            nothing, no_kw = np.empty(0, np.int32), np.empty(0, np.float32)
            return HistoryColumns(
                horizon_min, nothing, no_kw, nothing, np.empty((0, len(_PUBLISHED)), np.float32), no_kw
            )
        newest = int(self._newest[row])
        n_minutes = min(n_minutes, self.n_minutes)
        minutes = np.arange(newest - n_minutes + 1, newest + horizon_min + 1, dtype=np.int32)
        at = minutes % self._width
        is_read = self._read_minutes[row, at] == minutes
        is_target = self._target_minutes[row, at] == minutes
        kw = np.where(is_read, self._read_kw[row, at], np.float32(np.nan))
        published_kw = self._published_kw[row, at[is_target]]
        return HistoryColumns(
            horizon_min, minutes[is_read], kw[is_read], minutes[is_target], published_kw, kw[is_target]
        )

    def _grow(self, n_rows: int) -> None:
        n_new = min(max(n_rows, 2 * len(self._newest)), self.max_devices) - len(self._newest)
        self._newest = np.concatenate([self._newest, np.full(n_new, _NEVER, np.int32)])
        never = np.full((n_new, self._width), _NEVER, np.int32)
        self._read_minutes = np.concatenate([self._read_minutes, never])
        self._target_minutes = np.concatenate([self._target_minutes, never])
        self._read_kw = np.concatenate([self._read_kw, np.zeros((n_new, self._width), np.float32)])
        self._published_kw = np.concatenate(
            [self._published_kw, np.zeros((n_new, self._width, len(_PUBLISHED)), np.float32)]
        )


def _rounded(kw: F32) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in kw.astype(np.float64).round(DECIMALS).tolist()]
