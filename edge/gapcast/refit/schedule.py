"""Schedules refits: at night, every so many days, and more often while the history is short."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import tzinfo

from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.features import local_day_at, minute_of_day_at
from gapcast.refit.minutes import MAX_MINUTES

#: Number of readings that a first refit needs: two days.
LEAST_READINGS = 2 * DAY_MIN
#: A history that has grown by this factor since the last refit is refitted, whatever the interval.
GROWTH = 1.5
#: The hours of the night in which refits begin: from this minute of the local day, and before this one.
_NIGHT_MIN = (60, 300)


@dataclass(frozen=True, slots=True)
class LastRefit:
    """The last refit of a house, successful or not: its ``night``, and the number of readings it used."""

    night: int
    n_readings: int


def night_minute(gateway: str) -> int:
    """Return the minute of the local day at which ``gateway`` begins to refit: from 1:00 to before 5:00.

    It is derived from the gateway's id, so that the machines of a site do not all begin at once.

    >>> 60 <= night_minute("gateway-1") < 300
    True
    """
    first, end = _NIGHT_MIN
    return first + int.from_bytes(hashlib.sha256(gateway.encode()).digest()[:4], "big") % (end - first)


def night_of(minute: int, zone: tzinfo, begins_min: int) -> int:
    """Return the number of the last night that had begun at ``minute`` (since the epoch), in ``zone``.

    A night begins at the minute ``begins_min`` of the local day.
    """
    return local_day_at(minute, zone) - (minute_of_day_at(minute, zone) < begins_min)


class NightWatch:
    """Detects when a night begins: houses are refitted then, and at no other time.

    >>> from datetime import UTC
    >>> watch = NightWatch(UTC, 180)
    >>> [list(watch.begun(minute)) for minute in (0, 179, 180, 181, 2 * DAY_MIN + 180)]
    [[-1], [], [0], [], [1, 2]]
    """

    def __init__(self, zone: tzinfo, begins_min: int) -> None:
        """Let nights begin at the minute ``begins_min`` of the local day in ``zone``."""
        self._zone, self._begins_min = zone, begins_min
        self._newest: int | None = None

    def begun(self, minute: int) -> range:
        """Return the nights that have begun by ``minute`` since the last call; at first, the current one."""
        night = night_of(minute, self._zone, self._begins_min)
        first = night if self._newest is None else self._newest + 1
        self._newest = night
        return range(first, night + 1)


def is_due(night: int, n_readings: int, last: LastRefit | None, every_days: int) -> bool:
    """Return whether a house with ``n_readings`` is due in the beginning ``night``; ``last`` is its last refit.

    >>> is_due(20, 5_000, LastRefit(13, 4_000), every_days=7)
    True
    >>> is_due(20, 6_000, LastRefit(19, 4_000), every_days=7)
    True
    >>> is_due(20, 5_000, LastRefit(19, 4_000), every_days=7)
    False
    """
    if n_readings < LEAST_READINGS:
        return False
    if last is None:
        return True
    if night <= last.night:
        return False
    return night - last.night >= every_days or min(n_readings, MAX_MINUTES) >= GROWTH * last.n_readings
