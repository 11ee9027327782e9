"""The share of the learned correction that is applied: the best share so far, by lead time and kind.

For a few shares from zero to one, the gain over share zero is summed up, squared error for the mean and absolute error
for the median. Past gains decay like the regrets of ensemble members. A share is rated by the lower end of its gain:
the gain minus its standard deviation. Outcomes of a lead time of L minutes overlap, so that only one in L is new: the
variance is L times the variance of independent outcomes. So a correction that does not help a device is not applied,
and a correction that ceases to help is soon no longer applied. This is follow the leader (N. Cesa-Bianchi and G.
Lugosi, *Prediction, Learning, and Games*, 2006, chapter 3) with a confidence bound.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_predicates import is_every
from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.learning.ensemble.boa_weights import DECAY

SHARES = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
#: Number of standard deviations by which a gain must exceed zero.
_DEVIATIONS = 1.0


def initial_gains(n_leads: int) -> F32:
    """Return a device's initial gains ``[2, K, 2, 2, shares]``: sums, and sums of squares."""
    return np.zeros((2, n_leads, 2, 2, len(SHARES)), dtype=np.float32)


def best_shares(gains: F32, leads: I64) -> F64:
    """Return the share with the best lower gain, ``[N, K, 2, 2]``, for ``gains`` ``[N, 2, K, 2, 2, shares]``."""
    deviation = np.sqrt(np.maximum(gains[:, 1], 0) * leads[:, np.newaxis, np.newaxis, np.newaxis])
    best: F64 = SHARES.take((gains[:, 0] - _DEVIATIONS * deviation).argmax(axis=-1))
    return best


def update(gains: F32, errors: F64, change: F64, is_due: NDArray[np.bool_]) -> None:
    """Update ``gains`` ``[N, 2, K, 2, 2, shares]`` with outcomes, in place.

    ``errors`` ``[N, K, 2, 2]`` are the deviations of the outcomes from the model's mean and median, and ``change`` the
    corrections, in units of the scale. Only the entries with ``is_due`` ``[N, K]`` count.
    """
    loss = errors[..., np.newaxis] - change[..., np.newaxis] * SHARES
    loss[:, :, :, 0] **= 2
    np.abs(loss[:, :, :, 1], out=loss[:, :, :, 1])
    gain = (loss[..., :1] - loss).astype(np.float32)
    if is_every(is_due):
        gains *= DECAY
    else:
        due = is_due[:, :, np.newaxis, np.newaxis, np.newaxis]
        gain *= due
        gains *= np.where(due, DECAY, np.float32(1))[:, np.newaxis]
    gains[:, 0] += gain
    gains[:, 1] += gain * gain
