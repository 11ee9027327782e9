"""Training examples: windows with observed targets, by the same rule for a whole series and for a series in pieces.

An example is a window of :func:`gapcast.core.windows.window.cut` with a measured reading at each lead time after its
newest minute. :func:`examples_in` finds the examples of a series that does not fit into memory, piece by piece; a
property test checks that the result equals that of the whole series, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.windows.window import MAX_FILL_MIN, Windows, WindowSpec, cut

#: Number of consecutive measured readings at the end of a scored window, whatever the model's context: all models are
#: scored on the same minutes.
WHOLE_MIN = 30


def with_targets(
    windows: Windows, rows: I64, gap_kw: NDArray[np.floating], lead_times_min: Sequence[int]
) -> tuple[I64, F32]:
    """Return the ``rows`` (indices into ``windows``) with all targets observed, and the targets ``[n, K]``, kW.

    ``gap_kw`` ``[T]`` is the power that ``windows`` were cut from, NaN for a missing minute.
    """
    rows = rows[windows.origin[rows] + lead_times_min[-1] < gap_kw.size]
    ahead = windows.origin[rows][:, np.newaxis] + np.asarray(lead_times_min)
    target_kw = gap_kw[ahead].astype(np.float32)
    observed = ~np.isnan(target_kw).any(axis=1)
    return rows[observed], target_kw[observed]


def count_recent(gap_kw: NDArray[np.floating]) -> I64:
    """Return, for each minute ``[T]``, the number of readings in the newest :data:`WHOLE_MIN` minutes."""
    n_read = np.concatenate((np.zeros(WHOLE_MIN, dtype=np.int64), np.cumsum(~np.isnan(gap_kw))))
    return np.asarray(n_read[WHOLE_MIN:] - n_read[:-WHOLE_MIN], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class HouseExamples:
    """Examples of one house, in order of time.

    ``observed_minute`` ``[N]`` is since the epoch, ``n_observed`` ``[N]`` counts measured readings in the window,
    ``n_recent`` ``[N]`` in its newest :data:`WHOLE_MIN` minutes; ``target_kw`` is ``[N, K]``.
    """

    observed_minute: I64
    n_observed: I64
    n_recent: I64
    target_kw: F32
    _windows: Windows
    _rows: I64

    def windows_at(self, places: I64) -> F32:
        """Return the windows of the examples ``places``, kW, ``[n, context]``."""
        return self._windows[self._rows[places]]


class HouseMinutes(NamedTuple):
    """Minutes ``[T]`` (since the epoch), their power ``[T]``, kW, and which of them are filled and thus no targets."""

    minute: I64
    gap_kw: F64
    is_filled: NDArray[np.bool_]


def examples_in(
    pieces: Iterable[HouseMinutes], spec: WindowSpec, lead_times_min: Sequence[int]
) -> Iterator[HouseExamples]:
    """Yield the examples of one house.

    Minutes rise strictly, also from piece to piece. Only the minutes needed by later windows are carried over to the
    next piece, so that memory does not grow with the length of the series or of its gaps.
    """
    horizon_min = lead_times_min[-1]
    look_back_min = max(spec.context, WHOLE_MIN) + MAX_FILL_MIN + 1
    minute, gap_kw, is_filled = np.empty(0, dtype=np.int64), np.empty(0), np.empty(0, dtype=np.bool_)
    done = None
    for more_minute, more_kw, more_filled in pieces:
        minute, gap_kw = np.concatenate((minute, more_minute)), np.concatenate((gap_kw, more_kw))
        is_filled = np.concatenate((is_filled, more_filled))
        known = int(minute[-1]) - horizon_min  # targets of later windows may be in the next piece
        after = minute[0] - 1 if done is None else done
        yield _found(minute, (gap_kw, np.where(is_filled, np.nan, gap_kw)), spec, lead_times_min, (after, known))
        done = known
        needed = minute > done - look_back_min
        minute, gap_kw, is_filled = minute[needed], gap_kw[needed], is_filled[needed]


def _found(
    minute: I64, columns: tuple[F64, F64], spec: WindowSpec, lead_times_min: Sequence[int], between: tuple[int, int]
) -> HouseExamples:
    """Return the examples observed after the first of ``between`` and not after the second.

    ``columns`` are the power and the outcomes of ``minute`` ``[n]``, kW.
    """
    # A gap of this many minutes ends histories, targets and counts like any longer gap.
    longest_gap_min = max(MAX_FILL_MIN + 2, WHOLE_MIN, lead_times_min[-1] + 1)
    at = np.cumsum(np.minimum(np.diff(minute, prepend=minute[:1]), longest_gap_min))
    grid, outcomes = np.full((2, int(at[-1]) + 1), np.nan)
    grid[at], outcomes[at] = columns
    windows = cut(grid, spec)
    observed = minute[np.searchsorted(at, windows.origin)]
    rows = np.flatnonzero((observed > between[0]) & (observed <= between[1])).astype(np.int64)
    rows, target_kw = with_targets(windows, rows, outcomes, lead_times_min)
    n_recent = count_recent(grid)[windows.origin[rows]]
    return HouseExamples(observed[rows], windows.n_observed[rows], n_recent, target_kw, windows, rows)
