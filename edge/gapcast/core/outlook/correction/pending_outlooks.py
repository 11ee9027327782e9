"""Outlooks of the last hour that wait for their outcomes, in the columns of a device.

The inputs of an outlook have a slot for each minute. Its values have, at each lead time, as many places as the lead
time has minutes: the values whose outcome is the newest reading are in the place that the next outlook takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.arrays.device_rows import DeviceRows

_ISSUED, _INPUTS, _VALUES = "issued_minute", "inputs", "values"
#: Layout: ``inputs`` holds columns, gains and spread; ``values`` holds base, change and published values.
_BASE, _CHANGE, _KW = np.s_[..., :2], np.s_[..., 2:4], np.s_[..., 4:]
_N_VALUES = 8
_NONE = -1


class IssuedOutlooks(NamedTuple):
    """The outlooks of N devices, and their inputs.

    ``columns`` and ``gains`` ``[N, D]`` and ``spread`` ``[N]`` belong to the correction. ``base`` ``[N, K, 2, 2]`` are
    mean and median before the correction, kW, and ``change`` ``[N, K, 2, 2]`` the whole correction, in units of the
    scale, by lead time and kind; ``kw`` ``[N, K, 2, 4]`` are the published values.
    """

    columns: F32
    gains: F32
    spread: F32
    base: F64
    change: F64
    kw: F64


class DueOutlooks(NamedTuple):
    """The outlooks whose outcomes are N readings: the arrays of :class:`IssuedOutlooks` for each of the K lead times.

    ``columns`` and ``gains`` are ``[N, K, D]``, ``spread`` ``[N, K]``, ``base`` and ``change`` ``[N, K, 2, 2]``, and
    ``kw`` ``[N, K, 2, 4]``. ``is_due`` ``[N, K]`` is unset where there was no outlook.
    """

    is_due: NDArray[np.bool_]
    columns: F32
    gains: F32
    spread: F32
    base: F32
    change: F32
    kw: F32


class PendingOutlooks:
    """Stores :class:`IssuedOutlooks` in :class:`~gapcast.core.arrays.device_rows.DeviceRows`."""

    def __init__(self, leads_min: Sequence[int], n_columns: int) -> None:
        """Store outlooks with the lead times ``leads_min`` and ``n_columns`` input columns."""
        self._leads = np.asarray(leads_min, dtype=np.int64)
        #: The first place of each lead time.
        self._first_places = np.cumsum(self._leads) - self._leads
        #: Number of minutes in which an outlook may wait.
        self.n_slots = leads_min[-1] + 1
        #: Number of places of values.
        self.n_places = sum(leads_min)
        self._n_columns = n_columns

    def initial_state(self) -> Mapping[str, NDArray[Any]]:
        """Return the initial state of a device."""
        return {
            _ISSUED: np.full(self.n_slots, _NONE, dtype=np.int64),
            _INPUTS: np.zeros((self.n_slots, 2 * self._n_columns + 1), dtype=np.float32),
            _VALUES: np.zeros((self.n_places, 2, _N_VALUES), dtype=np.float32),
        }

    def store(self, state: DeviceRows, rows: I64, minutes: I64, issued: IssuedOutlooks) -> None:
        """Store the ``issued`` outlooks of ``minutes`` ``[N]`` in ``rows`` of ``state``."""
        slots = minutes % self.n_slots
        state.arrays[_ISSUED][rows, slots] = minutes
        inputs = np.concatenate((issued.columns, issued.gains, issued.spread[:, np.newaxis]), axis=1)
        state.arrays[_INPUTS][rows, slots] = inputs
        values = np.concatenate((issued.base, issued.change, issued.kw), axis=-1, dtype=np.float32, casting="same_kind")
        state.arrays[_VALUES][rows[:, np.newaxis], self._places(minutes)] = values

    def discard(self, state: DeviceRows, rows: I64) -> None:
        """Remove the outlooks in ``rows`` of ``state``."""
        state.arrays[_ISSUED][rows] = _NONE

    def due(self, state: DeviceRows, rows: I64, minutes: I64) -> DueOutlooks:
        """Return the outlooks whose outcomes are the readings of ``minutes`` ``[N]``."""
        issued = minutes[:, np.newaxis] - self._leads
        slots, at = issued % self.n_slots, rows[:, np.newaxis]
        is_due = state.arrays[_ISSUED][at, slots] == issued
        inputs, n = state.arrays[_INPUTS][at, slots], self._n_columns
        values = state.arrays[_VALUES][at, self._places(minutes)]
        columns, gains, spread = inputs[..., :n], inputs[..., n:-1], inputs[..., -1]
        return DueOutlooks(is_due, columns, gains, spread, values[_BASE], values[_CHANGE], values[_KW])

    def in_places(self, columns: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Return stored ``columns`` with the values in their places: early checkpoints of 0.2.0 have them by slot."""
        issued, by_slot = columns.get(_ISSUED), columns.get(_VALUES)
        n, k = self.n_slots, len(self._leads)
        if (
            issued is None
            or by_slot is None
            or issued.dtype.kind != "i"
            or by_slot.shape != (len(issued), n, k, 2, _N_VALUES)
            or issued.shape[1:] != (n,)
        ):
            return columns
        values = np.zeros((len(by_slot), self.n_places, 2, _N_VALUES), dtype=by_slot.dtype)
        newest = issued.max(axis=1)
        for age_min in range(n - 1):
            minutes = newest - age_min
            slots = minutes % n
            stored = np.flatnonzero((minutes >= 0) & (issued[np.arange(len(issued)), slots] == minutes))
            leads = np.flatnonzero(self._leads > age_min)
            places = self._places(minutes[stored])[:, leads]
            values[stored[:, np.newaxis], places] = by_slot[stored[:, np.newaxis], slots[stored, np.newaxis], leads]
        return {**columns, _VALUES: values}

    def _places(self, minutes: I64) -> I64:
        """Return the place of each lead time, ``[N, K]``, in ``minutes`` ``[N]``."""
        places: I64 = self._first_places + minutes[:, np.newaxis] % self._leads
        return places
