"""Files as houses: their readings side by side, so that all of them share each call of the models."""

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
    """Which part of each file is read: from ``start`` on, at most ``limit`` readings; scored from ``score_from`` on.

    Times are ISO, UTC if no offset.
    """

    start: str | None = None
    limit: int | None = None
    score_from: str | None = None


def name_houses(files: Sequence[Path]) -> list[str]:
    """Return a device's name for each file, after the file; raise :class:`SettingsError` where two would be the same.

    >>> name_houses([Path("a/house 1.csv.gz"), Path("b.csv")])
    ['house_1', 'b']
    """
    names = []
    for file in files:
        name = _NOT_IN_NAMES.sub("_", file.name.split(".", 1)[0])[:_LONGEST_NAME] or "house"
        if name in names:
            msg = f"{file}: another file gives a house named {name}, too: rename one of them"
            raise SettingsError(msg)
        names.append(name)
    return names


def read_house(file: Path, columns: CsvColumns, limits: Limits, part: HouseFile) -> Iterator[Minute]:
    """Yield the readings of that part of ``file``; raise :class:`SourceError` where it has none or is no good."""
    minutes = read_minutes(file, columns, limits)
    if part.start is not None:
        first_minute = minute_at("--start", part.start)
        minutes = dropwhile(lambda minute: minute.minute < first_minute, minutes)
    first = next(minutes, None)
    if first is None:
        raise SourceError(file, None, "holds no reading" + ("" if part.start is None else f" from {part.start} on"))
    yield first
    yield from islice(minutes, None if part.limit is None else part.limit - 1)


def side_by_side(houses: dict[str, Iterator[Minute]], n_at_once: int) -> Iterator[list[Reading]]:
    """Yield batches of about ``n_at_once`` readings: as many of each house that has some left, in its order."""
    left = dict(houses)
    while left:
        n_each = max(1, n_at_once // len(left))
        batch: list[Reading] = []
        for name, minutes in list(left.items()):
            taken = [Reading(name, minute.minute, minute.gap_kw) for minute in islice(minutes, n_each)]
            batch += taken
            if len(taken) < n_each:
                del left[name]
        if batch:
            yield batch
