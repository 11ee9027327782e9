"""The change after the last step of a load: a life table for each device, by the duration of the present phase.

A compressor, a dryer or an oven switches on and off; a phase is the time from one of its steps to the next. Whether the
last step is soon undone depends on the minutes since then, and on the length of the last phase of the same kind. For
each combination (a *cell*) the table has the mean share of the step's height that is undone after the horizon: a life
table, as for the survival of machines (D. Cox and D. Oakes, *Analysis of Survival Data*, 1984, chapter 4). The analogs
of one window (:mod:`.analog_features`) are too few for it. docs/decisions/0037-life-table.md has the gain
and the alternatives.

A load switches within a minute, so its step takes up to two minutes of means; the time of the step is the mean of the
two times, weighted with their changes. Steps of other loads are ignored if they are small compared with the steps of
the load that switches most.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64, I64

#: Smallest and largest number of minutes before a moment in which its phase is looked for.
_LEAST_MIN, _LONGEST_MIN = 20, 180
#: Smallest change of a minute that is part of a step, and smallest step, kW.
_LEAST_STEP_KW = 0.15
#: A step counts if its height is at least this part of the fourth largest in the window.
_RANK, _PART = 4, 0.8
#: Number of used steps of a window: they bound the present phase and the last one of its kind.
_N_STEPS = 3
#: Cells by the minutes since the step, and by how many minutes longer the phase is than the last one of its kind: one
#: cell for equal lengths, this many on each side of it, and one if the window does not show the difference.
N_AGES, _N_SIDE = 9, 5
N_LONGER = 2 * _N_SIDE + 2
#: Cells for both directions of the step.
N_CELLS = 2 * N_AGES * N_LONGER
#: Cells per factor of e, of one minute more, and of the difference in units of so many minutes, and 1.
_RESOLUTION, _LONGER_UNIT_MIN = 2.0, 1.5
#: The initial share of a cell counts as this many outcomes. After this many outcomes each further one has the same
#: weight, and older outcomes decay.
_PRIOR_N, _MOST_N = 3.0, 255
#: Shares are stored as whole numbers, to halve the size of the table; this number is a share of 1.
WHOLE = 32_767.0
#: The names of the arrays of a table.
SHARES, OUTCOMES = ARRAYS = ("phase_shares", "phase_outcomes")


class Phases(NamedTuple):
    """The present phases of N windows: ``height_kw`` ``[N]`` of their steps (0: none), ``cells`` ``[N]`` of a table."""

    height_kw: F64
    cells: I64


def initial_state() -> dict[str, NDArray[np.integer]]:
    """Return the table of a device without a prior ``[cells]``: shares, of 32767, and numbers of outcomes."""
    return {SHARES: np.zeros(N_CELLS, dtype=np.int16), OUTCOMES: np.zeros(N_CELLS, dtype=np.uint8)}


def has_phases(context: int, horizon_min: int) -> bool:
    """Return whether windows of ``context`` minutes are long enough for forecasts ``horizon_min`` minutes ahead.

    A phase is found in the newest ``context - horizon_min`` minutes: the window still has them at the outcome.
    """
    return context - horizon_min >= _LEAST_MIN


def find_phases(windows: F32) -> Phases:
    """Return the phases at the end of ``windows`` ``[N, minutes]``, kW, oldest first."""
    n_rows = len(windows)
    rows, ages, heights_kw = _steps(windows)
    n_steps = np.bincount(rows, minlength=n_rows)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(n_steps) - n_steps, n_steps)  # 0 for the newest step of a row
    sizes_kw = np.zeros((n_rows, max(int(n_steps.max(initial=0)), _RANK)))
    sizes_kw[rows, place] = np.abs(heights_kw)
    reference_kw = np.partition(sizes_kw, -_RANK, axis=1)[:, -_RANK]
    counts = np.abs(heights_kw) >= _PART * reference_kw[rows]
    rows, ages, heights_kw = rows[counts], ages[counts], heights_kw[counts]
    n_steps = np.bincount(rows, minlength=n_rows)
    first = np.cumsum(n_steps) - n_steps
    has_step, has_last = n_steps > 0, n_steps >= _N_STEPS
    height_kw, age, longer = np.zeros(n_rows), np.zeros(n_rows), np.zeros(n_rows)
    height_kw[has_step], age[has_step] = heights_kw[first[has_step]], ages[first[has_step]]
    last = first[has_last]
    longer[has_last] = ages[last] - (ages[last + 2] - ages[last + 1])
    away = _place(np.abs(longer) / _LONGER_UNIT_MIN, _N_SIDE)
    by_longer = np.where(has_last, _N_SIDE + np.where(longer < 0, -away, away), N_LONGER - 1)
    return Phases(height_kw, ((height_kw > 0) * N_AGES + _place(age, N_AGES - 1)) * N_LONGER + by_longer)


def expected_kw(state: Mapping[str, NDArray[np.generic]], rows: I64, phases: Phases) -> F64:
    """Return the expected change ``[N]`` over the horizon, kW, from the tables in ``rows`` of ``state``."""
    shares = state[SHARES][rows, phases.cells].astype(np.float64) / WHOLE
    change_kw: F64 = np.where(phases.height_kw != 0, -phases.height_kw * shares, 0.0)
    return change_kw


def update(state: Mapping[str, NDArray[np.generic]], rows: I64, phases: Phases, change_kw: F64) -> None:
    """Learn in ``rows`` ``[N]`` of ``state``, each once, from the changes ``[N]`` after ``phases``, kW, in place."""
    shares = np.divide(-change_kw, phases.height_kw, out=np.full(len(rows), np.nan), where=phases.height_kw != 0)
    known = ~np.isnan(shares)
    at = rows[known], phases.cells[known]
    undone = WHOLE * np.maximum(np.minimum(shares[known], 1.0), 0.0)
    before = state[SHARES][at].astype(np.float64)
    n_outcomes = np.minimum(state[OUTCOMES][at].astype(np.int64) + 1, _MOST_N)
    state[SHARES][at] = np.rint(before + (undone - before) / (n_outcomes + _PRIOR_N))
    state[OUTCOMES][at] = n_outcomes


def _place(values: F64, most: int) -> I64:
    """Return the places of ``values`` ``[N]`` on a logarithmic scale, at most ``most``, which NaN gets, too."""
    places = np.floor(_RESOLUTION * np.log1p(values))
    return np.where(places < most, places, most).astype(np.int64)


def _steps(windows: F32) -> tuple[I64, F64, F64]:
    """Return rows, ages (minutes back) and heights (kW) of all steps, grouped by row, newest first in each row."""
    backwards = windows[:, : -1 - _LONGEST_MIN : -1]
    change = backwards[:, :-1] - backwards[:, 1:]
    rows, minutes = np.nonzero(np.abs(change) >= np.float32(_LEAST_STEP_KW))
    change_kw = change[rows, minutes].astype(np.float64)
    follows = np.zeros(len(rows), dtype=bool)  # the minute before the previous one, with a change in the same direction
    follows[1:] = (np.diff(rows) == 0) & (np.diff(minutes) == 1) & ((change_kw[1:] > 0) == (change_kw[:-1] > 0))
    # Consecutive minutes are taken in pairs, from the newest.
    index = np.arange(len(rows))
    begin = np.maximum.accumulate(np.where(follows, 0, index))
    is_newer = (index - begin) % 2 == 0
    newer = np.flatnonzero(is_newer)
    has_older = np.append(~is_newer, False)[newer + 1]
    older_kw = np.where(has_older, np.append(change_kw, 0.0)[newer + 1], 0.0)
    heights_kw = change_kw[newer] + older_kw
    minute = minutes[newer].astype(np.float64)
    ages: F64 = (change_kw[newer] * minute + older_kw * (minute + 1)) / heights_kw
    return rows[newer], ages, heights_kw
