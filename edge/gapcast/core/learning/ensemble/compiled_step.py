"""The compiled step of the ensemble: forecasts and learning of a batch in C, with the results of the numpy modules.

``edge/native`` has the C code, one function for each formula of this package. A step is used for an ensemble that
combines, learns and calibrates, without submeters, if the library was built for the machine; otherwise, and as the
reference, numpy computes the same results. The step saves a hundred small numpy calls for a batch of one, and computes
several readings of one device in order within one call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.compiled.functions import Function, ResizableArrays, load_function, set_pointers
from gapcast.compiled.state_pointers import StatePointers
from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.arrays.device_rows import DAMAGED
from gapcast.core.learning.ensemble import situations
from gapcast.core.learning.ensemble.ensemble_inputs import EnsembleInputs
from gapcast.core.learning.ensemble.ensemble_state import EnsembleState
from gapcast.core.learning.ensemble.member_combination import EnsembleForecasts, MemberCombination
from gapcast.core.learning.ensemble.pending_forecasts import IssuedForecasts
from gapcast.core.learning.ensemble.step_outcomes import StepOutcomes
from gapcast.core.learning.ensemble.step_struct import (
    BATCH,
    MAX_MEMBERS,
    MAX_WIDTH,
    OUTCOMES,
    STATE,
    TABLES,
    StepStruct,
)
from gapcast.core.learning.online_model import rls_features
from gapcast.core.models.predictor import Prediction
from gapcast.core.windows.features import minute_of_day_at


class CompiledStep:
    """Forecasts with the members of an ensemble and learns from outcomes, for many devices in one call."""

    def __init__(
        self,
        functions: tuple[Function, Function],
        inputs: EnsembleInputs,
        state: EnsembleState,
        combination: MemberCombination,
    ) -> None:
        """Use ``state`` and the ``functions`` that forecast and learn; ``combination`` replaces forecasts."""
        self._inputs, self._state, self._combination = inputs, state, combination
        self._forecast, self._learn = functions
        self._max_devices = state.options.max_devices
        self._step = step = StepStruct()
        self._address = ctypes.addressof(step)
        #: Index of each model's mean in the outputs, and of its quantiles; None without quantiles.
        self._means_at: list[int] = []
        self._quantiles_at: list[slice | None] = []
        for n_quantiles in inputs.n_quantiles:
            self._means_at.append(step.n_outputs)
            step.n_outputs += 1 + n_quantiles
            self._quantiles_at.append(slice(self._means_at[-1] + 1, step.n_outputs) if n_quantiles else None)
        self._fill_sizes()
        self._tables = self._tables_of()
        set_pointers(step, **self._tables)
        self._state_pointers = StatePointers(step, {name: name for name in STATE})
        self._batch = ResizableArrays(step, BATCH)
        #: The outcomes of a batch, which are views of its arrays.
        self._outcomes: StepOutcomes
        #: Whether ``is_measured`` is unset for any window of the last batch; True for new arrays.
        self._was_filled: bool
        self._use_new_arrays()
        #: Whether the last batch may have windows whose outcomes are not learned yet.
        self._is_pending = False
        #: The last minute of a batch of one, with the half hours of the local day and the target's minute of the day.
        self._local: tuple[int | None, tuple[int, int, int]] = (None, (0, 0, 0))

    @classmethod
    def create_if_available(
        cls, inputs: EnsembleInputs, state: EnsembleState, combination: MemberCombination
    ) -> CompiledStep | None:
        """Return the step for an ensemble; None if numpy must be used."""
        functions, options = (load_function("gapcast_forecast"), load_function("gapcast_learn")), state.options
        is_default = options.combines and options.learns and options.calibrates and state.submetered is None
        fits = len(inputs.members) <= MAX_MEMBERS and inputs.rls_features.width <= MAX_WIDTH and inputs.context > 1
        forecast, learn = functions
        if forecast is None or learn is None or not is_default or not fits:
            return None
        return cls((forecast, learn), inputs, state, combination)

    def forecast(
        self,
        rows: I64,
        minutes: I64,
        windows: F32,
        predictions: Sequence[Prediction],
        filled: Sequence[int],
        forests_kw: F64 | None,
    ) -> EnsembleForecasts:
        """Forecast each of ``windows`` ``[N, context]``; see :meth:`.Ensemble.forecast`.

        ``rows`` are 0 or more. :meth:`learn` must have been called since the last batch.
        """
        n = len(rows)
        if n != self._batch.n and self._batch.resize(n):
            self._use_new_arrays()
        batch = self._batch.views
        if n == 1:
            row = int(rows[0])
            batch["rows"][0] = row + 1 if row < self._max_devices else 0
        else:
            batch["rows"][...] = np.where(rows < self._max_devices, rows + 1, 0)
        self._bind()
        batch["minutes"][...] = minutes
        batch["windows"][...] = windows
        if filled or self._was_filled:
            self._batch.arrays["is_measured"][...] = 1
            self._batch.arrays["is_measured"][np.asarray(filled, dtype=np.int64)] = 0
            self._was_filled = bool(filled)
        self._write_local_times(minutes)
        self._write_outputs(batch["outputs"], predictions)
        if self._inputs.refit is not None:
            batch["members_kw"][:, :, self._inputs.refit] = np.nan if forests_kw is None else forests_kw
        self._step.has_bounds = self._inputs.outer is not None and predictions[0].quantiles is not None
        replaced: list[tuple[int, float]] = []
        self._step.n_outcomes = self._step.first = 0
        self._is_pending = True
        while (entry := self._forecast(self._address, n)) < n:
            replaced += self._replace_impossible(entry)
            self._step.first = entry + 1
        return EnsembleForecasts(batch["kw"].copy(), batch["shares"].copy(), batch["floor_kw"].copy(), replaced)

    def learn(self) -> StepOutcomes | None:
        """Learn from the readings of the last batch; return the outcomes since then, None without outcomes.

        They are valid until the next :meth:`forecast`. Outcomes of one device are in order. Outcomes of different
        devices are in another order than in numpy.
        """
        if not self._is_pending:
            return None
        self._bind()
        n = self._learn(self._address, self._batch.n)
        self._is_pending = False
        if not n:
            return None
        if len(self._outcomes) != n:
            self._outcomes = StepOutcomes.from_arrays(self._outcome_arrays, n)
        return self._outcomes

    # --- arguments --------------------------------------------------------------------------------

    def _fill_sizes(self) -> None:
        inputs, features, options, step = self._inputs, self._inputs.rls_features, self._state.options, self._step
        step.context = inputs.context
        step.n_models = len(inputs.medians)
        step.n_medians = sum(median is not None for median in inputs.medians)
        step.n_members = len(inputs.members)
        step.refit = -1 if inputs.refit is None else inputs.refit
        step.n_columns = len(features.names)
        step.width, step.n_lags, step.n_stretches = features.width, len(features.lags), len(features.stretches)
        step.n_kw, step.first_hidden = features.n_kw, features.first_hidden
        step.n_hidden, step.n_inputs = len(features.hidden.offsets), len(features.hidden.means)
        step.n_slots, step.horizon_min = self._state.pending.n_slots, inputs.horizon_min
        step.n_analogs, step.n_phases = features.n_analogs, features.n_phases
        forecast_range = self._combination.forecast_range
        step.min_kw, step.low_kw, step.high_kw = options.min_kw, forecast_range.low_kw, forecast_range.high_kw
        step.forgetting, step.hidden_limit = options.forgetting, features.hidden.limit

    def _tables_of(self) -> dict[str, NDArray[Any]]:
        inputs, features = self._inputs, self._inputs.rls_features
        context, hidden = inputs.context, features.hidden
        edges = [(context - end, context - begin) for begin, end in features.stretches[::-1]]
        with_median = [i for i, median in enumerate(inputs.medians) if median is not None]
        medians_at = [
            mean_at if median is None or quantiles is None else quantiles.start + median
            for mean_at, quantiles, median in zip(self._means_at, self._quantiles_at, inputs.medians, strict=True)
        ]
        of_first = range(1, 1 + inputs.n_quantiles[0])
        outer_at = () if inputs.outer is None else of_first[inputs.outer]
        tables: tuple[NDArray[Any], ...] = (
            np.array(self._means_at, dtype=np.int64),
            np.array(medians_at, dtype=np.int64),
            np.array(outer_at, dtype=np.int64),
            np.array(with_median, dtype=np.int64),
            np.array(edges, dtype=np.int64),
            hidden.places,
            hidden.weights,
            hidden.offsets,
            hidden.means,
            hidden.spreads,
            rls_features.ON_CIRCLE,
            situations.RECENT,
            self._state.boa_weights.log_prior,
        )
        return dict(zip(TABLES, map(_own, tables), strict=True))

    def _use_new_arrays(self) -> None:
        """Create the outcomes as views of the batch's arrays, which are new."""
        self._was_filled = True
        self._outcome_arrays = {name: self._batch.arrays[field] for name, field in OUTCOMES.items()}
        self._outcomes = StepOutcomes.from_arrays(self._outcome_arrays, 0)

    def _bind(self) -> None:
        """Allocate the rows of the batch in the state, and pass its arrays to the library if they have changed."""
        state = self._state.rows
        state.index(self._batch.views["rows"])
        self._state_pointers.update(state)

    def _write_local_times(self, minutes: I64) -> None:
        """Write the local times of ``minutes``, and of their targets."""
        batch, inputs = self._batch.views, self._inputs
        if len(minutes) == 1:
            minute = int(minutes[0])
            if self._local[0] != minute:
                zone, target_minute = inputs.rls_features.zone, minute + inputs.horizon_min
                now, target = minute_of_day_at(minute, zone), minute_of_day_at(target_minute, zone)
                self._local = minute, (now // rls_features.BIN_MIN, target // rls_features.BIN_MIN, target)
            batch["bins"][0, 0], batch["bins"][0, 1], batch["target_of_day"][0] = self._local[1]
            return
        local = inputs.local_minutes(minutes)
        batch["bins"][...] = local.T // rls_features.BIN_MIN
        batch["target_of_day"][...] = local[1]

    def _write_outputs(self, outputs: F32, predictions: Sequence[Prediction]) -> None:
        """Write the models' predictions at the horizon to ``outputs`` ``[N, n_outputs]``: means and quantiles."""
        for mean_at, quantiles_at, prediction in zip(self._means_at, self._quantiles_at, predictions, strict=True):
            outputs[:, mean_at] = prediction.mean[:, -1]
            if quantiles_at is not None:  # without quantiles in a prediction, its mean replaces the median
                quantiles = prediction.quantiles
                outputs[:, quantiles_at] = prediction.mean[:, -1:] if quantiles is None else quantiles[:, -1]

    @np.errstate(**DAMAGED)
    def _replace_impossible(self, entry: int) -> list[tuple[int, float]]:
        """Replace the forecast of ``entry`` by persistence; see :meth:`.MemberCombination.replace_impossible`."""
        part = slice(entry, entry + 1)
        batch = {name: array[part] for name, array in self._batch.arrays.items()}
        made = IssuedForecasts(
            last_kw=batch["windows"][:, -1].astype(np.float64),
            **{name: batch[name] for name in IssuedForecasts._fields if name != "last_kw"},
        )
        shares, log_width, floor_kw = batch["shares"], batch["log_width"], batch["floor_kw"]
        return self._combination.replace_impossible(batch["rows"], made, shares, log_width, floor_kw, np.array([entry]))


def _own(table: NDArray[Any]) -> NDArray[Any]:
    return np.array(table, order="C")
