"""Which expert is listened to: Bernstein online aggregation, for the mean and for the median by itself.

O. Wintenberger, *Optimal learning with Bernstein Online Aggregation*, Machine Learning 106 (2017), with one learning
rate an expert and the gradient of the loss: squared error for the mean, pinball for the median. The blend's regret
against the best fixed mixture of the experts is of the order of sqrt(T log E), and smaller where the losses are
curved. Past regrets fade with a half-life, and a small share is dealt out evenly (Herbster and Warmuth's fixed
share, 1998), so that no expert is out for good: a house that changes is followed.
"""

from __future__ import annotations

import math

import numpy as np

from gapcast.core.learning.outcomes import F64

#: Regrets count half after this many outcomes: two weeks of minutes.
HALF_LIFE_MIN = 14 * 1_440
#: Part of the whole weight that is dealt out evenly.
SHARE = 0.001
#: Part of the weight that the model that would speak alone begins with.
CHAMPION_SHARE = 0.5
#: Errors count up to so many scales of the device: one absurd reading is not to outweigh a month.
LIMIT = 15.0
#: An error of so many times the limit says nothing of anyone.
_ABSURD = 4.0
_FADE = 0.5 ** (1 / HALF_LIFE_MIN)
_TINY = 1e-12
#: Places in an expert's memory.
_REGRET, _VARIANCE, _LARGEST, _RATE = range(4)


def initial_state(n_experts: int) -> F64:
    """Return what a device begins with, ``[4, 2, E]``: regret, its variance, its largest size, learning rate."""
    memory = np.zeros((4, 2, n_experts))
    memory[_RATE] = 1.0
    return memory


def new_member_state(memory: F64) -> F64:
    """Return ``[N, 4, 2, 1]``: the memory of an expert that comes to others late, as good as the worst of them.

    It is for it to show that it is better. With the fast steps of a beginner it would be listened to at once.
    """
    begins = memory[..., :1].copy()
    for place, worst in ((_REGRET, np.min), (_VARIANCE, np.max), (_LARGEST, np.max), (_RATE, np.min)):
        begins[:, place] = worst(memory[:, place], axis=-1, keepdims=True)
    return begins


def prior_weights(n_experts: int) -> F64:
    """Return the weights before the first outcome, ``[E]``: the first expert's is the largest.

    >>> prior_weights(3).tolist()
    [0.5, 0.25, 0.25]
    """
    if n_experts == 1:
        return np.ones(1)
    weights = np.full(n_experts, (1 - CHAMPION_SHARE) / (n_experts - 1))
    weights[0] = CHAMPION_SHARE
    return weights


def weights_of(memory: F64, log_prior: F64) -> F64:
    """Return the weights that follow from ``memory`` ``[N, 4, 2, E]``: ``[N, 2, E]``, each summing to 1."""
    rate = memory[:, _RATE]
    score = np.log(rate) + rate * memory[:, _REGRET] + log_prior
    score -= score.max(-1, keepdims=True)
    weights: F64 = np.exp(score)
    weights *= (1 - SHARE) / weights.sum(-1, keepdims=True)
    weights += SHARE / weights.shape[-1]
    return weights


def update(memory: F64, experts_kw: F64, published_kw: F64, actual_kw: F64, limit_kw: F64) -> None:
    """Learn in place what ``actual_kw`` ``[N]`` says of the experts.

    ``experts_kw`` is ``[N, 2, E]``, ``published_kw`` ``[N, 2]`` the blend of them that was told. Errors count up to
    ``limit_kw`` ``[N]``, and absurd ones not at all, so that no single reading outweighs a month.
    """
    limit = limit_kw[:, np.newaxis, np.newaxis]
    apart = _within(published_kw[..., np.newaxis] - experts_kw, limit)
    absurd = np.abs(published_kw[:, 0] - actual_kw) > limit_kw * _ABSURD
    error = _within((published_kw - actual_kw[:, np.newaxis])[..., np.newaxis], limit)
    gradient = error * 2
    gradient[:, 1] = np.sign(error[:, 1]) * 0.5
    regret = gradient * apart
    regret[absurd] = 0.0
    memory *= _FADE
    np.maximum(memory[:, _LARGEST], np.abs(regret), out=memory[:, _LARGEST])
    squared = regret * regret
    memory[:, _VARIANCE] += squared
    by_range = 0.5 / np.maximum(memory[:, _LARGEST], _TINY)
    by_variance = np.sqrt(math.log(max(memory.shape[-1], 2)) / np.maximum(memory[:, _VARIANCE], _TINY))
    memory[:, _RATE] = np.minimum(by_range, by_variance)
    memory[:, _REGRET] += regret - memory[:, _RATE] * squared


def _within(values: F64, limit: F64) -> F64:
    within: F64 = np.maximum(np.minimum(values, limit), -limit)
    return within
