"""Builds published forecasts from the predictions of models or of the ensemble."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.forecast import DECIMALS, LOWER, MEDIAN, UPPER, Forecasts, Shares
from gapcast.core.learning.ensemble import Ensemble
from gapcast.core.learning.member_combination import EnsembleForecasts
from gapcast.core.predictor import ModelIdentity, Prediction, PublishedModel
from gapcast.core.window import F32, WindowSpec

#: The model name of the ensemble's forecasts.
BLEND = "blend"
#: Columns of the ensemble's forecasts: mean, median, lower and upper bound.
_N_POWERS = 4
#: Steps of the last published decimal in one kW.
_STEPS_PER_KW = 10.0**DECIMALS


class BatchKeys(NamedTuple):
    """The devices of a batch, the newest minutes of their windows, and the number of real readings in each window."""

    devices: list[str]
    minutes: list[int]
    n_observed: list[int]


def published_model_of(ensemble: Ensemble, context: int) -> PublishedModel:
    """Return the model identity of ``ensemble``'s forecasts: the ensemble, or its first model with calibrated bounds.

    ``context`` is the longest context of its models, minutes.
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
    mean_kw = _rounded(prediction.mean)
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
    published: EnsembleForecasts,
    path_kw: F32 | None,
) -> Forecasts:
    """Return the forecasts ``published`` by ``ensemble`` under the identity of ``published_model``.

    ``path_kw`` ``[N, K]`` is the first model's mean for each lead time (None: forecasts have no path). The ensemble's
    correction at the horizon is applied to the path in proportion to the lead time.
    """
    levels = published_model.quantile_levels or ()
    corrected_path_kw: NDArray[np.float64] | None = None
    powers_kw = published.kw
    if path_kw is not None:
        forecast_range = ensemble.forecast_range
        powers_kw = np.concatenate((published.kw, path_kw), axis=1)
        path = powers_kw[:, _N_POWERS:]
        path += (powers_kw[:, :1] - powers_kw[:, -1:]) * _shares_of_horizon(published_model.lead_times_min)
        np.minimum(np.maximum(path, forecast_range.low_kw, out=path), forecast_range.high_kw, out=path)
    powers_kw = _rounded(powers_kw.astype(np.float32))
    if path_kw is not None:
        corrected_path_kw = powers_kw[:, _N_POWERS:]
        corrected_path_kw[:, -1] = powers_kw[:, 0]
    mean_kw, median_kw, lower_kw, upper_kw = powers_kw[:, :_N_POWERS].T.tolist()
    shares = None
    if ensemble.options.combines:
        weights = published.shares.astype(np.float32).reshape(len(published.shares), -1)
        shares = Shares(ensemble.members, weights)
    return Forecasts(
        published_model,
        issued_at_ms,
        *keys,
        gap_kw=mean_kw,
        median_kw=median_kw if MEDIAN in levels else None,
        lower_kw=lower_kw if LOWER in levels else None,
        upper_kw=upper_kw if UPPER in levels else None,
        path_kw=corrected_path_kw,
        shares=shares,
    )


@functools.cache
def _shares_of_horizon(lead_times_min: tuple[int, ...]) -> NDArray[np.float64]:
    """Return each lead time as a part of the last one, ``[K]``."""
    leads_min = np.asarray(lead_times_min, dtype=np.float64)
    shares: NDArray[np.float64] = leads_min / leads_min[-1]
    return shares


def _rounded(power_kw: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return ``power_kw`` with :data:`DECIMALS`, by the steps of numpy's ``round``, which takes longer for a few."""
    rounded = power_kw.astype(np.float64)
    rounded *= _STEPS_PER_KW
    np.rint(rounded, out=rounded)
    rounded /= _STEPS_PER_KW
    return rounded


def _quantiles(model: ModelIdentity, prediction: Prediction, wanted: Sequence[float]) -> list[list[float] | None]:
    """Return the quantiles at the horizon for each of the levels ``wanted``, None for a level that the model lacks.

    Crossing quantiles are sorted (V. Chernozhukov, I. Fernandez-Val and A. Galichon, *Quantile and probability
    curves without crossing*, Econometrica 78, 2010).
    """
    levels = model.quantile_levels
    if prediction.quantiles is None or levels is None:
        return [None] * len(wanted)
    quantiles = prediction.quantiles[:, -1]
    if (quantiles[:, 1:] < quantiles[:, :-1]).any():
        quantiles = np.sort(quantiles, axis=-1)
    columns_kw: list[list[float]] = _rounded(quantiles).T.tolist()
    return [columns_kw[levels.index(level)] if level in levels else None for level in wanted]
