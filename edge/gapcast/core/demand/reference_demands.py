"""The arithmetic of demands in numpy: it defines the results, and is used where there is no compiled library."""

from __future__ import annotations

import numpy as np

from gapcast.core.demand.demand import FUSE as FUSE_COLUMN
from gapcast.core.demand.demand import ISSUED as ISSUED_COLUMN
from gapcast.core.demand.demand import MONTH_PEAK, N_COLUMNS, NEXT, OBSERVED, P_FUSE, RISK, RUNNING
from gapcast.core.demand.demand_batch import DemandBatch
from gapcast.core.demand.demand_state import DemandState
from gapcast.core.demand.newest_demands import NEWEST
from gapcast.core.demand.window_demands import F64
from gapcast.core.demand.window_forecasts import FUSE, PEAK, columns_of, forecast_windows
from gapcast.core.demand.window_powers import WindowPowers, remaining_of


class ReferenceDemands:
    """Makes demands from ``state``, stores the newest ones there, and learns."""

    def __init__(self, state: DemandState, highest_kw: float) -> None:
        """``highest_kw`` is the highest power of a reading."""
        self._state, self._highest_kw = state, highest_kw
        self._powers = WindowPowers(state.power)

    def make(self, batch: DemandBatch) -> F64:
        """Return the demands of ``batch`` ``[N, 32]``, without the probabilities of fuses."""
        state, power, n = self._state, self._state.power, len(batch.rows)
        rows, observed = np.asarray(batch.rows, dtype=np.int64) + 1, np.asarray(batch.minutes, dtype=np.int64)
        states = np.array(batch.states, dtype=np.float64).reshape(n, -1)
        of_windows = columns_of(states, observed)
        state.newest.index(rows)
        inputs = remaining_of(rows, observed, batch.windows, batch.means, of_windows)
        shares = power.means.shares(inputs.ahead_from, inputs.ahead_to)
        remaining = self._powers.distributions(inputs, shares)
        power.store_newest(rows, batch.means)
        forecast_windows(of_windows, remaining, np.add.reduce(shares * batch.mean_kw, axis=-1), self._highest_kw)
        columns = np.empty((n, N_COLUMNS))
        columns[:, OBSERVED], columns[:, ISSUED_COLUMN] = observed, batch.issued_at_ms
        columns[:, RUNNING], columns[:, NEXT] = of_windows.values[0].T, of_windows.values[1].T
        columns[:, RISK], columns[:, MONTH_PEAK], columns[:, FUSE_COLUMN] = (
            of_windows.risk,
            states[:, PEAK],
            states[:, FUSE],
        )
        columns[:, P_FUSE] = np.nan
        state.newest.arrays[NEWEST][rows] = columns
        state.live.record(rows, columns, np.asarray(batch.last_kw))
        return columns

    def learn(self) -> None:
        """Learn from the outcomes that the readings of the last demands bring."""
        self._powers.learn()
