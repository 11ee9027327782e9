"""The result of reading a fleet's history, house by house, and its summary for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from gapcast.core.documents.message_format import counted
from gapcast.core.time_grid import local_label
from gapcast.text.terminal_text import printable

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class HouseSurvey:
    """A house: its rows, how they were read, and its readings, one per minute.

    ``n_rows`` includes ``n_refused``, unusable rows (``problem`` describes the first), and ``n_duplicates``, rows with
    the time of an earlier row. ``n_minutes`` are the minutes from ``first_minute`` to ``last_minute``; ``n_missing`` of
    them have no value. ``n_readings`` is the number of requested minutes with a value, ``last_reading_minute`` the
    last of them. ``digest`` is a SHA-256 of all minutes. The last days, from ``validate_minute`` on, hold the requested
    share of the readings.
    """

    name: str
    n_rows: int
    n_refused: int
    problem: str = ""
    n_duplicates: int = 0
    n_readings: int = 0
    n_minutes: int = 0
    n_missing: int = 0
    first_minute: int = 0
    last_minute: int = 0
    min_kw: float = 0.0
    mean_kw: float = 0.0
    max_kw: float = 0.0
    sampling: str = ""
    time_kind: str = ""
    digest: str = ""
    validate_minute: int = 0
    last_reading_minute: int = 0


def lines(source: str, surveys: Sequence[HouseSurvey], zone: tzinfo) -> Iterator[str]:
    """Yield the lines about all houses: rows, times, sampling, minutes, power, and what was ignored or refused."""
    read = [its for its in surveys if its.n_minutes]
    n_rows = sum(its.n_rows for its in surveys)
    yield f"{source}: {counted(n_rows, 'row')}, {counted(len(read), 'house')}"
    if read:
        kinds = Counter(its.time_kind for its in read)
        yield f"  each timestamp is {' or '.join(kinds)}"
        samplings = Counter(its.sampling for its in read).most_common()
        for sampling, n_houses in samplings[:_SHOWN]:
            yield f"  {counted(n_houses, 'house')}: {sampling}"
        if others := samplings[_SHOWN:]:
            yield f"  {counted(sum(n for _, n in others), 'house')}: samples at {len(others):,} other intervals"
        first, last = min(its.first_minute for its in read), max(its.last_minute for its in read)
        n_minutes, n_missing = sum(its.n_minutes for its in read), sum(its.n_missing for its in read)
        mean_kw = sum(its.mean_kw * (its.n_minutes - its.n_missing) for its in read) / (n_minutes - n_missing)
        span = f"from {local_label(first, zone)} to {local_label(last, zone)} ({zone})"
        yield f"  {n_minutes:,} minutes {span}, {n_missing:,} of them missing"
        low_kw, high_kw = min(its.min_kw for its in read), max(its.max_kw for its in read)
        yield f"  {low_kw:.4g} to {high_kw:.4g} kW, mean {mean_kw:.4f} kW"
    if n_duplicates := sum(its.n_duplicates for its in read):
        have = "has" if n_duplicates == 1 else "have"
        yield f"  {counted(n_duplicates, 'row')} {have} the time of another row of the house: ignored"
    if refused := [its for its in surveys if its.n_refused]:
        of = f"{counted(sum(its.n_refused for its in refused), 'row')} of {counted(len(refused), 'house')}"
        yield printable(f"  {of} refused; the first, of {refused[0].name or 'no house'}: {refused[0].problem}")
    if n_without := sum(not its.n_readings for its in read):
        have = "has" if n_without == 1 else "have"
        yield f"  {counted(n_without, 'house')} {have} no reading in the requested period"
