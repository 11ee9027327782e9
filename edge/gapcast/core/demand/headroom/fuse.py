"""The probability that a single minute is above a fuse's limit, from the outlook of single minutes.

The distribution of a minute consists of two half-normal distributions, one on each side of the median, that match the
outlook's bounds; between lead times the bounds are interpolated linearly. Beyond the upper bound it decays
exponentially, far more slowly than a normal distribution: a kettle is several intervals away from a house at rest.
:mod:`gapcast.core.demand.distributions.exceedances` describes the dependence between the minutes of a house.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.demand.distributions.exceedances import EXTREMAL_INDEX, any_minute
from gapcast.core.outlook.correction.reconciliation import minutes_of_leads
from gapcast.core.outlook.outlook import LOWER, MEDIAN, UPPER

#: The probability above the upper bound, and the distance of the bound from the median in standard deviations.
_BEYOND, Z_BOUND = 0.05, NormalDist().inv_cdf(0.95)
#: Decay beyond the bound per standard deviation (a normal distribution: above 2). With it the log score of "a minute of
#: the next ten is above a limit" falls from 0.147 to 0.101 in the UCI household (3 to 6 kW), and from 0.37 to 0.18 in
#: REFIT house 2 (2.5 to 5 kW).
_DECAY = 0.45
#: Narrowest distance between median and bound, kW.
_MIN_WIDTH_KW = 1e-6
#: The tail of the normal distribution: M. Abramowitz and I. Stegun, *Handbook of Mathematical Functions*, 26.2.17.
_TAIL_P, _TAIL = 0.2316419, (0.319381530, -0.356563782, 1.781477937, -1.821255978, 1.330274429)
_FARTHEST_Z = 37.0


class FuseRisk:
    """The minutes of an outlook with lead times ``leads_min``, rising, and the risk that a minute is above a limit."""

    def __init__(self, leads_min: Sequence[int]) -> None:
        self._minutes: I64 = np.arange(1, leads_min[-1] + 1)
        #: The weights ``[M, K]`` of the lead times in each of the next M minutes.
        self.weights: F64 = minutes_of_leads(leads_min)

    def p_above(self, point_kw: F64, left_min: I64, limits_kw: F64) -> F64:
        """Return the probability ``[N]`` that any of the next ``left_min`` ``[N]`` minutes is above its limit.

        ``point_kw`` and ``limits_kw`` are those of :meth:`minutes_above`.
        """
        above = self.minutes_above(point_kw, limits_kw)
        return any_minute(np.where(self._minutes <= left_min[:, np.newaxis], above, 0.0))

    def minutes_above(self, point_kw: F64, limits_kw: F64) -> F64:
        """Return the probability ``[N, M]`` that each of the next minutes, up to the last lead time, is above a limit.

        ``point_kw`` ``[N, K, 4]`` are the forecasts of single minutes at the lead times, without planned loads, and
        ``limits_kw`` what planned loads leave of the limit: ``[N, M]``, or ``[N, 1]`` for the same in all minutes. More
        limits than minutes are those of minutes after the last lead time, which have its forecast.
        """
        kw = self.weights @ point_kw
        if limits_kw.shape[1] > len(self.weights):
            kw = kw.take(np.minimum(np.arange(limits_kw.shape[1]), len(self.weights) - 1), axis=1)
        median_kw = kw[:, :, MEDIAN]
        away_kw = limits_kw - median_kw
        width_kw = np.where(away_kw > 0, kw[:, :, UPPER] - median_kw, median_kw - kw[:, :, LOWER])
        z = away_kw * Z_BOUND / np.maximum(width_kw, _MIN_WIDTH_KW)
        beyond = _BEYOND * np.exp(-_DECAY * np.maximum(z - Z_BOUND, 0.0))
        found: F64 = np.where(z > Z_BOUND, beyond, _upper_tail(z))
        return found

    def headroom_kw(self, point_kw: F64, left_min: I64, limits_kw: F64, risk: F64) -> F64:
        """Return the power ``[N]`` that can be added to each of the next ``left_min`` minutes at ``risk`` ``[N]``.

        With this power, :meth:`p_above` is at most ``risk``, because each minute has an equal part of the risk.
        ``point_kw`` and ``limits_kw`` are those of :meth:`minutes_above`.
        """
        n_minutes = np.minimum(left_min, self._minutes[-1])
        z = list(map(z_of, risk.tolist(), n_minutes.tolist()))
        kw = self.weights @ point_kw[:, :, [MEDIAN, UPPER]]
        up_kw = np.maximum(kw[:, :, 1] - kw[:, :, 0], _MIN_WIDTH_KW)
        high_kw = kw[:, :, 0] + up_kw * (np.array(z) / Z_BOUND)[:, np.newaxis]
        found: F64 = np.where(self._minutes <= left_min[:, np.newaxis], limits_kw - high_kw, np.inf).min(axis=1)
        return found


@lru_cache(maxsize=1_024)
def z_of(risk: float, n_minutes: int) -> float:
    """Return the distance from the median, in standard deviations, at which a minute has its part of ``risk``."""
    part = min(risk, 1.0 - (1.0 - risk) ** (1.0 / (EXTREMAL_INDEX * n_minutes)))
    return NormalDist().inv_cdf(1.0 - part) if part > _BEYOND else Z_BOUND + math.log(_BEYOND / part) / _DECAY


def _upper_tail(z: F64) -> F64:
    """Return the probability that a standard normal value is above ``z``, accurate to 1e-7."""
    size = np.minimum(np.abs(z), _FARTHEST_Z)
    t = 1.0 / (1.0 + _TAIL_P * size)
    series = np.zeros_like(t)
    for factor in reversed(_TAIL):
        series = (series + factor) * t
    tail = series * np.exp(-0.5 * size * size) / np.sqrt(2 * np.pi)
    found: F64 = np.where(z < 0, 1.0 - tail, tail)
    return found
