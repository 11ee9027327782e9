"""Instants and minutes: the one-minute grid of all readings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

MINUTE_MS = 60_000
DAY_MIN = 1_440
WEEK_MIN = 7 * DAY_MIN
#: The weekday of 1970-01-01, a Thursday: weeks begin on Monday.
EPOCH_WEEKDAY = 3

#: The earliest time of a reading: an earlier time comes from a clock that was never set.
EARLIEST_MS = 946_684_800_000  # 2000-01-01T00:00:00Z
#: The latest time of a reading: a later time comes from a broken clock.
LATEST_MS = 4_102_444_800_000  # 2100-01-01T00:00:00Z
_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)


def epoch_ms_of(when: datetime) -> int:
    """Return the instant (epoch ms) of a time with a time zone; parts of a millisecond are dropped.

    >>> epoch_ms_of(datetime(2026, 1, 1, 12, 0, 0, 123_999, UTC))
    1767268800123
    """
    return (when - _EPOCH) // _MILLISECOND


def minute_of(instant_ms: int) -> int:
    """Return the number of the minute that contains an instant (epoch ms).

    Minute ``m`` covers ``[m * 60_000, (m + 1) * 60_000)`` ms and is labelled with the time of its start.

    >>> minute_of(59_999), minute_of(60_000)
    (0, 1)
    """
    return instant_ms // MINUTE_MS


@lru_cache(maxsize=1_024)
def minute_label(minute: int) -> str:
    """Return the RFC 3339 time of a minute's start, in UTC.

    >>> minute_label(21_474_749)
    '2010-10-31T00:29:00Z'
    """
    day, of_day = divmod(minute, DAY_MIN)
    hour, of_hour = divmod(of_day, 60)
    return f"{_day_label(day)}T{hour:02d}:{of_hour:02d}:00Z"


@lru_cache(maxsize=16)
def _day_label(day: int) -> str:
    return f"{datetime.fromtimestamp(day * DAY_MIN * 60, UTC):%Y-%m-%d}"


@lru_cache(maxsize=64)
def instant_label(instant_ms: int) -> str:
    """Return an instant (epoch ms) as RFC 3339 in UTC with milliseconds.

    >>> instant_label(1_767_268_800_123)
    '2026-01-01T12:00:00.123Z'
    """
    minute, of_minute_ms = divmod(instant_ms, MINUTE_MS)
    seconds, milliseconds = divmod(of_minute_ms, 1_000)
    return f"{minute_label(minute)[:-3]}{seconds:02d}.{milliseconds:03d}Z"


def local_label(minute: int, zone: tzinfo) -> str:
    """Return the start of a minute in the local time of ``zone``, for people.

    >>> local_label(21_474_749, UTC)
    '2010-10-31 00:29'
    """
    return f"{datetime.fromtimestamp(minute * 60, zone):%Y-%m-%d %H:%M}"
