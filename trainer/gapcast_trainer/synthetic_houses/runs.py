"""Mean power per minute of loads that switch at any time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64, Flags

#: Simulated time steps in a minute, for loads that a thermostat switches.
STEPS_PER_MIN = 4
Floats = NDArray[np.floating]


def mean_power(start_min: Floats, stop_min: Floats, kw: Floats | float, n_min: int) -> F64:
    """Return the mean power ``[n_min]``, kW, of loads of ``kw`` ``[N]`` between ``start_min`` and ``stop_min`` ``[N]``.

    Times are minutes since the start, with fractions: a load that is on for a quarter of a minute has a quarter of its
    power in that minute's mean. Overlapping runs add up; parts outside ``[0, n_min)`` are cut off.

    >>> mean_power(np.array([0.5]), np.array([2.25]), 2.0, 4).tolist()
    [1.0, 2.0, 0.5, 0.0]
    """
    start, stop = np.clip(start_min, 0, n_min), np.clip(stop_min, 0, n_min)
    power = np.broadcast_to(np.asarray(kw, dtype=np.float64), start.shape)
    change = np.zeros(n_min + 2)
    for at, step in ((start, power), (np.maximum(start, stop), -power)):
        whole = at.astype(np.int64)
        part = at - whole
        change += np.bincount(whole, step * (1 - part), n_min + 2) + np.bincount(whole + 1, step * part, n_min + 2)
    total: F64 = np.cumsum(change)[:n_min]
    total[np.abs(total) < 1e-9] = 0.0  # noqa: PLR2004 - rounding of the sum
    return total


def per_minute(steps: F64) -> F64:
    """Return the means per minute of ``steps`` ``[N * STEPS_PER_MIN]``."""
    means: F64 = steps.reshape(-1, STEPS_PER_MIN).mean(axis=1)
    return means


def per_step(minutes: F64) -> F64:
    """Return ``minutes`` ``[N]`` repeated for each time step, ``[N * STEPS_PER_MIN]``."""
    return np.repeat(minutes, STEPS_PER_MIN)


def run_age_min(on: Flags) -> F64:
    """Return for each step ``[N]`` the minutes since its run began, and 0 where ``on`` is false."""
    step = np.arange(on.size)
    starts = np.where(on & ~np.concatenate(([False], on[:-1])), step, 0)
    age: F64 = np.where(on, step - np.maximum.accumulate(starts), 0) / STEPS_PER_MIN
    return age
