"""Times by the clock on the wall, without an offset, as some meters give them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

from gapcast.core.errors import PayloadError

_LOCAL = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?", re.ASCII)
_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
#: A meter whose clock is within this of the gateway's is live: of two readings of a time, the nearer one is meant.
_LIVE_MS = 6 * 3_600_000
_SHOWN = 40


def local_instant_of(text: object, zone: tzinfo, arrived_ms: int, before_ms: int | None) -> int:
    """Return the instant (epoch ms) of a time such as ``2023-10-29T02:30:00`` by the clock of ``zone``.

    In the hour that an autumn night has twice, it is the one nearer to ``arrived_ms``; of readings of the
    past, the first that is not before the device's last one, ``before_ms``. A time that a spring night
    leaves out is taken by the clock before the change, as a meter that has not been set yet shows it.

    Raises :class:`PayloadError` where it is no such time.

    >>> from zoneinfo import ZoneInfo
    >>> local_instant_of("2023-05-19T20:52:56", ZoneInfo("Europe/Paris"), 0, None)
    1684522376000
    """
    if type(text) is not str or _LOCAL.fullmatch(text) is None:
        shown = repr(text)
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
        cure = 'as 2023-10-29T02:30:00; for one with an offset say time_form = "auto"'
        raise PayloadError("bad_time", f"{shown} is not a local time, {cure}")
    first_ms, second_ms = _both(text, zone)
    if first_ms == second_ms:
        return first_ms
    nearer_ms = min(first_ms, second_ms, key=lambda instant_ms: abs(instant_ms - arrived_ms))
    if abs(nearer_ms - arrived_ms) <= _LIVE_MS:
        return nearer_ms
    return second_ms if before_ms is not None and first_ms < before_ms <= second_ms + _LIVE_MS else first_ms


@lru_cache(maxsize=1_024)
def _both(text: str, zone: tzinfo) -> tuple[int, int]:
    """Return the first and the second instant at which the clock shows ``text``: mostly the same."""
    try:
        shown = datetime.fromisoformat(text).replace(tzinfo=zone)
        first, second = shown.astimezone(UTC), shown.replace(fold=1).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise PayloadError("bad_time", f"{text!r} is not a time: {error}") from error
    first_ms, second_ms = (first - _EPOCH) // _MILLISECOND, (second - _EPOCH) // _MILLISECOND
    return first_ms, max(first_ms, second_ms)  # in spring the second way to read it is the earlier one
