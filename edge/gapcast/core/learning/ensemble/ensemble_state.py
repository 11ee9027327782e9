"""The learning state of the ensemble: one row per tracked device, captured and restored as columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.device_rows import ALL, DeviceRows
from gapcast.core.errors import StateError
from gapcast.core.forecasts import power_floor
from gapcast.core.learning.ensemble import (
    boa_weights,
    error_scale,
    learning_state,
    mean_correction,
    median_calibration,
    median_threshold,
)
from gapcast.core.learning.ensemble.boa_weights import BoaWeights
from gapcast.core.learning.ensemble.ensemble_inputs import EnsembleInputs
from gapcast.core.learning.ensemble.learning_prior import LearningPrior
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.ensemble.pending_forecasts import PendingForecasts
from gapcast.core.learning.online_model import daily_profile, phase_table, rls_model
from gapcast.core.learning.submeters.submetered_model import SubmeteredModel

#: The weights by situation, derived from the memory after each outcome and stored with it.
SPECIALISTS = "specialists"
#: Indices into ``seen``.
SCALE, N_OUTCOMES, LOG_WIDTH, LOWEST = range(4)


class EnsembleState:
    """The learned state of the ensemble. Row 0 of ``rows`` is the initial state; device ``i`` has row ``i + 1``."""

    def __init__(self, inputs: EnsembleInputs, options: EnsembleOptions, prior: LearningPrior | None) -> None:
        """Create the state for the members of ``inputs``."""
        self.options = options
        self._inputs = inputs
        n_members = len(inputs.members)
        #: The update rule of the members' weights.
        self.boa_weights = BoaWeights(n_members, inputs.horizon_min)
        #: The forecasts that wait for their outcomes.
        self.pending = PendingForecasts(inputs.rls_features, n_members, inputs.horizon_min)
        memory = boa_weights.initial_state(n_members)
        initial: dict[str, NDArray[np.generic]] = {
            "seen": np.array([error_scale.FIRST_KW, 0.0, np.nan, 0.0]),
            power_floor.STATE: power_floor.initial_state(),
            "memory": memory,
            SPECIALISTS: self.boa_weights.specialists_of(memory[np.newaxis])[0],
            median_calibration.STATE: median_calibration.initial_state(),
            median_threshold.STATE: median_threshold.initial_state(),
            **self.pending.initial_state(),
        }
        names = inputs.rls_features.names
        if options.learns:
            initial |= rls_model.initial_state(len(names), inputs.mean_column, inputs.median_column)
            initial["usual"] = daily_profile.initial_state()
            initial |= phase_table.initial_state()
            initial[mean_correction.STATE] = mean_correction.initial_state()
            if prior is not None:
                initial = prior.apply(initial, names, inputs.horizon_min)
        self.rows = DeviceRows(initial)
        #: The model of devices with submeters; None without submeters.
        self.submetered: SubmeteredModel | None = None
        if options.learns and options.n_submeters > 0:
            at, rls = (inputs.mean_column, inputs.median_column), None if prior is None else prior.rls
            self.submetered = SubmeteredModel(names, options.n_submeters, inputs.horizon_min, at, rls)

    @property
    def n_bytes_per_device(self) -> int:
        """Bytes of state per tracked device."""
        return sum(array[0].nbytes for array in self.rows.arrays.values())

    def forget(self, row: int) -> None:
        """Reset the state of the device in ``row``."""
        if row < self.options.max_devices:
            self.rows.forget(row + 1)
            if self.submetered is not None:
                self.submetered.forget(row)

    def discard_pending(self, row: int) -> None:
        """Discard the pending forecasts of the device in ``row``: nothing is learned from their outcomes."""
        if row < self.options.max_devices:
            self.pending.discard(self.rows, row + 1)
            if self.submetered is not None:
                self.submetered.discard_pending(row)

    def columns(self, rows: Sequence[int], *, copies: bool = True) -> dict[str, NDArray[Any]]:
        """Return a copy of the learning state of ``rows``, for :meth:`restore_columns`.

        Unless ``copies``, columns may be views of the state, and change with it.
        """
        tracked = np.flatnonzero(np.asarray(rows, dtype=np.int64) < self.options.max_devices)
        return {
            learning_state.TRACKED: tracked,
            learning_state.MEMBERS: np.array(self._inputs.members),
            learning_state.COLUMNS: np.array(self._inputs.rls_features.names),
            learning_state.HORIZON: np.array([self._inputs.horizon_min]),
            **self.rows.columns(np.asarray(rows, dtype=np.int64)[tracked] + 1, without=SPECIALISTS, copies=copies),
            **({} if self.submetered is None else self.submetered.columns(rows)),
        }

    def restore_columns(self, n_devices: int, columns: dict[str, NDArray[Any]], *, releases: bool = False) -> None:
        """Restore the result of :meth:`columns` for the devices that now have the rows below ``n_devices``.

        ``releases``: remove the arrays of devices from ``columns``, each as soon as it is restored.

        The state of members that both ensembles have is restored; other members start from their initial state. Raises
        :class:`~gapcast.core.errors.StateError` if the columns do not fit each other, or belong to another horizon.
        """
        if columns and (horizon_min := learning_state.horizon_of(columns)) != self._inputs.horizon_min:
            possible_min = self._inputs.horizon_min
            msg = f"it was learned {horizon_min} min ahead, and the models forecast {possible_min} min ahead"
            raise StateError(msg)
        names = self._inputs.rls_features.names
        known = learning_state.restore_for_members(columns, self.rows, self._inputs.members, names)
        if known:
            known[SPECIALISTS] = self.boa_weights.specialists_of(known["memory"])
            tracked = columns[learning_state.TRACKED]
            which = tracked < min(n_devices, self.options.max_devices)
            at = ALL if which.all() else which  # without a copy, if possible: the arrays have tens of megabytes
            if releases:
                for name in known.keys() - {learning_state.SEEN}:
                    columns.pop(name, None)
            self.rows.restore_columns(tracked[at] + 1, known, at)
        if self.submetered is not None:
            self.submetered.restore_columns(columns, min(n_devices, self.options.max_devices))
