"""Aligns outlooks with the published forecasts: equal at common minutes, close in the minutes after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_predicates import is_any, is_every
from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.arrays.device_rows import RowIndex, row_index
from gapcast.core.forecasts.forecast import Forecasts
from gapcast.core.forecasts.forecast_range import ForecastRange
from gapcast.core.outlook.correction.reconciliation import Reconciliation, means_of_leads, times
from gapcast.core.outlook.outlook import CENTRES, LOWER, MEAN, MEDIAN, UPPER

#: Minutes after the published horizon in which the adjustment towards the published forecast falls to a third.
_DECAY_MIN = 7.0
_NONE = np.empty(0, dtype=np.int64)
#: The columns of an outlook in the order of the columns of a persistence forecast.
_OF_PERSISTENCE = [0, 2, 1, 3]


class PublishedValues(NamedTuple):
    """The published values of N forecasts, kW.

    ``path_kw`` ``[N, P]`` are the means at the lead times that forecast and outlook share. ``horizon_kw`` ``[N, 3]``
    are lower bound, median and upper bound at the horizon, NaN where the forecast has none.
    """

    path_kw: F64
    horizon_kw: F64

    def select(self, which: RowIndex) -> PublishedValues:
        """Return the values of the selected forecasts."""
        return PublishedValues(self.path_kw[which], self.horizon_kw[which])


class ShiftedOutlooks(NamedTuple):
    """Mean and median of outlooks ``kw`` ``[N, K, 2, 2]``, by lead time and kind, shifted by the published forecast.

    ``away_kw`` ``[N, 2]`` is the difference between published and model values (mean and median) at the horizon.
    """

    kw: F64
    away_kw: F64


class ForecastAlignment:
    """Aligns outlooks of K lead times with published forecasts of other lead times."""

    def __init__(self, leads_min: Sequence[int], published_min: Sequence[int], forecast_range: ForecastRange) -> None:
        """Outlooks have ``leads_min``, forecasts ``published_min``; all powers are within ``forecast_range``."""
        self.reconciliation = reconciliation = Reconciliation(leads_min, published_min)
        self.range = forecast_range
        self._safe_kw = min(-forecast_range.low_kw, forecast_range.high_kw)
        self._fixed = fixed = row_index(reconciliation.fixed)
        self._n_fixed = len(reconciliation.fixed)
        published_at = [list(published_min).index(leads_min[i]) for i in reconciliation.fixed.tolist()]
        self._published_at = row_index(np.array(published_at, dtype=np.int64))
        #: Index of the published horizon among the lead times; None if it is not one of them.
        self.horizon = list(leads_min).index(published_min[-1]) if published_min[-1] in leads_min else None
        self.has_one = leads_min[0] == 1
        horizon_min, leads, k = published_min[-1], np.asarray(leads_min), len(leads_min)
        # Like the path, the shift of the mean grows with the lead time to the horizon and decays after it. The shift of
        # the median grows with its square: a switch that is likely at the horizon is unlikely in the first minutes.
        growth, decay = leads / horizon_min, np.exp(np.minimum(horizon_min - leads, 0) / _DECAY_MIN)
        #: The shift of means and medians of minutes ``[K, 2]`` per unit of each published value: at the fixed lead
        #: times, and of the mean and the median at the horizon. The shift of the means up to lead times follows from
        #: it.
        shift = np.zeros((self._n_fixed + 2, k, 2))
        shift[-2, :, 0], shift[-1, :, 1] = np.minimum(growth, decay), np.minimum(growth**2, decay)
        shift[:, fixed, 0] = np.eye(self._n_fixed + 2, self._n_fixed)
        of_means = np.einsum("jk,pkc->pjc", means_of_leads(leads_min), shift)
        #: Both shifts, ``[4 K, fixed + 2]``: by lead time, kind, and mean or median.
        self.shift: F64 = np.ascontiguousarray(np.stack((shift, of_means), axis=2).reshape(len(shift), -1).T)

    def published(self, forecasts: Forecasts, which: RowIndex) -> PublishedValues:
        """Return the published values of the forecasts ``which``."""
        paths = forecasts.path_kw if forecasts.path_kw is not None else [[kw] for kw in forecasts.gap_kw]
        path_kw = np.array(paths, dtype=np.float64)[which][:, self._published_at]
        horizon_kw = np.empty((len(paths), 3))
        for column, values in enumerate((forecasts.lower_kw, forecasts.median_kw, forecasts.upper_kw)):
            horizon_kw[:, column] = np.nan if values is None else values
        return PublishedValues(path_kw, horizon_kw[which])

    def base(self, model_kw: F64, published: PublishedValues) -> ShiftedOutlooks:
        """Return the shifted outlooks for the model's outlooks ``model_kw`` ``[N, K, 2, 4]``."""
        n, k = model_kw.shape[:2]
        away_kw = np.zeros((n, self._n_fixed + 2))
        away_kw[:, : self._n_fixed] = published.path_kw - model_kw[:, self._fixed, 0, MEAN]
        if self.horizon is not None:
            # The horizon is the last of the published lead times.
            away_kw[:, -2] = away_kw[:, self._n_fixed - 1]
            median_kw = published.horizon_kw[:, 1] - model_kw[:, self.horizon, 0, MEDIAN]
            away_kw[:, -1] = np.where(np.isnan(median_kw), away_kw[:, -2], median_kw)
        shift_kw = times(away_kw, self.shift).reshape(n, k, 2, 2)
        return ShiftedOutlooks(model_kw[..., CENTRES] + shift_kw, away_kw[:, -2:])

    def without(self, published: PublishedValues, added_kw: F64) -> PublishedValues:
        """Return ``published`` without the planned power ``added_kw`` ``[N, K, 2]``."""
        horizon_kw = published.horizon_kw
        if self.horizon is not None:
            horizon_kw = horizon_kw - added_kw[:, self.horizon, :1]
        return PublishedValues(published.path_kw - added_kw[:, self._fixed, 0], horizon_kw)

    def restore_published(self, kw: F64, published: PublishedValues) -> None:
        """Write the published values to ``kw`` ``[N, K, 2, 4]``, in place: planned power rounds other values.

        Quantiles at the horizon that the forecast lacks are moved to keep the order of the three.
        """
        kw[:, self._fixed, 0, MEAN] = published.path_kw
        if self.horizon is not None:
            quantiles_kw, unknown = kw[:, self.horizon, 0, LOWER:], np.isnan(published.horizon_kw)
            np.copyto(quantiles_kw, published.horizon_kw, where=~unknown)
            if is_any(unknown):
                _enclose_median(quantiles_kw, unknown)
        if self.has_one:
            kw[:, 0, 1] = kw[:, 0, 0]

    def align(self, kw: F64, published: PublishedValues, floor_kw: F64) -> None:
        """Make outlooks ``kw`` ``[N, K, 2, 4]`` consistent, in place.

        Bounds are at least ``floor_kw`` ``[N]``, except the published bound at the horizon.
        """
        point, mean = kw[:, :, 0], kw[:, :, 1]
        high_kw, floors_kw = self.range.high_kw, floor_kw[:, np.newaxis, np.newaxis]
        self.reconciliation.reconcile(point[:, :, MEAN], mean[:, :, MEAN], published.path_kw, floor_kw, high_kw)
        above = kw > high_kw
        if is_any(above):
            np.copyto(kw, high_kw, where=above & np.isfinite(kw))
        inner_kw = np.maximum(kw[..., MEAN], floors_kw)
        np.minimum(kw[..., LOWER], inner_kw, out=kw[..., LOWER])
        np.maximum(kw[..., UPPER], inner_kw, out=kw[..., UPPER])
        self.restore_published(kw, published)

    def impossible(self, kw: F64) -> I64:
        """Return the indices of the outlooks ``kw`` ``[N, K, 2, 4]`` with a value out of range or crossing bounds."""
        if is_every(np.abs(kw) <= self._safe_kw) and is_every(kw[..., LOWER:-1] <= kw[..., MEDIAN:]):  # most batches
            return _NONE
        possible = (kw >= self.range.low_kw) & (kw <= self.range.high_kw)
        ordered = (kw[..., LOWER] <= kw[..., MEDIAN]) & (kw[..., MEDIAN] <= kw[..., UPPER])
        return np.flatnonzero(~np.all(possible.all(axis=-1) & ordered, axis=(1, 2)))

    def persistence(self, last_kw: F64, n_leads: int) -> F64:
        """Return persistence ``[N, K, 2, 4]`` for the last readings ``last_kw`` ``[N]``, without alignment."""
        kw = self.range.persistence(last_kw)[:, _OF_PERSISTENCE]
        return np.broadcast_to(kw[:, np.newaxis, np.newaxis], (len(kw), n_leads, 2, 4)).copy()


def _enclose_median(quantiles_kw: F64, unknown: NDArray[np.bool_]) -> None:
    """Move the ``unknown`` quantiles of ``[N, 3]`` (lower bound, median, upper bound) in place to order the three."""
    lower_kw, median_kw, upper_kw = quantiles_kw.T
    is_lower_unknown, is_median_unknown, is_upper_unknown = unknown.T
    np.copyto(median_kw, np.minimum(np.maximum(median_kw, lower_kw), upper_kw), where=is_median_unknown)
    np.copyto(lower_kw, np.minimum(lower_kw, median_kw), where=is_lower_unknown)
    np.copyto(upper_kw, np.maximum(upper_kw, median_kw), where=is_upper_unknown)
