"""The ends of the parts of a split: stated by an experiment, otherwise shares of the file.

By time, the first 70 % of a file are for training, the next 15 % for validation and the rest for the test. The
ends are rounded to whole days (UTC) if each part then has at least one, otherwise to whole hours, otherwise to minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise

from gapcast.core.time_grid import DAY_MIN

#: The ends, by time, as keys of an experiment's ``[data]``.
ENDS = ("train_until", "validate_until", "test_until")
_SHARES = (0.7, 0.85)
_UNITS_MIN = (DAY_MIN, 60, 1)
#: What each end is by default, for messages.
DEFAULTS: Mapping[str, str] = {
    "train_until": "default: 70 % of the file",
    "validate_until": "default: 85 % of the file",
    "test_until": "default: the end of the file",
}


def default_ends(first_minute: int, until_minute: int) -> dict[str, datetime]:
    """Return the default ends, by key, for a file of the minutes ``first_minute`` to before ``until_minute``.

    >>> {key: f"{end:%d %H:%M}" for key, end in default_ends(0, 10 * DAY_MIN).items()}
    {'train_until': '08 00:00', 'validate_until': '10 00:00', 'test_until': '11 00:00'}
    """
    exact = [first_minute + share * (until_minute - first_minute) for share in _SHARES]
    train, validate = (round(end) for end in exact)
    for unit in _UNITS_MIN:
        rounded = [int(end / unit + 0.5) * unit for end in exact]
        if all(later - earlier >= unit for earlier, later in pairwise((first_minute, *rounded, until_minute))):
            train, validate = rounded
            break
    return {key: time_of(minute) for key, minute in zip(ENDS, (train, validate, until_minute), strict=True)}


def order_problem(ends: Mapping[str, datetime | None], origins: Mapping[str, str]) -> str | None:
    """Return why ``ends``, by key, cannot end the parts of a split, or None if they are in order; None is unknown.

    The sentence names both keys, their values, and where each value comes from (``origins``).

    >>> order_problem({"validate_until": time_of(60), "test_until": time_of(0)}, {"test_until": "--set"})
    'data.test_until (1970-01-01, --set) is before data.validate_until (1970-01-01T01:00Z)'
    """
    known = [(key, end) for key in ENDS if (end := ends.get(key)) is not None]
    for (before_key, before), (key, end) in pairwise(known):
        if end <= before:
            relation = "is before" if end < before else "equals"
            described = [
                f"data.{name} ({label(time)}{f', {origins[name]}' if name in origins else ''})"
                for name, time in ((key, end), (before_key, before))
            ]
            return f" {relation} ".join(described)
    return None


def label(time: datetime) -> str:
    """Return a time in UTC, to the minute; without the time of day if that is midnight."""
    utc = time.astimezone(UTC)
    return f"{utc:%Y-%m-%d}" if (utc.hour, utc.minute) == (0, 0) else f"{utc:%Y-%m-%dT%H:%MZ}"


def time_of(minute: int) -> datetime:
    """Return the time, in UTC, at which a minute begins."""
    return datetime.fromtimestamp(minute * 60, UTC)
