"""A device's scale: the mean size of its change over the horizon, kW, that everything else is measured by."""

from __future__ import annotations

import numpy as np

from gapcast.core.learning.outcomes import F64

#: What it is before it is known, kW, and how many outcomes that counts for.
FIRST_KW, _FIRST_N = 0.2, 600
#: It is at least this, kW: a house that stands still has a scale, too.
_LEAST_KW = 0.005
#: It follows about the last so many outcomes, and none of them by more than so many scales.
_N, _LIMIT = 100_000.0, 12.0


def updated_scale(scale_kw: F64, change_kw: F64, n_outcomes: F64) -> F64:
    """Return the scale ``[N]`` after a change more, ``n_outcomes`` ``[N]`` outcomes after the first.

    No change at all says nothing: a meter that is stuck, or a house that stands still, keeps its scale.
    """
    size_kw = np.minimum(np.abs(change_kw), _LIMIT * scale_kw)
    moved_kw = scale_kw + np.where(size_kw > 0, size_kw - scale_kw, 0.0) / np.minimum(n_outcomes + _FIRST_N, _N)
    return np.maximum(moved_kw, _LEAST_KW)
