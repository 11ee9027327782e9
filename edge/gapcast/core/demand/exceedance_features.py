"""What the log-odds of an exceedance depend on, beside the outlook model's: recent powers, and the time of day.

Features are a function of the power that may be exceeded. The first four make a monotone line of three parts of the
model's log-odds. Each of the powers that a window shows is compared with the limit by two features: their distance on
:mod:`the scale of powers <.power_scale>`, and how far it is above :data:`_HINGE`.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.demand.model_quantiles import NODES
from gapcast.core.demand.power_scale import scaled
from gapcast.core.grid import DAY_MIN
from gapcast.core.window import F32, I64

F64 = NDArray[np.float64]
#: Log-odds at which the line's outer parts begin.
_MIDDLE: Final = 3.0
#: Distances on the scale: the closest and the farthest that count, and where the second feature begins.
_FARTHEST_BELOW, _FARTHEST_ABOVE, _HINGE = -2.0, 1.0, -0.3
#: Spans of the means that are compared, minutes ago: from (exclusive) and to.
_SPANS: Final = ((5, 0), (15, 0), (30, 15), (60, 0))
#: The highest mean of this many minutes is compared, of the last :data:`_HIGHEST_OF_MIN` but the newest such span.
_SPAN_MIN, _HIGHEST_OF_MIN = 15, 180
#: Powers that are compared: the newest one, the one two minutes before, the spans, the highest, and the model's median.
_N_POWERS: Final = 2 + len(_SPANS) + 2
_LINE, _TIME, _POWER = slice(0, 4), slice(4, 6), slice(6, 6 + _N_POWERS)
_HINGED, _LIMIT = slice(6 + _N_POWERS, 6 + 2 * _N_POWERS), 6 + 2 * _N_POWERS
#: Number of features.
WIDTH: Final = _LIMIT + 1
_ONE_KW: Final = float(scaled(np.array([1.0]))[0])


class Situations(NamedTuple):
    """N readings: the sine and cosine of the time of day ``[N, 2]``, and powers to compare ``[N, P]``, on the scale."""

    time: F64
    powers: F64


class _Spans(NamedTuple):
    """Spans of minutes, ago: from (exclusive) and to, and their lengths; first :data:`_SPANS`, then the others."""

    starts: I64
    ends: I64
    lengths: I64


@cache
def _spans_of(context: int) -> _Spans:
    """Return the spans in windows of ``context`` minutes, at least one each."""
    found = [(min(start, context), min(end, context - 1)) for start, end in _SPANS]
    for end in range(min(_SPAN_MIN, context - 1), min(_HIGHEST_OF_MIN, context), _SPAN_MIN):
        found.append((min(end + _SPAN_MIN, context), end))
    starts, ends = np.array(found).T
    return _Spans(starts, ends, starts - ends)


def situations_of(minutes: I64, windows: F32, median_z: F64) -> Situations:
    """Return the situations after ``windows`` ``[N, context]``, kW, that end at ``minutes`` ``[N]``.

    ``median_z`` ``[N]`` is the model's median of the power in question, on the scale of powers.
    """
    n, context = windows.shape
    spans = _spans_of(context)
    back = np.zeros((n, context + 1))
    np.cumsum(windows[:, ::-1], axis=1, dtype=np.float64, out=back[:, 1:])
    means_kw = (back[:, spans.starts] - back[:, spans.ends]) / spans.lengths
    kw = np.empty((n, _N_POWERS - 1))
    kw[:, 0], kw[:, 1], kw[:, 2:-1] = windows[:, -1], windows[:, max(-3, -context)], means_kw[:, : len(_SPANS)]
    kw[:, -1] = means_kw[:, len(_SPANS) :].max(axis=1)
    angle = (minutes % DAY_MIN) * (2 * np.pi / DAY_MIN)
    return Situations(
        np.stack((np.sin(angle), np.cos(angle)), axis=1), np.concatenate((scaled(kw), median_z[:, np.newaxis]), axis=1)
    )


def _line(log_odds: F64) -> tuple[F64, F64, F64]:
    middle = np.minimum(np.maximum(log_odds, -_MIDDLE), _MIDDLE)
    return middle, np.maximum(log_odds - _MIDDLE, 0.0), np.minimum(log_odds + _MIDDLE, 0.0)


_NODE_LINES: Final = np.stack((np.ones(len(NODES)), *_line(np.array(NODES))))


def features_of(situations: Situations, log_odds: F64, z: F64) -> F64:
    """Return the features ``[N, M, D]`` of exceeding ``z`` ``[N, M]``, whose log-odds by the model are ``log_odds``."""
    n, m = z.shape
    found = np.empty((n, m, WIDTH))
    found[:, :, 0] = 1.0
    for i, part in enumerate(_line(log_odds)):
        found[:, :, 1 + i] = part
    found[:, :, _TIME] = situations.time[:, np.newaxis]
    above = _compared(situations.powers[:, np.newaxis], z[:, :, np.newaxis])
    found[:, :, _POWER], found[:, :, _HINGED] = above + 1.0, np.maximum(above - _HINGE, 0.0)
    found[:, :, _LIMIT] = _limit(z)
    return found


def node_log_odds(situations: Situations, nodes_z: F64, coefficients: F64) -> F64:
    """Return ``coefficients`` ``[N, D]`` times the features of exceeding the nodes ``nodes_z`` ``[N, J]``: ``[N, J]``.

    The nodes' log-odds by the model are :data:`~gapcast.core.demand.model_quantiles.NODES`.
    """
    above = _compared(situations.powers[:, :, np.newaxis], nodes_z[:, np.newaxis])
    found = coefficients[:, _LINE] @ _NODE_LINES
    found += (coefficients[:, _TIME] * situations.time).sum(axis=1, keepdims=True)
    found += (coefficients[:, np.newaxis, _POWER] @ (above + 1.0))[:, 0]
    found += (coefficients[:, np.newaxis, _HINGED] @ np.maximum(above - _HINGE, 0.0))[:, 0]
    found += coefficients[:, _LIMIT, np.newaxis] * _limit(nodes_z)
    return found


def _compared(powers: F64, z: F64) -> F64:
    return np.minimum(np.maximum(powers - z, _FARTHEST_BELOW), _FARTHEST_ABOVE)


def _limit(z: F64) -> F64:
    return np.minimum(np.maximum(z - _ONE_KW, -2.0), 2.5)
