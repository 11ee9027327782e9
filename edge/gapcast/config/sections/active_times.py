"""The times in which a limit applies, as configuration texts: hours, weekdays and months."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gapcast.core.billing.options import WEEKDAYS
from gapcast.core.documents.message_format import shown_value
from gapcast.core.time_grid import DAY_MIN

_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|(24):(00)", re.ASCII)


def parse_hours(text: str) -> tuple[tuple[int, int], ...]:
    """Return ranges of minutes of the day from text such as ``07:00-23:00``; raise :class:`ValueError` if invalid.

    >>> parse_hours("07:00-23:00, 23:30-24:00"), parse_hours("")
    (((420, 1380), (1410, 1440)), ((0, 1440),))
    """
    found = []
    for one in _parts_of(text):
        start, separator, end = (part.strip() for part in one.partition("-"))
        clocks = _CLOCK.fullmatch(start), _CLOCK.fullmatch(end)
        if not separator or None in clocks or start == "24:00":
            msg = f"{shown_value(one)} is not a range of times: write it as in 07:00-23:00, several with commas"
            raise ValueError(msg)
        if start == end:
            msg = f"{shown_value(one)} is empty: leave hours empty for the whole day"
            raise ValueError(msg)
        found.append((_minute_of_day(start), _minute_of_day(end)))
    return tuple(found) or ((0, DAY_MIN),)


def _minute_of_day(clock: str) -> int:
    hour, minute = clock.split(":")
    return int(hour) * 60 + int(minute)


def parse_weekdays(text: str) -> frozenset[int]:
    """Return the weekdays, 0 for Monday, from text such as ``mon-fri``; raise :class:`ValueError` if invalid.

    >>> sorted(parse_weekdays("sat-mon")), len(parse_weekdays(""))
    ([0, 5, 6], 7)
    """
    return _numbers_of(text, {name: i for i, name in enumerate(WEEKDAYS)}, "a day: write it as in mon-fri or sat,sun")


def parse_months(text: str) -> frozenset[int]:
    """Return the months, 1 to 12, from text such as ``1-3,11-12``; raise :class:`ValueError` if invalid."""
    return _numbers_of(text, {str(i): i for i in range(1, 13)}, "a month: write them as in 1-3,11-12")


def _numbers_of(text: str, numbers: Mapping[str, int], expected: str) -> frozenset[int]:
    """Return the numbers of names and of ranges of names, which may wrap around; empty text: all."""
    in_order, found = list(numbers.values()), set[int]()
    for one in _parts_of(text):
        first, separator, last = (part.strip().lower() for part in one.partition("-"))
        unknown = [name for name in (first, last if separator else first) if name not in numbers]
        if unknown:
            msg = f"{shown_value(unknown[0])} is not {expected}"
            raise ValueError(msg)
        start, end = in_order.index(numbers[first]), in_order.index(numbers[last if separator else first])
        length = (end - start) % len(in_order) + 1
        found |= {in_order[(start + i) % len(in_order)] for i in range(length)}
    return frozenset(found or in_order)


def _parts_of(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]
