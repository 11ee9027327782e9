"""The distribution of the mean power over coming minutes: the outlook model's, calibrated by the device's outcomes.

The outlook model's quantiles of the mean give the log-odds of exceeding any power. A logistic regression per device
(:mod:`.exceedance_model`) improves the log-odds with the last three hours and the time of day. It learns at the limit
of the device, at limits a factor of 1.25 below and above it, and at the bounds of the interval: how often the windows
exceeded them after the same energy drawn so far. Windows that have not begun have a regression of their own. It learns
from the next window, as forecast in the middle of the running one: later forecasts are more certain.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_predicates import is_any
from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.arrays.device_rows import DeviceRows, row_index
from gapcast.core.demand.distributions import exceedance_model
from gapcast.core.demand.distributions.distribution import LEVELS, LOG_ODDS, PowerDistributions, scaled, unscaled
from gapcast.core.demand.distributions.exceedance_features import (
    NODE_LINES,
    WIDTH,
    ReadingFeatures,
    features_of,
    lines_of,
    log_odds_of,
    reading_features_of,
)
from gapcast.core.demand.distributions.mean_shares import MeanShares
from gapcast.core.demand.distributions.model_quantiles import NODES, ModelQuantiles
from gapcast.core.demand.distributions.remaining_inputs import RemainingInputs
from gapcast.core.outlook.outlook import ModelMeans
from gapcast.core.windows.window import MAX_FILL_MIN

#: Parts of a running window, each with its own regression: the first, second and last third of its minutes.
_N_PARTS: Final = 3
_MIDDLE_PART: Final = 1
#: The regression of windows that have not begun, and the number of regressions.
_LATER: Final = _N_PARTS
_N_REGRESSIONS: Final = _N_PARTS + 1
#: Limits at which the regression learns, in units of the device's limit, and the weight of each.
_LIMITS, _WEIGHTS = np.array([1.0, 0.8, 1.25]), np.array([0.6, 0.3, 0.3, 0.1, 0.1])
#: Outcomes count at limits above these: a window over its limit already exceeds it; a quantile may have any sign.
_LEAST_KW = np.array([0.0, 0.0, 0.0, -np.inf, -np.inf])
#: The levels of the quantiles at which the regression learns besides the limits: the bounds of the interval.
AT_BOUNDS: Final = np.array([LEVELS.index(0.05), LEVELS.index(0.95)])
#: Smallest decrease of the log-odds from node to node. In the upper tail, from the last of these log-odds on, it is a
#: tenth of the model's own: a house has few outcomes there, and its regression alone may make the tail flat, or rise.
#: It is no more than a tenth, because with a single large load all powers up to that load are about equally likely.
_MIN_FALL, _MIN_TAIL_FALL, _TAIL = 1e-6, 0.1, -3.0
#: Smallest decrease from the first node to each node.
FALLS: Final = np.arange(len(NODES)) * _MIN_FALL + np.maximum(_TAIL - np.array(NODES), 0.0) * _MIN_TAIL_FALL


class RemainingPower:
    """Makes the distributions; ``leads_min`` are the outlook's lead times, rising, ``levels`` its quantile levels.

    ``highest_kw`` is the highest power of a reading.
    """

    def __init__(self, leads_min: Sequence[int], levels: Sequence[float], highest_kw: float) -> None:
        #: The weights of the outlook's means in means over other minutes.
        self.means = MeanShares(leads_min)
        self.model = ModelQuantiles(levels, highest_kw)
        self.median = 1 + int(np.argmin(np.abs(np.asarray(levels) - 0.5)))
        n, m = _N_REGRESSIONS, len(_WEIGHTS)
        #: The learned state of each device, and the limits that wait for their outcome.
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
                "floor_kw": np.zeros(1, dtype=np.float32),
            }
        )

    def distributions(self, inputs: RemainingInputs, shares: F64 | None = None) -> PowerDistributions:
        """Return the distribution of the mean power over the minutes of each of ``inputs``, ``[N]`` or ``[S * N]``.

        ``shares`` ``[N, K]`` or ``[S, N, K]`` is the result of :attr:`means`, if it is known.
        """
        if shares is None:
            shares = self.means.shares(inputs.ahead_from, inputs.ahead_to)
        self.state.index(inputs.rows)
        points = self._points(inputs, shares)
        regressions = _regressions(inputs).reshape(-1)
        readings = reading_features_of(inputs.minutes, inputs.windows, points[:, self.median])
        rows = np.resize(inputs.rows, len(regressions))
        kw = unscaled(self._calibrated(rows, regressions, readings, points, LOG_ODDS))
        kw = kw.reshape(*inputs.ahead_from.shape, -1)
        np.maximum(kw, inputs.floor_kw[:, np.newaxis], out=kw)
        if inputs.planned_kw is not None:
            kw += inputs.planned_kw[..., np.newaxis]
        np.maximum(kw, inputs.least_kw[:, np.newaxis], out=kw)
        return PowerDistributions.from_quantiles(kw.reshape(len(regressions), -1))

    def _points(self, inputs: RemainingInputs, shares: F64) -> F64:
        """Return the curves of the model's quantiles, ``[N, Q + 2]`` or ``[S * N, Q + 2]``."""
        quantiles_kw = (shares[..., np.newaxis, :] @ inputs.quantiles_kw)[..., 0, :]
        return self.model.curves(quantiles_kw.reshape(-1, quantiles_kw.shape[-1]))

    def _calibrated(self, rows: I64, regressions: I64, readings: ReadingFeatures, points: F64, log_odds: F64) -> F64:
        """Return the calibrated quantiles ``[N, L]`` at ``log_odds`` ``[L]``, falling, on the scale of powers."""
        nodes = self.model.nodes(points)
        features = features_of(readings, NODE_LINES, nodes)
        return _quantiles(log_odds_of(features, self.state.arrays["coefficients"][rows, regressions]), nodes, log_odds)

    def store_newest(self, rows: I64, means: ModelMeans) -> None:
        """Store ``means`` as the newest means of ``rows``, which are distinct."""
        self.state.index(rows)
        arrays = self.state.arrays
        arrays["quantiles_kw"][rows], arrays["floor_kw"][rows, 0] = means.quantiles_kw, means.floor_kw

    def newest(self, row: int) -> ModelMeans:
        """Return the newest means of ``row``."""
        rows = np.array([row])
        self.state.index(rows)
        arrays = self.state.arrays
        quantiles_kw, floor_kw = (arrays[name][rows].astype(np.float64) for name in ("quantiles_kw", "floor_kw"))
        return ModelMeans(quantiles_kw, floor_kw[:, 0])

    def copy_of(self, row: int) -> RemainingPower:
        """Return an object with a copy of the learned state of ``row`` as its row 0: any thread may use it."""
        self.state.index(np.array([row]))
        copied = copy(self)
        copied.state = DeviceRows({name: array[row].copy() for name, array in self.state.arrays.items()}, n_rows=1)
        return copied

    def discard_pending(self, row: int) -> None:
        """Discard the limits of ``row`` that wait for their outcome: nothing is learned from it."""
        if row < len(self.state):
            self.state.arrays["due_minute"][row] = -1

    def learn(self, inputs: RemainingInputs) -> None:
        """Learn from the outcomes in the readings of ``inputs``; rows are distinct.

        ``inputs`` describe the rest of the running windows ``[N]``, or these and then the next windows ``[2, N]``.
        Their limits wait for their outcome, one in each regression.
        """
        self.state.index(inputs.rows)
        arrays, rows, minutes = self.state.arrays, inputs.rows, inputs.minutes
        at = row_index(rows)
        newest, due = arrays["newest_minute"][at], arrays["due_minute"][at]
        has_restarted = (minutes - newest > MAX_FILL_MIN + 1) | (minutes <= newest)
        if is_any(has_restarted):
            due[has_restarted] = -1
        arrays["newest_minute"][at] = minutes
        over = due <= minutes[:, np.newaxis]
        is_due = over & (due == minutes[:, np.newaxis])
        if is_any(is_due):
            self._learn_outcomes(inputs, is_due)
        due[over] = -1
        for one in inputs.single_means():
            regressions, n_minutes = _regressions(one), one.ahead_to - one.ahead_from
            waits = due.reshape(-1)[regressions + np.arange(len(rows)) * _N_REGRESSIONS] >= 0
            is_next = ~waits & (one.allowed_kw > 0) & (n_minutes < one.windows.shape[1])
            is_next &= (regressions != _LATER) | (_parts(one.window_min, one.ahead_from) == _MIDDLE_PART)
            if is_any(is_next):
                which = np.flatnonzero(is_next)
                due[which, regressions[which]] = minutes[which] + one.ahead_to[which]
                self._store_limits(one.select(row_index(which)), regressions[which])
        self.state.write_back("due_minute", at, due)

    def _learn_outcomes(self, inputs: RemainingInputs, is_due: NDArray[np.bool_]) -> None:
        arrays = self.state.arrays
        which, regressions = np.nonzero(is_due)
        rows = inputs.rows[which]
        n_minutes = np.maximum(arrays["n_minutes"][rows, regressions], 1)
        sums_kw = np.cumsum(inputs.windows[which, ::-1], axis=1, dtype=np.float64)
        actual_kw = sums_kw[np.arange(len(which)), np.minimum(n_minutes, sums_kw.shape[1]) - 1] / n_minutes
        due_kw = arrays["due_kw"][rows, regressions]
        exceeded = (actual_kw[:, np.newaxis] > due_kw).astype(np.float64)
        coefficients, information = arrays["coefficients"][rows, regressions], arrays["information"][rows, regressions]
        weights = _WEIGHTS * (due_kw > _LEAST_KW)
        exceedance_model.update(coefficients, information, arrays["due_features"][rows, regressions], exceeded, weights)
        arrays["coefficients"][rows, regressions], arrays["information"][rows, regressions] = coefficients, information

    def _store_limits(self, inputs: RemainingInputs, regressions: I64) -> None:
        arrays, rows = self.state.arrays, inputs.rows
        shares = self.means.shares(inputs.ahead_from, inputs.ahead_to)
        points = self._points(inputs, shares)
        readings = reading_features_of(inputs.minutes, inputs.windows, points[:, self.median])
        n_minutes = inputs.ahead_to - inputs.ahead_from
        step_kw = inputs.limit_kw * np.where(regressions == _LATER, 1.0, inputs.window_min / n_minutes)
        limits_kw = inputs.allowed_kw[:, np.newaxis] + (_LIMITS - 1.0) * step_kw[:, np.newaxis]
        if inputs.planned_kw is not None:
            limits_kw -= inputs.planned_kw[:, np.newaxis]
        bounds = self._calibrated(rows, regressions, readings, points, LOG_ODDS[AT_BOUNDS])
        z = np.concatenate((scaled(limits_kw), bounds), axis=1)
        features = features_of(readings, lines_of(self.model.log_odds(points, z)), z)
        arrays["due_kw"][rows, regressions] = unscaled(z)
        arrays["due_features"][rows, regressions] = features.transpose(0, 2, 1)
        arrays["n_minutes"][rows, regressions] = n_minutes


def _quantiles(of_nodes: F64, nodes: F64, log_odds: F64) -> F64:
    """Return the powers ``[N, L]`` at ``log_odds`` ``[L]`` of curves with the log-odds ``of_nodes`` at ``nodes``."""
    falling: F64 = np.minimum.accumulate(of_nodes + FALLS, axis=1) - FALLS
    return _interpolated(-log_odds, -falling, nodes)


def _interpolated(at: F64, rising: F64, values: F64) -> F64:
    """Return the values ``[N, L]`` at ``at`` ``[L]`` of N lines through ``values`` at ``rising``, both ``[N, J]``.

    Equals :func:`numpy.interp` for all lines at once: beyond the ends the value is that of the end.
    """
    n, n_points = rising.shape
    part = np.add.reduce(rising[:, :, np.newaxis] <= at, axis=1) - 1
    part = np.minimum(np.maximum(part, 0), n_points - 2) + (np.arange(n) * n_points)[:, np.newaxis]
    lines, points = rising.reshape(-1), values.reshape(-1)
    after, left, low = part + 1, lines.take(part), points.take(part)
    share = np.minimum(np.maximum((at - left) / (lines.take(after) - left), 0.0), 1.0)
    found: F64 = low + share * (points.take(after) - low)
    return found


def _regressions(inputs: RemainingInputs) -> I64:
    """Return the regression of each mean of ``inputs``, ``[N]`` or ``[S, N]``."""
    found: I64 = np.where(inputs.ahead_from == 0, _parts(inputs.window_min, inputs.ahead_to), _LATER)
    return found


def _parts(window_min: I64, left_min: I64) -> I64:
    """Return the part ``[N]`` or ``[S, N]`` of windows that have ``left_min`` minutes left."""
    found: I64 = np.minimum(np.maximum((window_min - left_min) * _N_PARTS // window_min, 0), _N_PARTS - 1)
    return found
