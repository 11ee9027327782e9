"""Fits the prior of the online model to many houses, with the engine's own features.

Every house counts the same. The mean is a ridge regression, the median one reweighted by the inverse errors
(Schlossmacher, JASA 68, 1973); the covariance is that after :data:`N_MINUTES` of the average house.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from itertools import islice

import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.grid import DAY_MIN
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.ensemble_state import EnsembleState
from gapcast.core.learning.ensemble.ensemble_update import EnsembleUpdate
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.online_model import rls_model
from gapcast.core.learning.online_model.rls_prior import RlsPrior
from gapcast.core.readings.reading import Reading
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.baselines import Persistence
from gapcast.recordings.recording import Recording

#: Minutes of the average house that the covariance stands for.
N_MINUTES = 3_000
#: Minutes of windows: those of the shipped models.
_CONTEXT_MIN = 180
#: Readings of all houses per batch of the engine.
_BATCH_READINGS = 2_048
#: The first outcomes of a house are left out: its scale is not known yet.
_WARM_UP_MIN = DAY_MIN
#: One outcome in so many is kept for the median.
_EVERY = 25
#: Penalty of a coefficient, relative to the mean square of its column.
_RIDGE = 1e-3
#: The median: passes, and the smallest error that is weighted by its inverse, in units of the scale.
_PASSES, _SMALLEST = 12, 0.1


class _Moments:
    """The second moments of a house's columns and outcomes, and a sample of both."""

    def __init__(self, n_columns: int) -> None:
        self.n = 0
        self.squares = np.zeros((n_columns, n_columns))
        self.products = np.zeros(n_columns)
        self.sample: list[tuple[F32, float]] = []

    def add(self, columns: F32, change: float) -> None:
        """Add an outcome."""
        self.n += 1
        if self.n > _WARM_UP_MIN:
            exact = columns.astype(np.float64)
            self.squares += np.outer(exact, exact)
            self.products += exact * change
            if self.n % _EVERY == 0:
                self.sample.append((columns.copy(), change))


class _MomentsUpdate(EnsembleUpdate):
    """Collects the inputs and outcomes of the online model instead of learning from them."""

    def __init__(self, state: EnsembleState, n_columns: int) -> None:
        super().__init__(state)
        self.moments = [_Moments(n_columns) for _ in range(state.options.max_devices)]

    def update_rls(self, rows: I64, columns: F32, changes: F64, n_outcomes: F64) -> None:
        """Add the outcomes ``changes`` ``[N]`` of the inputs ``columns`` ``[N, D]`` to the moments of ``rows``."""
        del n_outcomes
        changes = np.clip(changes, -rls_model.LIMIT, rls_model.LIMIT)
        for row, own, change in zip(rows.tolist(), columns, changes.tolist(), strict=True):
            self.moments[row - 1].add(own, change)


class _MomentsEnsemble(Ensemble):
    """An ensemble that collects moments instead of learning."""

    def __init__(self, n_houses: int) -> None:
        persistence = Persistence(WindowSpec(_CONTEXT_MIN))
        super().__init__([persistence], EnsembleOptions(max_devices=n_houses), UTC, compiled=False)
        self._update = self._moments_update = _MomentsUpdate(self._state, self._inputs.rls_features.width)

    @property
    def moments(self) -> list[_Moments]:
        """The moments of each house."""
        return self._moments_update.moments

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self._inputs.rls_features.names


def fit_prior(
    houses: Mapping[str, Recording], limit_min: int, show: Callable[[int], object] = lambda _: None
) -> RlsPrior:
    """Return the prior of ``houses``, from at most ``limit_min`` minutes of each.

    ``show`` is called with the number of readings of each batch. Raises :class:`~gapcast.core.errors.StateError` if a
    house has less than two days.
    """
    ensemble = _MomentsEnsemble(len(houses))
    engine = Engine(Persistence(WindowSpec(_CONTEXT_MIN)), ensemble=ensemble)
    unfinished = {name: islice(recording.minutes(), limit_min) for name, recording in houses.items()}
    n_each = max(1, _BATCH_READINGS // len(houses))
    while unfinished:
        readings = []
        for name, minutes in list(unfinished.items()):
            own = [Reading(name, one.minute, one.gap_kw, is_filled=one.is_filled) for one in islice(minutes, n_each)]
            readings += own
            if len(own) < n_each:
                del unfinished[name]
        accepted = engine.accept(readings)
        accepted.raise_failure()
        engine.forecast(accepted, 0)
        engine.learn()
        show(len(readings))
    for name, moments in zip(houses, ensemble.moments, strict=True):
        if not moments.sample:
            msg = f"{name}: has {moments.n} outcomes, and the prior needs more than {_WARM_UP_MIN + _EVERY}"
            raise StateError(msg)
    return _solve(ensemble.names, ensemble.moments)


def _solve(names: Sequence[str], houses: Sequence[_Moments]) -> RlsPrior:
    """Return the prior of all columns but those of the model."""
    own = np.array([i for i, name in enumerate(names) if not name.endswith(" mean")])
    squares = np.mean([one.squares / (one.n - _WARM_UP_MIN) for one in houses], axis=0)[np.ix_(own, own)]
    products = np.mean([one.products / (one.n - _WARM_UP_MIN) for one in houses], axis=0)[own]
    penalty = _RIDGE * np.diag(np.maximum(np.diag(squares), np.finfo(np.float32).tiny))
    mean = median = np.linalg.solve(squares + penalty, products)
    columns = np.concatenate([np.array([columns[own] for columns, _ in one.sample]) for one in houses])
    columns = columns.astype(np.float64)
    changes = np.concatenate([[change for _, change in one.sample] for one in houses])
    weights = np.concatenate([np.full(len(one.sample), 1 / len(one.sample)) for one in houses])
    for _ in range(_PASSES):
        error = np.maximum(np.abs(changes - columns @ median), _SMALLEST)
        weighted = columns * (weights / error / len(houses))[:, np.newaxis]
        median = np.linalg.solve(weighted.T @ columns + penalty, weighted.T @ changes)
    covariance = np.linalg.inv(N_MINUTES * squares + np.eye(len(own)) / rls_model.PRIOR)
    return RlsPrior(
        tuple(names[i] for i in own),
        Persistence().lead_times_min[-1],
        np.stack((mean, median)).astype(np.float32),
        covariance.astype(np.float32),
    )
