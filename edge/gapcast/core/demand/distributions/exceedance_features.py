"""Inputs of the exceedance model besides the outlook's log-odds: recent powers, and the time of day.

Features are a function of the power that may be exceeded. The first four form a monotone line of three parts of the
model's log-odds. The fifth is a triangle around even odds: with it a device learns that the model is over- or
underconfident on both sides. Two features compare each recent power of the window with the limit: the distance between
them on :mod:`the scale of powers <.distribution>`, and how far that distance is above :data:`_HINGE`.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.demand.distributions.distribution import scaled
from gapcast.core.demand.distributions.model_quantiles import NODES
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.features import ANGLES_OF_DAY

#: Log-odds at which the outer parts of the line begin.
_MIDDLE: Final = 3.0
#: Log-odds at which the triangle around even odds ends.
_REACH: Final = 2.0
#: Distances on the scale: the smallest and the largest that count, and the start of the second feature.
_FARTHEST_BELOW, _FARTHEST_ABOVE, _HINGE = -2.0, 1.0, -0.3
#: Spans of the means that are compared, minutes ago: from (exclusive) and to.
_SPANS: Final = ((5, 0), (15, 0), (30, 15), (60, 0))
#: The highest mean of spans of this length is compared, in the last :data:`_HIGHEST_OF_MIN` minutes except the newest.
_SPAN_MIN, _HIGHEST_OF_MIN = 15, 180
#: Index from the end of the power two minutes before the newest one.
_BEFORE_LAST_MIN: Final = 3
#: Number of compared powers: the newest, the one two minutes earlier, the spans, the highest, and the model's median.
_N_POWERS: Final = 2 + len(_SPANS) + 2
#: Number of features of the model's log-odds alone.
N_LINES: Final = 5
_LINE, _TIME, _POWER = slice(0, N_LINES), slice(N_LINES, N_LINES + 2), slice(N_LINES + 2, N_LINES + 2 + _N_POWERS)
_HINGED, _LIMIT = slice(_POWER.stop, _POWER.stop + _N_POWERS), _POWER.stop + _N_POWERS
#: Number of features.
WIDTH: Final = _LIMIT + 1
ONE_KW: Final = float(scaled(np.array([1.0]))[0])
#: Distances of the limit from 1 kW on the scale: the smallest and the largest that count.
_LIMIT_BELOW, _LIMIT_ABOVE = -2.0, 2.5
ON_CIRCLE: Final = np.stack((np.sin(ANGLES_OF_DAY), np.cos(ANGLES_OF_DAY)), axis=1)


class ReadingFeatures(NamedTuple):
    """N means: sine and cosine of the time of day ``[N, 2]``, and the powers to compare ``[N, P]``, on the scale."""

    time: F64
    powers: F64


class Spans(NamedTuple):
    """Spans of past minutes: bounds in minutes ago, from (exclusive) and then to, and lengths; :data:`_SPANS` first."""

    bounds: I64
    lengths: I64


@cache
def spans_of(context: int) -> Spans:
    """Return the spans in windows of ``context`` minutes; each span has at least one minute."""
    found = [(min(start, context), min(end, context - 1)) for start, end in _SPANS]
    for end in range(min(_SPAN_MIN, context - 1), min(_HIGHEST_OF_MIN, context), _SPAN_MIN):
        found.append((min(end + _SPAN_MIN, context), end))
    starts, ends = np.array(found).T
    return Spans(np.concatenate((starts, ends)), starts - ends)


def reading_features_of(minutes: I64, windows: F32, median_z: F64) -> ReadingFeatures:
    """Return the features of readings whose ``windows`` ``[N, context]``, kW, end at ``minutes`` ``[N]``.

    ``median_z`` ``[N]``, or ``[S * N]`` for S means of each reading, is the model's median of the forecast power, on
    the scale of powers.
    """
    n, context = windows.shape
    spans = spans_of(context)
    n_spans = len(spans.lengths)
    back = np.empty((n, context + 1))
    back[:, 0] = 0.0
    windows[:, ::-1].cumsum(axis=1, dtype=np.float64, out=back[:, 1:])
    sums = back.take(spans.bounds, axis=1)
    means_kw = (sums[:, :n_spans] - sums[:, n_spans:]) / spans.lengths
    powers = np.empty((n, _N_POWERS))
    powers[:, 0], powers[:, 1] = windows[:, -1], windows[:, max(-_BEFORE_LAST_MIN, -context)]
    powers[:, 2:-2] = means_kw[:, : len(_SPANS)]
    powers[:, -2] = means_kw[:, len(_SPANS) :].max(axis=1)
    powers[:, :-1] = scaled(powers[:, :-1])
    time, n_means = ON_CIRCLE.take(minutes % DAY_MIN, axis=0), len(median_z) // n
    if n_means > 1:
        time, powers = np.tile(time, (n_means, 1)), np.tile(powers, (n_means, 1))
    powers[:, -1] = median_z
    return ReadingFeatures(time, powers)


def lines_of(log_odds: F64) -> F64:
    """Return the line's parts and the triangle ``[..., N_LINES, M]`` of the model's ``log_odds`` ``[..., M]``."""
    found = np.empty((*log_odds.shape[:-1], N_LINES, log_odds.shape[-1]))
    found[..., 0, :] = 1.0
    found[..., 1, :] = np.minimum(np.maximum(log_odds, -_MIDDLE), _MIDDLE)
    found[..., 2, :] = np.maximum(log_odds - _MIDDLE, 0.0)
    found[..., 3, :] = np.minimum(log_odds + _MIDDLE, 0.0)
    found[..., 4, :] = np.maximum(1.0 - np.abs(log_odds) / _REACH, 0.0)
    return found


#: The lines at the nodes of a distribution.
NODE_LINES: Final = lines_of(np.array(NODES))


def features_of(readings: ReadingFeatures, lines: F64, z: F64) -> F64:
    """Return the features ``[N, D, M]`` of exceeding ``z`` ``[N, M]``, from ``lines`` ``[N, N_LINES, M]``."""
    found = np.empty((z.shape[0], WIDTH, z.shape[1]))
    found[:, _LINE] = lines
    found[:, _TIME] = readings.time[:, :, np.newaxis]
    above, hinged, limit = found[:, _POWER], found[:, _HINGED], found[:, _LIMIT]
    np.subtract(readings.powers[:, :, np.newaxis], z[:, np.newaxis], out=above)
    np.maximum(above, _FARTHEST_BELOW, out=above)
    np.minimum(above, _FARTHEST_ABOVE, out=above)
    np.subtract(above, _HINGE, out=hinged)
    np.maximum(hinged, 0.0, out=hinged)
    above += 1.0
    np.subtract(z, ONE_KW, out=limit)
    np.maximum(limit, _LIMIT_BELOW, out=limit)
    np.minimum(limit, _LIMIT_ABOVE, out=limit)
    return found


def log_odds_of(features: F64, coefficients: F64) -> F64:
    """Return ``coefficients`` ``[N, D]`` times ``features`` ``[N, D, M]``: ``[N, M]``."""
    return (coefficients[:, np.newaxis] @ features)[:, 0]
