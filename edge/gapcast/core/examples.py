"""What a model learns from: windows whose targets were read, by one rule for a whole series and for a stream of it.

An example is a window as :func:`gapcast.core.window.cut` gives it, with a real reading at each lead time after its
newest minute. :func:`examples_in` finds those of a house whose years do not fit into memory, piece by piece; a
property test holds what it finds equal to what the whole series gives, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapcast.core.window import F32, I64, MAX_FILL_MIN, Windows, WindowSpec, cut

F64 = NDArray[np.float64]

#: Real readings in a row that scored windows end with, whatever a model's context: all see the same minutes.
WHOLE_MIN = 30


def with_targets(
    windows: Windows, rows: I64, gap_kw: NDArray[np.floating], lead_times_min: Sequence[int]
) -> tuple[I64, F32]:
    """Return those of ``rows`` (places in ``windows``) whose targets were all read, and the targets ``[n, K]``, kW.

    ``gap_kw`` ``[T]`` is the power that ``windows`` were cut of, NaN where it is missing.
    """
    rows = rows[windows.origin[rows] + lead_times_min[-1] < gap_kw.size]
    ahead = windows.origin[rows][:, np.newaxis] + np.asarray(lead_times_min)
    target_kw = gap_kw[ahead].astype(np.float32)
    read = ~np.isnan(target_kw).any(axis=1)
    return rows[read], target_kw[read]


def count_recent(gap_kw: NDArray[np.floating]) -> I64:
    """Return how many of the newest :data:`WHOLE_MIN` minutes were read, at each minute ``[T]``."""
    n_read = np.concatenate((np.zeros(WHOLE_MIN, dtype=np.int64), np.cumsum(~np.isnan(gap_kw))))
    return np.asarray(n_read[WHOLE_MIN:] - n_read[:-WHOLE_MIN], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class HouseExamples:
    """Examples of one house, in order of time.

    ``observed_minute`` ``[N]`` is since the epoch, ``n_observed`` ``[N]`` counts real readings in the window,
    ``n_recent`` ``[N]`` those of its newest :data:`WHOLE_MIN` minutes; ``target_kw`` is ``[N, K]``.
    """

    observed_minute: I64
    n_observed: I64
    n_recent: I64
    target_kw: F32
    _windows: Windows
    _rows: I64

    def windows_at(self, places: I64) -> F32:
        """Return the windows at ``places``, kW, ``[n, context]``."""
        return self._windows[self._rows[places]]


def examples_in(
    pieces: Iterable[tuple[I64, F64]], spec: WindowSpec, lead_times_min: Sequence[int]
) -> Iterator[HouseExamples]:
    """Yield the examples of one house, of which ``pieces`` are minutes ``[n]`` (since the epoch) and power ``[n]``, kW.

    Minutes rise strictly, over the pieces too. What is kept between two is what windows look back on, so that
    memory does not grow with the years; a long silence takes no more of it than a short one.
    """
    horizon_min = lead_times_min[-1]
    look_back_min = max(spec.context, WHOLE_MIN) + MAX_FILL_MIN + 1
    minute, gap_kw = np.empty(0, dtype=np.int64), np.empty(0)
    done = None
    for more_minute, more_kw in pieces:
        minute, gap_kw = np.concatenate((minute, more_minute)), np.concatenate((gap_kw, more_kw))
        known = int(minute[-1]) - horizon_min  # what is observed later has targets that may yet come
        after = minute[0] - 1 if done is None else done
        yield _found(minute, gap_kw, spec, lead_times_min, (after, known))
        done = known
        kept = minute > done - look_back_min
        minute, gap_kw = minute[kept], gap_kw[kept]


def _found(
    minute: I64, gap_kw: F64, spec: WindowSpec, lead_times_min: Sequence[int], between: tuple[int, int]
) -> HouseExamples:
    """Return the examples observed after the first of ``between`` and not after the second."""
    # A silence of so many minutes ends histories, targets and counts as any longer one does.
    silence_min = max(MAX_FILL_MIN + 2, WHOLE_MIN, lead_times_min[-1] + 1)
    at = np.cumsum(np.minimum(np.diff(minute, prepend=minute[:1]), silence_min))
    grid = np.full(int(at[-1]) + 1, np.nan)
    grid[at] = gap_kw
    windows = cut(grid, spec)
    observed = minute[np.searchsorted(at, windows.origin)]
    rows = np.flatnonzero((observed > between[0]) & (observed <= between[1])).astype(np.int64)
    rows, target_kw = with_targets(windows, rows, grid, lead_times_min)
    n_recent = count_recent(grid)[windows.origin[rows]]
    return HouseExamples(observed[rows], windows.n_observed[rows], n_recent, target_kw, windows, rows)
