"""Distributions of a mean power as tables of quantiles: probabilities above a limit, and the power at a level.

The log-odds of being above a power are linear between two levels of the table; beyond the outermost levels they
continue with the slope of the last two. So every power has a probability above zero and below one, and the tails decay
exponentially.

Powers are compared on a scale that is nearly logarithmic above 0.1 kW, linear around zero, and odd: :func:`scaled`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from gapcast.core.arrays.array_types import F64

#: Twice the power at which the scale turns from linear to logarithmic, kW.
_BEND_KW: Final = 0.2
#: The largest power on the scale, kW.
_MOST_KW: Final = 1e4
#: :data:`_MOST_KW` on the scale.
MOST: Final = float(np.arcsinh(_MOST_KW / _BEND_KW))
#: The levels of a table, rising.
LEVELS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.35, 0.5, 0.65, 0.75, 0.85, 0.9, 0.95, 0.975, 0.99, 0.995, 0.998, 0.999)
#: The log-odds of being above the quantile of each level, falling, and their decrease from one level to the next.
LOG_ODDS = np.log((1.0 - np.array(LEVELS)) / np.array(LEVELS))
_FALLS = -np.diff(LOG_ODDS)
#: The largest absolute log-odds, so that a probability is never 0 or 1.
_MOST_LOG_ODDS = 30.0
#: Smallest distance of neighbouring quantiles, kW: a table of equal quantiles is a step of this width.
_MIN_STEP_KW = 1e-6
#: The distance of each quantile from the lower bound if all are equal: a bound at the lowest power stays there.
_STEPS_KW = (np.arange(len(LEVELS)) - LEVELS.index(0.05)) * _MIN_STEP_KW


def scaled(kw: F64) -> F64:
    """Return ``kw`` on the scale: the inverse hyperbolic sine. Finite for any input; NaN becomes the largest value.

    >>> bool(abs(scaled(np.array([2.0])) - scaled(np.array([1.0])) - np.log(2)) < 0.01)
    True
    """
    found: F64 = np.arcsinh(np.fmax(np.fmin(kw, _MOST_KW), -_MOST_KW) / _BEND_KW)
    return found


def unscaled(z: F64) -> F64:
    """Return the power, kW, of ``z`` on the scale, at most :data:`MOST`.

    >>> float(unscaled(scaled(np.array([1.5])))[0])
    1.5
    """
    found: F64 = _BEND_KW * np.sinh(np.minimum(np.maximum(z, -MOST), MOST))
    return found


@dataclass(frozen=True, slots=True)
class PowerDistributions:
    """The distributions of N powers: ``kw`` ``[N, J]`` are the quantiles at :data:`LEVELS`, not falling."""

    kw: F64

    @classmethod
    def from_quantiles(cls, kw: F64) -> PowerDistributions:
        """Return distributions with the quantiles ``kw`` ``[N, J]``, made non-decreasing."""
        return cls(np.maximum.accumulate(kw, axis=1) + _STEPS_KW)

    def __len__(self) -> int:
        """Return the number of distributions."""
        return len(self.kw)

    def exceedance(self, limit_kw: F64) -> F64:
        """Return the probability ``[N]`` that each power is above its ``limit_kw`` ``[N]``."""
        kw = self.kw
        part = np.minimum(np.maximum(np.add.reduce(kw < limit_kw[:, np.newaxis], axis=1) - 1, 0), len(LEVELS) - 2)
        at, flat_kw = part + np.arange(len(kw)) * len(LEVELS), kw.reshape(-1)
        left_kw, right_kw = flat_kw.take(at), flat_kw.take(at + 1)
        log_odds = LOG_ODDS.take(part) - (limit_kw - left_kw) / (right_kw - left_kw) * _FALLS.take(part)
        found: F64 = 1.0 / (1.0 + np.exp(-np.minimum(np.maximum(log_odds, -_MOST_LOG_ODDS), _MOST_LOG_ODDS)))
        return found

    def quantile(self, level: float) -> F64:
        """Return the power ``[N]`` at ``level``, between 0 and 1 (both exclusive)."""
        part, share = _place_of(level)
        left_kw = self.kw[:, part]
        found: F64 = left_kw + share * (self.kw[:, part + 1] - left_kw)
        return found


@lru_cache(maxsize=64)
def _place_of(level: float) -> tuple[int, float]:
    """Return the index of the lower of the two quantiles around ``level``, and the relative distance from it."""
    log_odds = np.log((1.0 - level) / level)
    part = min(max(int((log_odds < LOG_ODDS).sum()) - 1, 0), len(LEVELS) - 2)
    return part, float((LOG_ODDS[part] - log_odds) / _FALLS[part])
