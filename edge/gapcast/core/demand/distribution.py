"""Distributions of a mean power as tables of quantiles: probabilities above a limit, and the power at a level.

Between two levels of the table the distribution is uniform. Beyond its outermost levels it decays exponentially with
the slope of the last two, so that every power has a probability above zero and below one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
#: The levels of a table, rising.
LEVELS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.998, 0.999)
_LEVELS = np.array(LEVELS)
#: Smallest distance of neighbouring quantiles, kW: a table of equal ones is a step of this width.
_MIN_STEP_KW = 1e-6


@dataclass(frozen=True, slots=True)
class PowerDistributions:
    """The distributions of N powers: ``kw`` ``[N, J]`` are the quantiles at :data:`LEVELS`, not falling."""

    kw: F64

    @classmethod
    def of(cls, kw: F64) -> PowerDistributions:
        """Return distributions with quantiles ``kw`` ``[N, J]``, made to rise."""
        rising = np.maximum.accumulate(kw, axis=1)
        return cls(rising + np.arange(kw.shape[1]) * _MIN_STEP_KW)

    def __len__(self) -> int:
        """Return the number of distributions."""
        return len(self.kw)

    def scaled(self, factor: F64, added_kw: F64) -> PowerDistributions:
        """Return the distributions of ``factor`` times the power plus ``added_kw``, both ``[N]``, factors above 0."""
        return PowerDistributions(self.kw * factor[:, np.newaxis] + added_kw[:, np.newaxis])

    def exceedance(self, limit_kw: F64) -> F64:
        """Return the probability ``[N]`` that each power is above its ``limit_kw`` ``[N]``."""
        kw, n_levels = self.kw, len(LEVELS)
        part = np.minimum(np.maximum((kw < limit_kw[:, np.newaxis]).sum(axis=1) - 1, 0), n_levels - 2)
        at = np.arange(len(kw))
        left_kw, right_kw = kw[at, part], kw[at, part + 1]
        share = (limit_kw - left_kw) / (right_kw - left_kw)
        inner = _LEVELS[part] + share * (_LEVELS[part + 1] - _LEVELS[part])
        above: F64 = 1.0 - inner
        high, low = limit_kw > kw[:, -1], limit_kw < kw[:, 0]
        if high.any():
            rate = np.log((1 - _LEVELS[-2]) / (1 - _LEVELS[-1])) / (kw[high, -1] - kw[high, -2])
            above[high] = (1 - _LEVELS[-1]) * np.exp(-rate * (limit_kw[high] - kw[high, -1]))
        if low.any():
            rate = np.log(_LEVELS[1] / _LEVELS[0]) / (kw[low, 1] - kw[low, 0])
            above[low] = 1.0 - _LEVELS[0] * np.exp(rate * (limit_kw[low] - kw[low, 0]))
        return above

    def quantile(self, level: float) -> F64:
        """Return the power ``[N]`` at ``level``, between 0 and 1 exclusively."""
        kw = self.kw
        if level > LEVELS[-1]:
            rate = np.log((1 - _LEVELS[-2]) / (1 - _LEVELS[-1])) / (kw[:, -1] - kw[:, -2])
            high_kw: F64 = kw[:, -1] + np.log((1 - _LEVELS[-1]) / (1 - level)) / rate
            return high_kw
        if level < LEVELS[0]:
            rate = np.log(_LEVELS[1] / _LEVELS[0]) / (kw[:, 1] - kw[:, 0])
            low_kw: F64 = kw[:, 0] + np.log(level / _LEVELS[0]) / rate
            return low_kw
        part = min(int(np.searchsorted(_LEVELS, level, side="right")) - 1, len(LEVELS) - 2)
        share = (level - LEVELS[part]) / (LEVELS[part + 1] - LEVELS[part])
        found: F64 = kw[:, part] + share * (kw[:, part + 1] - kw[:, part])
        return found
