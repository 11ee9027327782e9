"""The online model of devices with submeters: tables of the expected change of each load, and RLS on top of them.

A load that cycles or runs a programme changes by its own state: a kettle that has been on for three minutes switches
off within five (:mod:`.load_tables`). A separate RLS model (:mod:`gapcast.core.learning.online_model.rls_model`)
combines the changes that the tables expect with the features of the mains, powers and changes of the loads, and fixed
random ReLU features of these (W. Schmidt, M. Kraaijveld and R. Duin, *Feedforward neural networks with random weights*,
ICPR 1992).

Only devices that have had a submeter's value have state; other devices cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.arrays.device_rows import DeviceRows
from gapcast.core.learning.online_model import packed_covariance, rls_model
from gapcast.core.learning.online_model.rls_prior import RlsPrior
from gapcast.core.learning.submeters import load_tables, submetered_state
from gapcast.core.learning.submeters.submeter_features import N_KW, N_TABLES, N_UNITLESS, LoadFeatures

#: Number of random ReLU features, and number of inputs of each.
_N_RELU, _N_INPUTS = 24, 4
#: Seed of their weights, which are not stored.
_SEED = 1
_NONE = -1


class SubmeteredForecasts(NamedTuple):
    """Forecasts of N devices with submeters, and their inputs.

    ``places`` ``[N]`` are the indices in the batch, ``rows`` ``[N]`` the rows of the state, and ``change`` ``[N, 2]``
    the expected change of mean and median, in units of the scale. ``columns`` ``[N, D]`` are the features and ``cells``
    ``[N, C, 3]`` the cells of the tables.
    """

    places: I64
    rows: I64
    change: F64
    columns: F32
    cells: I64


class SubmeteredModel:
    """The state and the computation of devices with submeters, by their buffer rows."""

    def __init__(
        self,
        base_columns: Sequence[str],
        n_submeters: int,
        horizon_min: int,
        at: tuple[int, int],
        prior: RlsPrior | None = None,
    ) -> None:
        """Use ``base_columns`` of the mains, and at most ``n_submeters`` per device.

        ``at`` are the columns of the primary model's mean and median; the initial forecasts equal these, or follow
        ``prior``.
        """
        self._n_loads = n_loads = n_submeters + 1
        self._base_columns, self._n_base = tuple(base_columns), len(base_columns)
        n_kw = n_loads * (N_KW + 1)  # with the sum of its tables
        n_inputs = n_kw + n_loads * N_UNITLESS
        self.n_columns = self._n_base + n_inputs + _N_RELU
        n_padded = packed_covariance.padded(self.n_columns)
        model = rls_model.initial_state(self.n_columns, *at)
        self._weights, self._offsets = _random_weights(n_inputs)
        self._n_slots = horizon_min + 1
        self._horizon_min = horizon_min
        self.state = DeviceRows(
            {
                "tables": load_tables.initial_tables(n_loads),
                **(model if prior is None else prior.apply(model, self.column_names, horizon_min)),
                "n_outcomes": np.zeros(()),
                "due_minute": np.full(self._n_slots, _NONE, dtype=np.int64),
                "due": np.zeros((self._n_slots, n_padded), dtype=np.float32),
                "due_cells": np.zeros((self._n_slots, n_loads, N_TABLES), dtype=np.int64),
                "due_kw": np.ones((self._n_slots, 2)),  # last reading and scale
            },
            n_rows=1,
        )
        self._rows: dict[int, int] = {}  # rows of the state, by row of the buffers
        self._free: list[int] = []

    # --- forecasts --------------------------------------------------------------------------------

    def new_rows(self, buffer_rows: I64, loads: LoadFeatures) -> list[int]:
        """Return the devices among ``buffer_rows`` that have submeters now, and no state yet."""
        return [row for row in buffer_rows[_has_submeters(loads)].tolist() if row not in self._rows]

    def begin(self, buffer_row: int, coefficients: F32, inside: np.float32, n_outcomes: np.float64) -> None:
        """Begin the state of a device with the coefficients of its online model, which learned without submeters.

        So the first forecast is that of the online model. The covariance is the initial one: with that of the online
        model, its coefficients would change too slowly beside those of the loads.
        """
        row, arrays = self._row_of(buffer_row), self.state.arrays
        arrays["coefficients"][row, :, : self._n_base] = coefficients[:, : self._n_base]
        arrays["inside"][row], arrays["n_outcomes"][row] = inside, n_outcomes

    def forecast(
        self, buffer_rows: I64, columns: F32, loads: LoadFeatures, scale_kw: F64
    ) -> SubmeteredForecasts | None:
        """Forecast the devices among ``buffer_rows`` ``[N]`` that have or had submeters; return None without any.

        ``columns`` ``[N, D]`` are the base columns in units of ``scale_kw`` ``[N]``. A device whose state is damaged
        starts again, and has no forecast.
        """
        has_known = _has_submeters(loads)
        places, rows = [], []
        for i, (row, is_known) in enumerate(zip(buffer_rows.tolist(), has_known.tolist(), strict=True)):
            if is_known or row in self._rows:
                places.append(i)
                rows.append(self._row_of(row))
        if not rows:
            return None
        at, which = np.array(rows, dtype=np.int64), np.array(places, dtype=np.int64)
        loads = loads.select(which)
        sums_kw = load_tables.expected_changes(self.state.arrays["tables"], at, loads.cells)
        columns = self._columns(columns[which], loads, sums_kw, scale_kw[which])
        change = rls_model.predict(self.state.arrays["coefficients"][at], columns)
        sound: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(np.concatenate((change, columns), axis=1)), axis=1)
        if not sound.all():
            self.state.reset(at[~sound])
            which, at, change, columns, loads = (
                which[sound],
                at[sound],
                change[sound],
                columns[sound],
                loads.select(sound),
            )
        return SubmeteredForecasts(which, at, change, columns, loads.cells)

    def _columns(self, base: F32, loads: LoadFeatures, sums_kw: F64, scale_kw: F64) -> F32:
        """Return all columns ``[N, D]``, in units of the scale."""
        n, n_kw = len(base), self._n_loads * (N_KW + 1)
        columns = np.zeros((n, self.state.initial("due").shape[-1]), dtype=np.float32)
        columns[:, : self._n_base] = base[:, : self._n_base]
        inputs = columns[:, self._n_base : self.n_columns - _N_RELU]
        powers = inputs[:, :n_kw].reshape(n, self._n_loads, N_KW + 1)
        powers[..., :-1], powers[..., -1] = loads.columns_kw, sums_kw
        powers /= scale_kw[:, np.newaxis, np.newaxis].astype(np.float32)
        np.maximum(np.minimum(powers, rls_model.LIMIT, out=powers), -rls_model.LIMIT, out=powers)
        inputs[:, :n_kw] = powers.reshape(n, n_kw)
        inputs[:, n_kw:] = loads.unitless.reshape(n, -1)
        compressed = inputs.copy()
        np.arcsinh(compressed[:, :n_kw], out=compressed[:, :n_kw])
        compressed[:, n_kw:] = compressed[:, n_kw:] * 4 - 2
        hidden = columns[:, self.n_columns - _N_RELU : self.n_columns]
        np.maximum(compressed @ self._weights + self._offsets, 0.0, out=hidden)
        return columns

    def _row_of(self, buffer_row: int) -> int:
        row = self._rows.get(buffer_row)
        if row is None:
            row = self._free.pop() if self._free else len(self._rows)
            self._rows[buffer_row] = row
            self.state.grow(row + 1)
        return row

    # --- outcomes ---------------------------------------------------------------------------------

    def store(self, made: SubmeteredForecasts, minutes: I64, last_kw: F64, scale_kw: F64) -> None:
        """Store forecasts made at ``minutes`` until their outcome; all arguments cover the whole batch."""
        target = minutes[made.places] + self._horizon_min
        at, arrays = (made.rows, target % self._n_slots), self.state.arrays
        arrays["due_minute"][at] = target
        arrays["due"][at], arrays["due_cells"][at] = made.columns, made.cells
        arrays["due_kw"][at] = np.stack((last_kw[made.places], scale_kw[made.places]), axis=1)

    def learn(self, buffer_rows: I64, minutes: I64, actual_kw: F64, change_kw: F64, forgetting: float) -> None:
        """Learn from the readings ``actual_kw`` ``[N]`` of ``minutes``, and the loads' ``change_kw`` ``[N, C]``."""
        arrays = self.state.arrays
        rows = np.array([self._rows.get(row, _NONE) for row in buffer_rows.tolist()], dtype=np.int64)
        slots = minutes % self._n_slots
        which = np.flatnonzero((rows != _NONE) & (arrays["due_minute"][rows, slots] == minutes))
        if not which.size:
            return
        rows, slots = rows[which], slots[which]
        at = (rows, slots)
        arrays["due_minute"][at] = _NONE
        load_tables.learn_changes(arrays["tables"], rows, arrays["due_cells"][at], change_kw[which])
        last_kw, scale_kw = arrays["due_kw"][at].T
        index = self.state.index(rows)
        model = {name: arrays[name][index] for name in rls_model.STATE}
        outcome, n_outcomes = (actual_kw[which] - last_kw) / scale_kw, arrays["n_outcomes"][rows]
        sound = rls_model.update(model, arrays["due"][at], outcome, n_outcomes, forgetting)
        arrays["n_outcomes"][rows] = n_outcomes + 1
        for name, values in model.items():
            if sound is not None:
                values[~sound] = self.state.initial(name)
            self.state.write_back(name, index, values)

    # --- state ------------------------------------------------------------------------------------

    def has_state(self, buffer_row: int) -> bool:
        """Return whether the device in ``buffer_row`` has state."""
        return buffer_row in self._rows

    def discard_pending(self, buffer_row: int) -> None:
        """Discard the pending forecasts of the device in ``buffer_row``: nothing is learned from their outcomes."""
        if buffer_row in self._rows:
            self.state.arrays["due_minute"][self._rows[buffer_row]] = _NONE

    def forget(self, buffer_row: int) -> None:
        """Remove the state of the device in ``buffer_row``."""
        row = self._rows.pop(buffer_row, None)
        if row is not None:
            self.state.reset(row)
            self._free.append(row)

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of all columns: equal names have the same meaning."""
        others = range(self.n_columns - self._n_base)
        return (*self._base_columns, *(f"{self._n_loads} loads {i}" for i in others))

    def columns(self, buffer_rows: Sequence[int]) -> dict[str, NDArray[Any]]:
        """Return a copy of the state of ``buffer_rows``, for :meth:`restore_columns`."""
        tracked = [i for i, row in enumerate(buffer_rows) if row in self._rows]
        at = np.array([self._rows[buffer_rows[i]] for i in tracked], dtype=np.int64)
        return submetered_state.saved_columns(self.state, at, tracked, self.column_names)

    def restore_columns(self, columns: Mapping[str, NDArray[Any]], n_devices: int) -> None:
        """Restore the result of :meth:`columns` for the devices that now have the rows below ``n_devices``.

        Devices whose state has other columns, or a value that is not finite or absurd, start again.
        """
        tracked, restored = submetered_state.restorable_rows(columns, self.state, self.column_names, n_devices)
        self.state.restore_columns(np.array([self._row_of(row) for row in tracked], dtype=np.int64), restored)


def _has_submeters(loads: LoadFeatures) -> NDArray[np.bool_]:
    """Return which devices have the value of a submeter, ``[N]``."""
    return np.asarray((loads.unitless[:, :-1, 2] == 0).any(axis=1))


def _random_weights(n_inputs: int) -> tuple[F32, F32]:
    """Return fixed weights ``[inputs, features]`` and offsets ``[features]``, the same in each process."""
    rng = np.random.Generator(np.random.PCG64(_SEED))
    weights = np.zeros((n_inputs, _N_RELU))
    for i in range(_N_RELU):
        which = rng.permutation(n_inputs)[:_N_INPUTS]
        weights[which, i] = rng.standard_normal(len(which))
    return weights.astype(np.float32), rng.standard_normal(_N_RELU).astype(np.float32)
