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
    """N readings; readings of one device are in order. Power in kW.

    ``rows`` are the buffer rows, ``minutes`` the newest minutes, ``last_kw`` the readings with planned loads, and
    ``states`` the running windows after them. ``windows`` ``[N, context]`` are the readings until then, without planned
    loads, and ``means`` the means of the outlook model. ``mean_kw`` ``[N, K]`` are the outlooks' means, ``point_kw``
    ``[N, K, 4]`` their single minutes.
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


def count_imports(batch: DemandBatch, mean_kw: F64, which: Sequence[int], lead_times_min: Sequence[int]) -> DemandBatch:
    """Return ``batch`` with imported instead of net power in the readings ``which``, if their house exports or will.

    ``mean_kw`` ``[N, K, 4]`` are the outlooks' means up to ``lead_times_min``, with their bounds. The mean between two
    lead times becomes the mean of the imported power, which is above the positive part of the net mean where the
    interval contains 0. Planned loads count in full. Planned generation lowers the mean between two lead times by no
    more than its upper bound, so that it makes no room in other minutes. Quantiles stay net, and powers computed from
    them are at least 0: so the means of different windows follow from the same quantiles, and outcomes calibrate them.
    Single minutes stay net, because a fuse's limit is above 0. The sums of the windows in ``batch.states`` are imported
    power already.
    """
    means = batch.means
    lowest_kw = np.minimum(np.minimum(means.floor_kw, batch.last_kw), means.added_kw.min(axis=1))
    exporting = [i for i in which if lowest_kw[i] < 0]
    if not exporting:
        return batch
    leads = np.asarray(lead_times_min, dtype=np.float64)[:, np.newaxis]
    added_kw = means.added_kw[exporting][..., np.newaxis]
    own_kw = np.diff((mean_kw[exporting] - added_kw) * leads, axis=1, prepend=0.0)  # kW minutes, as those below
    planned_kw = np.diff(added_kw * leads, axis=1, prepend=0.0)
    net_kw = own_kw + np.minimum(planned_kw, 0)
    exported_kw = np.minimum(net_kw[..., _QUANTILES], 0) @ _WEIGHTS
    imported_kw = np.maximum(net_kw[..., MEAN] - exported_kw, 0) + np.maximum(planned_kw[..., 0], 0)
    lowering_kw = np.maximum(planned_kw[..., 0], -np.maximum(own_kw[..., UPPER], 0))
    windows, of_mean, floor_kw = batch.windows.copy(), batch.mean_kw.copy(), means.floor_kw.copy()
    of_plan = means.added_kw.copy()
    windows[exporting] = np.maximum(windows[exporting], 0)
    of_mean[exporting] = np.cumsum(imported_kw, axis=1) / leads[:, 0]
    of_plan[exporting] = np.cumsum(lowering_kw, axis=1) / leads[:, 0]
    floor_kw[exporting] = 0.0
    last_kw = list(batch.last_kw)
    for i in exporting:
        last_kw[i] = max(last_kw[i], 0.0)
    return batch._replace(
        last_kw=last_kw,
        windows=windows,
        means=ModelMeans(means.quantiles_kw, of_plan, floor_kw),
        mean_kw=of_mean,
    )
