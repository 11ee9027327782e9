"""Schedules refits: at night, every so many days, and more often while the history is short."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import tzinfo

import numpy as np

from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.features import offset_min
from gapcast.refit.minutes import MAX_MINUTES

#: Readings that a first refit needs: two days.
LEAST_READINGS = 2 * DAY_MIN
#: A history that has grown by this factor since the last refit is refitted, whatever the interval.
GROWTH = 1.5
#: The hours of the night in which refits begin: from this minute of the local day, and before this one.
_NIGHT_MIN = (60, 300)


@dataclass(frozen=True, slots=True)
class LastRefit:
    """The last refit of a house, successful or not: the ``night`` it ran, and from how many readings."""

    night: int
    n_readings: int


def night_minute(gateway: str) -> int:
    """Return the minute of the local day at which ``gateway`` begins to refit: from 1:00 to before 5:00.

    It follows from the gateway's id, so that the machines of a site do not all begin at once.

    >>> 60 <= night_minute("gateway-1") < 300
    True
    """
    first, end = _NIGHT_MIN
    return first + int.from_bytes(hashlib.sha256(gateway.encode()).digest()[:4], "big") % (end - first)


def night_of(minute: int, zone: tzinfo, begins_min: int) -> int:
    """Return the number of the night that has begun last at ``minute`` (since the epoch), in ``zone``.

    A night begins at the minute ``begins_min`` of the local day.
    """
    local = minute + int(offset_min(np.array([minute]), zone)[0])
    return (local - begins_min) // DAY_MIN


def is_due(night: int, n_readings: int, last: LastRefit | None, every_days: int) -> bool:
    """Return whether a house with ``n_readings`` is to be refitted in ``night``; ``last`` is its last refit.

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
