"""The daily profile of a device: its mean power by half hour of the local day."""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.learning.online_model.rls_features import N_BINS

#: The mean is over about this many readings per half hour: twenty days.
_N = 600.0


def initial_state() -> F32:
    """Return a device's initial state, ``[2, bins]``: the mean of each half hour, kW, and its number of readings."""
    return np.zeros((2, N_BINS), dtype=np.float32)


def typical_kw(profile: F32, rows: I64, bins: I64, last_kw: F64) -> F64:
    """Return the typical power ``[N]`` of ``rows`` in the half hours ``bins``; the last reading if it is unknown."""
    known = profile[rows, :, bins]
    return np.where(known[:, 1] > 0, known[:, 0], last_kw)


def update(profile: F32, rows: I64, bins: I64, last_kw: F64) -> None:
    """Update ``profile`` in place with readings of ``rows`` ``[N]``, each row once, in the half hours ``bins``."""
    mean_kw, n = profile[rows, 0, bins], np.minimum(profile[rows, 1, bins] + 1, _N)
    profile[rows, 0, bins] = mean_kw + (last_kw - mean_kw) / n
    profile[rows, 1, bins] = n
