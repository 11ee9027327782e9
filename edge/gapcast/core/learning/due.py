"""Forecasts that wait for their minute: what was told of each, on what grounds, until what came is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.learning.hearing import Heard
from gapcast.core.learning.outcomes import F64
from gapcast.core.learning.rows import Rows
from gapcast.core.window import I64

_MINUTE, _VALUES = "due_minute", "due"
#: The last reading and the scale come after the columns, the experts' words and what was told.
_N_TOLD, _N_MORE = 4, 2
_NONE = -1


class Told(NamedTuple):
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


class Due:
    """Keeps :class:`Told` in the rows of :class:`Rows`, one slot for each minute up to the horizon."""

    def __init__(self, n_columns: int, n_experts: int, horizon_min: int) -> None:
        """Keep forecasts of ``n_experts``, the learning one of which looks at ``n_columns``."""
        self._horizon_min = horizon_min
        self._n_slots = horizon_min + 1  # what is due now is taken after the next forecast is put
        self._cuts = np.cumsum([n_columns, 2 * n_experts, _N_TOLD]).tolist()
        self._n_values = self._cuts[-1] + _N_MORE

    def blank(self) -> Mapping[str, NDArray[Any]]:
        """Return what a device begins with."""
        return {
            _MINUTE: np.full(self._n_slots, _NONE, dtype=np.int64),
            _VALUES: np.zeros((self._n_slots, self._n_values)),
        }

    def put(self, state: Rows, rows: I64, heard: Heard, told: Told) -> None:
        """Put what was ``told`` in ``rows`` of ``state``, until its minute comes."""
        target = heard.minutes + self._horizon_min
        slot = target % self._n_slots
        state.arrays[_MINUTE][rows, slot] = target
        values = np.empty((len(rows), self._n_values))
        to_columns, to_experts, to_told = self._cuts
        values[:, :to_columns] = told.columns
        values[:, to_columns:to_experts] = told.experts_kw.reshape(len(rows), -1)
        values[:, to_experts:to_told] = told.kw
        values[:, -2], values[:, -1] = told.last_kw, told.scale_kw
        state.arrays[_VALUES][rows, slot] = values

    def which(self, state: Rows, rows: I64, minutes: I64) -> I64:
        """Return which of ``rows`` have a forecast for the ``minutes`` that have come."""
        return np.flatnonzero(state.arrays[_MINUTE][rows, minutes % self._n_slots] == minutes)

    def take(self, state: Rows, rows: I64, minutes: I64) -> Told:
        """Return what was told for ``minutes``, those of :meth:`which`, and wait for it no more."""
        slot = minutes % self._n_slots
        state.arrays[_MINUTE][rows, slot] = _NONE
        values = state.arrays[_VALUES][rows, slot]
        to_columns, to_experts, to_told = self._cuts
        experts_kw = values[:, to_columns:to_experts].reshape(len(rows), 2, -1)
        return Told(values[:, :to_columns], experts_kw, values[:, to_experts:to_told], values[:, -2], values[:, -1])
