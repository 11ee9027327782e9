"""The share of the learned correction that is applied: the best choice so far, by lead time and kind.

The choices are a few shares from zero to one, and for the median of the first minutes the last reading instead of the
outlook: where loads are only switched on and off, it has the lowest absolute error there. The gain of each choice over
share zero is summed up, squared error for the mean and absolute error for the median. Past gains decay like the regrets
of ensemble members. A choice is rated by the lower end of its gain: the gain minus its standard deviation, or two for
the last reading, which is rarely better. Outcomes of a lead time of L minutes overlap, so that only one in L is new:
the variance is L times the variance of independent outcomes. So a correction that does not help a device is not
applied, and a correction that ceases to help is soon no longer applied. This is follow the leader (N. Cesa-Bianchi and
G. Lugosi, *Prediction, Learning, and Games*, 2006, chapter 3) with a confidence bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_predicates import is_every
from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.learning.ensemble.boa_weights import DECAY

SHARES = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
_LAST_READING = len(SHARES)
#: Longest lead time with the last reading as a choice, minutes. At longer ones it would be chosen while nothing changes
#: (during a vacation), and be far off when loads run again.
LAST_READING_MIN = 3
#: Number of choices: the shares, and the last reading.
N_CHOICES = len(SHARES) + 1
#: The share of each choice; the last reading has none.
_SHARE_OF_CHOICE = np.append(SHARES, 0.0)
#: Number of standard deviations by which the gain of each choice must exceed zero.
_DEVIATIONS = np.append(np.ones(len(SHARES)), 2.0)
_GAINS = "share_gains"


def initial_gains(n_leads: int) -> F32:
    """Return a device's initial gains ``[2, K, 2, 2, choices]``: sums, and sums of squares."""
    return np.zeros((2, n_leads, 2, 2, N_CHOICES), dtype=np.float32)


def with_all_choices(columns: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    """Return stored ``columns`` with the gains of all choices: early checkpoints of 0.2.0 have no last reading."""
    gains = columns.get(_GAINS)
    if gains is None or gains.shape[-1:] != SHARES.shape:
        return columns
    return {**columns, _GAINS: np.append(gains, np.zeros_like(gains[..., :1]), axis=-1)}


def best_choices(gains: F32, leads: I64) -> I64:
    """Return the choice with the best lower gain, ``[N, K, 2, 2]``, for ``gains`` ``[N, 2, K, 2, 2, choices]``."""
    deviation = np.sqrt(np.maximum(gains[:, 1], 0) * leads[:, np.newaxis, np.newaxis, np.newaxis])
    best: I64 = (gains[:, 0] - _DEVIATIONS * deviation).argmax(axis=-1)
    return best


def apply(choices: I64, base_kw: F64, change_kw: F64, last_kw: F64) -> F64:
    """Return mean and median by ``choices``, for ``base_kw`` and the whole correction ``change_kw``, ``[N, K, 2, 2]``.

    ``last_kw`` ``[N]`` are the last readings.
    """
    corrected_kw = base_kw + _SHARE_OF_CHOICE.take(choices) * change_kw
    return np.where(choices == _LAST_READING, last_kw[:, np.newaxis, np.newaxis, np.newaxis], corrected_kw)


def errors_of_last_reading(errors: F64, moved: F64, leads: I64) -> F64:
    """Return the deviations from the last reading, ``moved`` ``[N, K, 2]``, where it is a choice; ``errors`` elsewhere.

    ``errors`` and the result are ``[N, K, 2, 2]``, and ``leads`` ``[K]``.
    """
    found = errors.copy()
    np.copyto(found[..., 1], moved, where=leads[:, np.newaxis] <= LAST_READING_MIN)
    return found


def update(gains: F32, errors: F64, change: F64, of_last: F64, is_due: NDArray[np.bool_]) -> None:
    """Update ``gains`` ``[N, 2, K, 2, 2, choices]`` with outcomes, in place.

    ``errors`` ``[N, K, 2, 2]`` are the deviations of the outcomes from the model's mean and median, ``change`` the
    corrections, and ``of_last`` the :func:`errors_of_last_reading`, all in units of the scale. Only the entries with
    ``is_due`` ``[N, K]`` count.
    """
    loss = np.empty((*errors.shape, N_CHOICES))
    np.subtract(errors[..., np.newaxis], change[..., np.newaxis] * SHARES, out=loss[..., :_LAST_READING])
    loss[..., _LAST_READING] = of_last
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
