"""Reads files as houses, interleaved in batches, so that all of them share each call of the models."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from itertools import islice
from pathlib import Path

from gapcast.core.errors import SettingsError, SourceError
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.minute_runs import MinuteRun
from gapcast.recordings.recording import Minute, Recording, RecordingMinutes, minute_at

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class FilePart:
    """The part of each file to read: from ``start`` on, at most ``limit`` readings.

    The forecasts made from ``score_from`` on are scored. Times are ISO 8601, in ``zone`` if they have no offset.
    """

    start: str | None = None
    limit: int | None = None
    score_from: str | None = None
    zone: tzinfo = UTC

    @property
    def first_minute(self) -> int | None:
        """The minute of ``start``; raises :class:`SettingsError` if it is not a time."""
        return None if self.start is None else minute_at("--start", self.start, self.zone)

    @property
    def first_scored_minute(self) -> int | None:
        """The minute of ``score_from``; raises :class:`SettingsError` if it is not a time."""
        return None if self.score_from is None else minute_at("--score-from", self.score_from, self.zone)

    def require_times(self) -> None:
        """Raise :class:`SettingsError` if ``start`` or ``score_from`` is not a time."""
        _ = self.first_minute, self.first_scored_minute


def name_houses(files: Sequence[Path]) -> list[str]:
    """Return a device name for each file, from its file name; raise :class:`SettingsError` if two names are equal.

    >>> name_houses([Path("a/house 1.csv.gz"), Path("b.csv")])
    ['house_1', 'b']
    """
    names = []
    for file in files:
        name = _NOT_IN_NAMES.sub("_", file.name.split(".", 1)[0])[:_LONGEST_NAME] or "house"
        if name in names:
            msg = f"{file}: another file is also named {name}: rename one of them"
            raise SettingsError(msg)
        names.append(name)
    return names


def minutes_of(recording: Recording, part: FilePart) -> RecordingMinutes:
    """Return the minutes of ``part`` of a recording; raise :class:`SourceError` if the part has no readings."""
    minutes = recording.minutes(part.first_minute)
    if not len(minutes):
        raise SourceError(recording.path, f"has no reading from {part.start} on")
    return minutes.first(part.limit)


#: The powers of a house's submeters in a minute, by their keys in
#: :attr:`gapcast.core.readings.reading.Reading.measured`.
MeasuredAt = Callable[[int], Mapping[str, float] | None]


def shares_of(lengths: Iterable[int], n_at_once: int) -> Iterator[int]:
    """Yield how many readings of each unfinished house to put in each batch of about ``n_at_once``, for ``lengths``.

    >>> list(shares_of([5, 2], n_at_once=4))
    [2, 2, 4]
    """
    unfinished = list(lengths)
    while unfinished:
        n_each = max(1, n_at_once // len(unfinished))
        yield n_each
        unfinished = [n_left - n_each for n_left in unfinished if n_left >= n_each]


def side_by_side(
    houses: Mapping[str, Iterator[Minute]],
    n_at_once: int,
    submeters: Mapping[str, MeasuredAt] | None = None,
    shares: Iterable[int] | None = None,
) -> Iterator[list[Reading]]:
    """Yield batches of about ``n_at_once`` readings: equally many of each unfinished house, in its order.

    ``submeters`` are the measured submeters, by house. ``shares`` are the readings of each house in each batch, from
    :func:`shares_of` over all houses, if ``houses`` are only some of them (None: ``houses`` are all).
    """
    unfinished = dict(houses)
    given = None if shares is None else iter(shares)
    while unfinished:
        n_each = max(1, n_at_once // len(unfinished)) if given is None else next(given)
        batch: list[Reading] = []
        for name, minutes in list(unfinished.items()):
            measured = (submeters or {}).get(name, _nothing)
            readings = [
                Reading(name, minute.minute, minute.gap_kw, False, measured(minute.minute), minute.is_filled)
                for minute in islice(minutes, n_each)
            ]
            batch += readings
            if len(readings) < n_each:
                del unfinished[name]
        if batch:
            yield batch


def runs_side_by_side(
    houses: Mapping[str, RecordingMinutes], n_at_once: int, shares: Iterable[int] | None = None
) -> Iterator[list[MinuteRun]]:
    """Yield the readings of :func:`side_by_side` as columns: a run for each unfinished house."""
    unfinished = dict(houses)
    given = shares_of(map(len, houses.values()), n_at_once) if shares is None else iter(shares)
    while unfinished:
        n_each = next(given)
        runs = [MinuteRun(name, *minutes.take(n_each)) for name, minutes in unfinished.items()]
        for run in runs:
            if len(run.minutes) < n_each:
                del unfinished[run.device]
        if any(len(run.minutes) for run in runs):
            yield runs


def _nothing(_minute: int) -> None:
    """Return no measurement beside the power."""
