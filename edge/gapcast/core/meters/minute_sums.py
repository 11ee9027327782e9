"""Sums of the open minute: each channel's value times the time for which it is known, closed as a minute's means.

A minute has a mean if values cover at least :data:`MIN_COVERED` of it. It is filled if a held value, with nothing
measured, accounts for more than :data:`MOST_FILLED` of its covered time: windows need its mean, but it is no outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gapcast.core.time_grid import MINUTE_MS

#: A minute has a mean if samples cover at least this share of it.
MIN_COVERED = 0.5
#: A minute is filled if samples are held, with nothing measured, for more than this share of its covered time.
MOST_FILLED = 0.5


class MinuteMean(NamedTuple):
    """A minute (since the epoch), its mean power, and the means of the other channels, None if not covered enough.

    ``is_filled``: for most of it, the power comes from a held sample.
    """

    minute: int
    power_kw: float
    others: tuple[float | None, ...]
    is_filled: bool = False


class MinuteSums:
    """The open minute of ``n_channels`` channels, power first, and the closed minutes.

    >>> sums = MinuteSums(n_channels=1)
    >>> sums.restart(0)
    >>> sums.add((1.5,), held_ms=60_000, until_ms=90_000, measured_ms=60_000)
    >>> sums.take_closed(), sums.minute, sums.covered_ms
    ([MinuteMean(minute=0, power_kw=1.5, others=(), is_filled=False)], 1, [0])
    """

    __slots__ = ("closed", "covered_ms", "filled_ms", "minute", "sums", "through_ms")

    def __init__(self, n_channels: int) -> None:
        #: The open minute, since the epoch.
        self.minute = 0
        #: The sums include all time before this.
        self.through_ms = 0
        #: Value times ms of each channel in the open minute, and the ms for which the value is known.
        self.sums = [0.0] * n_channels
        self.covered_ms = [0] * n_channels
        #: Milliseconds of the time covered by power in which nothing was measured.
        self.filled_ms = 0
        #: The minutes closed since the last :meth:`take_closed`, in order.
        self.closed: list[MinuteMean] = []

    @property
    def end_ms(self) -> int:
        """The end of the open minute."""
        return (self.minute + 1) * MINUTE_MS

    def restart(self, at_ms: int) -> None:
        """Open the minute of ``at_ms``, with nothing known before; discard the minute open until now."""
        self.through_ms = at_ms
        self._open(at_ms // MINUTE_MS)

    def add(self, values: Sequence[float | None], held_ms: int, until_ms: int, measured_ms: int) -> None:
        """Add ``values`` until ``held_ms``, then a gap until ``until_ms``; close the minutes that end.

        The time after ``measured_ms`` is filled.
        """
        at_ms = self.through_ms
        while at_ms < until_ms:
            end_ms = self.end_ms
            stop_ms = min(end_ms, until_ms)
            covered_ms = min(stop_ms, held_ms) - at_ms
            if covered_ms > 0:
                for channel, value in enumerate(values):
                    if value is not None:
                        self.sums[channel] += value * covered_ms
                        self.covered_ms[channel] += covered_ms
                if values[0] is not None:
                    self.filled_ms += max(0, min(stop_ms, held_ms) - max(at_ms, measured_ms))
            at_ms = stop_ms
            if at_ms == end_ms:
                self._close()
                if at_ms >= held_ms:  # the rest is a gap, which may be years long
                    self._open(until_ms // MINUTE_MS)
                    break
        self.through_ms = until_ms

    @property
    def can_reach_a_mean(self) -> bool:
        """Whether the open minute has a mean if power is known until its end."""
        return self.covered_ms[0] + self.end_ms - self.through_ms >= MIN_COVERED * MINUTE_MS

    def take_closed(self) -> list[MinuteMean]:
        """Return the minutes closed since the last call, in order."""
        closed, self.closed = self.closed, []
        return closed

    def _open(self, minute: int) -> None:
        self.minute = minute
        self.sums = [0.0] * len(self.sums)
        self.covered_ms = [0] * len(self.sums)
        self.filled_ms = 0

    def _close(self) -> None:
        means = tuple(
            value_ms / covered_ms if covered_ms >= MIN_COVERED * MINUTE_MS else None
            for value_ms, covered_ms in zip(self.sums, self.covered_ms, strict=True)
        )
        power_kw, *others = means
        if power_kw is not None:
            is_filled = self.filled_ms > MOST_FILLED * self.covered_ms[0]
            self.closed.append(MinuteMean(self.minute, power_kw, tuple(others), is_filled))
        self._open(self.minute + 1)
