"""The mean power between two minutes ahead, from the outlook's means from now to each lead time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from gapcast.core.arrays.array_types import F64, I64

#: The farthest minute ahead: two hours, the end of the window after one of an hour.
FARTHEST_MIN: Final = 120


class MeanShares:
    """Weights of the means up to ``leads_min``, rising, in means over other minutes.

    Energy grows linearly between lead times; after the last one the mean stays constant.
    """

    def __init__(self, leads_min: Sequence[int]) -> None:
        minutes = np.arange(FARTHEST_MIN + 1, dtype=np.float64)
        leads = np.asarray(leads_min, dtype=np.float64)
        ends = np.concatenate(([0.0], leads))
        energies = [np.interp(minutes, ends, one) for one in np.eye(len(ends))[1:]]
        #: ``[M, K]``: these weights times the means are the energy of the first M minutes, in kW minutes.
        self.energy: F64 = np.stack(energies, axis=1) * leads
        after = minutes > leads[-1]
        self.energy[after, -1] = minutes[after]

    def shares(self, ahead_from: I64, ahead_to: I64) -> F64:
        """Return the weights ``[..., K]`` in the mean of minutes ``ahead_from`` + 1 to ``ahead_to``, ``[...]``.

        Both are at most :data:`FARTHEST_MIN`: later minutes count as that minute.

        >>> MeanShares((1, 3)).shares(np.array([0]), np.array([2])) @ np.array([2.0, 1.0])
        array([1.25])
        """
        first, last = np.minimum(ahead_from, FARTHEST_MIN - 1), np.minimum(ahead_to, FARTHEST_MIN)
        energy = self.energy.take(last, axis=0) - self.energy.take(first, axis=0)
        found: F64 = energy / (last - first)[..., np.newaxis]
        return found
