"""The combination of the members' predictions: the published forecast of each window, by the learned weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.arrays.device_rows import UNTRACKED, RowIndex
from gapcast.core.forecasts import power_floor
from gapcast.core.forecasts.forecast_range import ForecastRange
from gapcast.core.forecasts.outcomes import SUBMETERED
from gapcast.core.learning.ensemble import (
    boa_weights,
    conformal_interval,
    error_scale,
    mean_correction,
    median_calibration,
    median_threshold,
    situations,
)
from gapcast.core.learning.ensemble.ensemble_inputs import EnsembleInputs, MemberPredictions
from gapcast.core.learning.ensemble.ensemble_state import (
    LOG_WIDTH,
    LOWEST,
    N_OUTCOMES,
    SCALE,
    SPECIALISTS,
    EnsembleState,
)
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.ensemble.pending_forecasts import IssuedForecasts
from gapcast.core.learning.online_model import daily_profile, phase_table, rls_model
from gapcast.core.learning.submeters.submetered_model import SubmeteredForecasts


@dataclass(slots=True)
class EnsembleForecasts:
    """Forecasts of N windows: ``kw`` ``[N, 4]`` is mean, median, lower and upper bound (NaN if there is none).

    ``shares`` ``[N, 2, E]`` are the weights of the members, for the mean and for the median. No power of the path is
    below ``floor_kw`` ``[N]``. ``replaced`` lists the impossible forecasts that were replaced by persistence: the index
    and the impossible value. Treat as immutable; it is not frozen for the reason given at
    :class:`~gapcast.core.forecasts.forecast.Forecasts`.
    """

    kw: F64
    shares: F64
    floor_kw: F64
    replaced: list[tuple[int, float]] = field(default_factory=list)


class ForecastsBeforeUpdate(NamedTuple):
    """The forecasts of a round whose readings have not been learned from.

    ``inputs`` are the inputs of the forecasts, ``issued`` the values stored until the outcomes, ``log_width`` ``[N]``
    the log(width) of the intervals, ``loads`` the forecasts of devices with submeters (None: no submeters).
    """

    inputs: MemberPredictions
    issued: IssuedForecasts
    log_width: F64
    loads: SubmeteredForecasts | None


class MemberCombination:
    """Combines the members' predictions of a round of windows; each device occurs once."""

    def __init__(
        self, inputs: EnsembleInputs, state: EnsembleState, options: EnsembleOptions, forecast_range: ForecastRange
    ) -> None:
        """Combine the members of ``inputs`` with the learned ``state``; forecasts are within ``forecast_range``."""
        self._inputs = inputs
        self._state = state
        self._options = options
        #: The range of forecasts.
        self.forecast_range = forecast_range
        self._is_bounded = options.calibrates or inputs.has_bounds

    def combine(
        self, one: MemberPredictions, rows: I64, published: EnsembleForecasts, places: I64 | slice
    ) -> ForecastsBeforeUpdate:
        """Write the forecasts of ``one`` to ``places`` of ``published``, with the learning state in ``rows``.

        The feature columns of ``one`` are scaled in place. Return the values to store until the outcome.
        """
        at = self._state.rows.index(rows)
        arrays = self._state.rows.arrays
        seen, members_kw = arrays["seen"][at], one.members_kw
        scale_kw = seen[:, SCALE].copy()  # used after the state has learned from the newest reading
        log_width = seen[:, LOG_WIDTH]
        powers = arrays[power_floor.STATE][at]
        floor_kw = power_floor.floors_kw(powers, seen[:, LOWEST], one.last_kw, self._options.min_kw)
        columns, floor = one.columns, floor_kw[:, np.newaxis]
        if self._options.learns:
            typical_kw = daily_profile.typical_kw(arrays["usual"], rows, one.bins[1], one.last_kw)
            phase_kw = self._phase_kw(one.windows, rows)
            self._inputs.rls_features.complete(columns, one.windows, typical_kw, phase_kw, scale_kw, rls_model.LIMIT)
            change_kw = rls_model.predict(arrays["coefficients"][at], columns) * scale_kw[:, np.newaxis]
            learned_kw = members_kw[:, :, self._inputs.learned]
            learned_kw[...] = np.maximum(one.last_kw[:, np.newaxis] + change_kw, floor)
            if self._inputs.refit is not None:
                refit_kw = members_kw[:, :, self._inputs.refit]
                refit_kw[...] = np.where(np.isnan(refit_kw), learned_kw, np.maximum(refit_kw, floor))
        loads = None
        if self._state.submetered is not None:
            loads = self._forecast_submetered(one, members_kw, scale_kw, floor, is_tracked=rows[0] != UNTRACKED)
        kw = np.empty((len(rows), 4))
        levels, combined_median_kw = np.empty((len(rows), situations.N_QUANTITIES)), np.empty(len(rows))
        made = IssuedForecasts(columns, members_kw, kw, one.last_kw, scale_kw, levels, combined_median_kw)
        levels[...] = situations.levels(situations.of_windows(one.windows), made.predicted_kw, scale_kw)
        shares = self._weights_of(arrays[SPECIALISTS][at], levels)
        published_kw = np.add.reduce(shares * members_kw, axis=-1, out=kw[:, :2])
        combined_median_kw[...] = kw[:, 1]
        if self._options.combines:
            np.maximum(published_kw, floor, out=published_kw)
            self._add_offsets(made, at, floor_kw)
        log_width = self._write_bounds(one, made, log_width, floor_kw)
        if not self.forecast_range.all_possible(kw, shares, bounded=self._is_bounded):
            of_batch = np.arange(len(published.kw))[places]
            published.replaced.extend(self.replace_impossible(rows, made, shares, log_width, floor_kw, of_batch))
        published.kw[places], published.shares[places] = kw, shares
        published.floor_kw[places] = floor_kw if self._options.combines else self.forecast_range.low_kw
        return ForecastsBeforeUpdate(one, made, log_width, loads)

    def _write_bounds(self, one: MemberPredictions, made: IssuedForecasts, log_width: F64, floor_kw: F64) -> F64:
        """Write the bounds of ``made``, around the median before its threshold; return the log(width) of each."""
        kw, median_kw = made.kw, made.combined_median_kw
        if self._options.calibrates:
            roots = one.spread_roots
            if roots is None:
                roots = np.repeat(conformal_interval.roots(2 * made.scale_kw)[:, np.newaxis], 2, axis=1)
            is_new = np.isnan(log_width)
            if is_new.any():
                log_width = np.where(is_new, conformal_interval.first_log_width(roots), log_width)
            kw[:, 2], kw[:, 3] = conformal_interval.bounds(log_width, median_kw, roots, floor_kw)
        elif one.bounds_kw is None:
            kw[:, 2:] = np.nan
        else:
            kw[:, 2:] = one.bounds_kw + (median_kw - made.members_kw[:, 1, 0])[:, np.newaxis]
            if self._options.combines:
                np.maximum(kw[:, 2:], floor_kw[:, np.newaxis], out=kw[:, 2:])
        if self._options.combines:  # the threshold may move the median beyond a bound
            np.minimum(kw[:, 2], kw[:, 1], out=kw[:, 2])
            np.maximum(kw[:, 3], kw[:, 1], out=kw[:, 3])
        return log_width

    def _add_offsets(self, made: IssuedForecasts, at: RowIndex, floor_kw: F64) -> None:
        """Add the learned offsets in rows ``at`` of the state to mean and median of ``made``, at least ``floor_kw``.

        Then reduce the change of the median by its threshold.
        """
        arrays, kw, scale_kw = self._state.rows.arrays, made.kw, made.scale_kw
        if self._options.learns:
            predicted = made.predicted_kw / scale_kw
            offset = mean_correction.offsets(arrays[mean_correction.STATE][at], predicted, made.levels)
            kw[:, 0] = np.maximum(kw[:, 0] + offset * scale_kw, floor_kw)
        mean_change = (kw[:, 0] - made.last_kw) / scale_kw
        offset_kw = median_calibration.offsets(arrays[median_calibration.STATE][at], mean_change) * scale_kw
        made.combined_median_kw[...] = np.maximum(kw[:, 1] + offset_kw, floor_kw)
        change = (made.combined_median_kw - made.last_kw) / scale_kw
        reduced_kw = median_threshold.reduced(arrays[median_threshold.STATE][at], change) * scale_kw
        kw[:, 1] = np.maximum(made.last_kw + reduced_kw, floor_kw)  # again, because the sum is rounded

    def _forecast_submetered(
        self, one: MemberPredictions, members_kw: F64, scale_kw: F64, floor_kw: F64, *, is_tracked: bool
    ) -> SubmeteredForecasts | None:
        """Write the forecasts of devices with submeters to ``members_kw``, and the RLS forecasts of the other devices.

        Return the forecasts of devices with submeters; None without such devices.
        """
        at = self._inputs.members.index(SUBMETERED)
        members_kw[:, :, at] = members_kw[:, :, self._inputs.learned]
        submetered, arrays = self._state.submetered, self._state.rows.arrays
        if submetered is None or one.loads is None or not is_tracked:
            return None
        for row in submetered.new_rows(one.rows, one.loads):
            at_row = row + 1
            n_outcomes = arrays["seen"][at_row, N_OUTCOMES]
            submetered.begin(row, arrays["coefficients"][at_row], arrays["inside"][at_row], n_outcomes)
        made = submetered.forecast(one.rows, one.columns, one.loads, scale_kw)
        if made is None:
            return None
        change_kw = made.change * scale_kw[made.places, np.newaxis]
        members_kw[made.places, :, at] = np.maximum(
            one.last_kw[made.places, np.newaxis] + change_kw, floor_kw[made.places]
        )
        return made

    def _phase_kw(self, windows: F32, rows: I64) -> F64:
        """Return the changes ``[N]`` that the phase tables in ``rows`` of the state expect, kW; 0 without a table."""
        if not self._inputs.rls_features.n_phases:
            return np.zeros(len(rows))
        phases = phase_table.find_phases(windows[:, self._inputs.horizon_min :])
        return phase_table.expected_kw(self._state.rows.arrays, rows, phases)

    def replace_impossible(
        self, rows: I64, made: IssuedForecasts, shares: F64, log_width: F64, floor_kw: F64, places: I64
    ) -> list[tuple[int, float]]:
        """Replace impossible forecasts by persistence and reset the learning state of their devices, in place.

        Values that are out of range but not faulty are clipped. Nothing is learned from the stored state of a
        replaced forecast: all members forecast persistence. Return the ``places`` of the replaced forecasts,
        each with its impossible value.
        """
        forecast_range, is_bounded, kw = self.forecast_range, self._is_bounded, made.kw
        forecast_range.clip_forecasts(kw)
        which = np.flatnonzero(forecast_range.impossible(kw, shares, bounded=is_bounded))
        if not which.size:
            return []
        impossible_kw = [forecast_range.outside(values[: 4 if is_bounded else 2]) for values in kw[which].tolist()]
        last_kw = made.last_kw[which]
        kw[which] = forecast_range.persistence(last_kw)
        floor_kw[which] = np.minimum(kw[which, 2], 0.0)
        if not is_bounded:
            kw[which, 2:] = np.nan
        self._state.rows.reset(rows[which])
        made.scale_kw[which], log_width[which] = error_scale.FIRST_KW, np.nan
        made.members_kw[which] = last_kw[:, np.newaxis, np.newaxis]
        made.combined_median_kw[which] = last_kw
        made.columns[which] = made.levels[which] = 0.0  # a situation from damaged state may be NaN
        shares[which] = 0.0
        shares[which, :, -1] = 1.0
        return list(zip(places[which].tolist(), impossible_kw, strict=True))

    def _weights_of(self, specialists: F32, levels: F64) -> F64:
        if self._options.combines:
            return boa_weights.weights_of(specialists, situations.memberships(levels))
        shares = np.zeros((len(levels), 2, len(self._inputs.members)))
        shares[:, :, 0] = 1.0
        return shares
