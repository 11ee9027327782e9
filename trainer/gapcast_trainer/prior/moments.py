"""The second moments of the online model's columns in many houses, with the engine's own features."""

from __future__ import annotations

from datetime import UTC

import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.ensemble_state import EnsembleState
from gapcast.core.learning.ensemble.ensemble_update import EnsembleUpdate
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.online_model import rls_model
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.baselines import Persistence

#: Length of windows, minutes, as in the shipped models.
CONTEXT_MIN = 180
#: Number of first outcomes of a house that are left out, because its scale is not known yet.
WARM_UP_MIN = DAY_MIN
#: One outcome in this many is kept for the median.
EVERY = 25


class Moments:
    """The second moments of a house's columns and outcomes, and a sample of both."""

    def __init__(self, n_columns: int) -> None:
        self.n = 0
        self.squares = np.zeros((n_columns, n_columns))
        self.products = np.zeros(n_columns)
        self.sample: list[tuple[F32, float]] = []

    def add(self, columns: F32, change: float) -> None:
        """Add an outcome."""
        self.n += 1
        if self.n > WARM_UP_MIN:
            exact = columns.astype(np.float64)
            self.squares += np.outer(exact, exact)
            self.products += exact * change
            if self.n % EVERY == 0:
                self.sample.append((columns.copy(), change))


class _MomentsUpdate(EnsembleUpdate):
    """Collects the inputs and outcomes of the online model instead of learning its coefficients from them."""

    def __init__(self, state: EnsembleState, n_columns: int) -> None:
        super().__init__(state)
        self.moments = [Moments(n_columns) for _ in range(state.options.max_devices)]

    def update_rls(self, rows: I64, columns: F32, changes: F64, n_outcomes: F64) -> None:
        """Add the outcomes ``changes`` ``[N]`` of the inputs ``columns`` ``[N, D]`` to the moments of ``rows``."""
        del n_outcomes
        changes = np.clip(changes, -rls_model.LIMIT, rls_model.LIMIT)
        for row, own, change in zip(rows.tolist(), columns, changes.tolist(), strict=True):
            self.moments[row - 1].add(own, change)


class MomentsEnsemble(Ensemble):
    """An ensemble that collects moments, a house per device, instead of learning coefficients."""

    def __init__(self, n_houses: int) -> None:
        persistence = Persistence(WindowSpec(CONTEXT_MIN))
        super().__init__([persistence], EnsembleOptions(max_devices=n_houses), UTC)
        self.compiled_step = None  # it would update the models itself
        self._update = self._moments_update = _MomentsUpdate(self._state, self._inputs.rls_features.width)

    @property
    def moments(self) -> list[Moments]:
        """The moments of each house."""
        return self._moments_update.moments

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self._inputs.rls_features.names
