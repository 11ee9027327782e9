"""A score record: the means of all measures over one group of forecasts, with persistence's for comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gapcast.core.arrays.array_types import F64, I64, Flags
from gapcast.core.documents.figures import skill_or_nan
from gapcast_trainer.scores.measures import Measures

#: Significant digits of a figure in JSON.
_DIGITS = 7


@dataclass(frozen=True, slots=True)
class ScoreRecord:
    """Scores over ``n`` forecasts of one lead time. Power in kW, squared errors in kW^2; bias is forecast minus truth.

    Measures of quantiles are None, or empty, if the model has none. ``pinball_kw`` and ``below``
    (the share of outcomes at or below the quantile) are by level; ``coverage`` and ``width_kw`` are of
    the 90 % interval.
    """

    n: int
    mse_kw2: float
    mae_kw: float
    bias_kw: float
    persistence_mse_kw2: float
    persistence_mae_kw: float
    median_mse_kw2: float | None
    median_mae_kw: float | None
    crps_kw: float | None
    coverage: float | None
    width_kw: float | None
    pinball_kw: dict[float, float]
    below: dict[float, float]

    @property
    def rmse_kw(self) -> float:
        """Root of the mean squared error, kW."""
        return math.sqrt(self.mse_kw2)

    @property
    def skill(self) -> float:
        """1 - MSE / MSE of persistence on the same minutes; NaN if the error of persistence is next to zero."""
        return skill_or_nan(self.mse_kw2, self.persistence_mse_kw2)

    @property
    def best_mae_kw(self) -> float:
        """MAE of the median if there is one, otherwise of the mean, kW."""
        return self.mae_kw if self.median_mae_kw is None else self.median_mae_kw

    @property
    def mae_skill(self) -> float:
        """1 - :attr:`best_mae_kw` / MAE of persistence on the same minutes; NaN as :attr:`skill`."""
        return skill_or_nan(self.best_mae_kw, self.persistence_mae_kw)

    @property
    def mean_pinball_kw(self) -> float | None:
        """Pinball loss, the mean over the levels, kW; None for fewer than two levels."""
        n_levels = len(self.pinball_kw)
        return sum(self.pinball_kw.values()) / n_levels if n_levels > 1 else None

    def fields(self) -> dict[str, Any]:
        """Return the record for a JSON file, without missing values."""
        found: dict[str, Any] = {
            "n": self.n,
            "mse_kw2": self.mse_kw2,
            "rmse_kw": self.rmse_kw,
            "mae_kw": self.mae_kw,
            "bias_kw": self.bias_kw,
            "skill": self.skill if math.isfinite(self.skill) else None,
            "persistence_mse_kw2": self.persistence_mse_kw2,
            "persistence_mae_kw": self.persistence_mae_kw,
            "median_mse_kw2": self.median_mse_kw2,
            "median_mae_kw": self.median_mae_kw,
            "crps_kw": self.crps_kw,
            "pinball_mean_kw": self.mean_pinball_kw,
            "coverage": self.coverage,
            "width_kw": self.width_kw,
            "pinball_kw": {str(level): _short(value) for level, value in self.pinball_kw.items()} or None,
            "below": {str(level): _short(value) for level, value in self.below.items()} or None,
        }
        return {key: _short(value) for key, value in found.items() if value is not None}


def _short(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def records(measures: Measures, group: I64, n_groups: int) -> list[ScoreRecord | None]:
    """Return the record of each group, None for a group without a forecast.

    ``group`` ``[N]`` is each forecast's group, 0 to ``n_groups - 1``, or -1 for none.
    """
    chosen = np.flatnonzero(group >= 0)
    index = group[chosen]
    counts = np.bincount(index, minlength=n_groups)
    means: dict[str, F64] = {}
    with np.errstate(invalid="ignore"):  # 0 / 0 in an empty group, which is left out below
        for name, column in measures.columns.items():
            means[name] = np.bincount(index, column[chosen], minlength=n_groups) / counts
    return [
        _record(int(n), {name: float(column[k]) for name, column in means.items()}, measures.levels) if n else None
        for k, n in enumerate(counts)
    ]


def record(measures: Measures, mask: Flags | None = None) -> ScoreRecord:
    """Return the record of all forecasts, or of the forecasts selected by ``mask`` ``[N]``; at least one."""
    group = np.zeros(len(measures), dtype=np.int64) if mask is None else np.where(mask, 0, -1)
    (found,) = records(measures, group, 1)
    if found is None:
        msg = "a record needs at least one forecast"
        raise ValueError(msg)
    return found


def _record(n: int, mean: dict[str, float], levels: tuple[float, ...]) -> ScoreRecord:
    return ScoreRecord(
        n=n,
        mse_kw2=mean["squared"],
        mae_kw=mean["absolute"],
        bias_kw=mean["error"],
        persistence_mse_kw2=mean["persistence_squared"],
        persistence_mae_kw=mean["persistence_absolute"],
        median_mse_kw2=mean.get("median_squared"),
        median_mae_kw=mean.get("median_absolute"),
        crps_kw=mean.get("crps"),
        coverage=mean.get("inside"),
        width_kw=mean.get("width"),
        pinball_kw={level: mean[f"pinball {level}"] for level in levels},
        below={level: mean[f"below {level}"] for level in levels},
    )
