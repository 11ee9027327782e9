"""Values of any minute between the lead times of a model or an outlook, on straight lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gapcast.core.arrays.array_types import F64


def interpolate(leads_min: Sequence[int], kw: F64, minutes: Sequence[int]) -> F64:
    """Return ``[N, M, C]``, the values of ``minutes`` from the values at the K lead times, ``kw`` ``[N, K, C]``.

    The lines are those of :mod:`gapcast.core.outlook.correction.reconciliation`, so that the path of a forecast agrees
    with the means of its outlook. Minutes before the first lead time have its value, and minutes after the last lead
    time have the last value. At a lead time the values are exactly the given ones. Columns that do not cross at the
    lead times do not cross between them.

    >>> interpolate((1, 3, 5), np.array([[[0.0], [2.0], [2.0]]]), [1, 2, 3, 4])[0, :, 0].tolist()
    [0.0, 1.0, 2.0, 2.0]
    """
    leads = np.asarray(leads_min, dtype=np.float64)
    at = np.minimum(np.maximum(np.asarray(minutes, dtype=np.float64), leads[0]), leads[-1])
    if len(leads) == 1:
        return np.repeat(kw, len(at), axis=1)
    begin = np.minimum(np.searchsorted(leads, at, side="right") - 1, len(leads) - 2)
    share = ((at - leads[begin]) / (leads[begin + 1] - leads[begin]))[:, np.newaxis]
    found: F64 = (1 - share) * kw[:, begin] + share * kw[:, begin + 1]
    return found
