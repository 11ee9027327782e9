"""Local times without an offset, as sent by some meters, and those of DSMR telegrams."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TypeGuard

from gapcast.core.documents.message_format import SHOWN_CHARS
from gapcast.core.errors import PayloadError
from gapcast.core.time_grid import epoch_ms_of

_LOCAL = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?", re.ASCII)
#: The time of a DSMR telegram: YYMMDDhhmmss, and S in summer or W in winter.
_DSMR = re.compile(r"\d{12}[SW]", re.ASCII)
#: A meter whose clock is within this of the gateway's is live: an ambiguous time is the instant closer to arrival.
_LIVE_MS = 6 * 3_600_000


def is_local_time(value: object) -> bool:
    """Return whether ``value`` is a time without an offset.

    >>> is_local_time("2023-05-19 20:52:56"), is_local_time("2023-05-19T20:52:56Z")
    (True, False)
    """
    return type(value) is str and _LOCAL.fullmatch(value) is not None


def is_dsmr_time(value: object) -> TypeGuard[str]:
    """Return whether ``value`` has the form of the time of a DSMR telegram.

    >>> is_dsmr_time("231029023000S"), is_dsmr_time("231029023000"), is_dsmr_time(231029023000)
    (True, False, False)
    """
    return type(value) is str and _DSMR.fullmatch(value) is not None


def dsmr_instant_of(value: object, zone: tzinfo) -> int | None:
    """Return the instant (epoch ms) of the time of a DSMR telegram, local in ``zone``; None for any other value.

    Its last letter is S while daylight saving time applies, and W otherwise. The letter counts, not the date: some
    meters send W all year. Raises :class:`PayloadError` for a date that does not exist.

    >>> from zoneinfo import ZoneInfo
    >>> [dsmr_instant_of(text, ZoneInfo("Europe/Paris")) for text in ("231029023000S", "231029023000W", "yesterday")]
    [1698539400000, 1698543000000, None]
    """
    if not is_dsmr_time(value):
        return None
    try:
        local = datetime.fromisoformat(f"20{value[:6]}T{value[6:-1]}").replace(tzinfo=UTC)
    except ValueError as error:
        raise PayloadError("bad_time", f"{value!r} is not a time: {error}") from error
    offsets = [datetime(local.year, month, 1, tzinfo=zone).utcoffset() or timedelta() for month in (1, 7)]
    return epoch_ms_of(local - (max(offsets) if value.endswith("S") else min(offsets)))


def local_instant_of(text: object, zone: tzinfo, arrived_ms: int, before_ms: int | None) -> int:
    """Return the instant (epoch ms) of a local time such as ``2023-10-29T02:30:00`` in ``zone``.

    In the hour that occurs twice when daylight saving time ends, it is the instant closer to ``arrived_ms``; for old
    readings it is the first instant that is not before the device's last reading, ``before_ms``. A time that is skipped
    when daylight saving time begins uses the offset before the change, like a meter that has not been set yet.

    Raises :class:`PayloadError` if ``text`` is not such a time.

    >>> from zoneinfo import ZoneInfo
    >>> local_instant_of("2023-05-19T20:52:56", ZoneInfo("Europe/Paris"), 0, None)
    1684522376000
    """
    if type(text) is not str or _LOCAL.fullmatch(text) is None:
        shown = repr(text)
        shown = shown if len(shown) <= SHOWN_CHARS else f"{shown[:SHOWN_CHARS]}…"
        fix = 'such as 2023-10-29T02:30:00; if it has an offset or is a number, set time_form = "auto"'
        raise PayloadError("bad_time", f"{shown} is not a local time {fix}")
    first_ms, second_ms = _candidates(text, zone)
    if first_ms == second_ms:
        return first_ms
    nearer_ms = min(first_ms, second_ms, key=lambda instant_ms: abs(instant_ms - arrived_ms))
    if abs(nearer_ms - arrived_ms) <= _LIVE_MS:
        return nearer_ms
    return second_ms if before_ms is not None and first_ms < before_ms <= second_ms + _LIVE_MS else first_ms


@lru_cache(maxsize=1_024)
def _candidates(text: str, zone: tzinfo) -> tuple[int, int]:
    """Return the first and the second instant with the local time ``text``; they are usually equal."""
    try:
        local = datetime.fromisoformat(text).replace(tzinfo=zone)
        first, second = local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise PayloadError("bad_time", f"{text!r} is not a time: {error}") from error
    first_ms, second_ms = epoch_ms_of(first), epoch_ms_of(second)
    return first_ms, max(first_ms, second_ms)  # for a skipped time fold=1 gives the earlier instant
