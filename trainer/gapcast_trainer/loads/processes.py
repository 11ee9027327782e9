"""Random processes of power: piecewise constant ones, integrated exactly over minutes, and noise.

``rng`` draws a load's character (power, typical durations, regularity) as well as its course. Durations are minutes.
"""

from __future__ import annotations

import math
from itertools import accumulate

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.core.time_grid import DAY_MIN

#: Longest on and off times of a thermostat.
_LONGEST_ON_MIN, _LONGEST_OFF_MIN = 240.0, 720.0
#: Minutes at the beginning of an on time in which the power settles.
_SETTLING_MIN = 4.0


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def minute_means(duration_min: F64, kw: F64, n_min: int) -> F64:
    """Return the minute means ``[n_min]`` of a power that is ``kw`` ``[S]`` for ``duration_min`` ``[S]`` each."""
    end = np.concatenate([[0.0], np.cumsum(duration_min)])
    energy = np.concatenate([[0.0], np.cumsum(duration_min * kw)])
    means: F64 = np.diff(np.interp(np.arange(n_min + 1), end, energy))
    return means


def thermostat(rng: np.random.Generator, n_min: int, kw: float, shortest_min: tuple[float, float]) -> F64:
    """Return a load that a thermostat switches: on for T / (1 - d), off for T / d, where the duty d drifts.

    T, within ``shortest_min``, is the shortest on time. The duty has a daily course and a random drift; the power may
    fall or rise in the first minutes of each on time.
    """
    shortest, jitter, mean_duty = between(rng, *shortest_min), between(rng, 0.03, 0.35), rng.normal()
    daily, phase, settling = rng.uniform(0.0, 2.0), rng.uniform(0, 2 * math.pi), rng.choice([0, 0, 0.3]) * rng.random()
    standby_kw = rng.choice([0, 0, 0.1]) * rng.random() * kw
    drift, now = 0.0, 0.0
    durations, levels = list[float](), list[float]()
    while now < n_min:
        drift = 0.95 * drift + 0.1 * rng.normal()
        logit = mean_duty + daily * math.sin(2 * math.pi * now / DAY_MIN + phase) + drift
        duty = min(max(1 / (1 + math.exp(-logit)), 0.03), 0.97)
        on = min(shortest / (1 - duty) * math.exp(jitter * rng.normal()), _LONGEST_ON_MIN)
        off = min(shortest / duty * math.exp(jitter * rng.normal()), _LONGEST_OFF_MIN)
        first = min(on / 2, _SETTLING_MIN)
        durations += [first, on - first, off]
        levels += [kw * (1 + settling), kw, standby_kw]
        now += on + off
    return minute_means(np.array(durations), np.array(levels), n_min)


def renewal(  # noqa: PLR0913 - a process has two durations with a regularity each
    rng: np.random.Generator,
    n_min: int,
    kw: float,
    on_min: float,
    off_min: float,
    *,
    on_shape: float = 1.0,
    off_shape: float = 1.0,
) -> F64:
    """Return a load with gamma distributed on and off times with these means.

    With a shape of 1 the process has no memory and nothing announces its next step; with 60 it is nearly periodic.
    """
    n = int(1.3 * n_min / (on_min + off_min)) + 200
    duration_min, power_kw = np.empty(2 * n), np.zeros(2 * n)
    duration_min[::2] = rng.gamma(off_shape, off_min / off_shape, n)
    duration_min[1::2] = rng.gamma(on_shape, on_min / on_shape, n)
    power_kw[1::2] = kw * np.exp(rng.choice([0, 0, 0.4]) * rng.normal(size=n))
    return minute_means(duration_min, power_kw, n_min)


def sessions(
    rng: np.random.Generator,
    n_min: int,
    kw: float,
    cycle_min: tuple[float, float],
    session_min: float,
    pause_min: float,
) -> F64:
    """Return a load that cycles, on and off for ``cycle_min`` on average, during sessions with pauses between them."""
    is_on = renewal(rng, n_min, 1.0, session_min, pause_min, on_shape=between(rng, 0.8, 3), off_shape=1.5)
    shapes = between(rng, 3, 60), between(rng, 3, 60)
    return is_on * renewal(rng, n_min, kw, *cycle_min, on_shape=shapes[0], off_shape=shapes[1])


def wander(rng: np.random.Generator, n_min: int, memory_min: float) -> F64:
    """Return an Ornstein-Uhlenbeck process of unit variance, whose correlation falls to 1/e in ``memory_min``."""
    keep = math.exp(-1 / memory_min)
    steps = rng.normal(size=n_min) * math.sqrt(1 - keep**2)
    return np.fromiter(accumulate(steps.tolist(), lambda state, step: keep * state + step), np.float64, n_min)


def happens(rng: np.random.Generator, probability: float) -> bool:
    """Return True with ``probability``."""
    return bool(rng.random() < probability)


def with_noise(rng: np.random.Generator, kw: F64) -> F64:
    """Return a power of 0 or more with a proportional noise of 0.2 to 4 %."""
    return np.maximum(kw * (1 + between(rng, 0.002, 0.04) * rng.normal(size=kw.size)), 0.0)
