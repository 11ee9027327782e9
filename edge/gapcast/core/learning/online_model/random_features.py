"""Fixed random features, with which a linear model learns nonlinear functions.

Each is a rectified linear unit of four inputs with random weights: one layer of a neural network that is not trained
(A. Rahimi and B. Recht, *Weighted sums of random kitchen sinks*, NeurIPS 2008). Of 800 drawn features, 41 are used:
those that add most to the other columns and to each other in many houses, by forward selection (S. Chen, S. Billings
and W. Luo, *Orthogonal least squares methods*, International Journal of Control 50, 1989). The weights are the same on
every machine and in every version, because learned coefficients refer to them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from gapcast.core.arrays.array_types import F32

#: The used features among the drawn ones; never give a number to another feature.
UNITS = (
    14, 27, 33, 70, 85, 98, 108, 112, 161, 196, 247, 252, 253, 276, 282, 312, 350, 355, 356, 384, 401, 434, 439,
    456, 464, 474, 475, 480, 484, 527, 535, 543, 578, 583, 584, 607, 694, 714, 737, 777, 780,
)  # fmt: skip
#: Number of features, and number of inputs of each.
N_HIDDEN, _N_INPUTS = len(UNITS), 4
#: Standardised inputs are clipped to this limit: at 4, a kettle and an electric shower look alike.
_LIMIT = 8.0
_SEED = 1
#: Weights and offsets are uniform within this range, so that their variance is 1.
_RANGE = 3.0**0.5


class RandomFeatures:
    """Computes the features of named inputs, some of which may be absent: absent inputs count as their mean."""

    def __init__(self, inputs: Mapping[str, tuple[float, float]], columns: Mapping[str, int]) -> None:
        """Use ``inputs`` with their mean and spread, in ``columns`` of a matrix by name."""
        #: Columns and weights of the inputs of each feature ``[4, 41]``, and the features' offsets ``[41]``.
        self.places = np.zeros((_N_INPUTS, N_HIDDEN), dtype=np.int64)
        self.weights = np.zeros((_N_INPUTS, N_HIDDEN), dtype=np.float32)
        self.offsets = np.empty(N_HIDDEN, dtype=np.float32)
        for unit, (weights, offset) in enumerate(drawn(tuple(inputs))):
            for i, (name, weight) in enumerate(weights):
                if name in columns:
                    self.places[i, unit], self.weights[i, unit] = columns[name], weight
            self.offsets[unit] = offset
        #: Standardised inputs are clipped to this limit.
        self.limit = _LIMIT
        means = np.zeros(max(columns.values()) + 1, dtype=np.float32)
        spreads = np.ones_like(means)
        for name, column in columns.items():
            means[column], spreads[column] = inputs[name]
        #: Mean and spread of each column.
        self.means, self.spreads = means, spreads

    def write(self, matrix: F32, out: F32) -> None:
        """Write the features of the rows of ``matrix`` ``[N, C]`` to ``out`` ``[N, 41]``."""
        inputs = (matrix[:, : len(self.means)] - self.means) / self.spreads
        np.maximum(np.minimum(inputs, self.limit, out=inputs), -self.limit, out=inputs)
        units = np.add.reduce(inputs[:, self.places] * self.weights, axis=1)
        units += self.offsets
        np.maximum(units, 0, out=out)


@lru_cache(maxsize=1)
def drawn(names: tuple[str, ...]) -> list[tuple[list[tuple[str, float]], float]]:
    """Return names and weights of the inputs, and the offset, for each of :data:`UNITS`, of inputs with these names."""
    draw = random.Random(_SEED)  # noqa: S311 - no secret; random() is the same in every version of Python
    units = []
    for _ in range(UNITS[-1] + 1):
        left, weights = [*names], []
        for _ in range(_N_INPUTS):
            name = left.pop(int(draw.random() * len(left)))
            weights.append((name, _RANGE * (2 * draw.random() - 1)))
        units.append((weights, _RANGE * (2 * draw.random() - 1)))
    return [units[unit] for unit in UNITS]
