"""The distribution of the mean power over coming minutes: the outlook model's, calibrated by the device's outcomes.

The outlook model's quantiles of the mean give the log-odds of exceeding any power. A logistic regression per device
(:mod:`.exceedance_model`) improves them from the last three hours and the time of day. It learns at the limit of the
device, and a quarter of it below and above, how often its windows exceeded it with so much drawn so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.demand import exceedance_model
from gapcast.core.demand.distribution import LEVELS, LOG_ODDS, PowerDistributions
from gapcast.core.demand.exceedance_features import WIDTH, Situations, features_of, node_log_odds, situations_of
from gapcast.core.demand.mean_shares import MeanShares
from gapcast.core.demand.model_quantiles import ModelQuantiles
from gapcast.core.demand.power_scale import scaled, unscaled
from gapcast.core.learning.device_rows import DeviceRows
from gapcast.core.outlook.outlook import ModelMeans
from gapcast.core.window import F32, I64, MAX_FILL_MIN

F64 = NDArray[np.float64]
#: Parts of a window, each with a regression of its own: the first, the second and the last third of its minutes.
_N_PARTS: Final = 3
#: Limits at which is learned, in units of the device's, and how much each counts.
_LIMITS, _WEIGHTS = np.array([1.0, 0.8, 1.25]), np.array([0.6, 0.3, 0.3, 0.1])
#: Below these no outcome counts: a window with its limit behind it exceeds it, while a quantile may have any sign.
_LEAST_KW = np.array([0.0, 0.0, 0.0, -np.inf])
#: The level of the quantile at which is learned beside them.
_LEVEL: Final = 0.95
_AT_LEVEL: Final = slice(LEVELS.index(_LEVEL), LEVELS.index(_LEVEL) + 1)
#: Smallest fall of the log-odds from node to node.
_MIN_FALL: Final = 1e-6


class RemainingInputs(NamedTuple):
    """N readings and the coming minutes whose mean is asked for. Power in kW, without planned loads.

    ``rows`` ``[N]`` are those of the state, from 1 on, ``minutes`` ``[N]`` the newest ones, and ``windows``
    ``[N, context]`` the readings until then. ``quantiles_kw`` ``[N, K, Q]`` are the outlook model's, of the means until
    each lead time, ``added_kw`` ``[N, K]`` the means of planned loads, which the distributions include; without them no
    power is below ``floor_kw`` ``[N]``. The minutes
    are ``ahead_from`` + 1 to ``ahead_to`` ahead, both ``[N]``, of a window of ``window_min`` ``[N]``. They exceed the
    limit with more than ``allowed_kw`` ``[N]``, NaN without one; ``limit_kw`` ``[N]`` is that of the whole window.
    """

    rows: I64
    minutes: I64
    windows: F32
    quantiles_kw: F64
    added_kw: F64
    floor_kw: F64
    ahead_from: I64
    ahead_to: I64
    window_min: I64
    allowed_kw: F64
    limit_kw: F64

    def select(self, which: I64 | slice) -> RemainingInputs:
        """Return the inputs ``which``."""
        return RemainingInputs(
            self.rows[which],
            self.minutes[which],
            self.windows[which],
            self.quantiles_kw[which],
            self.added_kw[which],
            self.floor_kw[which],
            self.ahead_from[which],
            self.ahead_to[which],
            self.window_min[which],
            self.allowed_kw[which],
            self.limit_kw[which],
        )


class _Curves(NamedTuple):
    """The model's curves ``[N, Q + 2]``, the situations they are for, and the planned mean ``[N, 1]``, kW."""

    points: F64
    situations: Situations
    added_kw: F64


class RemainingPower:
    """Makes the distributions. ``leads_min`` are the outlook's lead times, rising, ``levels`` its model's quantiles."""

    def __init__(self, leads_min: Sequence[int], levels: Sequence[float]) -> None:
        self._means = MeanShares(leads_min)
        self._model = ModelQuantiles(levels)
        self._median = 1 + int(np.argmin(np.abs(np.asarray(levels) - 0.5)))
        n, m = _N_PARTS, len(_WEIGHTS)
        #: What is learned of each device, and the limits that wait for their outcome.
        self.state = DeviceRows(
            {
                "coefficients": np.tile(exceedance_model.PRIOR, (n, 1)),
                "information": np.tile(exceedance_model.initial_information(), (n, 1)),
                "newest_minute": np.array(-1, dtype=np.int64),
                "due_minute": np.full(n, -1, dtype=np.int64),
                "n_minutes": np.ones(n, dtype=np.int64),
                "due_kw": np.zeros((n, m)),
                "due_features": np.zeros((n, m, WIDTH), dtype=np.float32),
                "quantiles_kw": np.zeros((len(leads_min), len(levels)), dtype=np.float32),
                "added_kw": np.zeros(len(leads_min), dtype=np.float32),
                "floor_kw": np.zeros(1, dtype=np.float32),
            }
        )

    def distributions(self, inputs: RemainingInputs) -> PowerDistributions:
        """Return the distribution of the mean power over the minutes of each of ``inputs``; rows may repeat."""
        self.state.index(inputs.rows)
        curves = self._curves(inputs)
        z = self._quantiles(inputs, curves, LOG_ODDS)
        return PowerDistributions.of(np.maximum(unscaled(z), inputs.floor_kw[:, np.newaxis]) + curves.added_kw)

    def _quantiles(self, inputs: RemainingInputs, curves: _Curves, log_odds: F64) -> F64:
        """Return the calibrated quantiles ``[N, L]``, on the scale of powers, with ``log_odds`` ``[L]``, falling."""
        coefficients = self.state.arrays["coefficients"][inputs.rows, _part(inputs)]
        later = inputs.ahead_from > 0
        if later.any():
            coefficients[later] = exceedance_model.PRIOR
        nodes = self._model.nodes(curves.points)
        of_nodes = node_log_odds(curves.situations, nodes, coefficients)
        rising = np.arange(nodes.shape[1], dtype=np.float64) * _MIN_FALL - np.minimum.accumulate(of_nodes, axis=1)
        return _interpolated(-log_odds, rising, nodes)

    def _curves(self, inputs: RemainingInputs) -> _Curves:
        shares = self._means.shares(inputs.ahead_from, inputs.ahead_to)[:, np.newaxis]
        points = self._model.curves((shares @ inputs.quantiles_kw)[:, 0])
        situations = situations_of(inputs.minutes, inputs.windows, points[:, self._median])
        return _Curves(points, situations, (shares @ inputs.added_kw[:, :, np.newaxis])[:, 0])

    def store_newest(self, rows: I64, means: ModelMeans) -> None:
        """Store ``means`` as the newest of ``rows``, distinct ones."""
        self.state.index(rows)
        arrays = self.state.arrays
        arrays["quantiles_kw"][rows], arrays["added_kw"][rows] = means.quantiles_kw, means.added_kw
        arrays["floor_kw"][rows, 0] = means.floor_kw

    def newest(self, row: int) -> ModelMeans:
        """Return the newest means of ``row``."""
        rows = np.array([row])
        self.state.index(rows)
        arrays = self.state.arrays
        quantiles_kw, added_kw, floor_kw = (
            arrays[name][rows].astype(np.float64) for name in ("quantiles_kw", "added_kw", "floor_kw")
        )
        return ModelMeans(quantiles_kw, added_kw, floor_kw[:, 0])

    def copy_of(self, row: int) -> RemainingPower:
        """Return one with a copy of what was learned of ``row``, as its row 0: any thread may use it."""
        self.state.index(np.array([row]))
        copied = copy(self)
        copied.state = DeviceRows({name: array[row].copy() for name, array in self.state.arrays.items()}, n_rows=1)
        return copied

    def learn(self, inputs: RemainingInputs) -> None:
        """Learn from the outcomes that the readings of ``inputs`` bring; rows are distinct.

        ``inputs`` are those of the rest of the running windows. Their limits wait for their outcome, one in each part.
        """
        self.state.index(inputs.rows)
        arrays, rows, minutes = self.state.arrays, inputs.rows, inputs.minutes
        newest = arrays["newest_minute"][rows]
        due = arrays["due_minute"][rows]
        due[(minutes - newest > MAX_FILL_MIN + 1) | (minutes <= newest)] = -1
        arrays["newest_minute"][rows] = minutes
        is_due = due == minutes[:, np.newaxis]
        if is_due.any():
            self._learn_outcomes(inputs, is_due)
        due[due <= minutes[:, np.newaxis]] = -1
        part, at = _part(inputs), np.arange(len(rows))
        is_next = (due[at, part] < 0) & (inputs.allowed_kw > 0) & (inputs.ahead_to < inputs.windows.shape[1])
        which = np.flatnonzero(is_next)
        if which.size:
            due[which, part[which]] = minutes[which] + inputs.ahead_to[which]
            self._store_limits(inputs.select(which), part[which])
        arrays["due_minute"][rows] = due

    def _learn_outcomes(self, inputs: RemainingInputs, is_due: NDArray[np.bool_]) -> None:
        arrays = self.state.arrays
        which, part = np.nonzero(is_due)
        rows = inputs.rows[which]
        n_minutes = np.maximum(arrays["n_minutes"][rows, part], 1)
        sums_kw = np.cumsum(inputs.windows[which, ::-1], axis=1, dtype=np.float64)
        actual_kw = sums_kw[np.arange(len(which)), np.minimum(n_minutes, sums_kw.shape[1]) - 1] / n_minutes
        due_kw = arrays["due_kw"][rows, part]
        exceeded = (actual_kw[:, np.newaxis] > due_kw).astype(np.float64)
        coefficients, information = arrays["coefficients"][rows, part], arrays["information"][rows, part]
        weights = _WEIGHTS * (due_kw > _LEAST_KW)
        exceedance_model.update(coefficients, information, arrays["due_features"][rows, part], exceeded, weights)
        arrays["coefficients"][rows, part], arrays["information"][rows, part] = coefficients, information

    def _store_limits(self, inputs: RemainingInputs, part: I64) -> None:
        arrays, rows = self.state.arrays, inputs.rows
        step_kw = inputs.limit_kw * inputs.window_min / inputs.ahead_to
        curves = self._curves(inputs)
        limits_kw = inputs.allowed_kw[:, np.newaxis] + (_LIMITS - 1.0) * step_kw[:, np.newaxis] - curves.added_kw
        z = np.concatenate((scaled(limits_kw), self._quantiles(inputs, curves, LOG_ODDS[_AT_LEVEL])), axis=1)
        due_kw = unscaled(z)
        features = features_of(curves.situations, self._model.log_odds(curves.points, z), z)
        arrays["due_kw"][rows, part], arrays["due_features"][rows, part] = due_kw, features
        arrays["n_minutes"][rows, part] = inputs.ahead_to


def _interpolated(at: F64, rising: F64, values: F64) -> F64:
    """Return the values ``[N, L]`` at ``at`` ``[L]`` of N lines through ``values`` at ``rising``, both ``[N, J]``.

    It is :func:`numpy.interp` for all lines at once: beyond the ends the values are those at the ends.
    """
    n, n_points = rising.shape
    part = np.minimum(np.maximum((rising[:, :, np.newaxis] <= at).sum(axis=1) - 1, 0), n_points - 2)
    part += (np.arange(n) * n_points)[:, np.newaxis]
    lines, points = rising.ravel(), values.ravel()
    left, right, low, high = lines[part], lines[part + 1], points[part], points[part + 1]
    found: F64 = low + np.minimum(np.maximum((at - left) / (right - left), 0.0), 1.0) * (high - low)
    return found


def _part(inputs: RemainingInputs) -> I64:
    """Return the part ``[N]`` of the windows that the minutes begin in."""
    elapsed = inputs.window_min - inputs.ahead_to
    found: I64 = np.minimum(np.maximum(elapsed * _N_PARTS // inputs.window_min, 0), _N_PARTS - 1)
    return found
