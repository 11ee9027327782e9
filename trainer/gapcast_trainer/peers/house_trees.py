"""Boosted trees (LightGBM; Ke et al. 2017) fitted to the first part of one house, or to several other houses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.forecasts.forecast import MEDIAN
from gapcast.core.windows.examples import WHOLE_MIN
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.peers.boosted import COMMON_SETTINGS, OBJECTIVES, ROWS_AT_ONCE
from gapcast_trainer.peers.columns import HOUSE_COLUMNS, PeerColumns
from gapcast_trainer.scores.model_outputs import ModelOutputs

_SETTINGS: dict[str, Any] = {
    **COMMON_SETTINGS,
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
}


@dataclass(frozen=True, slots=True)
class TreeRows:
    """Rows of one house to fit to: inputs ``[N, C]`` and the change of the power over the horizon ``[N]``, kW."""

    inputs: F32
    change_kw: F32


@dataclass(frozen=True, slots=True)
class HouseTrees:
    """A fitted pair of models: one for the mean, one for the median."""

    mean: Any
    median: Any
    n_rows: int

    @classmethod
    def fitted(cls, houses: Sequence[TreeRows], n_rounds: int) -> HouseTrees:
        """Fit ``n_rounds`` rounds to the rows of ``houses``: squared error for the mean, absolute for the median.

        Each house has the same weight, relative to persistence: a row's weight is the inverse of the house's squared or
        absolute change in the mean, over its number of rows. Houses whose power never changes are left out, because
        persistence has no error there.
        """
        houses = [house for house in houses if house.change_kw.any()] or houses
        inputs = np.concatenate([house.inputs for house in houses])
        change_kw = np.concatenate([house.change_kw for house in houses])
        pair = {}
        for what, objective in OBJECTIVES.items():
            weight = np.concatenate([_weight(house.change_kw, 2 if what == "mean" else 1) for house in houses])
            data = lightgbm.Dataset(inputs, change_kw, weight=weight / weight.mean(), params=_SETTINGS)
            pair[what] = lightgbm.train({**_SETTINGS, "objective": objective}, data, n_rounds)
        return cls(pair["mean"], pair["median"], len(inputs))

    def predict(self, columns: PeerColumns, observed_minute: I64) -> ModelOutputs:
        """Forecast the power at the horizon after each of ``observed_minute`` ``[N]``."""
        mean, median = (np.empty(observed_minute.size, dtype=np.float32) for _ in range(2))
        for first in range(0, observed_minute.size, ROWS_AT_ONCE):
            some = observed_minute[first : first + ROWS_AT_ONCE]
            inputs, until = columns.at(some), first + some.size
            last_kw = inputs[:, 0]
            mean[first:until] = last_kw + self.mean.predict(inputs)
            median[first:until] = last_kw + self.median.predict(inputs)
        return ModelOutputs((columns.horizon_min,), (MEDIAN,), mean[:, np.newaxis], median[:, np.newaxis, np.newaxis])


def house_columns(series: Series, horizon_min: int) -> PeerColumns:
    """Return the columns of a house, :data:`HOUSE_COLUMNS`."""
    return PeerColumns(series, HOUSE_COLUMNS, horizon_min)


def house_rows(columns: PeerColumns, until_minute: int | None, n_rows: int) -> TreeRows:
    """Return rows whose outcome is before ``until_minute`` (None: the end), at most ``n_rows``, evenly spread.

    Rows follow :data:`WHOLE_MIN` consecutive readings, like the scored minutes.
    """
    series = columns.series
    present = ~np.isnan(series.gap_kw)
    so_far = np.concatenate(([0], np.cumsum(present)))
    at = np.arange(WHOLE_MIN - 1, series.gap_kw.size - columns.horizon_min)
    whole = so_far[at + 1] - so_far[at + 1 - WHOLE_MIN] == WHOLE_MIN
    at = at[whole & ~np.isnan(series.outcome_kw[at + columns.horizon_min])]
    if until_minute is not None:
        at = at[at + columns.horizon_min < until_minute - series.first_minute]
    at = at[:: max(1, -(-at.size // n_rows))]
    change = (series.gap_kw[at + columns.horizon_min] - series.gap_kw[at]).astype(np.float32)
    return TreeRows(columns.at((series.first_minute + at).astype(np.int64)), change)


def _weight(change_kw: F32, power: int) -> F64:
    total = float((np.abs(change_kw.astype(np.float64)) ** power).sum()) or 1.0
    weight: F64 = np.full(change_kw.size, 1 / total)
    return weight
