"""The lead times of ``--horizons``: which outlooks a back-test scores and writes."""

from __future__ import annotations

from gapcast.core.errors import SettingsError

#: The longest lead time, minutes.
LONGEST_MIN = 60
_FIX = f"use whole minutes from 1 to {LONGEST_MIN}, each once, such as --horizons 5,15,30,60"


def parse_horizons(text: str) -> tuple[int, ...]:
    """Return the lead times in ``text``, rising; raise :class:`SettingsError` if one is invalid.

    >>> parse_horizons("15, 5,60")
    (5, 15, 60)
    """
    horizons: list[int] = []
    for word in text.split(","):
        name = word.strip()
        if not (name.isascii() and name.isdigit()):
            msg = f"--horizons: {name!r} is not a number of minutes: {_FIX}"
            raise SettingsError(msg)
        lead_min = int(name)
        if not 1 <= lead_min <= LONGEST_MIN:
            msg = f"--horizons: {lead_min} min is not between 1 and {LONGEST_MIN}: {_FIX}"
            raise SettingsError(msg)
        if lead_min in horizons:
            msg = f"--horizons: {lead_min} is listed twice: {_FIX}"
            raise SettingsError(msg)
        horizons.append(lead_min)
    return tuple(sorted(horizons))
