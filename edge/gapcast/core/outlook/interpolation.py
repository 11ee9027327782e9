"""Values of any minute between the lead times of an outlook: monotone between two lead times.

The curve through the lead times is piecewise cubic with the slopes of F. Fritsch and J. Butland (*A method for
constructing local monotone piecewise cubic interpolants*, SIAM J. Sci. Stat. Comput. 5, 1984), known as PCHIP: it does
not overshoot, and is monotone where its values are. Columns that do not cross at the lead times may cross between them,
as a slope depends on the neighbouring values of its own column: bounds are widened there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.core.outlook.outlook import CENTRES, LOWER, UPPER


def interpolate(leads_min: Sequence[int], kw: F64, minutes: Sequence[int]) -> F64:
    """Return ``[N, M, C]``, the values of ``minutes`` from the values at the K lead times, ``kw`` ``[N, K, C]``.

    Minutes before the first lead time have its value, and minutes after the last lead time have the last value. At a
    lead time the values are exactly the given ones.

    >>> interpolate((1, 3, 5), np.array([[[0.0], [2.0], [2.0]]]), [1, 2, 3, 4])[0, :, 0].tolist()
    [0.0, 1.375, 2.0, 2.0]
    """
    leads = np.asarray(leads_min, dtype=np.float64)
    at = np.minimum(np.maximum(np.asarray(minutes, dtype=np.float64), leads[0]), leads[-1])
    if len(leads) == 1:
        return np.repeat(kw, len(at), axis=1)
    step, slopes = np.diff(leads), _slopes(leads, kw)
    part = np.minimum(np.searchsorted(leads, at, side="right") - 1, len(step) - 1)
    share = ((at - leads[part]) / step[part])[:, np.newaxis]
    rest, length = 1 - share, step[part][:, np.newaxis]
    found: F64 = (
        (1 + 2 * share) * rest * rest * kw[:, part]
        + share * share * (3 - 2 * share) * kw[:, part + 1]
        + length * share * rest * (rest * slopes[:, part] - share * slopes[:, part + 1])
    )
    return found


def interpolate_outlook(leads_min: Sequence[int], kw: F64, minutes: Sequence[int]) -> F64:
    """Return ``[N, M, 4]``, an outlook's columns at ``minutes``, from the values at its lead times ``[N, K, 4]``.

    Between the lead times, the bounds enclose mean and median. At a lead time the values are exactly the given ones.
    """
    found = interpolate(leads_min, kw, minutes)
    between = ~np.isin(minutes, leads_min)
    centres = found[:, between, CENTRES]
    found[:, between, LOWER] = np.minimum(found[:, between, LOWER], centres.min(axis=-1))
    found[:, between, UPPER] = np.maximum(found[:, between, UPPER], centres.max(axis=-1))
    return found


def _slopes(leads: F64, kw: F64) -> F64:
    """Return the slope at each lead time, ``[N, K, C]``: the weighted harmonic mean of the adjacent slopes."""
    step = np.diff(leads)[:, np.newaxis]
    secant = np.diff(kw, axis=1) / step
    slopes = np.zeros_like(kw)
    before, after = secant[:, :-1], secant[:, 1:]
    first, second = 2 * step[1:] + step[:-1], step[1:] + 2 * step[:-1]
    is_monotone = before * after > 0
    divisor = np.where(is_monotone, first * after + second * before, 1.0)
    slopes[:, 1:-1] = np.where(is_monotone, (first + second) * before * after / divisor, 0.0)
    if len(leads) == 2:  # noqa: PLR2004 - a straight line
        slopes[:] = secant
    else:
        slopes[:, 0] = _end_slope(step[0], step[1], secant[:, 0], secant[:, 1])
        slopes[:, -1] = _end_slope(step[-1], step[-2], secant[:, -1], secant[:, -2])
    return slopes


def _end_slope(step: F64, next_step: F64, secant: F64, next_secant: F64) -> F64:
    """Return the slope at an end: the slope of a parabola through three points, limited to keep the curve monotone."""
    slope = ((2 * step + next_step) * secant - step * next_secant) / (step + next_step)
    slope = np.where(slope * secant <= 0, 0.0, slope)
    limited: F64 = np.where((secant * next_secant <= 0) & (np.abs(slope) > 3 * np.abs(secant)), 3 * secant, slope)
    return limited
