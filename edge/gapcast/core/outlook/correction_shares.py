"""How much of the learned correction is applied: the share with the least loss so far, by lead time and kind.

Follow the leader with discounted losses (N. Cesa-Bianchi and G. Lugosi, *Prediction, Learning, and Games*, 2006,
chapters 2 and 3) over a few shares from nothing to all: squared error for the mean, absolute error for the median. So
a correction that does not help a device is not applied for long.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapcast.core.outlook.outlook import F64
from gapcast.core.window import F32

SHARES = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
#: Half-life of losses, in outcomes: two weeks of minutes.
_DECAY = np.float32(0.5 ** (1 / (14 * 1_440)))
#: The handicap of the whole correction before the first outcome, in units of the scale.
_HANDICAP = 50.0


def initial_losses(n_leads: int) -> F32:
    """Return a device's initial losses ``[K, 2, 2, shares]``: nothing of the correction is applied."""
    return np.broadcast_to((_HANDICAP * SHARES).astype(np.float32), (n_leads, 2, 2, len(SHARES))).copy()


def best_shares(losses: F32) -> F64:
    """Return the share with the least of ``losses`` ``[N, K, 2, 2, shares]``, ``[N, K, 2, 2]``."""
    best: F64 = SHARES[np.argmin(losses, axis=-1)]
    return best


def update(losses: F32, errors: F64, change: F64, is_due: NDArray[np.bool_]) -> None:
    """Update ``losses`` ``[N, K, 2, 2, shares]`` by outcomes, in place.

    ``errors`` ``[N, K, 2, 2]`` are the deviations of the outcomes from the model's mean and median, and ``change`` the
    corrections, in units of the scale. Only the entries with ``is_due`` ``[N, K]`` count.
    """
    rest = (errors[..., np.newaxis] - change[..., np.newaxis] * SHARES).astype(np.float32)
    rest[:, :, :, 0] **= 2
    np.abs(rest[:, :, :, 1], out=rest[:, :, :, 1])
    due = is_due[:, :, np.newaxis, np.newaxis, np.newaxis]
    losses *= np.where(due, _DECAY, np.float32(1))
    losses += rest * due
