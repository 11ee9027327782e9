"""Gradient-boosted trees (LightGBM; Ke et al. 2017): one model for the mean, one for the median."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np

from gapcast.core.card import HORIZON_MIN
from gapcast.core.forecast import MEDIAN
from gapcast.core.window import F32, I64
from gapcast_trainer.clean import Series
from gapcast_trainer.peers.columns import PeerColumns, Shown
from gapcast_trainer.scores.model_outputs import ModelOutputs

#: Rounds at most, and rounds without gain on the validation part after which it stops.
MAX_ROUNDS, PATIENCE = 400, 20
_ROWS_AT_ONCE = 65_536
_SETTINGS: dict[str, Any] = {
    "learning_rate": 0.08,
    "num_leaves": 127,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "seed": 1,
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}
_OBJECTIVES = {"mean": "regression", "median": "regression_l1"}


@dataclass(frozen=True, slots=True)
class Boosted:
    """What a pair of fitted models said, and the rounds that each took."""

    answers: ModelOutputs
    n_rounds: dict[str, int]


def boost(
    series: Series,
    shown: Shown,
    train: I64,
    validate: I64,
    asked: I64,
    note: Callable[[str], object] = lambda _: None,
) -> Boosted:
    """Fit to the minutes ``train``, stop by ``validate``, and forecast ``asked``.

    These are observed-at minutes ``[N]`` of ``series``. All have a window and, but for ``asked``, an
    outcome at the horizon. What is fitted is the change from the last reading: squared error for the
    mean, absolute error for the median. It takes as many threads as OMP_NUM_THREADS says, or all cores;
    the result is the same.
    """
    columns = PeerColumns(series, shown)
    fitted, judged = columns.at(train), columns.at(validate)
    data = lightgbm.Dataset(fitted, _change(series, train), params=_SETTINGS).construct()
    against = lightgbm.Dataset(judged, _change(series, validate), reference=data, params=_SETTINGS).construct()
    del fitted, judged  # they are binned now
    said, n_rounds = {}, {}
    for what, objective in _OBJECTIVES.items():
        note(f"{shown.name}: fitting the {what} to {train.size:,} windows")
        booster = lightgbm.train(
            {**_SETTINGS, "objective": objective},
            data,
            MAX_ROUNDS,
            valid_sets=[against],
            callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
        )
        n_rounds[what] = int(booster.best_iteration)
        said[what] = _predict(booster, series, columns, asked)
    answers = ModelOutputs(
        (HORIZON_MIN,), (MEDIAN,), said["mean"][:, np.newaxis], said["median"][:, np.newaxis, np.newaxis]
    )
    return Boosted(answers, n_rounds)


def _change(series: Series, minute: I64) -> F32:
    at = minute - series.first_minute
    change: F32 = (series.gap_kw[at + HORIZON_MIN] - series.gap_kw[at]).astype(np.float32)
    return change


def _predict(booster: Any, series: Series, columns: PeerColumns, minute: I64) -> F32:
    forecast = np.empty(minute.size, dtype=np.float32)
    for first in range(0, minute.size, _ROWS_AT_ONCE):
        some = minute[first : first + _ROWS_AT_ONCE]
        last_kw = series.gap_kw[some - series.first_minute]
        forecast[first : first + some.size] = last_kw + booster.predict(columns.at(some))
    return forecast
