"""The instants of a house's rows whose times are texts, in one or several files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

import numpy as np

from gapcast.core.arrays.array_types import I64
from gapcast.core.time_grid import DAY_MIN, MINUTE_MS
from gapcast.recordings.text.text_file import quoted
from gapcast.recordings.text.timestamps import LOCAL, TimestampParser

#: Represents the instant of a row without one.
NO_TIME = -1
#: Minimum distance between two repeated hours.
_APART_MS = DAY_MIN * MINUTE_MS // 2


@dataclass(frozen=True, slots=True)
class RowTimes:
    """The instants ``[R]`` (epoch ms) of rows, :data:`NO_TIME` if unknown, and the reason for the first unknown one.

    ``kind`` is the kind of the timestamps, for reports.
    """

    instant_ms: I64
    kind: str
    problem: str


def row_times(texts: Sequence[str | None], file: I64, zone: tzinfo, time_format: str | None) -> RowTimes:
    """Return the instants of rows in the order of their files and of each file, by the rules of TimestampParser.

    Rows in the hour that a clock change repeats are resolved by their order: files by their first time, files that
    begin in that hour by their order in ``file``. If the rows of the hour go back more than once, or one of them is
    earlier than a row before it, they have no instant.
    """
    parser, problem = TimestampParser(zone, time_format), ""
    earlier_ms, later_ms = np.full(len(texts), NO_TIME), np.full(len(texts), NO_TIME)
    for i, text in enumerate(texts):
        try:
            earlier_ms[i], later_ms[i] = parser.candidates_ms((text or "").strip())
        except (ValueError, OverflowError) as error:
            problem = problem or str(error)
    is_repeated = earlier_ms != later_ms
    kind = parser.kind + (f", in {zone}" if parser.kind == LOCAL else "")
    if not is_repeated.any():
        return RowTimes(earlier_ms, kind, problem)
    instant_ms = _resolved(parser, earlier_ms, later_ms, file)
    unresolved = np.flatnonzero(is_repeated & (instant_ms == NO_TIME))
    if unresolved.size and not problem:
        text = quoted(texts[unresolved[0]] or "")
        problem = f"{text} occurs twice in {zone}, and the order of its rows does not show which of the two it is"
    return RowTimes(instant_ms, kind, problem)


def _resolved(parser: TimestampParser, earlier_ms: I64, later_ms: I64, file: I64) -> I64:
    """Return the instants of rows with these candidates."""
    is_repeated = earlier_ms != later_ms
    hours = _hours(earlier_ms[is_repeated])
    timed = np.flatnonzero(earlier_ms != NO_TIME)
    _, file_of = np.unique(file[timed], return_inverse=True)
    begin_ms = np.full(int(file_of.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(begin_ms, file_of, earlier_ms[timed])
    for first_ms, last_ms in hours:
        begin_ms[(begin_ms >= first_ms) & (begin_ms <= last_ms)] = first_ms
    order = timed[np.argsort(begin_ms[file_of], kind="stable")]
    skipped = np.zeros(earlier_ms.size, bool)
    for first_ms, last_ms in hours:
        rows = order[is_repeated[order] & (earlier_ms[order] >= first_ms) & (earlier_ms[order] <= last_ms)]
        skipped[rows] = np.count_nonzero(np.diff(earlier_ms[rows]) < 0) > 1

    instant_ms, newest_ms = np.full(earlier_ms.size, NO_TIME), NO_TIME
    for row in order[~skipped[order]].tolist():
        found_ms = parser.resolve(int(earlier_ms[row]), int(later_ms[row]))
        if not is_repeated[row] or found_ms >= newest_ms:
            instant_ms[row] = found_ms
            newest_ms = max(newest_ms, found_ms)
    return instant_ms


def _hours(earlier_ms: I64) -> list[tuple[int, int]]:
    """Return the first and the last of ``earlier_ms`` in each repeated hour."""
    found = np.sort(earlier_ms)
    begins = np.flatnonzero(np.diff(found, prepend=NO_TIME) > _APART_MS)
    ends = np.append(begins[1:], found.size) - 1
    return list(zip(found[begins].tolist(), found[ends].tolist(), strict=True))
