"""Fits the prior of a new device's learning state to many houses, in two passes over their minutes.

The first pass collects the data to which the coefficients of the online model are fitted. In the second pass each house
learns with these coefficients and the default model, and the tables of the prior are the means of the houses' learned
tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC
from itertools import islice

import numpy as np

from gapcast.bundled import models_path
from gapcast.core.arrays.array_types import F64
from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.learning_prior import CORRECTIONS, LearningPrior, no_tables
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.online_model import phase_table
from gapcast.core.readings.reading import Reading
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.baselines import Persistence
from gapcast.predictors.models_folder.store import default_model, load_model
from gapcast.recordings.recording import Recording
from gapcast_trainer.prior.moments import CONTEXT_MIN, EVERY, WARM_UP_MIN, MomentsEnsemble
from gapcast_trainer.prior.regression import fit_coefficients

#: Readings of all houses per batch of the engine.
_BATCH_READINGS = 2_048
#: A house with n outcomes of an entry has the weight n / (n + this); the mean includes this many houses with value 0.
_HALF_OF_SHARES, _HALF_OF_OFFSETS, _N_UNCHANGED = 20.0, 200.0, 1.0


def fit_prior(
    houses: Mapping[str, Recording], limit_min: int, show: Callable[[int], object] = lambda _: None
) -> LearningPrior:
    """Return the prior of ``houses``, from at most ``limit_min`` minutes of each.

    ``show`` is called with the number of readings of each batch, of both passes. Raises
    :class:`~gapcast.core.errors.StateError` if a house has less than two days of readings.
    """
    collecting = MomentsEnsemble(len(houses))
    engine = Engine(Persistence(WindowSpec(CONTEXT_MIN)), ensemble=collecting)
    _run(engine, houses, limit_min, show)
    for name, moments in zip(houses, collecting.moments, strict=True):
        if not moments.sample:
            msg = f"{name}: has {moments.n} outcomes, and the prior needs more than {WARM_UP_MIN + EVERY}"
            raise StateError(msg)
    rls = fit_coefficients(collecting.names, collecting.moments)
    model = load_model(models_path() / default_model(models_path()))
    learning = Ensemble([model], EnsembleOptions(max_devices=len(houses)), UTC, prior=LearningPrior(rls, no_tables()))
    _run(Engine(model, ensemble=learning), houses, limit_min, show)
    return LearningPrior(rls, _tables_of(learning, len(houses)))


def _run(engine: Engine, houses: Mapping[str, Recording], limit_min: int, show: Callable[[int], object]) -> None:
    """Pass the minutes of ``houses``, each as a device, through ``engine`` in the order of the houses."""
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


def _tables_of(ensemble: Ensemble, n_houses: int) -> dict[str, F64]:
    """Return the mean of the tables that the first ``n_houses`` devices of ``ensemble`` have learned."""
    state = ensemble.columns(range(n_houses))
    shares = state[phase_table.SHARES].astype(np.float64)
    tables = {phase_table.SHARES: np.rint(mean_of_houses(shares, state[phase_table.OUTCOMES], _HALF_OF_SHARES))}
    for name in CORRECTIONS:
        tables[name] = mean_of_houses(state[name][:, 0].astype(np.float64), state[name][:, 1], _HALF_OF_OFFSETS)
    return tables


def mean_of_houses(values: F64, n_outcomes: F64, half: float) -> F64:
    """Return the mean of ``values`` ``[houses, ...]``, each weighted by its number of outcomes."""
    weights = n_outcomes / (n_outcomes + half)
    mean: F64 = (weights * values).sum(axis=0) / (weights.sum(axis=0) + _N_UNCHANGED)
    return mean
