"""Tables of the mean change of each load over the horizon, by the state of the load.

For each load, three tables have cells by power and minutes since the last edges, by mean powers of ever longer
stretches, and by recent maxima. Each table learns the residual of the tables before it (tile coding: R. Sutton and A.
Barto, *Reinforcement Learning*, section 9.5.4). The functions take ``tables`` ``[rows, C, cells, 2]`` of C loads, sums
(kW) and numbers of outcomes, and ``cells`` ``[N, C, 3]``, the cells of each load's three tables.
"""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.learning.submeters.submeter_features import N_CELLS

#: Number of outcomes without a change that each cell begins with, and number of outcomes that its mean is over.
_PRIOR_N, _MOST_N = 5.0, 3_000.0
_FIRST_CELL = np.cumsum((0, *N_CELLS[:-1]))


def initial_tables(n_loads: int) -> F32:
    """Return the tables of a new device, ``[C, cells, 2]``."""
    return np.zeros((n_loads, sum(N_CELLS), 2), dtype=np.float32)


def expected_changes(tables: F32, rows: I64, cells: I64) -> F64:
    """Return the expected changes of the loads, ``[N, C]``, kW: the sums of their three tables."""
    values = tables[_index(rows, cells)].astype(np.float64)
    changes_kw: F64 = (values[..., 0] / (values[..., 1] + _PRIOR_N)).sum(axis=-1)
    return changes_kw


def learn_changes(tables: F32, rows: I64, cells: I64, change_kw: F64) -> None:
    """Move each table towards the residual of ``change_kw`` ``[N, C]`` after the tables before it; NaN is ignored."""
    known = ~np.isnan(change_kw)
    index = _index(rows, cells)
    values = tables[index]
    means = values[..., 0] / (values[..., 1] + np.float32(_PRIOR_N))
    missed = change_kw[..., np.newaxis] - (np.cumsum(means, axis=-1) - means)
    learned = values.copy()
    learned[..., 0] += missed
    learned[..., 1] += 1
    learned *= np.minimum(1.0, _MOST_N / learned[..., 1])[..., np.newaxis]
    tables[index] = np.where(known[..., np.newaxis, np.newaxis], learned, values)


def _index(rows: I64, cells: I64) -> tuple[I64, I64, I64]:
    loads = np.arange(cells.shape[1])[:, np.newaxis]
    return rows[:, np.newaxis, np.newaxis], loads, cells + _FIRST_CELL
