"""Accepts many minutes of one device at once: recordings are fed in runs of consecutive minutes.

The windows of a run are a sliding view of its values. The first minute of each run, minutes after a gap, and windows of
more than power are accepted one by one, by the rules of :class:`~gapcast.core.streams.buffer.Buffers`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, I64, Flags
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.accepted_batch import AcceptedBatch, count_results
from gapcast.core.streams.buffer import Buffers, ReadingStatus


class MinuteRun(NamedTuple):
    """Readings of one device: its ``minutes`` ``[N]``, rising, their power, kW, and whether they are filled."""

    device: str
    minutes: I64
    gap_kw: NDArray[np.float64]
    is_filled: Flags

    def part(self, first: int, end: int) -> MinuteRun:
        """Return the readings from index ``first`` (inclusive) to ``end`` (exclusive)."""
        minutes, gap_kw, is_filled = self.minutes[first:end], self.gap_kw[first:end], self.is_filled[first:end]
        return MinuteRun(self.device, minutes, gap_kw, is_filled)

    def readings(self) -> Iterator[Reading]:
        """Yield the readings."""
        columns = (self.minutes.tolist(), self.gap_kw.tolist(), self.is_filled.tolist())
        for minute, gap_kw, is_filled in zip(*columns, strict=True):
            yield Reading(self.device, minute, gap_kw, is_filled=is_filled)


def accepts_runs(buffers: Buffers) -> bool:
    """Return whether the windows of ``buffers`` hold only power, and nothing else is fed minute by minute."""
    return len(buffers.channels) == 1 and buffers.week is None and buffers.billing is None


def accept_runs(runs: Sequence[MinuteRun], buffers: Buffers) -> AcceptedBatch:
    """Accept ``runs``, in order for each device: the result equals that of their readings one by one.

    :func:`accepts_runs` must hold for ``buffers``. An unexpected exception is raised at once.
    """
    accepted = _Accepted(buffers, sum(len(run.minutes) for run in runs))
    for run in runs:
        ends = _ends(run.minutes)
        at, n = 0, len(run.minutes)
        while at < n:
            end = int(ends[at])
            is_followed = accepted.add_one(run.part(at, at + 1))
            at += 1
            if is_followed and at < end:
                accepted.add_following(run.part(at, end))
                at = end
    return accepted.batch()


class _Accepted:
    """The readings accepted so far, and their windows."""

    def __init__(self, buffers: Buffers, n: int) -> None:
        """Accept at most ``n`` readings into ``buffers``."""
        self._buffers = buffers
        self._batch = AcceptedBatch(np.empty((n, *buffers.shape), dtype=np.float32), [], [], [], [])

    def add_one(self, run: MinuteRun) -> bool:
        """Accept a reading by all rules; return whether a reading of the next minute only continues its window."""
        (reading,) = run.readings()
        status = self._buffers.accept(reading)
        if status is ReadingStatus.READY:
            out = self._add_windows(run)
            self._batch.n_observed.append(self._buffers.copy_window(run.device, out[0]))
        else:
            self._batch.statuses.append(status)
            self._batch.forecast_indices.append(-1)
            if status is not ReadingStatus.FIRST:
                return False
            self._batch.first_rows.append(self._buffers.row(run.device))
        return True

    def add_following(self, run: MinuteRun) -> None:
        """Accept the minutes of ``run``, which follow the newest minute of its device without a gap."""
        n, stream, context = len(run.minutes), self._buffers.stream(run.device), self._buffers.spec.context
        before = stream.block[stream.at, stream.end - context : stream.end]
        values = np.concatenate((before, run.gap_kw.astype(np.float32)))
        self._add_windows(run)[:] = sliding_window_view(values, context)[1:]
        is_real = np.concatenate((_flags(stream.observed & ~stream.filled, context), ~run.is_filled))
        n_counted = self._buffers.n_counted
        n_real = np.concatenate(([0], np.cumsum(is_real)))
        newest = np.arange(context + 1, context + n + 1)
        self._batch.n_observed += (n_real[newest] - n_real[newest - n_counted]).tolist()
        stream.block[stream.at, :context], stream.end = values[-context:], context
        stream.last_minute += n
        stream.n_seen += n
        in_window = (1 << context) - 1
        stream.observed = (stream.observed << n | (1 << n) - 1) & in_window
        stream.filled = (stream.filled << n | _bits(run.is_filled[-context:])) & in_window

    def _add_windows(self, run: MinuteRun) -> F32:
        """Add the readings of ``run``, which all have a window; return the array to write the windows to."""
        batch, n = self._batch, len(run.minutes)
        first = len(batch.devices)
        batch.filled += (np.flatnonzero(run.is_filled) + first).tolist()
        batch.statuses += [ReadingStatus.READY] * n
        batch.forecast_indices += range(first, first + n)
        batch.devices += [run.device] * n
        batch.rows += [self._buffers.row(run.device)] * n
        batch.minutes += run.minutes.tolist()
        return batch.windows[first : first + n]

    def batch(self) -> AcceptedBatch:
        """Return the result."""
        batch = self._batch
        batch.windows = batch.windows[: len(batch.devices)]
        batch.disproved, batch.counts = count_results(batch.statuses, self._buffers)
        batch.restarted_streams = self._buffers.take_restarted_streams()
        return batch


def _ends(minutes: I64) -> I64:
    """Return the index after the run of consecutive minutes that contains each of ``minutes`` ``[N]``, ``[N]``."""
    breaks = np.flatnonzero(np.diff(minutes) != 1) + 1
    ends = np.append(breaks, len(minutes))
    return ends[np.searchsorted(breaks, np.arange(len(minutes)), side="right")]


def _flags(bits: int, n: int) -> Flags:
    """Return the lowest ``n`` bits, the highest first."""
    return np.array([bits >> k & 1 for k in range(n - 1, -1, -1)], dtype=bool)


def _bits(flags: Flags) -> int:
    """Return ``flags`` as bits, the last flag as the lowest bit."""
    return int("".join(map(str, flags.astype(np.int8).tolist())), 2)
