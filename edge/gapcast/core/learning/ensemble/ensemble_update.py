"""The learning of the ensemble: RLS models, weights and intervals learn from the outcomes of pending forecasts."""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.arrays.device_rows import DAMAGED, RowIndex
from gapcast.core.forecasts import power_floor
from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.learning.ensemble import (
    conformal_interval,
    error_scale,
    mean_correction,
    median_calibration,
    median_threshold,
    situations,
)
from gapcast.core.learning.ensemble.ensemble_inputs import MemberPredictions
from gapcast.core.learning.ensemble.ensemble_state import (
    LOG_WIDTH,
    LOWEST,
    N_OUTCOMES,
    SCALE,
    SPECIALISTS,
    EnsembleState,
)
from gapcast.core.learning.ensemble.member_combination import ForecastsBeforeUpdate
from gapcast.core.learning.ensemble.pending_forecasts import IssuedForecasts
from gapcast.core.learning.online_model import daily_profile, phase_table, rls_model

#: Number of devices whose RLS models are updated together, so that their covariances stay in the processor's cache.
_CHUNK = 32


class EnsembleUpdate:
    """Stores the forecasts of a round until their outcomes, and learns from the outcomes in its readings."""

    def __init__(self, state: EnsembleState) -> None:
        self._state = state
        self._options = state.options

    @np.errstate(**DAMAGED)
    def learn(self, unlearned: ForecastsBeforeUpdate) -> Outcomes | None:
        """Store the forecasts ``unlearned``, and learn from the outcomes in their newest readings.

        Return these outcomes; None without outcomes.
        """
        one, published, log_width, loads = unlearned
        state, submetered = self._state, self._state.submetered
        rows, arrays = one.rows + 1, state.rows.arrays
        arrays["seen"][rows, LOG_WIDTH] = log_width
        if submetered is not None and loads is not None:
            submetered.store(loads, one.minutes, published.last_kw, published.scale_kw)
        measured = one if one.is_measured is None else one.select(np.flatnonzero(one.is_measured))
        outcomes = self._learn_measured(measured)
        state.pending.store(state.rows, rows, one, published)  # last: it reuses the slots of the due forecasts
        return outcomes

    def _learn_measured(self, one: MemberPredictions) -> Outcomes | None:
        """Learn from the newest readings of ``one``, which are measured."""
        state, submetered = self._state, self._state.submetered
        rows, arrays = one.rows + 1, state.rows.arrays
        lowest = arrays["seen"][rows, LOWEST]
        arrays["seen"][rows, LOWEST] = np.minimum(lowest, one.last_kw)
        power_floor.update(powers := arrays[power_floor.STATE][rows], one.last_kw)
        arrays[power_floor.STATE][rows] = powers
        if self._options.learns:
            daily_profile.update(arrays["usual"], rows, one.bins[0], one.last_kw)
        if submetered is not None and one.loads is not None:
            loads_kw = one.loads.change_kw
            submetered.learn(one.rows, one.minutes, one.last_kw, loads_kw, self._options.forgetting)
        which = state.pending.due(state.rows, rows, one.minutes)
        return self._learn_from(one.select(which)) if which.size else None

    def _learn_from(self, one: MemberPredictions) -> Outcomes:
        """Learn from the newest readings of ``one``; each of them is the outcome of a pending forecast."""
        rows, minutes, actual_kw, state = one.rows, one.minutes, one.last_kw, self._state.rows
        at, arrays = state.index(rows + 1), state.arrays
        due = self._state.pending.pop(state, rows + 1, minutes)
        columns, members_kw, published_kw, last_kw, scale_kw, levels, _ = due
        seen = arrays["seen"][at]
        change_kw, n_outcomes = actual_kw - last_kw, seen[:, N_OUTCOMES].copy()
        if self._options.learns:
            self._update_phases(one, columns, change_kw)
            self.update_rls(rows + 1, columns, change_kw / scale_kw, n_outcomes)
        if self._options.combines:
            memory = arrays["memory"][at]
            memberships = situations.memberships(levels)
            weights = self._state.boa_weights
            weights.update(memory, members_kw, due.combined_kw, actual_kw, scale_kw, memberships)
            state.write_back("memory", at, memory)
            arrays[SPECIALISTS][at] = weights.specialists_of(memory)
            self._update_offsets(at, due, actual_kw)
        missed = ((actual_kw < published_kw[:, 2]) | (actual_kw > published_kw[:, 3])).astype(np.float64)
        seen[:, LOG_WIDTH] = conformal_interval.updated_log_width(seen[:, LOG_WIDTH], n_outcomes, missed)
        seen[:, SCALE] = error_scale.updated_scale(seen[:, SCALE], change_kw, n_outcomes)
        seen[:, N_OUTCOMES] = n_outcomes + 1
        state.write_back("seen", at, seen)
        return Outcomes(rows, minutes, actual_kw, last_kw, members_kw, published_kw)

    def _update_phases(self, one: MemberPredictions, columns: F32, change_kw: F64) -> None:
        """Learn from ``change_kw`` after the forecasts with ``columns``, whose windows end a horizon before ``one``."""
        features, horizon_min = self._state.pending.features, self._state.pending.horizon_min
        if features.n_phases:
            taught = np.flatnonzero(columns[:, features.n_kw])  # nothing is learned from a replaced forecast
            phases = phase_table.find_phases(one.windows[taught, :-horizon_min])
            phase_table.update(self._state.rows.arrays, one.rows[taught] + 1, phases, change_kw[taught])

    def _update_offsets(self, at: RowIndex, due: IssuedForecasts, actual_kw: F64) -> None:
        """Update the offsets of mean and median and the median's threshold in the rows ``at`` of the state."""
        state, horizon_min = self._state.rows, self._state.pending.horizon_min
        error_kw = actual_kw[:, np.newaxis] - due.combined_kw
        if self._options.learns:
            correction = state.arrays[mean_correction.STATE][at]
            predicted, error = due.predicted_kw / due.scale_kw, error_kw[:, 0] / due.scale_kw
            mean_correction.update(correction, predicted, due.levels, error, horizon_min)
            state.write_back(mean_correction.STATE, at, correction)
        calibration = state.arrays[median_calibration.STATE][at]
        mean_change = (due.kw[:, 0] - due.last_kw) / due.scale_kw
        median_calibration.update(calibration, mean_change, error_kw[:, 1], horizon_min)
        state.write_back(median_calibration.STATE, at, calibration)
        threshold, median_kw = state.arrays[median_threshold.STATE][at], due.kw[:, 1]
        median_threshold.update(threshold, median_kw - due.last_kw, actual_kw - median_kw, horizon_min)
        state.write_back(median_threshold.STATE, at, threshold)

    def update_rls(self, rows: I64, columns: F32, changes: F64, n_outcomes: F64) -> None:
        """Update the RLS model in ``rows`` ``[N]`` of the state; reset rows whose recursion is numerically unsound."""
        state = self._state.rows
        for first in range(0, len(rows), _CHUNK):
            part = slice(first, first + _CHUNK)
            at = state.index(rows[part])
            model = {name: state.arrays[name][at] for name in rls_model.STATE}
            sound = rls_model.update(model, columns[part], changes[part], n_outcomes[part], self._options.forgetting)
            for name, values in model.items():
                if sound is not None:
                    values[~sound] = state.initial(name)
                state.write_back(name, at, values)
