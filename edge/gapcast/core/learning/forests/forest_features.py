"""The inputs of the nightly refit (:mod:`.forest`): shape of the window, its steps and cycles, time of day, submeters.

All powers are changes from the last reading, kW, except the last reading itself. The last twenty minutes are separate
features, older minutes are five-minute means: trees divide a day into kinds of situation, and need exact minutes only
for the most recent events. Steps come from appliances: the minutes since the last step up and down, its height, and the
time between it and the previous step. Loads that cycle have their own columns (:mod:`.cycle_features`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from gapcast.core.arrays.array_types import F32, I64
from gapcast.core.learning.forests import cycle_features
from gapcast.core.learning.forests.forest import Forest
from gapcast.core.learning.online_model import analog_features
from gapcast.core.learning.submeters.submeter_features import powers_of_loads

#: Largest window that features are computed from, minutes.
CONTEXT_MIN = 180
_N_LAGS = 20
_MEAN_MIN, _MEANS_UNTIL = 5, 120
_EXTREMES_MIN = (10, 30, 60, CONTEXT_MIN)
_DEVIATION_MIN = 30
#: A change within a minute of at least this, kW, is a step: of any appliance, and of a large one.
_STEPS_KW = (0.15, 0.8)
_STEP_FEATURES = ("since", "height", "before", "between")
#: Features of a load, a submeter or the rest of the mains: its power and changes, kW; the minutes since its last step;
#: its mean, highest and lowest power over these minutes, besides the last power.
_LOAD_LAGS, _LOAD_STEP_KW = (1, 5, 10), 0.05
_LOAD_MEANS_MIN, _LOAD_HIGHEST_MIN, _LOAD_LOWEST_MIN = (
    (5, 10, 30, 60, CONTEXT_MIN),
    (10, 30, 60, CONTEXT_MIN),
    (10, 30, CONTEXT_MIN),
)
_REST = "rest of the mains"


class ForestFeatures:
    """Turns windows of ``context`` minutes into named columns ``[N, F]``."""

    def __init__(self, context: int, horizon_min: int, submeters: Sequence[str] = ()) -> None:
        """Use the last minutes of windows of ``context`` minutes, and the channels ``submeters``, if there are any.

        The trees forecast ``horizon_min`` minutes ahead.
        """
        self.context = min(context, CONTEXT_MIN)
        self._horizon_min = horizon_min
        self._has_analogs = analog_features.has_analogs(self.context, horizon_min)
        self.submeters = tuple(submeters)
        self._n_lags = min(_N_LAGS, self.context - 1)
        until = min(_MEANS_UNTIL, self.context)
        self._n_means = max(0, until - self._n_lags - 1) // _MEAN_MIN
        self._extremes = sorted({min(length, self.context) for length in _EXTREMES_MIN})
        last_mean = self._n_lags + 1 + self._n_means * _MEAN_MIN
        self._oldest = self.context - last_mean  # minutes before the five-minute means
        lags = range(1, self._n_lags + 1)
        means = range(self._n_lags + 1, last_mean, _MEAN_MIN)
        of_mains = (
            "level",
            *(f"lag {lag}" for lag in lags),
            *(f"mean {begin} to {begin + _MEAN_MIN}" for begin in means),
            *(("mean of older",) if self._oldest else ()),
            *(f"{what} of {length}" for length in self._extremes for what in ("highest", "lowest")),
            "deviation",
            *(
                f"{what} {sign} {step_kw}"
                for step_kw in _STEPS_KW
                for sign in ("up", "down")
                for what in _STEP_FEATURES
            ),
            "hour",
            *cycle_features.CYCLE_NAMES,
            *(cycle_features.ANALOG_NAMES if self._has_analogs else ()),
        )
        self._n_of_mains = len(of_mains)  # number of columns without submeters, which come first
        loads = (*self.submeters, _REST) if self.submeters else ()
        self.names = (
            *of_mains,
            *(
                f"{load} {what}"
                for load in loads
                for what in (
                    "level",
                    *(f"change {lag}" for lag in _LOAD_LAGS),
                    "since step",
                    *(f"mean of {length}" for length in _LOAD_MEANS_MIN),
                    *(f"highest of {length}" for length in _LOAD_HIGHEST_MIN),
                    *(f"lowest of {length}" for length in _LOAD_LOWEST_MIN),
                )
            ),
        )

    def adapted(self, forest: Forest) -> Forest | None:
        """Return ``forest`` over these columns; None if it needs other columns.

        A forest of an earlier version may lack the last columns of the mains, those after the hour. A forest fitted
        with submeters needs the same submeters in the same order; a forest fitted without submeters needs none.
        """
        mains, loads = self.names[: self._n_of_mains], self.names[self._n_of_mains :]
        n_of_mains = len(forest.features) - (len(loads) if forest.features[-len(loads) :] == loads else 0)
        if forest.features[:n_of_mains] != mains[:n_of_mains] or n_of_mains <= mains.index("hour"):
            return None
        places = np.arange(len(self.names), dtype=np.int32)
        places = np.concatenate((places[:n_of_mains], places[self._n_of_mains :]))
        return replace(forest, features=self.names, feature=places[forest.feature])

    def columns(self, windows: F32, local_target: I64, submeters_kw: F32 | None = None) -> F32:
        """Return the feature columns ``[N, F]`` in the order of :attr:`names`.

        ``windows`` is ``[N, context]`` or longer (kW, oldest first), ``local_target`` ``[N]`` the minute of the local
        day of the target, and ``submeters_kw`` ``[N, context, K]`` the channels of the submeters in order, NaN where a
        value is missing (None: all are missing). A submeter whose last value is missing is unknown: its columns are
        NaN, and its power is part of the rest.
        """
        windows = np.asarray(windows[:, -self.context :], dtype=np.float32)
        last = windows[:, -1:]
        relative = windows - last
        parts = [last, relative[:, -2 : -2 - self._n_lags : -1]]
        end = self.context - self._n_lags - 1
        if self._n_means:
            means = relative[:, end - self._n_means * _MEAN_MIN : end].reshape(len(windows), self._n_means, _MEAN_MIN)
            parts.append(means.mean(axis=2)[:, ::-1])
        if self._oldest:
            parts.append(relative[:, : self._oldest].mean(axis=1, keepdims=True))
        for length in self._extremes:
            newest = relative[:, -length:]
            parts += [newest.max(axis=1, keepdims=True), newest.min(axis=1, keepdims=True)]
        parts.append(relative[:, -_DEVIATION_MIN:].std(axis=1, keepdims=True))
        change = np.diff(relative, axis=1)[:, ::-1]  # newest first
        for step_kw in _STEPS_KW:
            parts += [_steps(relative, change, step_kw), _steps(relative, -change, step_kw, sign=-1)]
        parts.append((np.asarray(local_target, dtype=np.float32) / 60)[:, np.newaxis])
        parts.append(cycle_features.cycle_columns(change))
        if self._has_analogs:
            parts.append(cycle_features.analog_columns(windows, self._horizon_min))
        if self.submeters:
            if submeters_kw is None:
                submeters_kw = np.full((*windows.shape, len(self.submeters)), np.nan, dtype=np.float32)
            parts += _of_loads(windows, submeters_kw[:, -self.context :])
        return np.concatenate(parts, axis=1, dtype=np.float32)


def _steps(relative: F32, change: F32, step_kw: float, sign: int = 1) -> F32:
    """Return the features ``[N, 4]`` of the last step of at least ``step_kw``.

    They are the minutes since then, its height, the power before it, and the minutes between it and the previous step;
    steps in adjacent minutes are one step. ``change`` ``[N, context - 1]`` is newest first, times ``sign``.
    """
    n_rows, n_changes = change.shape
    rows, minutes = np.arange(n_rows), np.arange(n_changes)
    is_step = change >= step_kw
    newest = is_step.argmax(axis=1)
    has_step = is_step[rows, newest]
    before = is_step & (minutes > newest[:, np.newaxis] + 1)
    second = before.argmax(axis=1)
    between = np.where(before[rows, second], second - newest, n_changes)
    features = np.empty((n_rows, len(_STEP_FEATURES)), dtype=np.float32)
    features[:, 0] = np.where(has_step, newest, n_changes)
    features[:, 1] = np.where(has_step, sign * change[rows, newest], 0)
    features[:, 2] = np.where(has_step, relative[rows, n_changes - 1 - newest], 0)
    features[:, 3] = np.where(has_step, between, n_changes)
    return features


def _of_loads(windows: F32, submeters_kw: F32) -> Iterator[F32]:
    """Yield the features ``[N, 17]`` of each submeter, NaN where it is unknown, and of the rest of the mains."""
    known = ~np.isnan(submeters_kw[:, -1])
    loads = powers_of_loads(windows, submeters_kw, known)
    for i in range(loads.shape[1]):
        features = _of_load(loads[:, i])
        if i < known.shape[1]:
            features[~known[:, i]] = np.nan
        yield features


def _of_load(kw: F32) -> F32:
    """Return the features ``[N, 17]`` of a load's windows ``kw`` ``[N, context]``."""
    context, last = kw.shape[1], kw[:, -1]
    relative = kw - last[:, np.newaxis]
    is_step = np.abs(np.diff(kw, axis=1))[:, ::-1] >= _LOAD_STEP_KW
    newest = is_step.argmax(axis=1)
    return np.stack(
        [
            last,
            *(-relative[:, -1 - lag] if lag < context else np.full(len(kw), np.nan) for lag in _LOAD_LAGS),
            np.where(is_step[np.arange(len(kw)), newest], newest, context - 1),
            *(relative[:, -length:].mean(axis=1) for length in _LOAD_MEANS_MIN),
            *(relative[:, -length:].max(axis=1) for length in _LOAD_HIGHEST_MIN),
            *(relative[:, -length:].min(axis=1) for length in _LOAD_LOWEST_MIN),
        ],
        axis=1,
        dtype=np.float32,
    )
