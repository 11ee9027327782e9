"""The features of the RLS model: the window relative to its last reading, the time of day, the models' predictions.

Everything in kW is a change from the last reading, so that the same habits at another level have the same features.
Older minutes are averaged over ever longer stretches, because their exact minute does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

import numpy as np

from gapcast.core.features import offset_min
from gapcast.core.grid import DAY_MIN
from gapcast.core.learning.outcomes import F64
from gapcast.core.window import F32, I64

#: Most recent minutes with one feature each.
_N_LAGS = 5
#: Older stretches with their mean as a feature: from the first to before the second minute back.
_STRETCHES = ((6, 10), (10, 15), (15, 20), (20, 30), (30, 60), (60, 120), (120, 180))
#: The daily profile has one bin per half hour of the local day.
BIN_MIN = 30
N_BINS = DAY_MIN // BIN_MIN
_ANGLE = np.arange(DAY_MIN) * (2 * np.pi / DAY_MIN)
_ON_CIRCLE = np.stack((np.sin(_ANGLE), np.cos(_ANGLE)), axis=1)  # of each minute of a day


class RlsFeatures:
    """Turns windows of ``context`` minutes into named feature columns of the RLS model."""

    def __init__(self, context: int, member_columns: Sequence[str], zone: tzinfo) -> None:
        """Use windows of ``context`` minutes, ``member_columns`` of the models, and the local time in ``zone``."""
        self._zone = zone
        self._context = context
        self._lags = range(1, min(_N_LAGS, context - 1) + 1)
        self._stretches = [(begin, min(end, context)) for begin, end in _STRETCHES if begin < context]
        # np.add.reduceat sums from each edge to the next: oldest stretch first; sums between stretches are not used.
        backwards = self._stretches[::-1]
        self._edges = [edge for begin, end in backwards for edge in (context - end, context - begin)]
        self._lengths = np.array([end - begin for begin, end in backwards], dtype=np.float64)
        self.names = (
            *member_columns,
            *(f"lag {lag}" for lag in self._lags),
            *(f"minutes {begin} to {end}" for begin, end in backwards),
            "level",
            "usual",
            "bias",
            "tod_sin",
            "tod_cos",
        )
        #: Number of columns in kW, which come first; the others are a bias and the time of day, of magnitude 1.
        self.n_kw = len(self.names) - 3
        self._typical = self.n_kw - 1

    def columns_kw(self, windows: F32, members_kw: Sequence[F32], local_target: I64) -> F64:
        """Return ``[N, D]``: all columns but the typical power, in kW.

        ``windows`` is ``[N, context]`` (kW, oldest first), ``members_kw`` the models' predictions, ``[N]`` each, and
        ``local_target`` ``[N]`` the minutes of the local day that they are for.
        """
        last_kw = windows[:, -1:].astype(np.float64)
        columns = np.empty((len(windows), len(self.names)))
        for i, member_kw in enumerate(members_kw):
            columns[:, i] = member_kw
        n = len(members_kw)
        lags = len(self._lags)
        columns[:, n : n + lags] = windows[:, -2 : -2 - lags : -1]
        n += lags
        if self._edges:
            sums = np.add.reduceat(windows, self._edges, axis=1, dtype=np.float64)
            columns[:, n : n + len(self._lengths)] = sums[:, ::2] / self._lengths
        columns[:, : self._typical - 1] -= last_kw
        columns[:, self._typical - 1] = last_kw[:, 0]
        columns[:, -3] = 1.0
        columns[:, -2:] = _ON_CIRCLE[local_target]
        return columns

    def scale(self, columns_kw: F64, typical_kw: F64, last_kw: F64, scale_kw: F64, limit: float) -> None:
        """Add the typical power to ``columns_kw`` ``[N, D]`` and scale to units of ``scale_kw``, clipped, in place.

        ``typical_kw``, ``last_kw`` and ``scale_kw`` are ``[N]``.
        """
        columns_kw[:, self._typical] = typical_kw - last_kw
        powers = columns_kw[:, : self.n_kw]
        powers /= scale_kw[:, np.newaxis]
        np.maximum(np.minimum(powers, limit, out=powers), -limit, out=powers)

    def local_minute(self, minutes: I64) -> I64:
        """Return the minute of the local day of each of ``minutes`` (since the epoch)."""
        local: I64 = (minutes + offset_min(minutes, self._zone)) % DAY_MIN
        return local
