"""Builds published forecasts from the predictions of models or of the ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.core.forecasts.forecast import LOWER, MEDIAN, UPPER, EnsembleWeights, Forecasts
from gapcast.core.forecasts.published_powers import N_POWERS, rounded
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.models.predictor import ModelIdentity, Prediction, PublishedModel
from gapcast.core.windows.window import WindowSpec

#: The model name in the ensemble's forecasts.
BLEND = "blend"


class BatchKeys(NamedTuple):
    """The devices of a batch, the newest minute of each window, and its number of measured readings."""

    devices: list[str]
    minutes: list[int]
    n_observed: list[int]


def published_model_of(ensemble: Ensemble, context: int) -> PublishedModel:
    """Return the identity of ``ensemble``'s forecasts: the ensemble, or its first model with calibrated bounds.

    ``context`` is the longest context of the ensemble's models, minutes.
    """
    model, options = ensemble.models[0], ensemble.options
    levels = {*(model.quantile_levels or ())}
    if options.combines:
        levels |= {MEDIAN}
    if options.calibrates:
        levels |= {LOWER, UPPER}
    elif not {LOWER, UPPER} <= levels:
        levels -= {LOWER, UPPER}  # a single bound is not an interval
    name, spec = (BLEND, WindowSpec(context, model.spec.padding)) if options.combines else (model.name, model.spec)
    return PublishedModel(name, model.version, spec, model.lead_times_min, tuple(sorted(levels)) or None)


def from_single_model(
    model: ModelIdentity, keys: BatchKeys, issued_at_ms: int, prediction: Prediction, *, includes_path: bool
) -> Forecasts:
    """Return the forecasts of ``model`` alone."""
    mean_kw = rounded(prediction.mean)
    median_kw, lower_kw, upper_kw = _quantiles(model, prediction, (MEDIAN, LOWER, UPPER))
    return Forecasts(
        model,
        issued_at_ms,
        *keys,
        gap_kw=mean_kw[:, -1].tolist(),
        median_kw=median_kw,
        lower_kw=lower_kw,
        upper_kw=upper_kw,
        path_kw=mean_kw if includes_path else None,
    )


def from_ensemble(
    ensemble: Ensemble,
    published_model: ModelIdentity,
    keys: BatchKeys,
    issued_at_ms: int,
    numbers: F64,
) -> Forecasts:
    """Return the forecasts of ``ensemble`` under the identity of ``published_model``.

    ``numbers`` ``[N, 4 + K + W]`` are the published numbers: see :class:`.PublishedPowers`.
    """
    levels, options = published_model.quantile_levels or (), ensemble.options
    mean_kw, median_kw, lower_kw, upper_kw = numbers[:, :N_POWERS].T.tolist()
    n_weights = 2 * len(ensemble.members) if options.combines else 0
    n_powers = numbers.shape[1] - n_weights
    return Forecasts(
        published_model,
        issued_at_ms,
        *keys,
        gap_kw=mean_kw,
        median_kw=median_kw if MEDIAN in levels else None,
        lower_kw=lower_kw if LOWER in levels else None,
        upper_kw=upper_kw if UPPER in levels else None,
        path_kw=numbers[:, N_POWERS:n_powers] if n_powers > N_POWERS else None,
        shares=EnsembleWeights(ensemble.members, numbers[:, n_powers:]) if n_weights else None,
        numbers=numbers if n_weights and options.calibrates else None,
    )


def _quantiles(model: ModelIdentity, prediction: Prediction, wanted: Sequence[float]) -> list[list[float] | None]:
    """Return the quantiles at the horizon for each of the levels ``wanted``; None for a level that the model lacks.

    Crossing quantiles are sorted (V. Chernozhukov, I. Fernandez-Val and A. Galichon, *Quantile and probability
    curves without crossing*, Econometrica 78, 2010).
    """
    levels = model.quantile_levels
    if prediction.quantiles is None or levels is None:
        return [None] * len(wanted)
    quantiles = prediction.quantiles[:, -1]
    if (quantiles[:, 1:] < quantiles[:, :-1]).any():
        quantiles = np.sort(quantiles, axis=-1)
    columns_kw: list[list[float]] = rounded(quantiles).T.tolist()
    return [columns_kw[levels.index(level)] if level in levels else None for level in wanted]
