"""Distributions of the remaining power of the running windows and of the next ones, and learning from outcomes."""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_predicates import is_every
from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.arrays.device_rows import ALL, rounds_of
from gapcast.core.demand.distributions.distribution import LEVELS, PowerDistributions
from gapcast.core.demand.distributions.planned_power import PlannedPower, means_between
from gapcast.core.demand.distributions.remaining_inputs import RemainingInputs
from gapcast.core.demand.distributions.remaining_power import RemainingPower
from gapcast.core.demand.distributions.window_forecasts import WindowColumns, minutes_ahead
from gapcast.core.outlook.outlook import ModelMeans

#: Largest absolute quantile of a sound state, kW.
_MOST_KW = 1e9


def planned_in(minutes_kw: F64, windows: WindowColumns, observed: I64) -> F64:
    """Return the mean ``[2, N]`` of planned loads of ``minutes_kw`` ``[N, M]`` in the open minutes of ``windows``."""
    ahead_from, ahead_to = minutes_ahead(windows, observed)
    unmeasured_min = (windows.open_min - windows.left_min).astype(np.int64)
    return means_between(minutes_kw, ahead_from, ahead_to - unmeasured_min, unmeasured_min)


def remaining_of(
    rows: I64, observed: I64, windows: F32, means: ModelMeans, of: WindowColumns, planned: PlannedPower | None
) -> RemainingInputs:
    """Return the inputs for the open minutes of the windows ``of``: first the running windows, then the next ones.

    ``rows`` index the state, ``observed`` are the newest minutes of ``windows`` ``[N, context]``; ``planned`` is the
    planned power after them.
    """
    return RemainingInputs(
        rows,
        observed,
        windows,
        means.quantiles_kw,
        means.floor_kw,
        *minutes_ahead(of, observed),
        of.integers[0, 1] - of.integers[0, 0],
        of.allowed_kw,
        of.limit_kw,
        of.least_kw,
        None if planned is None else planned_in(planned.remaining_kw, of, observed),
    )


class WindowPowers:
    """Makes the distributions with ``power``; a reading is learned before the next reading of its device is used."""

    def __init__(self, power: RemainingPower) -> None:
        self._power = power
        self._unlearned: RemainingInputs | None = None

    def distributions(self, inputs: RemainingInputs, shares: F64) -> PowerDistributions:
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
        kw = self._power.distributions(inputs, shares).kw.reshape(2, -1, len(LEVELS))
        if not is_every(np.abs(kw) <= _MOST_KW):
            bad = np.flatnonzero(~(np.abs(kw) <= _MOST_KW).all(axis=(0, 2)))
            self._power.state.reset(inputs.rows[bad])
            kw = self._power.distributions(inputs, shares).kw.reshape(2, -1, len(LEVELS))
        return kw

    def learn(self) -> None:
        """Learn from the outcomes in the readings of the last distributions."""
        unlearned, self._unlearned = self._unlearned, None
        if unlearned is not None:
            self._power.learn(unlearned)
