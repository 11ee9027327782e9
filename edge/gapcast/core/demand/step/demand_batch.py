"""The inputs of the demands of a batch of readings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.billing.device_windows import WindowState
from gapcast.core.demand.distributions.mean_shares import FARTHEST_MIN, MeanShares
from gapcast.core.demand.distributions.planned_power import PlannedPower
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
    ``[N, K, 4]`` their single minutes, both without planned loads. ``planned`` is the power of planned loads after the
    readings; None without planned loads.
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
    planned: PlannedPower | None = None


def count_imports(batch: DemandBatch, mean_kw: F64, which: Sequence[int], lead_times_min: Sequence[int]) -> DemandBatch:
    """Return ``batch`` with imported instead of net power in the readings ``which``, if their house exports or will.

    ``mean_kw`` ``[N, K, 4]`` are the outlooks' means up to ``lead_times_min``, with their bounds and without planned
    loads. The mean between two lead times becomes the mean of the imported power, which is above the positive part of
    the net mean where the interval contains 0. Planned loads count in full. Planned generation lowers a minute by no
    more than its upper bound, so that it makes no room in other minutes. Quantiles stay net, and powers computed from
    them are at least 0: so the means of different windows follow from the same quantiles, and outcomes calibrate them.
    Single minutes stay net, because a fuse's limit is above 0. The sums of the windows in ``batch.states`` are imported
    power already.
    """
    means, planned = batch.means, batch.planned
    lowest_kw = np.minimum(means.floor_kw, batch.last_kw)
    if planned is not None:
        lowest_kw = np.minimum(lowest_kw, planned.minutes_kw.min(axis=1))
    exporting = [i for i in which if lowest_kw[i] < 0]
    if not exporting:
        return batch
    leads = np.asarray(lead_times_min, dtype=np.float64)[:, np.newaxis]
    windows, of_mean, floor_kw = batch.windows.copy(), batch.mean_kw.copy(), means.floor_kw.copy()
    windows[exporting] = np.maximum(windows[exporting], 0)
    between_kw = np.diff(mean_kw[exporting] * leads, axis=1, prepend=0.0)  # kW minutes
    of_mean[exporting] = np.cumsum(_imported_kw(between_kw), axis=1) / leads[:, 0]
    floor_kw[exporting] = 0.0
    last_kw = list(batch.last_kw)
    for i in exporting:
        last_kw[i] = max(last_kw[i], 0.0)
    if planned is not None:
        planned = _with_imports(planned, exporting, mean_kw[exporting], lead_times_min)
    return batch._replace(
        last_kw=last_kw,
        windows=windows,
        means=ModelMeans(means.quantiles_kw, floor_kw),
        mean_kw=of_mean,
        planned=planned,
    )


def plan_of_imports(minutes_kw: F64, own_kw: F64) -> F64:
    """Return the planned power ``[N, M]`` that windows of imported power include, of the plans ``minutes_kw``.

    ``own_kw`` ``[N, M, 4]`` is the power without planned loads; see :func:`count_imports`.
    """
    found: F64 = np.maximum(minutes_kw, -np.maximum(own_kw[..., UPPER], 0))
    return found


def minutes_of(mean_kw: F64, lead_times_min: Sequence[int], n_minutes: int) -> F64:
    """Return the power ``[N, n_minutes, 4]`` of the next minutes: each has the mean between its two lead times.

    ``mean_kw`` ``[N, K, 4]`` are means up to ``lead_times_min``; minutes after the last one have its mean.
    """
    weights = _weights_of_minutes(tuple(lead_times_min))
    found: F64 = weights[np.minimum(np.arange(n_minutes), FARTHEST_MIN - 1)] @ mean_kw
    return found


@lru_cache(maxsize=8)
def _weights_of_minutes(lead_times_min: tuple[int, ...]) -> F64:
    """Return the weights ``[FARTHEST_MIN, K]`` of the means up to ``lead_times_min`` in each of the next minutes."""
    weights: F64 = np.diff(MeanShares(lead_times_min).energy, axis=0)
    return weights


def _imported_kw(net_kw: F64) -> F64:
    """Return the mean imported power ``[...]`` of the net power ``net_kw`` ``[..., 4]``."""
    exported_kw = np.minimum(net_kw[..., _QUANTILES], 0) @ _WEIGHTS
    found: F64 = np.maximum(net_kw[..., MEAN] - exported_kw, 0)
    return found


def _with_imports(
    planned: PlannedPower, exporting: Sequence[int], mean_kw: F64, lead_times_min: Sequence[int]
) -> PlannedPower:
    """Return ``planned`` with what counts in windows of imported power for the readings ``exporting``.

    ``mean_kw`` ``[E, K, 4]`` are their outlooks' means, without planned loads.
    """
    minutes_kw = planned.minutes_kw[exporting]
    own_kw = minutes_of(mean_kw, lead_times_min, minutes_kw.shape[1])
    lowered_kw = _imported_kw(own_kw + np.minimum(minutes_kw, 0)[..., np.newaxis]) - _imported_kw(own_kw)
    remaining_kw, expected_kw = planned.remaining_kw.copy(), planned.expected_kw.copy()
    remaining_kw[exporting] = plan_of_imports(minutes_kw, own_kw)
    expected_kw[exporting] = lowered_kw + np.maximum(minutes_kw, 0)
    return PlannedPower(planned.minutes_kw, remaining_kw, expected_kw)
