"""Parses timestamps of meters: RFC 3339, epoch numbers, local times, or a given format."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo

import numpy as np

from gapcast.core.arrays.array_types import I64
from gapcast.core.time_grid import epoch_ms_of
from gapcast.recordings.text.text_file import quoted

_EPOCH_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
_TIME_OF_DAY = re.compile(r"\d{1,2}:\d{2}(:\d{2})?( ?[AP]M)?", re.ASCII | re.IGNORECASE)
#: Lower bounds of epoch numbers in nanoseconds, microseconds and milliseconds, with the length of the unit, ms; smaller
#: numbers are seconds.
EPOCH_UNITS_FROM = ((1e17, 1e-6), (1e14, 1e-3), (1e11, 1.0))
_MILLISECOND = timedelta(milliseconds=1)
_LOCAL_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - local times are counted from a local epoch
#: Kinds of timestamps.
LOCAL, WITH_OFFSET, EPOCH_NUMBER = "a time without an offset", "a time with an offset", "an epoch number"
#: Offsets from UTC change only at multiples of this.
_BLOCK_MS = 900_000


class TimestampParser:
    """Parses the timestamps of one file, row by row in the file's order.

    A time with an offset or ``Z`` and an epoch number (s, ms, µs or ns) are unambiguous. A time without an offset is
    local time in ``zone``. The repeated hour in autumn is resolved by the order of the rows: the earlier instant if it
    is after the previous row, otherwise the later one. A row that repeats the previous row's time in that hour is a
    duplicate, unless rows are so far apart that it begins the hour again. A time that is skipped in spring is an error.
    ``form`` is for :meth:`datetime.datetime.strptime`; without it, times are parsed by
    :meth:`datetime.datetime.fromisoformat`.
    """

    def __init__(self, zone: tzinfo | None = None, form: str | None = None) -> None:
        self._zone = zone
        #: The format of the times; None: :meth:`datetime.datetime.fromisoformat`, or numbers.
        self.form = form
        self._before_ms = -1
        self._step_ms = 0
        #: The kind of the file's timestamps, for reports; empty before the first.
        self.kind = ""
        self._ahead_ms: dict[int, tuple[int, int]] = {}

    def instant_ms(self, text: str) -> int:
        """Return the instant (epoch ms, UTC) of ``text``.

        Raises :class:`ValueError`, with a message for users, if the text is not a time, or ambiguous.

        >>> offset, epoch = "2010-11-01T01:29:00+01:00", "1288571340"
        >>> TimestampParser().instant_ms(offset) == TimestampParser().instant_ms(epoch)
        True
        """
        return self.resolve(*self.candidates_ms(text))

    def candidates_ms(self, text: str) -> tuple[int, int]:
        """Return the earlier and the later instant (epoch ms, UTC) that ``text`` can mean.

        They differ only in the repeated hour in autumn. Raises the errors of :meth:`instant_ms`.
        """
        if self.form is None and _EPOCH_NUMBER.fullmatch(text):
            number = float(text)
            unit_ms = next((unit_ms for least, unit_ms in EPOCH_UNITS_FROM if number >= least), 1_000.0)
            kind, found = EPOCH_NUMBER, round(number * unit_ms)
            earlier_ms, later_ms = found, found
        else:
            when = self._parsed(text)
            if when.tzinfo is None:
                kind, (earlier_ms, later_ms) = LOCAL, self._local(when, text)
            else:
                kind, found = WITH_OFFSET, epoch_ms_of(when)
                earlier_ms, later_ms = found, found
        if kind != self.kind:
            if self.kind:
                msg = f"{quoted(text)} is {kind}, but the row before has {self.kind}: they must all be of one kind"
                raise ValueError(msg)
            self.kind = kind
        return earlier_ms, later_ms

    def resolve(self, earlier_ms: int, later_ms: int) -> int:
        """Return which of its :meth:`candidates_ms` the next row means, judged by the rows before it."""
        is_repeated = earlier_ms == self._before_ms and self._step_ms < (later_ms - earlier_ms) / 2
        found = earlier_ms if earlier_ms > self._before_ms or is_repeated else later_ms
        if found > self._before_ms:
            self._step_ms = found - self._before_ms
            self._before_ms = found
        return found

    def advance(self, instant_ms: I64) -> None:
        """Advance past the instants of the next rows ``[R]``, R >= 1, each of which has one candidate."""
        newest_ms = np.maximum.accumulate(np.concatenate(([self._before_ms], instant_ms)))
        later = np.flatnonzero(np.diff(newest_ms))
        if later.size:
            self._step_ms = int(newest_ms[later[-1] + 1] - newest_ms[later[-1]])
            self._before_ms = int(newest_ms[-1])

    def local_candidates_ms(self, local_ms: I64) -> tuple[I64, I64] | None:
        """Return the :meth:`candidates_ms` of times without an offset, ms since a local epoch, ``[R]``.

        None if one of the times does not exist, or the zone is unknown.
        """
        if self._zone is None:
            return None
        blocks, block_of = np.unique(local_ms // _BLOCK_MS, return_inverse=True)
        ahead_ms = np.array([self._ahead_of(block) for block in blocks.tolist()], dtype=np.int64)[block_of]
        earlier_ms, later_ms = (local_ms[:, np.newaxis] - ahead_ms).T
        return None if (earlier_ms > later_ms).any() else (earlier_ms, later_ms)

    def _parsed(self, text: str) -> datetime:
        if self.form is not None and "%Z" in self.form.replace("%%", ""):  # strptime reads the name, and drops it
            msg = "--time-format: names of time zones (%Z) are ambiguous: use %z for an offset, or --timezone"
            raise ValueError(msg)
        try:
            if self.form is not None:
                return datetime.strptime(text, self.form)  # noqa: DTZ007 - the caller asks for the zone
            return datetime.fromisoformat(text)
        except ValueError as error:
            if self.form is not None:
                msg = f"{quoted(text)} does not match --time-format {self.form!r}"
            elif _TIME_OF_DAY.fullmatch(text):
                msg = f"{quoted(text)} has no date: if the date is in another column, join the two into one"
            else:
                msg = (
                    f"{quoted(text)} is neither a time like 2020-01-31T12:00:00Z nor an epoch number: "
                    "specify its format with --time-format, such as '%d.%m.%Y %H:%M'"
                )
            raise ValueError(msg) from error

    def _local(self, when: datetime, text: str) -> tuple[int, int]:
        if self._zone is None:
            msg = f"{quoted(text)} has no UTC offset: set its time zone with --timezone, such as Europe/London or UTC"
            raise ValueError(msg)
        local_ms = (when - _LOCAL_EPOCH) // _MILLISECOND
        earlier_ms, later_ms = (local_ms - ahead_ms for ahead_ms in self._ahead_of(local_ms // _BLOCK_MS))
        if earlier_ms > later_ms:
            msg = (
                f"{quoted(text)} does not exist in {self._zone}, where the clock was set forward over it: "
                "for a meter without daylight saving time, use a fixed --timezone such as UTC or Etc/GMT-1 (UTC+1)"
            )
            raise ValueError(msg)
        return earlier_ms, later_ms

    def _ahead_of(self, block: int) -> tuple[int, int]:
        """Return the offsets from UTC, ms, of the first and the second occurrence of a local quarter of an hour."""
        if block not in self._ahead_ms:
            when = _LOCAL_EPOCH + block * _BLOCK_MS * _MILLISECOND
            self._ahead_ms[block] = _ahead_ms(when, self._zone, 0), _ahead_ms(when, self._zone, 1)
        return self._ahead_ms[block]


def _ahead_ms(when: datetime, zone: tzinfo | None, fold: int) -> int:
    """Return the offset from UTC of local time ``when``, for its first (0) or second (1) occurrence, ms."""
    return (when.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta()) // _MILLISECOND
