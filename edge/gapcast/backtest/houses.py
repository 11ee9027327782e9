"""Reads files as houses, interleaved in batches, so that all of them share each call of the models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import dropwhile, islice
from pathlib import Path

from gapcast.core.errors import SettingsError, SourceError
from gapcast.core.reading import Limits, Reading
from gapcast.replay.source import CsvColumns, Minute, minute_at, read_minutes

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class HouseFile:
    """The part of each file to read: from ``start`` on, at most ``limit`` readings, scored from ``score_from`` on.

    Times are ISO 8601, in UTC without an offset.
    """

    start: str | None = None
    limit: int | None = None
    score_from: str | None = None


def name_houses(files: Sequence[Path]) -> list[str]:
    """Return a device name for each file, from its file name; raise :class:`SettingsError` if two are equal.

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


def read_house(file: Path, columns: CsvColumns, limits: Limits, part: HouseFile) -> Iterator[Minute]:
    """Yield the readings of ``part`` of ``file``; raise :class:`SourceError` if it has none or is invalid."""
    minutes = read_minutes(file, columns, limits)
    if part.start is not None:
        first_minute = minute_at("--start", part.start)
        minutes = dropwhile(lambda minute: minute.minute < first_minute, minutes)
    first = next(minutes, None)
    if first is None:
        raise SourceError(file, None, "has no reading" + ("" if part.start is None else f" from {part.start} on"))
    yield first
    yield from islice(minutes, None if part.limit is None else part.limit - 1)


def side_by_side(houses: dict[str, Iterator[Minute]], n_at_once: int) -> Iterator[list[Reading]]:
    """Yield batches of about ``n_at_once`` readings: equally many of each unfinished house, in its order."""
    unfinished = dict(houses)
    while unfinished:
        n_each = max(1, n_at_once // len(unfinished))
        batch: list[Reading] = []
        for name, minutes in list(unfinished.items()):
            readings = [Reading(name, minute.minute, minute.gap_kw) for minute in islice(minutes, n_each)]
            batch += readings
            if len(readings) < n_each:
                del unfinished[name]
        if batch:
            yield batch
