"""The computation of demands in numpy: it defines the results, and is used without a compiled library."""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_predicates import is_every
from gapcast.core.arrays.array_types import F64
from gapcast.core.arrays.device_rows import ALL, DAMAGED, rounds_of
from gapcast.core.demand.demand import FUSE as FUSE_COLUMN
from gapcast.core.demand.demand import (
    HEADROOM,
    MONTH_PEAK,
    N_COLUMNS,
    NEXT,
    OBSERVED,
    P_FUSE,
    RISK,
    RUNNING,
    RUNNING_END,
)
from gapcast.core.demand.demand import ISSUED as ISSUED_COLUMN
from gapcast.core.demand.distributions.distribution import LEVELS, PowerDistributions
from gapcast.core.demand.distributions.remaining_inputs import RemainingInputs
from gapcast.core.demand.distributions.window_forecasts import (
    FUSE,
    PEAK,
    columns_of,
    forecast_windows,
    minutes_ahead,
    planned_in,
)
from gapcast.core.demand.headroom.fuse import FuseRisk
from gapcast.core.demand.state.demand_state import NEWEST, DemandState
from gapcast.core.demand.step.demand_batch import DemandBatch

#: Largest absolute quantile of a sound state, kW.
_MOST_KW = 1e9


class NumpyDemands:
    """Makes demands from ``state``, stores the newest demands in it, and learns.

    A reading is learned before the next reading of its device is used.
    """

    def __init__(self, state: DemandState, fuse: FuseRisk, highest_kw: float) -> None:
        """``highest_kw`` is the highest power of a reading."""
        self._state, self._fuse, self._highest_kw = state, fuse, highest_kw
        self._unlearned: RemainingInputs | None = None

    @np.errstate(**DAMAGED)
    def make(self, batch: DemandBatch) -> F64:
        """Return the demands of ``batch`` ``[N, 32]``."""
        state, power, n = self._state, self._state.power, len(batch.rows)
        rows, observed = np.asarray(batch.rows, dtype=np.int64) + 1, np.asarray(batch.minutes, dtype=np.int64)
        states = np.array(batch.states, dtype=np.float64).reshape(n, -1)
        of_windows = columns_of(states, observed)
        state.newest.index(rows)
        planned, means = batch.planned, batch.means
        inputs = RemainingInputs(
            rows,
            observed,
            batch.windows,
            means.quantiles_kw,
            means.floor_kw,
            *minutes_ahead(of_windows, observed),
            of_windows.integers[0, 1] - of_windows.integers[0, 0],
            of_windows.allowed_kw,
            of_windows.limit_kw,
            of_windows.least_kw,
            None if planned is None else planned_in(planned.remaining_kw, of_windows, observed),
        )
        shares = power.means.shares(inputs.ahead_from, inputs.ahead_to)
        remaining = self._distributions(inputs, shares)
        power.store_newest(rows, means)
        expected_kw = np.add.reduce(shares * batch.mean_kw, axis=-1)
        if planned is not None:
            expected_kw += planned_in(planned.expected_kw, of_windows, observed)
        forecast_windows(of_windows, remaining, expected_kw, self._highest_kw)
        columns = np.empty((n, N_COLUMNS))
        columns[:, OBSERVED], columns[:, ISSUED_COLUMN] = observed, batch.issued_at_ms
        columns[:, RUNNING], columns[:, NEXT] = of_windows.values[0].T, of_windows.values[1].T
        columns[:, RISK], columns[:, MONTH_PEAK], columns[:, FUSE_COLUMN] = (
            of_windows.risk,
            states[:, PEAK],
            states[:, FUSE],
        )
        columns[:, P_FUSE] = np.nan
        self._add_fuse(columns, batch)
        state.newest.arrays[NEWEST][rows] = columns
        state.live.record(rows, columns, np.asarray(batch.last_kw))
        return columns

    def _distributions(self, inputs: RemainingInputs, shares: F64) -> PowerDistributions:
        """Return the distributions of the rests of the N running windows, then of the N next windows."""
        n = len(inputs.rows)
        kw = np.empty((2, n, len(LEVELS)))
        for at in rounds_of(inputs.rows):
            self.learn()
            part = inputs if at is ALL else inputs.select(at)
            kw[:, at] = self._sound_quantiles(part, shares[:, at])
            self._unlearned = part
        return PowerDistributions(kw.reshape(2 * n, -1))

    def _sound_quantiles(self, inputs: RemainingInputs, shares: F64) -> F64:
        """Return the quantiles ``[2, N, J]`` of the rests; learned state that makes them non-finite is reset."""
        power = self._state.power
        kw = power.distributions(inputs, shares).kw.reshape(2, -1, len(LEVELS))
        if not is_every(np.abs(kw) <= _MOST_KW):
            bad = np.flatnonzero(~(np.abs(kw) <= _MOST_KW).all(axis=(0, 2)))
            power.state.reset(inputs.rows[bad])
            kw = power.distributions(inputs, shares).kw.reshape(2, -1, len(LEVELS))
        return kw

    def _add_fuse(self, columns: F64, batch: DemandBatch) -> None:
        """Write the exceedance probabilities of fuses and limit the running windows' headroom by the fuse, in place."""
        fused = np.flatnonzero(~np.isnan(columns[:, FUSE_COLUMN]))
        if fused.size:
            made = columns[fused]
            left_min = (made[:, RUNNING_END] - made[:, OBSERVED]).astype(np.int64) - 1
            limits_kw = made[:, FUSE_COLUMN, np.newaxis]
            if batch.planned is not None:
                limits_kw = limits_kw - batch.planned.minutes_kw[fused, : len(self._fuse.weights)]
            of_fuse = batch.point_kw[fused], left_min, limits_kw
            columns[fused, P_FUSE] = self._fuse.p_above(*of_fuse)
            columns[fused, HEADROOM] = np.minimum(made[:, HEADROOM], self._fuse.headroom_kw(*of_fuse, made[:, RISK]))

    @np.errstate(**DAMAGED)
    def learn(self) -> None:
        """Learn from the outcomes in the readings of the last demands."""
        unlearned, self._unlearned = self._unlearned, None
        if unlearned is not None:
            self._state.power.learn(unlearned)
