"""A replay that continues in the present: shifts a file's minutes to now, past ones at once, then one a minute."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from threading import Event

from gapcast.core.time_grid import DAY_MIN
from gapcast.recordings.recording import Minute


def shift_to_present(first_minute: int, last_minute: int, now_minute: int) -> int:
    """Return the minutes to add to a file's minutes, so that some are over by ``now_minute`` and others follow.

    The result is a number of whole days, so that the time of day stays, with one to two days to come. A file of less
    than two days is shifted so that half of it is over.

    >>> week, now = (0, 7 * DAY_MIN - 1), 100 * DAY_MIN + 720
    >>> shift_to_present(*week, now) / DAY_MIN
    95.0
    >>> shift_to_present(0, 59, now) == now - 30
    True
    """
    if last_minute - first_minute + 1 < 2 * DAY_MIN:
        return now_minute - (first_minute + last_minute + 1) // 2
    return -((last_minute - now_minute - DAY_MIN) // DAY_MIN) * DAY_MIN


def replay_to_present(
    minutes: Iterable[Minute],
    publish: Callable[[Minute], None],
    stopping: Event,
    now_s: Callable[[], float] = time.time,
) -> int:
    """Publish each of ``minutes`` as soon as it is over by the clock ``now_s``; return the number of minutes.

    Ends early, between two readings, when ``stopping`` is set.
    """
    n_published = 0
    for minute in minutes:
        while (left_s := (minute.minute + 1) * 60 - now_s()) > 0 and not stopping.wait(left_s):
            pass  # the clock was set, or the wait was short
        if stopping.is_set():
            break
        publish(minute)
        n_published += 1
    return n_published
