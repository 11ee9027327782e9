"""The means behind the outlooks of devices with submeters: quantiles around the published medians.

Demands are computed from the outlook model's quantiles of means. The model does not know submeters, the ensemble does:
where a submeter shows that a load is about to end, the published means are lower than the model's. The quantiles
follow their medians, so that submeters change the probability of exceeding a limit, and not the expected mean alone.
"""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.outlook.outlook import MEDIAN, ModelMeans
from gapcast.core.outlook.step.outlook_batch import MadeOutlooks


def means_of(made: MadeOutlooks, loads_kw: F32, median_at: int) -> ModelMeans:
    """Return the means behind the outlooks ``made``, with shifted quantiles for devices with submeters.

    ``loads_kw`` ``[N, M]`` are the newest values of submeters, NaN where there is none; ``median_at`` is the index of
    the median among the quantiles. Without a value of any submeter, the quantiles are the model's.
    """
    quantiles_kw = made.quantiles_kw
    if loads_kw.shape[1] and (which := np.isfinite(loads_kw).any(axis=1)).any():
        shift_kw = made.kw[which, :, 1, MEDIAN] - quantiles_kw[which, :, median_at]
        quantiles_kw = quantiles_kw.copy()
        quantiles_kw[which] += shift_kw[:, :, np.newaxis]
    return ModelMeans(quantiles_kw, made.floor_kw)
