"""What a device usually draws, by the half hour of its local day."""

from __future__ import annotations

import numpy as np

from gapcast.core.learning.outcomes import F64
from gapcast.core.learning.rls_features import N_BINS
from gapcast.core.window import F32, I64

#: It follows the last so many readings of a half hour: twenty days.
_N = 600.0


def initial_state() -> F32:
    """Return what a device begins with, ``[2, bins]``: the mean of each half hour, kW, and of how many readings."""
    return np.zeros((2, N_BINS), dtype=np.float32)


def typical_kw(profile: F32, rows: I64, bins: I64, last_kw: F64) -> F64:
    """Return the usual power ``[N]`` of ``rows`` in the half hours ``bins``; the last reading where none is known."""
    known = profile[rows, :, bins]
    return np.where(known[:, 1] > 0, known[:, 0], last_kw)


def update(profile: F32, rows: I64, bins: I64, last_kw: F64) -> None:
    """Take note, in place, of readings of ``rows`` ``[N]``, each once, in the half hours ``bins``."""
    mean_kw, n = profile[rows, 0, bins], np.minimum(profile[rows, 1, bins] + 1, _N)
    profile[rows, 0, bins] = mean_kw + (last_kw - mean_kw) / n
    profile[rows, 1, bins] = n
