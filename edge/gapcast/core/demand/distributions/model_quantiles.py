"""The outlook model's quantiles of a mean power as a curve: the log-odds of exceeding a power, over that power.

The log-odds are linear between the quantiles on :mod:`the scale of powers <.distribution>`; beyond the outermost
quantiles they continue with the slope of the last two, but end at the highest power of a reading. With the slope alone,
the curve of a house at rest with rare high loads would end at thousands of kW.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.core.demand.distributions.distribution import MOST, scaled

#: Largest absolute log-odds: the curve ends here.
FARTHEST: Final = 12.0
#: Smallest distance of neighbouring points, on the scale of powers.
_MIN_STEP: Final = 1e-3
#: Log-odds of the points at which a calibrated distribution is computed, falling.
NODES: Final = (
    9.0,
    6.0,
    4.5,
    3.5,
    2.5,
    1.75,
    1.1,
    0.55,
    0.0,
    -0.55,
    -1.1,
    -1.75,
    -2.5,
    -3.5,
    -4.5,
    -6.0,
    -7.5,
    -9.5,
    -12.0,
)


class ModelQuantiles:
    """Curves from quantiles at two or more rising ``levels``, of readings of at most ``highest_kw``."""

    def __init__(self, levels: Sequence[float], highest_kw: float) -> None:
        rising = np.asarray(levels)
        inner = np.log((1 - rising) / rising)
        self.steps = np.arange(len(rising)) * _MIN_STEP
        self.curve_log_odds: F64 = np.concatenate(([FARTHEST], inner, [-FARTHEST]))
        self.first_tail = (FARTHEST - inner[0]) / (inner[0] - inner[1])
        #: The highest power of a reading on the scale.
        self.highest_z = float(scaled(np.array([highest_kw]))[0])
        self.last_tail = (inner[-1] + FARTHEST) / (inner[-2] - inner[-1])
        lines = [np.interp(NODES, self.curve_log_odds[::-1], one[::-1]) for one in np.eye(len(self.curve_log_odds))]
        self.to_nodes: F64 = np.stack(lines)

    def curves(self, quantiles_kw: F64) -> F64:
        """Return the points ``[N, Q + 2]``, rising, on the scale of powers, of ``quantiles_kw`` ``[N, Q]``, kW."""
        n, n_levels = quantiles_kw.shape
        points = np.empty((n, n_levels + 2))
        points[:, 1:-1] = np.maximum.accumulate(scaled(quantiles_kw), axis=1)
        points[:, 1:-1] += self.steps
        first = points[:, 1] - self.first_tail * (points[:, 2] - points[:, 1])
        last = points[:, -2] + self.last_tail * (points[:, -2] - points[:, -3])
        points[:, 0] = np.maximum(first, -2 * MOST)
        points[:, -1] = np.maximum(np.minimum(last, self.highest_z), points[:, -2] + _MIN_STEP)
        return points

    def nodes(self, curves: F64) -> F64:
        """Return the points ``[N, J]``, rising, where ``curves`` ``[N, Q + 2]`` have the log-odds :data:`NODES`."""
        found: F64 = (curves[:, np.newaxis] @ self.to_nodes)[:, 0]  # row by row: the same result in any batch
        return found

    def log_odds(self, curves: F64, z: F64) -> F64:
        """Return the log-odds ``[N, M]`` of exceeding ``z`` ``[N, M]``, on the scale of powers."""
        found = [np.interp(at, curve, self.curve_log_odds) for at, curve in zip(z, curves, strict=True)]
        return np.array(found).reshape(z.shape)
