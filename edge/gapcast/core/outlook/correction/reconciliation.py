"""Makes the means of an outlook agree with each other and with the published forecast.

A model estimates the mean of each single minute and the mean of all minutes up to it separately, and the published
forecast is more accurate in the first minutes. The reconciled means are one path of minutes, linear between the lead
times: they minimise the weighted squared distance from all estimates, with the published minutes fixed (as in the
reconciliation of hierarchical forecasts: S. Wickramasuriya, G. Athanasopoulos and R. Hyndman, *Optimal forecast
reconciliation through trace minimization*, JASA 114, 2019). For given lead times this is a fixed matrix.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.core.arrays.device_rows import row_index

#: Weight of an estimated mean up to a lead time, relative to an estimated minute: it varies less.
_WEIGHT_TO = 3.0


def minutes_of_leads(leads_min: Sequence[int]) -> F64:
    """Return the matrix ``[minutes, K]`` from the values at K lead times to the values of each minute up to the last.

    Minutes between lead times are interpolated linearly; minutes before the first lead time have its value.

    >>> minutes_of_leads((1, 3)).tolist()
    [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    """
    minutes, leads = np.arange(1, leads_min[-1] + 1), np.asarray(leads_min)
    return np.stack([np.interp(minutes, leads, one) for one in np.eye(len(leads))], axis=1)


def means_of_leads(leads_min: Sequence[int]) -> F64:
    """Return the matrix ``[K, K]`` from the values at K lead times to the means of all minutes up to each.

    >>> means_of_leads((1, 3)).tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    sums = np.cumsum(minutes_of_leads(leads_min), axis=0)
    leads = np.asarray(leads_min)
    means: F64 = sums[leads - 1] / leads[:, np.newaxis]
    return means


def times(values: F64, matrix: F64) -> F64:
    """Return the product ``[N, J]`` of ``values`` ``[N, K]`` and ``matrix`` ``[J, K]``, contiguous.

    The result is the same in any batch and on any machine; the order of sums in a matrix product depends on the BLAS.
    """
    product: F64 = np.add.reduce(values[:, np.newaxis, :] * matrix, axis=2)
    return product


class Reconciliation:
    """Reconciles estimates for K lead times, some of which are already published."""

    def __init__(self, leads_min: Sequence[int], published_min: Sequence[int]) -> None:
        """Reconcile ``leads_min``; the lead times that are also in ``published_min`` are fixed."""
        #: The means of all minutes up to each lead time, from the minutes at the lead times, ``[K, K]``.
        self.means_of = means_of = means_of_leads(leads_min)
        is_fixed, n_leads = np.isin(leads_min, published_min), len(leads_min)
        #: Indices of the fixed lead times, and of the others.
        self.fixed, self.free = np.flatnonzero(is_fixed), np.flatnonzero(~is_fixed)
        self._fixed_at, self._free_at = row_index(self.fixed), row_index(self.free)
        of_free = means_of[:, self.free]
        of_minutes = np.linalg.inv(np.eye(len(self.free)) + _WEIGHT_TO * of_free.T @ of_free)
        of_means = _WEIGHT_TO * of_minutes @ of_free.T
        #: The matrix from all minutes and all means to the free minutes; it subtracts the contribution of the fixed
        #: minutes to the means.
        self.free_of: F64 = np.empty((len(self.free), 2 * n_leads))
        self.free_of[:, self.fixed] = -of_means @ means_of[:, self.fixed]
        self.free_of[:, self.free] = of_minutes
        self.free_of[:, n_leads:] = of_means

    def reconcile(self, point_kw: F64, mean_kw: F64, published_kw: F64, floor_kw: F64, high_kw: float) -> None:
        """Reconcile the means ``point_kw`` of single minutes and ``mean_kw`` up to them, ``[N, K]`` kW, in place.

        ``published_kw`` ``[N, fixed]`` are the means at the fixed lead times. The other minutes are between
        ``floor_kw`` ``[N]`` and ``high_kw``.
        """
        point_kw[:, self._fixed_at] = published_kw
        if self.free.size:
            free_kw = times(np.concatenate((point_kw, mean_kw), axis=1), self.free_of)
            point_kw[:, self._free_at] = np.minimum(np.maximum(free_kw, floor_kw[:, np.newaxis]), high_kw)
        mean_kw[...] = times(point_kw, self.means_of)
