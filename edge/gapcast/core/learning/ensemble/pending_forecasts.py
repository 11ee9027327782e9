"""Forecasts that wait for the reading of their target minute, with their inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.arrays.device_rows import DeviceRows
from gapcast.core.learning.ensemble.ensemble_inputs import MemberPredictions
from gapcast.core.learning.ensemble.situations import N_QUANTITIES
from gapcast.core.learning.online_model.rls_features import RlsFeatures

_MINUTE, _COLUMNS, _VALUES, _LEVELS = "due_minute", "due_columns", "due", "due_levels"
#: Besides the feature columns, a slot has the members' predictions, the published values, last reading, scale, and the
#: median before its threshold.
_N_PUBLISHED, _N_MORE = 4, 3
_NONE = -1
#: The arrays of the pending forecasts.
PENDING = (_MINUTE, _COLUMNS, _VALUES, _LEVELS)


class IssuedForecasts(NamedTuple):
    """N forecasts, and their inputs.

    ``columns`` ``[N, D]`` are the features of the RLS model, ``members_kw`` ``[N, 2, E]`` mean and median of each
    member, ``kw`` ``[N, 4]`` the published values, ``last_kw`` and ``scale_kw`` ``[N]`` the last reading and the
    device's scale, ``levels`` ``[N, 3]`` the situation, ``combined_median_kw`` ``[N]`` the median before its threshold.
    """

    columns: F32
    members_kw: F64
    kw: F64
    last_kw: F64
    scale_kw: F64
    levels: F64
    combined_median_kw: F64

    @property
    def combined_kw(self) -> F64:
        """Mean and median ``[N, 2]``, before the median's threshold, from which weights and offsets learn."""
        return np.stack((self.kw[:, 0], self.combined_median_kw), axis=1)

    @property
    def predicted_kw(self) -> F64:
        """The change ``[N]`` predicted by the last member before persistence (or by the only member), kW."""
        change_kw: F64 = self.members_kw[:, 0, max(self.members_kw.shape[-1] - 2, 0)] - self.last_kw
        return change_kw


class PendingForecasts:
    """Stores :class:`IssuedForecasts` in :class:`~.device_rows.DeviceRows`, one slot per minute up to the horizon.

    Hidden features are not stored: they are recomputed from the other columns.
    """

    def __init__(self, features: RlsFeatures, n_members: int, horizon_min: int) -> None:
        """Store forecasts of ``n_members`` members; the RLS model has ``features``."""
        #: The horizon, minutes.
        self.horizon_min = horizon_min
        #: Number of slots of a device.
        self.n_slots = horizon_min  # the due forecast is read before the next one is stored
        #: The features of the RLS model.
        self.features = features
        self._to_members = 2 * n_members
        self._to_published = self._to_members + _N_PUBLISHED
        self._n_values = self._to_published + _N_MORE

    def initial_state(self) -> Mapping[str, NDArray[Any]]:
        """Return the initial state of a device."""
        return {
            _MINUTE: np.full(self.n_slots, _NONE, dtype=np.int64),
            _COLUMNS: np.zeros((self.n_slots, self.features.first_hidden), dtype=np.float32),
            _VALUES: np.zeros((self.n_slots, self._n_values)),
            _LEVELS: np.zeros((self.n_slots, N_QUANTITIES), dtype=np.float32),
        }

    def store(self, state: DeviceRows, rows: I64, inputs: MemberPredictions, published: IssuedForecasts) -> None:
        """Store ``published`` forecasts in ``rows`` of ``state`` until their target minutes."""
        target = inputs.minutes + self.horizon_min
        slot = target % self.n_slots
        state.arrays[_MINUTE][rows, slot] = target
        state.arrays[_COLUMNS][rows, slot] = published.columns[:, : self.features.first_hidden]
        values = np.empty((len(rows), self._n_values))
        values[:, : self._to_members] = published.members_kw.reshape(len(rows), -1)
        values[:, self._to_members : self._to_published] = published.kw
        values[:, -3], values[:, -2] = published.last_kw, published.scale_kw
        values[:, -1] = published.combined_median_kw
        state.arrays[_VALUES][rows, slot] = values
        state.arrays[_LEVELS][rows, slot] = published.levels

    def discard(self, state: DeviceRows, row: int) -> None:
        """Remove the forecasts in ``row`` of ``state``, if it is allocated."""
        if row < len(state):
            state.arrays[_MINUTE][row] = _NONE

    def due(self, state: DeviceRows, rows: I64, minutes: I64) -> I64:
        """Return which of ``rows`` have a forecast for ``minutes``."""
        return np.flatnonzero(state.arrays[_MINUTE][rows, minutes % self.n_slots] == minutes)

    def pop(self, state: DeviceRows, rows: I64, minutes: I64) -> IssuedForecasts:
        """Return and remove the forecasts for ``minutes`` that :meth:`due` found."""
        slot = minutes % self.n_slots
        state.arrays[_MINUTE][rows, slot] = _NONE
        columns = self.features.with_hidden(state.arrays[_COLUMNS][rows, slot])
        values = state.arrays[_VALUES][rows, slot]
        members_kw = values[:, : self._to_members].reshape(len(rows), 2, -1)
        published_kw = values[:, self._to_members : self._to_published]
        levels = state.arrays[_LEVELS][rows, slot].astype(np.float64)
        last_kw, scale_kw, combined_median_kw = values[:, self._to_published :].T
        return IssuedForecasts(columns, members_kw, published_kw, last_kw, scale_kw, levels, combined_median_kw)


def in_layout_of(state: DeviceRows, saved: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the pending forecasts of ``saved`` in the layout of ``state``; empty if they have this layout already.

    Earlier versions stored one slot more, the hidden features, and no median before the threshold: they had no
    threshold, so the median was the published one. Raises ValueError, IndexError or TypeError if the arrays do not fit
    each other.
    """
    found: dict[str, NDArray[Any]] = {}
    values = saved.get(_VALUES)
    if values is not None and values.shape[-1] == len(state.initial(_VALUES).T) - 1:
        published_kw = values[..., -(_N_PUBLISHED + _N_MORE - 1) :]
        found[_VALUES] = np.concatenate((values, published_kw[..., 1:2]), axis=-1)
    return found | _in_slots_of(state, {**saved, **found})


def _in_slots_of(state: DeviceRows, saved: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the pending forecasts of ``saved`` in the slots of ``state``; empty if they are in these slots already."""
    minutes, n_slots = saved.get(_MINUTE), len(state.initial(_MINUTE))
    if minutes is None or minutes.shape[1:] == (n_slots,):
        return {}
    n = len(minutes)
    found = {name: np.repeat(state.initial(name)[np.newaxis], n, axis=0) for name in PENDING if name in saved}
    for slots in np.argsort(minutes, axis=1).T:  # the newest last
        rows = np.flatnonzero(minutes[np.arange(n), slots] != _NONE)
        before, after = (rows, slots[rows]), (rows, minutes[rows, slots[rows]] % n_slots)
        for name, array in found.items():
            values = saved[name][before]
            array[after] = values[..., : array.shape[-1]] if array.ndim > minutes.ndim else values
    return found
