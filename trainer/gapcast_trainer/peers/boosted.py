"""Gradient-boosted trees (LightGBM; Ke et al. 2017): one model for the mean, one for the median."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.forecasts.forecast import MEDIAN
from gapcast_trainer.peers.columns import PeerColumns
from gapcast_trainer.scores.model_outputs import ModelOutputs

#: Maximum number of rounds, and rounds without improvement on the validation part before stopping.
MAX_ROUNDS, PATIENCE = 400, 20
#: Number of windows predicted at once.
ROWS_AT_ONCE = 65_536
#: LightGBM's settings for all peers: the same trees each time, for any number of threads.
COMMON_SETTINGS: dict[str, Any] = {
    "bagging_freq": 1,
    "seed": 1,
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}
#: LightGBM's objectives: squared error for the mean, absolute error for the median.
OBJECTIVES = {"mean": "regression", "median": "regression_l1"}
_SETTINGS: dict[str, Any] = {
    **COMMON_SETTINGS,
    "learning_rate": 0.08,
    "num_leaves": 127,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.7,
}


@dataclass(frozen=True, slots=True)
class BoostedForecasts:
    """The predictions of a pair of fitted models, and the number of rounds of each."""

    outputs: ModelOutputs
    n_rounds: dict[str, int]


def boost(
    columns: PeerColumns,
    train: I64,
    validate: I64,
    predict: I64,
    show: Callable[[str], object] = lambda _: None,
    outcomes_kw: Callable[[I64], F64] | None = None,
) -> BoostedForecasts:
    """Fit to the minutes ``train``, stop early by ``validate``, and forecast ``predict``.

    The arguments are observed-at minutes ``[N]`` of the series of ``columns``. All have a window and, except
    ``predict``, an outcome. ``outcomes_kw`` returns the outcomes ``[N]`` of minutes (None: the reading at the horizon).
    The target is the change from the last reading: squared error for the mean, absolute error for the median. Uses
    OMP_NUM_THREADS threads, or all cores; the result is the same.
    """
    outcomes_kw = outcomes_kw or columns.reading_at_horizon
    train_inputs, validate_inputs = columns.at(train), columns.at(validate)
    data = lightgbm.Dataset(train_inputs, _change(columns, train, outcomes_kw), params=_SETTINGS).construct()
    changes = _change(columns, validate, outcomes_kw)
    validate_data = lightgbm.Dataset(validate_inputs, changes, reference=data, params=_SETTINGS).construct()
    del train_inputs, validate_inputs  # they are binned now
    predicted, n_rounds = {}, {}
    for what, objective in OBJECTIVES.items():
        show(f"{columns.column_set.name}: fitting the {what} to {train.size:,} windows")
        booster = lightgbm.train(
            {**_SETTINGS, "objective": objective},
            data,
            MAX_ROUNDS,
            valid_sets=[validate_data],
            callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
        )
        n_rounds[what] = int(booster.best_iteration)
        predicted[what] = _predict(booster, columns, predict)
    outputs = ModelOutputs(
        (columns.horizon_min,),
        (MEDIAN,),
        predicted["mean"][:, np.newaxis],
        predicted["median"][:, np.newaxis, np.newaxis],
    )
    return BoostedForecasts(outputs, n_rounds)


def _change(columns: PeerColumns, minute: I64, outcomes_kw: Callable[[I64], F64]) -> F32:
    last_kw = columns.series.gap_kw[minute - columns.series.first_minute]
    change: F32 = (outcomes_kw(minute) - last_kw).astype(np.float32)
    return change


def _predict(booster: Any, columns: PeerColumns, minute: I64) -> F32:
    forecast = np.empty(minute.size, dtype=np.float32)
    for first in range(0, minute.size, ROWS_AT_ONCE):
        some = minute[first : first + ROWS_AT_ONCE]
        last_kw = columns.series.gap_kw[some - columns.series.first_minute]
        forecast[first : first + some.size] = last_kw + booster.predict(columns.at(some))
    return forecast
