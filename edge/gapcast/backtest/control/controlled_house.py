"""The power of one house, minute by minute, and the evenings on which the loads are added to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.features import offset_min
from gapcast.recordings.recording import Minute

#: The car is plugged in at six in the evening, and leaves at seven in the morning; minutes of the day.
PLUGGED_IN_MIN, LEAVES_MIN = 18 * 60, 7 * 60
#: Minutes for which the car is plugged in.
STAY_MIN = DAY_MIN - PLUGGED_IN_MIN + LEAVES_MIN
#: Days before the first evening with loads, without ``--score-from``.
HISTORY_DAYS = 7
#: Value of ``evenings`` for a minute without loads.
NONE = -1
_LEAST_KNOWN = 0.9
_NOON_MIN = DAY_MIN // 2


@dataclass(frozen=True, slots=True)
class ControlledHouse:
    """A house of T minutes from ``first_minute`` on.

    ``kw`` ``[T]`` is the house's own power, NaN where there is no reading; ``filled`` ``[T]`` marks readings of minutes
    in which nothing was measured. ``local`` ``[T]`` are the minutes by the local clock. ``evenings`` ``[T]`` is the
    number of the evening with loads to which each minute belongs, :data:`NONE` without one; an evening counts if 90 %
    of the minutes between six and seven are known.
    """

    name: str
    first_minute: int
    kw: F64
    filled: NDArray[np.bool_]
    local: I64
    evenings: I64

    @classmethod
    def from_readings(
        cls, name: str, readings: list[Minute], zone: tzinfo, loads_from: int | None = None
    ) -> ControlledHouse:
        """Return the house of ``readings``, at least one, with loads from the minute ``loads_from`` on.

        None: from the eighth day on.
        """
        minutes = np.array([one.minute for one in readings], dtype=np.int64)
        first_minute = int(minutes[0])
        at = minutes - first_minute
        n_minutes = int(at[-1]) + 1
        kw, filled = np.full(n_minutes, np.nan), np.zeros(n_minutes, dtype=bool)
        kw[at] = [one.gap_kw for one in readings]
        filled[at] = [one.is_filled for one in readings]
        every = first_minute + np.arange(n_minutes)
        ahead_min = offset_min(every, zone)
        local = every + ahead_min
        start = first_minute + HISTORY_DAYS * DAY_MIN if loads_from is None else loads_from
        return cls(name, first_minute, kw, filled, local, _evenings(kw, local, ahead_min, every >= start))

    @property
    def first_with_loads(self) -> int:
        """The index of the first minute with loads; the number of minutes if there is none."""
        found = np.flatnonzero(self.evenings != NONE)
        return int(found[0]) if found.size else len(self.kw)

    @property
    def n_evenings(self) -> int:
        """The number of evenings with loads."""
        return int(np.unique(self.evenings[self.evenings != NONE]).size)


def _evenings(kw: F64, local: I64, ahead_min: I64, counts: NDArray[np.bool_]) -> I64:
    """Return the evening with loads of each minute ``[T]``; ``ahead_min`` ``[T]`` is the offset of the local clock.

    A night in which the clock is set forward by an hour has an hour less.
    """
    of_day = local % DAY_MIN
    evenings = np.where((of_day >= PLUGGED_IN_MIN) | (of_day < LEAVES_MIN), (local - _NOON_MIN) // DAY_MIN, NONE)
    at = np.flatnonzero(evenings != NONE)
    numbers, first, n_minutes = np.unique(evenings[at], return_index=True, return_counts=True)
    n_known = np.add.reduceat((~np.isnan(kw) & counts)[at].astype(np.int64), first)
    change_min = ahead_min[at[first + n_minutes - 1]] - ahead_min[at[first]]
    return np.where(np.isin(evenings, numbers[n_known >= _LEAST_KNOWN * (STAY_MIN - change_min)]), evenings, NONE)
