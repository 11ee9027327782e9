"""The window contract: order, padding and gaps, written once for edge and trainer.

A window is the last ``context`` minutes of one device, oldest first, float32, kW. Three rules:

1. A run of at most :data:`MAX_FILL_MIN` missing minutes between two readings is filled by a
   straight line between them.
2. A longer run starts the device's history again.
3. Where the history is shorter than the context, its old side is padded: with the oldest
   reading (``"oldest"``) or with zero (``"zero"``), as the model's card says.

:func:`cut` applies the contract to a whole array at once (training, back-tests);
:mod:`edge.core.buffer` applies it reading by reading. A property test holds them equal, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Padding = Literal["oldest", "zero"]
F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

#: Longest run of missing minutes that is filled by a straight line.
MAX_FILL_MIN = 5
#: Readings a device must have given before a forecast is made of them.
MIN_OBSERVED = 2


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """How a model wants its window: ``context`` minutes, short ones padded by ``padding``."""

    context: int = 30
    padding: Padding = "oldest"

    def __post_init__(self) -> None:
        """Refuse a context that could not hold two readings."""
        if self.context < MIN_OBSERVED:
            msg = f"context must be at least {MIN_OBSERVED} minutes, not {self.context}"
            raise ValueError(msg)

    def pad_kw(self, oldest_kw: float) -> float:
        """Return the value (kW) that stands in front of a history whose first is ``oldest_kw``."""
        return oldest_kw if self.padding == "oldest" else 0.0


def bridge(before_kw: float, after_kw: float, n_missing: int) -> F32:
    """Return the ``n_missing`` values on the straight line between two readings, kW, ``[n_missing]``.

    >>> bridge(1.0, 2.0, 3).tolist()
    [1.25, 1.5, 1.75]
    """
    before, after = float(np.float32(before_kw)), float(np.float32(after_kw))
    share = np.arange(1, n_missing + 1, dtype=np.float64) / (n_missing + 1)
    return (before + (after - before) * share).astype(np.float32)


def pad(readings_kw: NDArray[np.floating], spec: WindowSpec) -> F32:
    """Return one window ``[context]`` of the newest of ``readings_kw`` ``[n]`` (oldest first, n >= 1)."""
    newest = np.asarray(readings_kw, dtype=np.float32)[-spec.context :]
    window = np.full(spec.context, spec.pad_kw(float(newest[0])), dtype=np.float32)
    window[spec.context - newest.size :] = newest
    return window


@dataclass(frozen=True, slots=True)
class Windows:
    """Every window of a minute series, cut on demand so that a long series stays small.

    ``ws[rows]`` gives float32 ``[len(rows), context]``. ``origin[i]`` is the index in the series of
    window ``i``'s newest reading (its *observed at*), ``n_observed[i]`` the real readings in it.
    """

    spec: WindowSpec
    origin: I64
    n_observed: I64
    _padded_kw: F32
    _start: I64

    def __len__(self) -> int:
        """Return how many windows there are."""
        return int(self.origin.size)

    def __getitem__(self, rows: slice | NDArray[np.integer] | NDArray[np.bool_]) -> F32:
        """Return the windows of ``rows`` as a new array, float32 ``[n, context]``."""
        view = sliding_window_view(self._padded_kw, self.spec.context)
        return np.ascontiguousarray(view[self._start[rows]])


def cut(series_kw: NDArray[np.floating], spec: WindowSpec) -> Windows:
    """Cut every window that a stream of ``series_kw`` would give a forecast for.

    ``series_kw`` ``[T]`` holds one value a minute, NaN where a minute is missing. There is one window
    for each reading that is at least the second since its history (re)started.
    """
    values = np.asarray(series_kw, dtype=np.float32)
    at = np.flatnonzero(~np.isnan(values)).astype(np.int64)
    step = np.diff(at, prepend=at[:1] - (MAX_FILL_MIN + 2))  # the first reading starts a history
    filled = values.copy()
    for n_missing in range(1, MAX_FILL_MIN + 1):
        after = at[step == n_missing + 1]
        before = after - n_missing - 1
        low, high = values[before].astype(np.float64), values[after].astype(np.float64)
        for k in range(1, n_missing + 1):
            filled[before + k] = (low + (high - low) * (k / (n_missing + 1))).astype(np.float32)

    starts = step > MAX_FILL_MIN + 1
    history = np.cumsum(starts) - 1  # which history each reading belongs to
    first, last = at[starts], at[np.append(np.flatnonzero(starts)[1:] - 1, at.size - 1)] if at.size else at
    n_pad = spec.context - 1
    lengths = last - first + 1
    offset = np.cumsum(lengths + n_pad) - lengths - n_pad  # where each padded history begins
    n_padded = max(int(np.sum(lengths + n_pad)), spec.context)  # one window at least, even without a reading
    padded = np.empty(n_padded, dtype=np.float32)
    for begin, length, source in zip(offset, lengths, first, strict=True):
        padded[begin : begin + n_pad] = spec.pad_kw(float(filled[source]))
        padded[begin + n_pad : begin + n_pad + length] = filled[source : source + length]

    start = offset[history] + at - first[history]
    seen = np.arange(at.size) - np.flatnonzero(starts)[history] + 1  # readings since the history began
    oldest_in = np.searchsorted(at, at - spec.context + 1)  # fewer readings than minutes where filled
    n_observed = np.minimum(seen, np.arange(at.size) - oldest_in + 1)
    usable = seen >= MIN_OBSERVED
    return Windows(spec, at[usable], n_observed[usable], padded, start[usable])
