"""The features of the RLS model: the window relative to its last reading, steps, time of day, the models' predictions.

Everything in kW is a change from the last reading, so that the same habits at another level have the same features.
Older minutes are averaged over ever longer stretches, because their exact time does not matter. Steps
(:mod:`.step_features`), the changes after similar moments (:mod:`.analog_features`), the expected end of a phase
(:mod:`.phase_table`) and fixed random functions (:mod:`.random_features`) let the model learn when a compressor stops,
which is not linear in the minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.learning.online_model import analog_features, packed_covariance, phase_table, step_features
from gapcast.core.learning.online_model.random_features import N_HIDDEN, UNITS, RandomFeatures
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.features import ANGLES_OF_DAY, minute_of_day

#: Number of recent minutes with one feature each.
_N_LAGS = 5
#: Older stretches with their mean as a feature, in minutes back: from the first (inclusive) to the second (exclusive).
_STRETCHES = ((6, 10), (10, 15), (15, 20), (20, 30), (30, 60), (60, 120), (120, 180))
#: The daily profile has one bin per half hour of the local day.
BIN_MIN = 30
N_BINS = DAY_MIN // BIN_MIN
#: Sine and cosine of each minute of the day ``[1440, 2]``.
ON_CIRCLE = np.stack((np.sin(ANGLES_OF_DAY), np.cos(ANGLES_OF_DAY)), axis=1).astype(np.float32)
#: Typical mean and spread of the inputs of the hidden features in many houses, powers in units of the device's scale.
_INPUTS: dict[str, tuple[float, float]] = {
    **{f"lag {lag}": (0.0, spread) for lag, spread in zip(range(1, 6), (1.6, 2.3, 2.7, 2.9, 3.2), strict=True)},
    **{f"minutes from {begin}": (0.0, 4.0) for begin, _ in _STRETCHES},
    **{"level": (0.0, 3.5), "usual": (0.0, 3.5)},
    **dict(zip(step_features.KW_NAMES, ((0, 5.0), (0, 5.0), (0, 4.0), (0, 2.0), (0, 2.0), (0, 2.0)), strict=True)),
    **{"tod_sin": (0.0, 0.7), "tod_cos": (0.0, 0.7)},
    **dict(
        zip(
            step_features.TIME_NAMES,
            ((3.2, 1.4), (3.2, 1.4), (2.6, 1.3), (3.3, 1.3), (1.2, 1.9), (0.1, 2.1), (0.3, 0.45)),
            strict=True,
        )
    ),
}


class RlsFeatures:
    """Turns windows of ``context`` minutes into named feature columns of the RLS model."""

    def __init__(self, context: int, member_columns: Sequence[str], zone: tzinfo, horizon_min: int) -> None:
        """Use windows of ``context`` minutes, ``member_columns`` of the models, and the local time in ``zone``.

        The forecasts are ``horizon_min`` minutes ahead.
        """
        #: The zone of the local time.
        self.zone = zone
        self._horizon_min = horizon_min
        #: Number of columns of analogs; 0 if windows are too short.
        self.n_analogs = analog_features.N_KW if analog_features.has_analogs(context, horizon_min) else 0
        #: Number of columns of the phase table; 0 if windows are too short.
        self.n_phases = int(phase_table.has_phases(context, horizon_min))
        #: Recent minutes with a column each, and older stretches ``(first, end)``, minutes back, newest first.
        self.lags = range(1, min(_N_LAGS, context - 1) + 1)
        self.stretches = [(begin, min(end, context)) for begin, end in _STRETCHES if begin < context]
        # np.add.reduceat sums from each edge to the next: oldest stretch first; sums between stretches are not used.
        backwards = self.stretches[::-1]
        self._edges = [edge for begin, end in backwards for edge in (context - end, context - begin)]
        self._lengths = np.array([end - begin for begin, end in backwards], dtype=np.float64)
        in_kw = (
            *member_columns,
            *(f"lag {lag}" for lag in self.lags),
            *(f"minutes {begin} to {end}" for begin, end in backwards),
            *("level", "usual", *("phase",)[: self.n_phases]),
            *(*step_features.KW_NAMES, *analog_features.MEAN_CHANGE_NAMES[: self.n_analogs]),
        )
        others = ("bias", "tod_sin", "tod_cos", *step_features.TIME_NAMES)
        #: Number of columns in kW, which come first; the others are of magnitude 1.
        self.n_kw = len(in_kw)
        #: Column of the typical power at the target, and the first column of the hidden features.
        self.typical = in_kw.index("usual")
        self.first_hidden = self.n_kw + len(others)
        self.names = (*in_kw, *others, *(f"hidden {unit}" for unit in UNITS))
        columns = {name: i for i, name in enumerate(self.names) if name in _INPUTS}
        columns |= {f"minutes from {begin}": in_kw.index(f"minutes {begin} to {end}") for begin, end in backwards}
        #: The random functions of the other columns.
        self.hidden = RandomFeatures(_INPUTS, columns)
        #: Number of columns of a matrix of features: the named columns, and zeros.
        self.width = packed_covariance.padded(len(self.names))

    def columns_kw(self, windows: F32, members_kw: Sequence[F32], local_target: I64) -> F32:
        """Return ``[N, width]``: the columns that need no learned state, in kW; the others are zero.

        ``windows`` is ``[N, context]`` (kW, oldest first), ``members_kw`` the models' predictions, ``[N]`` each, and
        ``local_target`` ``[N]`` the minutes of the local day that are forecast.
        """
        columns = np.zeros((len(windows), self.width), dtype=np.float32)
        for i, member_kw in enumerate(members_kw):
            columns[:, i] = member_kw
        n = len(members_kw)
        lags = len(self.lags)
        columns[:, n : n + lags] = windows[:, -2 : -2 - lags : -1]
        n += lags
        if self._edges:
            sums = np.add.reduceat(windows, self._edges, axis=1, dtype=np.float64)
            columns[:, n : n + len(self._lengths)] = sums[:, ::2] / self._lengths
        columns[:, : self.typical - 1] -= windows[:, -1:]
        columns[:, self.typical - 1] = windows[:, -1]
        columns[:, self.n_kw] = 1.0
        columns[:, self.n_kw + 1 : self.n_kw + 3] = ON_CIRCLE[local_target]
        return columns

    def complete(self, columns: F32, windows: F32, typical_kw: F64, phase_kw: F64, scale_kw: F64, limit: float) -> None:
        """Add the columns that need learned state and scale to units of ``scale_kw``, clipped, in place.

        ``columns`` ``[N, width]`` are the result of :meth:`columns_kw` for ``windows`` ``[N, context]``;
        ``typical_kw``, ``phase_kw`` (the change that the phase table expects) and ``scale_kw`` are ``[N]``.
        """
        columns[:, self.typical] = typical_kw - windows[:, -1]
        columns[:, self.typical + 1 : self.typical + 1 + self.n_phases] = phase_kw[:, np.newaxis]
        scale = scale_kw.astype(np.float32)
        n_kw, first_hidden, first_analog = self.n_kw, self.first_hidden, self.n_kw - self.n_analogs
        step_features.write_steps(
            windows,
            scale,
            columns[:, first_analog - step_features.N_KW : first_analog],
            columns[:, first_hidden - step_features.N_TIMES : first_hidden],
        )
        if self.n_analogs:
            analog_features.write_analogs(windows, scale, self._horizon_min, columns[:, first_analog:n_kw])
        powers = columns[:, :n_kw]
        powers /= scale[:, np.newaxis]
        np.maximum(np.minimum(powers, limit, out=powers), -limit, out=powers)
        self.hidden.write(columns, columns[:, first_hidden : first_hidden + N_HIDDEN])

    def with_hidden(self, visible: F32) -> F32:
        """Return all columns ``[N, width]`` for the ``visible`` ones before the hidden features, ``[N, first_hidden]``.

        The hidden features are functions of the visible columns. They are 0 if all of these are: nothing is learned
        from a replaced forecast.
        """
        columns = np.zeros((len(visible), self.width), dtype=np.float32)
        columns[:, : self.first_hidden] = visible
        hidden = columns[:, self.first_hidden : self.first_hidden + N_HIDDEN]
        self.hidden.write(columns, hidden)
        hidden *= visible[:, self.n_kw : self.n_kw + 1]
        return columns

    def local_minute(self, minutes: I64) -> I64:
        """Return the minute of the local day of each of ``minutes`` (since the epoch)."""
        return minute_of_day(minutes, self.zone)
