"""A device's scale, kW, the unit of its learning state: the mean size of the changes of its power over the horizon.

Changes of exactly 0 are left out, and large changes are clipped to a number of scales.
"""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import F64

#: Initial scale, kW, and its weight in outcomes.
FIRST_KW, _FIRST_N = 0.2, 600
#: Minimum scale, kW, for a house with constant power.
MIN_KW = 0.005
#: The mean is over about this many outcomes, each clipped to this many scales.
_N, _LIMIT = 100_000.0, 12.0
#: Below this scale, kW, changes are clipped to the limit of a new device. If they were clipped to its own scale, a plug
#: or a submeter whose load is rarely on would get the noise between its loads as its scale, and the loads clipped to
#: it.
_SMALL_KW = 0.06


def updated_scale(scale_kw: F64, change_kw: F64, n_outcomes: F64) -> F64:
    """Return the scale ``[N]`` after one more change; there were ``n_outcomes`` ``[N]`` outcomes before it.

    A change of exactly 0 is ignored, so that a stuck meter or a house with constant power keeps its scale.
    """
    limit_kw = _LIMIT * np.where(scale_kw < _SMALL_KW, FIRST_KW, scale_kw)
    size_kw = np.minimum(np.abs(change_kw), limit_kw)
    moved_kw = scale_kw + np.where(size_kw > 0, size_kw - scale_kw, 0.0) / np.minimum(n_outcomes + _FIRST_N, _N)
    return np.maximum(moved_kw, MIN_KW)
