"""Scores of an outlook model by lead time, for single minutes and for means, compared with two naive forecasts."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import tzinfo

import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.models.card_provenance import ModelScore
from gapcast.core.streams.quarters import fill_unknown
from gapcast.core.windows.features import assemble
from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast_trainer.scores.measures import measure
from gapcast_trainer.training.outlook.house_windows import HouseWindows

_ROWS_AT_ONCE, _DECIMALS = 8_192, 6


@dataclass(frozen=True, slots=True)
class KindScores:
    """Scores of one kind of quantity by lead time, ``[K]`` each: errors in kW^2 (MSE) and kW (MAE).

    ``n`` counts the outcomes; the model's MAE is of its median; ``coverage`` is of the 90 % interval, ``pinball_kw``
    the mean over the levels. ``window`` is the mean of the last window as long as the lead time.
    """

    n: I64
    mse_kw2: F64
    mae_mean_kw: F64
    mae_kw: F64
    pinball_kw: F64
    coverage: F64
    persistence_mse_kw2: F64
    persistence_mae_kw: F64
    window_mse_kw2: F64
    window_mae_kw: F64


@dataclass(frozen=True, slots=True)
class OutlookModelScores:
    """Scores at ``lead_times_min`` of the single minute (``point``) and of the mean until it (``mean``)."""

    lead_times_min: tuple[int, ...]
    point: KindScores
    mean: KindScores

    def point_at(self, lead_min: int) -> tuple[ModelScore, ModelScore]:
        """Return the scores of the model and of persistence at ``lead_min`` as a card states them."""
        at, found = self.lead_times_min.index(lead_min), self.point
        n = int(found.n[at])
        own = ModelScore(
            n=n,
            mse_kw2=round(float(found.mse_kw2[at]), _DECIMALS),
            mae_kw=round(float(found.mae_mean_kw[at]), _DECIMALS),
            mae_median_kw=round(float(found.mae_kw[at]), _DECIMALS),
            coverage=round(float(found.coverage[at]), _DECIMALS),
        )
        naive = ModelScore(
            n=n,
            mse_kw2=round(float(found.persistence_mse_kw2[at]), _DECIMALS),
            mae_kw=round(float(found.persistence_mae_kw[at]), _DECIMALS),
        )
        return own, naive


def score_outlook(predictor: TflitePredictor, house: HouseWindows, rows: I64, zone: tzinfo) -> OutlookModelScores:
    """Score ``predictor`` on the windows ``rows`` of ``house``; each lead time on the rows whose outcome is known.

    Raises :class:`ValueError` if the model has no means until its lead times, or no quantiles.
    """
    if not predictor.forecasts_means or predictor.quantile_levels is None:
        msg = f"model {predictor.name} forecasts no means until its lead times with their quantiles"
        raise ValueError(msg)
    leads, levels = predictor.lead_times_min, predictor.quantile_levels
    sums: dict[str, list[dict[str, F64]]] = {"point": [], "mean": []}
    for first in range(0, rows.size, _ROWS_AT_ONCE):
        at = rows[first : first + _ROWS_AT_ONCE]
        kw = house.windows_kw(at)
        windows = assemble(kw[:, :, np.newaxis], house.observed_minute[at], predictor.features, zone)
        found = predictor.predict(windows, fill_unknown(house.history_kw(at), kw.mean(axis=1)))
        outcomes = house.outcomes_kw(at, leads)
        last = np.column_stack([kw[:, -lead:].mean(axis=1) for lead in leads])
        for kind, actual, mean, quantiles in (
            ("point", outcomes[0], found.mean, found.quantiles),
            ("mean", outcomes[1], found.mean_to, found.quantiles_to),
        ):
            if mean is not None and quantiles is not None:  # both exist, as checked above
                sums[kind].append(_sums(actual, mean, quantiles, levels, kw[:, -1], last))
    return OutlookModelScores(leads, _averaged(sums["point"]), _averaged(sums["mean"]))


def _sums(actual: F32, mean: F32, quantiles: F32, levels: tuple[float, ...], last: F32, window: F32) -> dict[str, F64]:
    """Return the sums of each error over the rows with an outcome, ``[K]``, by the name of the field."""
    sums = [
        _sums_at(actual[known, k], mean[known, k], quantiles[known, k], levels, last[known], window[known, k])
        for k, known in enumerate(~np.isnan(actual).T)
    ]
    return {name: np.array([one[name] for one in sums]) for name in sums[0]}


def _sums_at(
    actual: F32, mean: F32, quantiles: F32, levels: tuple[float, ...], last: F32, window: F32
) -> dict[str, float]:
    """Return the sums of each error over ``[n]`` forecasts of one lead time."""
    own = measure(mean, quantiles, levels, actual, last).columns
    of_window = measure(window, None, (), actual, last).columns
    columns = {
        "mse_kw2": own["squared"],
        "mae_mean_kw": own["absolute"],
        "mae_kw": own["median_absolute"],
        "pinball_kw": np.mean([own[f"pinball {level}"] for level in levels], axis=0),
        "coverage": own["inside"],
        "persistence_mse_kw2": own["persistence_squared"],
        "persistence_mae_kw": own["persistence_absolute"],
        "window_mse_kw2": of_window["squared"],
        "window_mae_kw": of_window["absolute"],
    }
    return {"n": actual.size} | {name: float(np.sum(values)) for name, values in columns.items()}


def _averaged(parts: list[dict[str, F64]]) -> KindScores:
    total = {field.name: np.sum([part[field.name] for part in parts], axis=0) for field in fields(KindScores)}
    n = total.pop("n")
    means = {name: np.divide(values, n, out=np.full(n.size, np.nan), where=n > 0) for name, values in total.items()}
    return KindScores(n=n.astype(np.int64), **means)
