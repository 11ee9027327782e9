"""The inputs of the demands of a batch of readings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.billing.device_windows import WindowState
from gapcast.core.outlook.outlook import LOWER, MEAN, MEDIAN, UPPER, ModelMeans

#: Weights of lower bound, median and upper bound (0.05, 0.5, 0.95) in the mean: the extended Pearson-Tukey
#: approximation (Keefer and Bodily 1983).
_OUTER, _MIDDLE = 0.185, 0.63
_WEIGHTS: Final = np.array([_OUTER, _MIDDLE, _OUTER])
_QUANTILES: Final = np.array([LOWER, MEDIAN, UPPER])


class DemandBatch(NamedTuple):
    """N readings, those of one device in order. Power in kW.

    ``rows`` are those of the buffers, ``minutes`` the newest ones, ``last_kw`` the readings with planned loads, and
    ``states`` the running windows after them. ``windows`` ``[N, context]`` are the readings until then, without planned
    loads, and ``means`` the outlook model's. ``mean_kw`` ``[N, K]`` are the outlooks' means, ``point_kw`` ``[N, K, 4]``
    their single minutes.
    """

    rows: Sequence[int]
    minutes: Sequence[int]
    last_kw: Sequence[float]
    states: Sequence[WindowState]
    windows: F32
    means: ModelMeans
    mean_kw: F64
    point_kw: F64
    issued_at_ms: int


def imported(batch: DemandBatch, mean_kw: F64, which: Sequence[int]) -> DemandBatch:
    """Return ``batch`` with imported instead of net power in the readings ``which``: no power is below 0.

    ``mean_kw`` ``[N, K, 4]`` are the outlooks' means, with their bounds: the mean of the imported power is above the
    positive part of the net mean where the interval contains 0. Single minutes stay net, because a fuse's limit is
    above 0. The sums of the windows in ``batch.states`` are imported power already.
    """
    windows, means, of_mean = batch.windows.copy(), batch.means, batch.mean_kw.copy()
    quantiles_kw, floor_kw = means.quantiles_kw.copy(), means.floor_kw.copy()
    windows[which] = np.maximum(windows[which], 0)
    quantiles_kw[which] = np.maximum(quantiles_kw[which], 0)
    floor_kw[which] = np.maximum(floor_kw[which], 0)
    exported_kw = np.minimum(mean_kw[which][..., _QUANTILES], 0) @ _WEIGHTS
    of_mean[which] = np.maximum(mean_kw[which][..., MEAN] - exported_kw, 0)
    last_kw = list(batch.last_kw)
    for i in which:
        last_kw[i] = max(last_kw[i], 0.0)
    return batch._replace(
        last_kw=last_kw,
        windows=windows,
        means=ModelMeans(quantiles_kw, means.added_kw, floor_kw),
        mean_kw=of_mean,
    )
