"""Forecasts that wait for their minute: what was told of each, on what grounds, until what came is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.learning.device_rows import DeviceRows
from gapcast.core.learning.ensemble_inputs import MemberPredictions
from gapcast.core.learning.outcomes import F64
from gapcast.core.window import I64

_MINUTE, _VALUES = "due_minute", "due"
#: The last reading and the scale come after the columns, the experts' words and what was told.
_N_PUBLISHED, _N_MORE = 4, 2
_NONE = -1


class IssuedForecasts(NamedTuple):
    """N forecasts, and what they went by.

    ``columns`` ``[N, D]`` are those that the learning expert saw, ``experts_kw`` ``[N, 2, E]`` mean and median of
    each expert, ``kw`` ``[N, 4]`` what was told, ``last_kw`` and ``scale_kw`` ``[N]`` the last reading and the
    device's scale.
    """

    columns: F64
    experts_kw: F64
    kw: F64
    last_kw: F64
    scale_kw: F64


class PendingForecasts:
    """Keeps :class:`Told` in the rows of :class:`Rows`, one slot for each minute up to the horizon."""

    def __init__(self, n_columns: int, n_experts: int, horizon_min: int) -> None:
        """Keep forecasts of ``n_experts``, the learning one of which looks at ``n_columns``."""
        self._horizon_min = horizon_min
        self._n_slots = horizon_min + 1  # what is due now is taken after the next forecast is put
        self._cuts = np.cumsum([n_columns, 2 * n_experts, _N_PUBLISHED]).tolist()
        self._n_values = self._cuts[-1] + _N_MORE

    def initial_state(self) -> Mapping[str, NDArray[Any]]:
        """Return what a device begins with."""
        return {
            _MINUTE: np.full(self._n_slots, _NONE, dtype=np.int64),
            _VALUES: np.zeros((self._n_slots, self._n_values)),
        }

    def store(self, state: DeviceRows, rows: I64, inputs: MemberPredictions, published: IssuedForecasts) -> None:
        """Put what was ``published`` in ``rows`` of ``state``, until its minute comes."""
        target = inputs.minutes + self._horizon_min
        slot = target % self._n_slots
        state.arrays[_MINUTE][rows, slot] = target
        values = np.empty((len(rows), self._n_values))
        to_columns, to_experts, to_published = self._cuts
        values[:, :to_columns] = published.columns
        values[:, to_columns:to_experts] = published.experts_kw.reshape(len(rows), -1)
        values[:, to_experts:to_published] = published.kw
        values[:, -2], values[:, -1] = published.last_kw, published.scale_kw
        state.arrays[_VALUES][rows, slot] = values

    def due(self, state: DeviceRows, rows: I64, minutes: I64) -> I64:
        """Return which of ``rows`` have a forecast for the ``minutes`` that have come."""
        return np.flatnonzero(state.arrays[_MINUTE][rows, minutes % self._n_slots] == minutes)

    def pop(self, state: DeviceRows, rows: I64, minutes: I64) -> IssuedForecasts:
        """Return what was told for ``minutes``, those of :meth:`due`, and wait for it no more."""
        slot = minutes % self._n_slots
        state.arrays[_MINUTE][rows, slot] = _NONE
        values = state.arrays[_VALUES][rows, slot]
        to_columns, to_experts, to_published = self._cuts
        experts_kw = values[:, to_columns:to_experts].reshape(len(rows), 2, -1)
        return IssuedForecasts(
            values[:, :to_columns], experts_kw, values[:, to_experts:to_published], values[:, -2], values[:, -1]
        )
