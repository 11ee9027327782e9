"""Ensemble weights by Bernstein online aggregation (BOA), separately for the mean and for the median.

O. Wintenberger, *Optimal learning with Bernstein Online Aggregation*, Machine Learning 106 (2017), with one learning
rate per ensemble member (the paper's expert) and the gradient of the loss: squared error for the mean, pinball for the
median. The ensemble's regret against the best fixed mixture of its members is of the order of sqrt(T log E), and
smaller for curved losses. Past regrets decay with a half-life, and a small share of the weight is distributed evenly
(Herbster and Warmuth's fixed share, 1998), so that no member is excluded for good and the weights adapt when a house
changes.
"""

from __future__ import annotations

import math

import numpy as np

from gapcast.core.learning.outcomes import F64

#: Half-life of regrets, in outcomes: two weeks of minutes.
HALF_LIFE_MIN = 14 * 1_440
#: Part of the total weight that is distributed evenly.
SHARE = 0.001
#: Initial weight of the primary model.
CHAMPION_SHARE = 0.5
#: Errors are clipped to this many scales of the device, so that one absurd reading does not outweigh a month.
LIMIT = 15.0
#: Errors beyond this many times the limit are ignored.
_ABSURD = 4.0
_DECAY = 0.5 ** (1 / HALF_LIFE_MIN)
_TINY = 1e-12
#: Indices into a member's memory.
_REGRET, _VARIANCE, _LARGEST, _RATE = range(4)


def initial_state(n_members: int) -> F64:
    """Return a device's initial state, ``[4, 2, E]``: regret, its variance, its largest magnitude, learning rate."""
    memory = np.zeros((4, 2, n_members))
    memory[_RATE] = 1.0
    return memory


def new_member_state(memory: F64) -> F64:
    """Return ``[N, 4, 2, 1]``: the memory of a new ensemble member, equal to that of the worst one.

    It gains weight only by being better. With the large learning rate of an initial state it would gain weight at once.
    """
    state = memory[..., :1].copy()
    for i, worst in ((_REGRET, np.min), (_VARIANCE, np.max), (_LARGEST, np.max), (_RATE, np.min)):
        state[:, i] = worst(memory[:, i], axis=-1, keepdims=True)
    return state


def prior_weights(n_members: int) -> F64:
    """Return the weights before the first outcome, ``[E]``; the first member has the largest.

    >>> prior_weights(3).tolist()
    [0.5, 0.25, 0.25]
    """
    if n_members == 1:
        return np.ones(1)
    weights = np.full(n_members, (1 - CHAMPION_SHARE) / (n_members - 1))
    weights[0] = CHAMPION_SHARE
    return weights


def weights_of(memory: F64, log_prior: F64) -> F64:
    """Return the weights for ``memory`` ``[N, 4, 2, E]``: ``[N, 2, E]``, summing to 1 over the members."""
    rate = memory[:, _RATE]
    score = np.log(rate) + rate * memory[:, _REGRET] + log_prior
    score -= score.max(-1, keepdims=True)
    weights: F64 = np.exp(score)
    weights *= (1 - SHARE) / weights.sum(-1, keepdims=True)
    weights += SHARE / weights.shape[-1]
    return weights


def update(memory: F64, members_kw: F64, published_kw: F64, actual_kw: F64, limit_kw: F64) -> None:
    """Update ``memory`` in place with the outcomes ``actual_kw`` ``[N]``.

    ``members_kw`` is ``[N, 2, E]``, ``published_kw`` ``[N, 2]`` the weighted forecast. Errors are clipped to
    ``limit_kw`` ``[N]``, and absurd ones ignored, so that no single reading outweighs a month.
    """
    limit = limit_kw[:, np.newaxis, np.newaxis]
    apart = _clip(published_kw[..., np.newaxis] - members_kw, limit)
    absurd = np.abs(published_kw[:, 0] - actual_kw) > limit_kw * _ABSURD
    error = _clip((published_kw - actual_kw[:, np.newaxis])[..., np.newaxis], limit)
    gradient = error * 2
    gradient[:, 1] = np.sign(error[:, 1]) * 0.5
    regret = gradient * apart
    regret[absurd] = 0.0
    memory *= _DECAY
    np.maximum(memory[:, _LARGEST], np.abs(regret), out=memory[:, _LARGEST])
    squared = regret * regret
    memory[:, _VARIANCE] += squared
    by_range = 0.5 / np.maximum(memory[:, _LARGEST], _TINY)
    by_variance = np.sqrt(math.log(max(memory.shape[-1], 2)) / np.maximum(memory[:, _VARIANCE], _TINY))
    memory[:, _RATE] = np.minimum(by_range, by_variance)
    memory[:, _REGRET] += regret - memory[:, _RATE] * squared


def _clip(values: F64, limit: F64) -> F64:
    clipped: F64 = np.maximum(np.minimum(values, limit), -limit)
    return clipped
