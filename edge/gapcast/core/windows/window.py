"""The window contract: order, padding and gaps, defined once for edge and trainer.

A window is the last ``context`` minutes of one device, oldest first, float32: its power in kW, or
several measured channels side by side. A minute counts as observed if none of its channels is missing, and
each channel is filled and padded separately. Three rules:

1. A gap of at most :data:`MAX_FILL_MIN` missing minutes between two readings is filled by linear interpolation.
2. A longer gap restarts the device's history.
3. If the history is shorter than the context, it is padded at its old end: with the oldest
   reading (``"oldest"``) or with zero (``"zero"``), as the model's card says.

:func:`cut` applies the contract to a whole array at once (training, back-tests);
:mod:`gapcast.core.streams.buffer` applies it reading by reading. A property test checks that both agree, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from gapcast.core.arrays.array_types import F32, I64

Padding = Literal["oldest", "zero"]
Values = TypeVar("Values")

#: Longest run of missing minutes that is filled by linear interpolation.
MAX_FILL_MIN = 5
#: Number of readings of a device that a forecast needs.
MIN_OBSERVED = 2


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """The window of a model: ``context`` minutes, short histories padded by ``padding``."""

    context: int = 30
    padding: Padding = "oldest"

    def __post_init__(self) -> None:
        """Raise :class:`ValueError` if the context cannot hold two readings."""
        if self.context < MIN_OBSERVED:
            msg = f"context must be at least {MIN_OBSERVED} minutes, not {self.context}"
            raise ValueError(msg)

    def pad_kw(self, oldest: Values) -> Values | float:
        """Return the padding before a history whose first reading is ``oldest``: kW, or one value per channel."""
        return oldest if self.padding == "oldest" else 0.0


def bridge(before: ArrayLike, after: ArrayLike, n_missing: int) -> F32:
    """Return the ``n_missing`` minutes between two readings by linear interpolation, ``[n_missing]``.

    With readings of C channels, ``[C]`` each, every channel is interpolated, ``[n_missing, C]``.

    >>> bridge(1.0, 2.0, 3).tolist()
    [1.25, 1.5, 1.75]
    """
    low = np.asarray(before, dtype=np.float32).astype(np.float64)
    high = np.asarray(after, dtype=np.float32).astype(np.float64)
    share = np.arange(1, n_missing + 1, dtype=np.float64) / (n_missing + 1)
    with np.errstate(invalid="ignore"):  # a damaged buffer may hold infinities
        line: F32 = (low + np.multiply.outer(share, high - low)).astype(np.float32)
    return line


def fill_short_gaps(series: F32) -> F32:
    """Return ``series`` ``[T]``, one value per minute, NaN for a missing minute, with its short gaps filled.

    >>> fill_short_gaps(np.array([1.0, np.nan, 2.0, np.nan], dtype=np.float32)).tolist()
    [1.0, 1.5, 2.0, nan]
    """
    at = np.flatnonzero(~np.isnan(series)).astype(np.int64)
    return _fill(series, at, _steps_between(at))


def _steps_between(at: I64) -> I64:
    """Return the minutes from the previous reading to each of the readings ``at``; the first one starts a history."""
    return np.diff(at, prepend=at[:1] - (MAX_FILL_MIN + 2))


def _fill(values: F32, at: I64, step: I64) -> F32:
    """Return a copy of ``values`` with short gaps between the readings ``at``, ``step`` minutes apart, filled."""
    filled = values.copy()
    for n_missing in range(1, MAX_FILL_MIN + 1):
        after = at[step == n_missing + 1]
        before = after - n_missing - 1
        low, high = values[before].astype(np.float64), values[after].astype(np.float64)
        for k in range(1, n_missing + 1):
            filled[before + k] = (low + (high - low) * (k / (n_missing + 1))).astype(np.float32)
    return filled


def pad(readings: NDArray[np.floating], spec: WindowSpec) -> F32:
    """Return one window ``[context]`` of the newest ``readings`` ``[n]`` (oldest first, n >= 1).

    For ``readings`` ``[n, C]`` it is ``[context, C]``.
    """
    newest = np.asarray(readings, dtype=np.float32)[-spec.context :]
    window = np.empty((spec.context, *newest.shape[1:]), dtype=np.float32)
    n_padded = spec.context - len(newest)
    window[:n_padded] = spec.pad_kw(newest[0])
    window[n_padded:] = newest
    return window


@dataclass(frozen=True, slots=True)
class Windows:
    """All windows of a minute series, cut on demand so that a long series stays small.

    ``windows[rows]`` is float32 ``[len(rows), context]``, or ``[len(rows), context, C]`` for a series of C
    channels. ``origin[i]`` is the index in the series of window ``i``'s newest reading (its *observed at*),
    ``n_observed[i]`` the number of measured readings in it.
    """

    spec: WindowSpec
    origin: I64
    n_observed: I64
    _padded: F32
    _start: I64

    def __len__(self) -> int:
        """Return the number of windows."""
        return int(self.origin.size)

    def __getitem__(self, rows: slice | NDArray[np.integer] | NDArray[np.bool_]) -> F32:
        """Return the windows of ``rows`` as a new array, float32 ``[n, context]`` or ``[n, context, C]``."""
        view = sliding_window_view(self._padded, self.spec.context, axis=0)  # the context is the last axis
        return np.ascontiguousarray(np.moveaxis(view[self._start[rows]], -1, 1))


def cut(series: NDArray[np.floating], spec: WindowSpec, n_required: int | None = None) -> Windows:
    """Cut every window from which a stream of ``series`` would make a forecast.

    ``series`` ``[T]`` holds one value per minute (kW), NaN for a missing minute; with C channels it is ``[T, C]``, and
    a minute is missing if any of the first ``n_required`` channels is NaN (None: of all channels). There is one window
    for each reading that is at least the second since its history (re)started.
    """
    values = np.asarray(series, dtype=np.float32)
    missing = np.isnan(values) if values.ndim == 1 else np.isnan(values[:, :n_required]).any(axis=1)
    at = np.flatnonzero(~missing).astype(np.int64)
    step = _steps_between(at)
    filled = _fill(values, at, step)
    starts = step > MAX_FILL_MIN + 1
    history = np.cumsum(starts) - 1  # the history that each reading belongs to
    first, last = at[starts], at[np.append(np.flatnonzero(starts)[1:] - 1, at.size - 1)] if at.size else at
    n_pad = spec.context - 1
    lengths = last - first + 1
    offset = np.cumsum(lengths + n_pad) - lengths - n_pad  # the begin of each padded history
    n_padded = max(int(np.sum(lengths + n_pad)), spec.context)  # at least one window, even without a reading
    padded = np.empty((n_padded, *values.shape[1:]), dtype=np.float32)
    for begin, length, source in zip(offset, lengths, first, strict=True):
        padded[begin : begin + n_pad] = spec.pad_kw(filled[source])
        padded[begin + n_pad : begin + n_pad + length] = filled[source : source + length]

    start = offset[history] + at - first[history]
    n_since_start = np.arange(at.size) - np.flatnonzero(starts)[history] + 1  # readings since the history began
    oldest_in = np.searchsorted(at, at - spec.context + 1)  # fewer readings than minutes if some are filled
    n_observed = np.minimum(n_since_start, np.arange(at.size) - oldest_in + 1)
    usable = n_since_start >= MIN_OBSERVED
    return Windows(spec, at[usable], n_observed[usable], padded, start[usable])
