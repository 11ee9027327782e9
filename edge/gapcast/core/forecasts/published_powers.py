"""The published numbers of an ensemble's forecasts: the path follows the mean, and all numbers are rounded.

The compiled library computes them if there is one: ``edge/native/published.c``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from gapcast.compiled.functions import POINTERS, BatchArrays, ResizableArrays, load_function, set_pointers
from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.forecasts.forecast import DECIMALS
from gapcast.core.forecasts.forecast_range import ForecastRange

#: Columns of the ensemble's forecasts: mean, median, lower and upper bound.
N_POWERS = 4
#: Units of the last published decimal per kW.
STEPS_PER_KW = 10.0**DECIMALS


_ARRAYS = {"leads": "f8", "kw": "f8", "weights": "f8", "floor_kw": "f8", "path_kw": "f4", "numbers": "f8"}


class PublishedStruct(ctypes.Structure):
    """The argument of ``gapcast_published_powers``."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("n_leads", "n_weights")),
        *((name, ctypes.c_double) for name in ("low_kw", "high_kw")),
        *((name, POINTERS[kind]) for name, kind in _ARRAYS.items()),
    )


class PublishedPowers:
    """Computes published powers and weights, batch by batch. For one thread."""

    def __init__(
        self,
        lead_times_min: Sequence[int],
        forecast_range: ForecastRange,
        n_weights: int = 0,
    ) -> None:
        """The path has these lead times, at least one, or there is none; its powers are in ``forecast_range``.

        A forecast has ``n_weights`` weights besides its powers.
        """
        self.n_weights = n_weights
        self._range = forecast_range
        leads_min = np.asarray(lead_times_min, dtype=np.float64)
        self._leads: F64 = leads_min / leads_min[-1:]
        self._function = load_function("gapcast_published_powers")
        struct = PublishedStruct()
        self._address = ctypes.addressof(struct)
        struct.n_leads, struct.n_weights = len(leads_min), n_weights
        struct.low_kw, struct.high_kw = forecast_range.low_kw, forecast_range.high_kw
        set_pointers(struct, leads=self._leads)
        n_numbers = N_POWERS + len(leads_min) + n_weights
        batch: BatchArrays = {
            "kw": ("f8", (N_POWERS,)), "weights": ("f8", ("n_weights",)), "floor_kw": ("f8", ()),
            "path_kw": ("f4", ("n_leads",)), "numbers": ("f8", (n_numbers,)),
        }  # fmt: skip
        self._batch = ResizableArrays(struct, batch)

    def compute_numbers(self, kw: F64, path_kw: F32 | None, floor_kw: F64, weights: F64 | None = None) -> F64:
        """Return the numbers ``[N, 4 + K + W]`` of the forecasts ``kw`` ``[N, 4]``: powers, path and weights.

        ``path_kw`` ``[N, K]`` is the first model's mean for each lead time (None without a path). The ensemble's
        correction at the horizon is applied to the path in proportion to the lead time. The path is at least
        ``floor_kw`` ``[N]``, as the mean must be. All powers are rounded from float32, and the ``weights`` ``[N, W]``,
        required if W is not 0, are rounded to float32.
        """
        if self._function is None:
            return self.by_numpy(kw, path_kw, floor_kw, weights)
        n = len(kw)
        if n != self._batch.n:
            self._batch.resize(n)
        views = self._batch.views
        views["kw"][...], views["floor_kw"][...] = kw, floor_kw
        if path_kw is not None:
            views["path_kw"][...] = path_kw
        if weights is not None:
            views["weights"][...] = weights
        self._function(self._address, n)
        return views["numbers"].copy()

    def by_numpy(self, kw: F64, path_kw: F32 | None, floor_kw: F64, weights: F64 | None = None) -> F64:
        """Return the result of :meth:`compute_numbers`, computed without the library: the definition of the result."""
        powers_kw = kw
        if path_kw is not None:
            powers_kw = np.concatenate((kw, path_kw), axis=1)
            path = powers_kw[:, N_POWERS:]
            path += (powers_kw[:, :1] - powers_kw[:, -1:]) * self._leads
            low_kw = np.maximum(floor_kw, self._range.low_kw)[:, np.newaxis]
            np.minimum(np.maximum(path, low_kw, out=path), self._range.high_kw, out=path)
        powers_kw = rounded(powers_kw.astype(np.float32))
        if path_kw is not None:
            powers_kw[:, -1] = powers_kw[:, 0]
        if weights is None:
            return powers_kw
        return np.concatenate((powers_kw, weights.astype(np.float32)), axis=1)


def rounded(power_kw: F32) -> F64:
    """Return ``power_kw`` rounded to :data:`DECIMALS`, by the steps of numpy's ``round``, which is slower for a few."""
    rounded_kw = power_kw.astype(np.float64)
    rounded_kw *= STEPS_PER_KW
    np.rint(rounded_kw, out=rounded_kw)
    rounded_kw /= STEPS_PER_KW
    return rounded_kw
