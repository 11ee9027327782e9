"""Fixed random features, with which a linear model learns what is not linear.

Each is a rectified linear unit of four inputs with random weights: one layer of a neural network that is not trained
(A. Rahimi and B. Recht, *Weighted sums of random kitchen sinks*, NeurIPS 2008). The weights are the same on every
machine and in every version, because learned coefficients refer to them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np

from gapcast.core.window import F32

#: Number of features, and the inputs of each.
N_HIDDEN, _N_INPUTS = 44, 4
#: Standardised inputs are clipped to this.
_LIMIT = 4.0
_SEED = 1
#: Weights and offsets are uniform within this, so that their variance is 1.
_RANGE = 3.0**0.5


class HiddenFeatures:
    """Computes the features of named inputs, of which some may be absent: these count as their mean."""

    def __init__(self, inputs: Mapping[str, tuple[float, float]], columns: Mapping[str, int]) -> None:
        """Use ``inputs`` with their mean and spread, in ``columns`` of a matrix by name."""
        draw = random.Random(_SEED)  # noqa: S311 - no secret; random() is the same in every version of Python
        names = [*inputs]
        #: Columns and weights of the inputs of each feature ``[4, 44]``, and the features' offsets ``[44]``.
        self.places = np.zeros((_N_INPUTS, N_HIDDEN), dtype=np.int64)
        self.weights = np.zeros((_N_INPUTS, N_HIDDEN), dtype=np.float32)
        self.offsets = np.empty(N_HIDDEN, dtype=np.float32)
        for unit in range(N_HIDDEN):
            left = [*names]
            for i in range(_N_INPUTS):
                name, weight = left.pop(int(draw.random() * len(left))), _RANGE * (2 * draw.random() - 1)
                if name in columns:
                    self.places[i, unit], self.weights[i, unit] = columns[name], weight
            self.offsets[unit] = _RANGE * (2 * draw.random() - 1)
        means = np.zeros(max(columns.values()) + 1, dtype=np.float32)
        spreads = np.ones_like(means)
        for name, column in columns.items():
            means[column], spreads[column] = inputs[name]
        #: Mean and spread of each column.
        self.means, self.spreads = means, spreads

    def write(self, matrix: F32, out: F32) -> None:
        """Write the features of the rows of ``matrix`` ``[N, C]`` to ``out`` ``[N, 44]``."""
        inputs = (matrix[:, : len(self.means)] - self.means) / self.spreads
        np.maximum(np.minimum(inputs, _LIMIT, out=inputs), -_LIMIT, out=inputs)
        units = np.add.reduce(inputs[:, self.places] * self.weights, axis=1)
        units += self.offsets
        np.maximum(units, 0, out=out)
