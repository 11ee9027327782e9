"""Time-weighted minute means of samples at any rate, computed sample by sample.

A sample holds until the next one. If that is more than ``hold_ms`` later, or missing, the sample holds for ``every_ms``
only, and the rest is a gap. Unless the meter sends on every change, the time more than ``every_ms`` after a sample
counts as not measured. :mod:`.minute_sums` defines when a minute has a mean, and when it is filled.
``gapcast.recordings.minutes.minute_means`` implements the same for whole arrays, and a property test checks that both
agree.

A minute is closed by the first sample ``lateness_ms`` or more after its end, or by a timer
(:meth:`MinuteMeans.close`). Samples that are out of order by up to ``lateness_ms`` are sorted in.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from enum import Enum

from gapcast.core.meters.minute_sums import MinuteMean, MinuteSums
from gapcast.core.readings.samples import OpenMinute, SampleValues
from gapcast.core.streams.buffer import RESTART_RUN
from gapcast.core.time_grid import MINUTE_MS

#: How long after a minute's end the timer waits for delayed samples.
GRACE_MS = 2_000
#: The longest usual interval of samples.
MAX_EVERY_S = 900
#: If the clock must wait longer than this for a counter's next count, it closes the minute without a mean: so late, a
#: reading of a meter that fell silent would be taken for its return.
_LONGEST_WAIT_MS = 300_000
_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class HeldValue:
    """How samples are held: their usual interval, how long a sample may hold, and the tolerated lateness.

    ``on_change``: the meter sends whenever its value changes, so that a held value counts as measured.
    """

    every_ms: int = 60_000
    hold_ms: int = 120_000
    lateness_ms: int = 0
    on_change: bool = False

    @property
    def measured_ms(self) -> int:
        """The time for which a held sample counts as measured."""
        return self.hold_ms if self.on_change else self.every_ms


class SampleResult(Enum):
    """The result of adding a sample."""

    TAKEN = "taken"
    DUPLICATE = "duplicate"  # same time as an earlier sample
    LATE = "late"  # later than the tolerated lateness


class MinuteMeans:
    """Averages one device's samples (power first, then other channels) to minutes.

    >>> means = MinuteMeans(HeldValue(every_ms=30_000, hold_ms=60_000), n_channels=1)
    >>> [means.add(at_ms, (kw,)).value for at_ms, kw in ((0, 1.0), (30_000, 2.0), (60_000, 5.0))]
    ['taken', 'taken', 'taken']
    >>> means.take_closed()
    [MinuteMean(minute=0, power_kw=1.5, others=(), is_filled=False)]
    """

    __slots__ = ("_current", "_holding", "_late_run", "_measured_ms", "_open", "_pending", "newest_ms")

    def __init__(self, holding: HeldValue, n_channels: int) -> None:
        self._holding = holding
        self._measured_ms = holding.measured_ms
        self._open = MinuteSums(n_channels)
        self._current: SampleValues | None = None  # the sample that holds now
        self._pending: list[SampleValues] = []  # newer samples, in order; late samples may be inserted before them
        self._late_run: list[SampleValues] = []
        #: Time of the newest sample; None before the first.
        self.newest_ms: int | None = None

    def add(self, at_ms: int, values: tuple[float | None, ...], *, redelivered: bool = False) -> SampleResult:
        """Add a sample, None for a channel without a value.

        A late sample that was ``redelivered`` is a duplicate and never restarts the stream.
        """
        sample = SampleValues(at_ms, values)
        newest_ms, current = self.newest_ms, self._current
        if newest_ms is None or current is None:
            self._start_with(sample)
            return SampleResult.TAKEN
        if at_ms == current.at_ms or any(at_ms == other.at_ms for other in self._pending):
            return SampleResult.DUPLICATE
        if at_ms <= max(newest_ms - self._holding.lateness_ms, current.at_ms):
            return SampleResult.DUPLICATE if redelivered else self._handle_late(sample)
        self._late_run.clear()
        insort(self._pending, sample)
        self.newest_ms = max(newest_ms, at_ms)
        self._advance(current, self.newest_ms - self._holding.lateness_ms)
        return SampleResult.TAKEN

    def replace_newest(self, at_ms: int, values: tuple[float | None, ...]) -> SampleResult:
        """Replace the newest sample, if it is at ``at_ms`` too and differs; each channel keeps a value that is missing.

        Without a power, all values are unknown.
        """
        newest = self._pending[-1] if self._pending else self._current
        if newest is None or at_ms != newest.at_ms:
            return SampleResult.DUPLICATE
        if values[0] is not None:
            values = tuple(old if new is None else new for old, new in zip(newest.values, values, strict=True))
        if values == newest.values:
            return SampleResult.DUPLICATE
        if self._pending:
            self._pending[-1] = SampleValues(at_ms, values)
        else:
            self._current = SampleValues(at_ms, values)
        return SampleResult.TAKEN

    def add_interval(self, until_ms: int, values: tuple[float | None, ...]) -> None:
        """Add values for the whole time since the last call, such as the difference of a counter."""
        if self.newest_ms is None or until_ms <= self.newest_ms:
            self._open.restart(until_ms)
        elif until_ms > self._open.through_ms:  # else the clock has closed that time already
            held_ms = self._open.through_ms if values[0] is None else until_ms
            self._open.add(values, held_ms, until_ms, until_ms)
        self.newest_ms = until_ms

    def close(self, now_ms: int) -> bool:
        """Close the minutes that are due at ``now_ms``, by the device's clock; the current sample keeps holding.

        Return whether a closed minute had no mean: no reading records its end.
        """
        minute, n_closed = self._open.minute, len(self._open.closed)
        self._close_until((now_ms - self._wait_ms) // MINUTE_MS * MINUTE_MS)
        return self._open.minute - minute > len(self._open.closed) - n_closed

    def close_minute(self, minute: int) -> None:
        """Close ``minute`` without the usual wait."""
        end_ms = (minute + 1) * MINUTE_MS
        if self.newest_ms is not None and end_ms - self.newest_ms <= self._holding.hold_ms + MINUTE_MS:
            self._close_until(end_ms)

    def _close_until(self, until_ms: int) -> None:
        if self._current is not None:
            self._advance(self._current, until_ms)
        elif until_ms > self._open.through_ms:
            if self._holding.hold_ms > _LONGEST_WAIT_MS:
                self._open.restart(until_ms)
            else:
                self._open.add((), self._open.through_ms, until_ms, until_ms)

    @property
    def due_ms(self) -> float:
        """The time, by the device's clock, at which the timer must close the open minute; infinity for never."""
        if self.newest_ms is None or self._open.through_ms - self.newest_ms > self._holding.hold_ms:
            return _NEVER
        return self._open.end_ms + self._wait_ms

    @property
    def next_mean_due_ms(self) -> float:
        """The latest time, by the device's clock, of the next mean if the samples continue; infinity for never.

        >>> means = MinuteMeans(HeldValue(every_ms=10_000, hold_ms=60_000), n_channels=1)
        >>> _ = means.add(40_000, (1.0,))  # 20 s of the first minute are not enough for a mean
        >>> means.due_ms, means.next_mean_due_ms
        (62000, 122000)
        """
        due_ms = self.due_ms
        if self._current is None:  # the next count closes the minute long before the clock
            due_ms -= self._holding.hold_ms - self._holding.every_ms
        return due_ms if self._open.can_reach_a_mean else due_ms + MINUTE_MS

    @property
    def _wait_ms(self) -> int:
        """The time after a minute's end in which a sample may still cover it; a counter's next count covers it all."""
        wait_ms = max(GRACE_MS, self._holding.lateness_ms)
        return wait_ms if self._current is not None else wait_ms + self._holding.hold_ms

    def take_closed(self) -> list[MinuteMean]:
        """Return the minutes closed since the last call, in order."""
        return self._open.take_closed()

    def capture_state(self) -> OpenMinute:
        """Return the state of the open minute, for :meth:`restore_state`; call :meth:`take_closed` first."""
        sums = self._open
        return OpenMinute(
            sums.minute, sums.through_ms, tuple(sums.sums), tuple(sums.covered_ms), self._current,
            tuple(self._pending), tuple(self._late_run), self.newest_ms, sums.filled_ms,
        )  # fmt: skip

    def restore_state(self, state: OpenMinute) -> None:
        """Restore a captured state; ignore it if the channels differ."""
        sums = self._open
        if len(state.sums) == len(sums.sums) == len(state.covered_ms):
            sums.minute, sums.through_ms, sums.filled_ms = state.minute, state.through_ms, state.filled_ms
            sums.sums, sums.covered_ms = list(state.sums), list(state.covered_ms)
            self._current, self.newest_ms = state.current, state.newest_ms
            self._pending, self._late_run = list(state.pending), list(state.late_run)

    def _start_with(self, sample: SampleValues) -> None:
        self._open.restart(sample.at_ms)
        self._current = sample
        self._pending.clear()
        self._late_run.clear()
        self.newest_ms = sample.at_ms

    def _handle_late(self, sample: SampleValues) -> SampleResult:
        """Restart after three late samples in a row, each after the previous one: a replay, or a clock set back."""
        run = self._late_run
        if run and sample.at_ms == run[-1].at_ms:
            return SampleResult.DUPLICATE
        if run and not 0 < sample.at_ms - run[-1].at_ms <= self._holding.hold_ms:
            run.clear()
        run.append(sample)
        if len(run) < RESTART_RUN:
            return SampleResult.LATE
        first, *others = run
        self._start_with(first)
        for other in others:
            self.add(*other)
        return SampleResult.TAKEN

    def _advance(self, current: SampleValues, until_ms: int) -> None:
        """Accumulate the samples up to ``until_ms``, starting with the current one, each until the next."""
        holding = self._holding
        while self._pending and self._pending[0].at_ms <= until_ms:
            following = self._pending.pop(0)
            self._add_span(current, following.at_ms, following.at_ms)
            current = self._current = following
        next_ms = self._pending[0].at_ms if self._pending else until_ms
        if next_ms - current.at_ms > holding.hold_ms >= until_ms - current.at_ms:
            until_ms = min(until_ms, current.at_ms + holding.every_ms)  # a late sample between the two may extend it
        self._add_span(current, until_ms, next_ms)

    def _add_span(self, current: SampleValues, until_ms: int, next_ms: int) -> None:
        """Accumulate a sample until ``until_ms``; the next sample is at ``next_ms`` or later."""
        if until_ms <= self._open.through_ms:
            return
        holds = next_ms - current.at_ms <= self._holding.hold_ms
        held_ms = next_ms if holds else current.at_ms + min(self._holding.every_ms, self._holding.hold_ms)
        measured_ms = current.at_ms + self._measured_ms
        self._open.add(current.values, min(held_ms, until_ms), until_ms, measured_ms)
