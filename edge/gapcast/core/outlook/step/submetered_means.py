"""The means behind the outlooks of devices with submeters: quantiles around the published medians.

Demands are computed from the outlook model's quantiles of means. The model does not know submeters, the ensemble does:
where a submeter shows that a load is about to end, the published means are lower than the model's. The quantiles
follow their medians, so that submeters change the probability of exceeding a limit, and not the expected mean alone.
"""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.outlook.correction.forecast_alignment import ForecastAlignment
from gapcast.core.outlook.outlook import MEDIAN, ModelMeans
from gapcast.core.outlook.step.model_outlooks import ModelOutlooks
from gapcast.core.outlook.step.outlook_batch import MadeOutlooks, OutlookBatch


def means_of(
    made: MadeOutlooks, batch: OutlookBatch, loads_kw: F32, predictions: ModelOutlooks, alignment: ForecastAlignment
) -> ModelMeans:
    """Return the means behind the outlooks ``made`` of ``batch``, with shifted quantiles for devices with submeters.

    ``loads_kw`` ``[N, M]`` are the newest values of submeters, NaN where there is none. Quantiles move by the
    difference of the published median and the model's. They stay where no submeter has a value, and for faulty
    predictions.
    """
    quantiles_kw, which = made.quantiles_kw, np.flatnonzero(np.isfinite(loads_kw).any(axis=1))
    if which.size:
        model_kw, _ = predictions.columns_of(batch.prediction.select(which))
        shift_kw = made.kw[which, :, 1, MEDIAN] - model_kw[:, :, 1, MEDIAN]
        shift_kw[alignment.impossible(model_kw)] = 0.0
        quantiles_kw = quantiles_kw.copy()
        quantiles_kw[which] += shift_kw[:, :, np.newaxis]
    return ModelMeans(quantiles_kw, made.floor_kw)
