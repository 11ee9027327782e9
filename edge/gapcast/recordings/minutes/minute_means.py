"""Converts rows at any times to one value per minute: unchanged if there is one row per minute, else averaged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.meters.minute_sums import MIN_COVERED, MOST_FILLED
from gapcast.core.time_grid import MINUTE_MS

_SAMPLES_AT_ONCE = 50_000


@dataclass(frozen=True, slots=True)
class SamplingInterval:
    """The sampling of rows: the usual interval (median, s), and how samples are held.

    ``hold_min`` is None if there is one row per minute, which is the minute's value. Otherwise each row is a sample
    that holds until the next one. If the next sample is more than ``hold_min`` minutes later, or missing, the sample
    holds for the usual interval only, and the rest is a gap.
    """

    usual_s: float
    hold_min: float | None

    def __str__(self) -> str:
        """Return a description for the report."""
        if self.hold_min is None:
            return "one row a minute: values are taken as they are"
        return (
            f"a sample every {self.usual_s:g} s, averaged over each minute; "
            f"each sample is valid until the next one; more than {self.hold_min:g} min without a sample is a gap"
        )


def sampling_of(instant_ms: I64, hold_min: float | None = None) -> SamplingInterval:
    """Return the sampling of rows at ``instant_ms`` ``[R]``, ascending.

    There is one row per minute if all are at the same second, the most frequent interval is one minute, and
    ``hold_min`` is not stated. Otherwise rows are samples; by default ``hold_min`` is twice their usual interval, in
    whole minutes.

    >>> sampling_of(np.array([0, 60_000, 240_000, 300_000]))
    SamplingInterval(usual_s=60.0, hold_min=None)
    >>> sampling_of(np.array([0, 10_000, 20_000, 31_000])), sampling_of(np.array([0, 300_000, 600_000])).hold_min
    (SamplingInterval(usual_s=10.0, hold_min=1.0), 10.0)
    """
    if instant_ms.size == 1:
        return SamplingInterval(60.0, None)
    step_ms = np.diff(instant_ms)
    distances, counts = np.unique(step_ms, return_counts=True)
    usual_s = float(np.median(step_ms)) / 1_000
    same_second = not (distances % MINUTE_MS).any()
    if hold_min is not None:
        return SamplingInterval(usual_s, hold_min)
    if same_second and distances[np.argmax(counts)] == MINUTE_MS:
        return SamplingInterval(usual_s, None)
    return SamplingInterval(usual_s, float(np.ceil(2 * usual_s / 60)))


def to_minutes(instant_ms: I64, columns: dict[str, F64], sampling: SamplingInterval) -> tuple[int, dict[str, F64]]:
    """Return the first minute (since the epoch), and each of ``columns`` ``[R]`` by minutes ``[T]``, NaN for a gap.

    ``instant_ms`` ``[R]`` is ascending. NaN means that the value is unknown until the next row.
    """
    if sampling.hold_min is None:
        minute = instant_ms // MINUTE_MS
        return int(minute[0]), {name: _placed(minute - minute[0], values) for name, values in columns.items()}
    until_ms = instant_ms + _held_ms(instant_ms, sampling)
    first, last = int(instant_ms[0]) // MINUTE_MS, int(until_ms[-1] - 1) // MINUTE_MS
    return first, {name: _means(instant_ms, until_ms, values, first, last) for name, values in columns.items()}


def filled_minutes(instant_ms: I64, gap_kw: F64, sampling: SamplingInterval) -> NDArray[np.bool_] | None:
    """Return which of the minutes of :func:`to_minutes` are filled, ``[T]``; None with one row per minute.

    As in :mod:`gapcast.core.meters.minute_sums`, a minute is filled if for more than :data:`MOST_FILLED` of its covered
    time a sample was held beyond the usual interval, and nothing was measured.
    """
    if sampling.hold_min is None:
        return None
    until_ms = instant_ms + _held_ms(instant_ms, sampling)
    measured_ms = np.minimum(instant_ms + round(sampling.usual_s * 1_000), until_ms)
    first, last = int(instant_ms[0]) // MINUTE_MS, int(until_ms[-1] - 1) // MINUTE_MS
    _, covered_ms = _sums(instant_ms, until_ms, gap_kw, first, last)
    _, filled_ms = _sums(measured_ms, until_ms, gap_kw, first, last)
    return np.asarray((covered_ms >= MIN_COVERED * MINUTE_MS) & (filled_ms > MOST_FILLED * covered_ms))


def _held_ms(instant_ms: I64, sampling: SamplingInterval) -> I64:
    """Return how long each sample holds, ms."""
    hold_ms = round((sampling.hold_min or 0) * MINUTE_MS)
    silence_ms = np.diff(instant_ms, append=instant_ms[-1] + hold_ms + 1)  # the last one has no successor
    return np.where(silence_ms <= hold_ms, silence_ms, min(round(sampling.usual_s * 1_000), hold_ms))


def _placed(at: I64, values: F64) -> F64:
    grid = np.full(int(at[-1]) + 1, np.nan)
    grid[at] = values
    return grid


def _means(from_ms: I64, until_ms: I64, values: F64, first: int, last: int) -> F64:
    """Return the mean of a step function over each of the minutes ``first`` to ``last``."""
    sum_, covered_ms = _sums(from_ms, until_ms, values, first, last)
    enough = covered_ms >= MIN_COVERED * MINUTE_MS
    mean = np.full(last - first + 1, np.nan)
    mean[enough] = sum_[enough] / covered_ms[enough]
    return mean


def _sums(from_ms: I64, until_ms: I64, values: F64, first: int, last: int) -> tuple[F64, F64]:
    """Return the integral of a step function, value times ms, and the covered time, ms, of each minute."""
    n_minutes = last - first + 1
    sum_, covered_ms = np.zeros(n_minutes), np.zeros(n_minutes)
    for start in range(0, values.size, _SAMPLES_AT_ONCE):
        block = slice(start, start + _SAMPLES_AT_ONCE)
        known = ~np.isnan(values[block]) & (from_ms[block] < until_ms[block])
        begin, end, value = from_ms[block][known], until_ms[block][known], values[block][known]
        n_pieces = (end - 1) // MINUTE_MS - begin // MINUTE_MS + 1  # each sample is split at minute boundaries
        before = np.cumsum(n_pieces) - n_pieces
        sample = np.repeat(np.arange(value.size), n_pieces)
        minute = (begin // MINUTE_MS - before)[sample] + np.arange(sample.size)
        piece_ms = np.minimum(end[sample], (minute + 1) * MINUTE_MS) - np.maximum(begin[sample], minute * MINUTE_MS)
        if minute.size:
            touched = slice(minute[0] - first, minute[-1] - first + 1)
            sum_[touched] += np.bincount(minute - minute[0], piece_ms * value[sample])
            covered_ms[touched] += np.bincount(minute - minute[0], piece_ms)
    return sum_, covered_ms
