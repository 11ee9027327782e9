"""Ensemble weights by Bernstein online aggregation (BOA) of specialists, separately for the mean and for the median.

O. Wintenberger, *Optimal learning with Bernstein Online Aggregation*, Machine Learning 106 (2017), with one learning
rate per specialist and the gradient of the loss: squared error for the mean, pinball for the median. A *specialist* (Y.
Freund, R. Schapire, Y. Singer and M. Warmuth, *Using and combining predictors that specialize*, STOC 1997) is one
ensemble member in one of the :mod:`~gapcast.core.learning.ensemble.situations`, and counts in proportion to the
membership of a forecast in the situation (P. Gaillard, G. Stoltz and T. van Erven, *A second-order bound with excess
losses*, COLT 2014, for such confidences). So the regret is bounded against the best member of each situation, and, by
the situation *any*, against the best member and the best fixed mixture of members overall: of the order of sqrt(T log
E), and smaller for curved losses. Past regrets decay with a half-life, so that the weights adapt when a house changes.
A small share of the resulting weights is distributed evenly, so that none is 0; the share does not change the regrets.

All values are in units of the device's scale, so that learning does not depend on the power of a household.
"""

from __future__ import annotations

import math

import numpy as np

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.learning.ensemble.error_scale import MIN_KW
from gapcast.core.learning.ensemble.situations import N_SITUATIONS

#: Half-life of regrets, in outcomes: two weeks of minutes.
HALF_LIFE_MIN = 14 * 1_440
#: Factor by which a regret decays per outcome.
DECAY = np.float32(0.5 ** (1 / HALF_LIFE_MIN))
#: Part of the total weight that is distributed evenly.
SHARE = 0.001
#: Initial weights of the primary model and of persistence, the safe choice in an unknown house, at horizons up to
#: :data:`NEAR_MIN`. At longer horizons the weight of persistence is smaller, and that of the primary model larger.
PRIMARY_PRIOR, PERSISTENCE_PRIOR = 0.25, 0.5
#: Horizon, minutes, up to which regrets of successive outcomes count as independent. At longer horizons they overlap:
#: the variance of their sum counts as the sum of their squares times the ratio of the horizon to this one.
NEAR_MIN = 5
#: Errors are clipped to this many scales of the device. A tighter limit hides the differences between the members: half
#: of the squared error of a house can come from errors beyond fifteen scales.
LIMIT = 50.0
#: Errors beyond this many times the limit are ignored, so that one absurd reading does not outweigh a month.
_ABSURD = 4.0
#: Learning rate before the first outcomes, and the largest one.
_FIRST_RATE = 0.3
_TINY = 1e-12
#: Largest logarithm of a weight, relative to the best member in any situation.
_MAX_LOG = 60.0
#: Indices into a specialist's memory.
_REGRET, _VARIANCE, _LARGEST = range(3)


def initial_state(n_members: int) -> F32:
    """Return a device's initial state ``[3, 2, S, E]``: the regret, its variance, and its largest magnitude."""
    return np.zeros((3, 2, N_SITUATIONS, n_members), dtype=np.float32)


def new_member_state(memory: F32) -> F32:
    """Return ``[N, 3, 2, S, 1]``: the memory of a new ensemble member, equal to the memory of the worst member.

    A new member gains weight only by being better. The large learning rate of an initial state would give it weight at
    once.
    """
    state = memory[..., :1].copy()
    for i, worst in ((_REGRET, np.min), (_VARIANCE, np.max), (_LARGEST, np.max)):
        state[:, i] = worst(memory[:, i], axis=-1, keepdims=True)
    return state


def state_before_situations(memory: F64, scale_kw: F64) -> F32:
    """Return the memory ``[N, 3, 2, S, E]`` for a memory that was saved without situations.

    Such a ``memory`` is ``[N, 4, 2, E]``: regret, kW^2 and kW, its variance, its largest magnitude and learning rate.
    ``scale_kw`` is ``[N]``. Every situation begins with the saved values.
    """
    scale_kw = np.maximum(scale_kw, MIN_KW)
    unit = np.stack((scale_kw**2, scale_kw), axis=-1)[:, np.newaxis, :, np.newaxis]
    scaled = memory[:, :3] / unit
    scaled[:, _VARIANCE] /= unit[:, 0]
    return np.repeat(scaled[..., np.newaxis, :], N_SITUATIONS, axis=-2).astype(np.float32)


def prior_weights(n_members: int, horizon_min: int) -> F64:
    """Return the weights before the first outcome, ``[E]``: mostly on the primary model, the first, and persistence.

    The error of persistence grows with the horizon, so its weight is smaller at longer horizons.

    >>> prior_weights(4, horizon_min=5).round(3).tolist()
    [0.25, 0.125, 0.125, 0.5]
    >>> prior_weights(4, horizon_min=30).round(3).tolist()
    [0.667, 0.125, 0.125, 0.083]
    """
    persistence = PERSISTENCE_PRIOR * min(NEAR_MIN / horizon_min, 1.0)
    if n_members <= 2:  # noqa: PLR2004 - only these two members, or one that is both
        return np.array([1 - persistence, persistence] if n_members > 1 else [1.0])
    weights = np.full(n_members, (1 - PRIMARY_PRIOR - PERSISTENCE_PRIOR) / (n_members - 2))
    weights[0], weights[-1] = PRIMARY_PRIOR + PERSISTENCE_PRIOR - persistence, persistence
    return weights


class BoaWeights:
    """The update rule of the members' weights from the outcomes of their forecasts."""

    def __init__(self, n_members: int, horizon_min: int) -> None:
        """The ``n_members`` members forecast ``horizon_min`` minutes ahead."""
        #: The logarithms of the :func:`prior_weights` ``[E]``.
        self.log_prior: F64 = np.log(prior_weights(n_members, horizon_min))
        self._log_n = np.float32(math.log(max(n_members, 2)) * min(NEAR_MIN / horizon_min, 1.0))

    def specialists_of(self, memory: F32) -> F32:
        """Return the specialists' weights ``[N, 2, S, E]``, not normalized, for ``memory`` ``[N, 3, 2, S, E]``."""
        rate = self._rate(memory).astype(np.float64)
        score = rate * memory[:, _REGRET] + self.log_prior
        score -= score[..., -1:, :].max(-1, keepdims=True)
        score -= np.maximum(score.max(-1, keepdims=True) - _MAX_LOG, 0.0)
        weights: F32 = (rate * np.exp(score)).astype(np.float32)
        return weights

    def update(
        self, memory: F32, members_kw: F64, published_kw: F64, actual_kw: F64, scale_kw: F64, memberships: F64
    ) -> None:
        """Update ``memory`` in place with the outcomes ``actual_kw`` ``[N]``.

        ``members_kw`` is ``[N, 2, E]``. ``published_kw`` ``[N, 2]`` is the combined forecast: the weighted mean and
        median after their offsets, so that the members are compared with what they are combined to in the end.
        ``memberships`` ``[N, S]`` are the memberships of the forecast. Errors are clipped to :data:`LIMIT` times
        ``scale_kw`` ``[N]``; absurd ones are ignored.
        """
        scale = scale_kw[:, np.newaxis]
        apart = _clip((published_kw[..., np.newaxis] - members_kw) / scale[..., np.newaxis])
        error = (published_kw - actual_kw[:, np.newaxis]) / scale
        absurd = np.abs(error[:, 0]) > LIMIT * _ABSURD
        gradient = _clip(error) * 2
        gradient[:, 1] = np.sign(error[:, 1]) * 0.5
        gradient[absurd] = 0.0
        regret = (
            memberships.astype(np.float32)[:, np.newaxis, :, np.newaxis]
            * (gradient[..., np.newaxis] * apart).astype(np.float32)[:, :, np.newaxis]
        )
        memory *= DECAY
        np.maximum(memory[:, _LARGEST], np.abs(regret), out=memory[:, _LARGEST])
        squared = regret * regret
        memory[:, _VARIANCE] += squared
        squared *= self._rate(memory)
        memory[:, _REGRET] += regret
        memory[:, _REGRET] -= squared

    def _rate(self, memory: F32) -> F32:
        """Return the learning rates ``[N, 2, S, E]``."""
        by_range = np.float32(0.5) / np.maximum(memory[:, _LARGEST], np.float32(_TINY))
        rate = np.sqrt(self._log_n / np.maximum(memory[:, _VARIANCE], np.float32(_TINY)))
        np.minimum(rate, by_range, out=rate)
        return np.minimum(rate, np.float32(_FIRST_RATE), out=rate)


def weights_of(specialists: F32, memberships: F64) -> F64:
    """Return the weights of the members ``[N, 2, E]``, summing to 1, for ``memberships`` ``[N, S]``."""
    weights: F64 = np.add.reduce(memberships[:, np.newaxis, :, np.newaxis] * specialists, axis=-2)
    weights *= (1 - SHARE) / weights.sum(-1, keepdims=True)
    weights += SHARE / weights.shape[-1]
    return weights


def _clip(values: F64) -> F64:
    clipped: F64 = np.maximum(np.minimum(values, LIMIT), -LIMIT)
    return clipped
