"""Learns from the outcomes of a device's own outlooks: corrections, bounds and scores.

Like the ensemble, it learns from a reading only after the outlook of that reading was published.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

import numpy as np

from gapcast.core.arrays.array_predicates import is_any, is_every
from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.arrays.device_rows import DeviceRows, RowIndex, row_index
from gapcast.core.forecasts import power_floor
from gapcast.core.learning.ensemble import conformal_interval, error_scale
from gapcast.core.learning.online_model import daily_profile
from gapcast.core.learning.online_model.rls_features import BIN_MIN
from gapcast.core.outlook.correction import correction_model, correction_shares
from gapcast.core.outlook.correction.corrected_outlooks import CorrectedOutlooks, OutlookInputs
from gapcast.core.outlook.correction.correction_features import RECENT_MIN, USUAL_MIN, CorrectionFeatures, nearest
from gapcast.core.outlook.correction.pending_outlooks import DueOutlooks, IssuedOutlooks, PendingOutlooks
from gapcast.core.outlook.options import OutlookOptions
from gapcast.core.outlook.outlook import BOUNDS, CENTRES, LOWER, MEDIAN, UPPER
from gapcast.core.outlook.scores import scores
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.features import minute_of_day
from gapcast.core.windows.window import MAX_FILL_MIN

#: Indices into ``seen``: scale (kW), readings, lowest power (kW), newest minute.
_SCALE, _N_READINGS, _LOWEST, _NEWEST = range(4)
#: Lead of the changes whose mean absolute value is the device's scale, minutes.
_SCALE_MIN = 15
_RECENT_MIN = np.asarray(RECENT_MIN)
#: Largest absolute value of the newest errors, in units of the scale.
_MOST_RECENT = 10.0
#: The half hours ``[1440, B]`` of the daily profile that are columns, by the local minute.
_USUAL_BINS: I64 = (np.arange(DAY_MIN)[:, np.newaxis] + np.array(USUAL_MIN)) % DAY_MIN // BIN_MIN


class OnlineOutlook:
    """Corrects and calibrates outlooks per device. Pure; for one caller. ``rows`` index the state, from 1 on."""

    def __init__(self, leads_min: Sequence[int], options: OutlookOptions, zone: tzinfo, min_kw: float) -> None:
        """Learn outlooks with the lead times ``leads_min``; no bound is below ``min_kw``."""
        self.leads = leads = np.asarray(leads_min, dtype=np.int64)
        #: Places, counted back from the newest minute, of the last minute of each lead time and of the span before it.
        self._ends = np.concatenate((leads, 2 * leads)) - 1
        self._before = -1 - leads
        self.options = options
        self._zone = zone
        self.min_kw = min_kw
        #: The inputs of the correction, and the indices of the lead times whose newest errors are inputs.
        self.features = CorrectionFeatures(leads_min)
        self.recent = nearest(leads_min, RECENT_MIN)
        self.pending = PendingOutlooks(leads_min, self.features.width)
        k, d = len(leads_min), self.features.width
        self.state = DeviceRows(
            {
                "seen": np.array([error_scale.FIRST_KW, 0.0, 0.0, -1.0]),
                power_floor.STATE: power_floor.initial_state(),
                "log_width": np.full((k, 2), np.nan),
                "n_outcomes": np.zeros(k),
                "recent": np.zeros(len(RECENT_MIN)),
                "coefficients": np.zeros((k, 2, 2, d), dtype=np.float32),
                "covariance": correction_model.initial_covariance(d),
                "inside": np.ones((k, 2), dtype=np.float32),
                "share_gains": correction_shares.initial_gains(k),
                "usual": daily_profile.initial_state(),
                "sums": scores.initial_sums(k),
                "newest_kw": np.zeros((k, 2, 4)),
                "newest_when": np.array([-1, 0], dtype=np.int64),
                **self.pending.initial_state(),
            }
        )

    def correct(self, inputs: OutlookInputs) -> CorrectedOutlooks:
        """Return the corrected and calibrated outlooks of ``inputs``."""
        rows, windows = inputs.rows, inputs.windows
        self.state.index(rows)
        at, arrays = row_index(rows), self.state.arrays
        seen = arrays["seen"][at]
        scale_kw, last_kw = seen[:, _SCALE], windows[:, -1].astype(np.float64)
        floor_kw = power_floor.floors_kw(arrays[power_floor.STATE][at], seen[:, _LOWEST], last_kw, self.min_kw)
        kw, base_kw = inputs.model_kw.copy(), inputs.base_kw
        local = self.local_minutes(inputs.minutes)
        if self.options.learns:
            profile_kw = _profile_kw(arrays["usual"], rows, local, last_kw)
            columns = self.features.columns(inputs, profile_kw, arrays["recent"][at], scale_kw, local)
            n, k = base_kw.shape[:2]
            coefficients = arrays["coefficients"][at].reshape(n, 4 * k, -1)
            change = correction_model.predict(coefficients, columns).reshape(n, k, 2, 2)
            choices = correction_shares.best_choices(arrays["share_gains"][at], self.leads)
            change_kw = change * scale_kw[:, np.newaxis, np.newaxis, np.newaxis]
            base_kw = correction_shares.apply(choices, base_kw, change_kw, last_kw)
        else:
            columns, change = np.zeros((len(rows), self.features.width), dtype=np.float32), np.zeros_like(base_kw)
        kw[..., CENTRES] = base_kw
        np.maximum(kw[..., MEDIAN], floor_kw[:, np.newaxis, np.newaxis], out=kw[..., MEDIAN])
        log_width = self._bound(kw, inputs.model_kw, arrays["log_width"][at], floor_kw)
        return CorrectedOutlooks(kw, floor_kw, columns, change, log_width, local)

    def local_minutes(self, minutes: I64) -> I64:
        """Return the minutes of the local day of ``minutes`` (since the epoch)."""
        return minute_of_day(minutes, self._zone)

    def _bound(self, kw: F64, model_kw: F64, log_width: F64, floor_kw: F64) -> F64:
        """Write the bounds around the medians of ``kw``, in place; return the log(width) of each."""
        median_kw = kw[..., MEDIAN]
        if not self.options.calibrates:
            kw[..., BOUNDS] += (median_kw - model_kw[..., MEDIAN])[..., np.newaxis]
            return log_width
        away_kw = np.abs(model_kw[..., BOUNDS] - model_kw[..., MEDIAN, np.newaxis])
        roots = conformal_interval.roots(away_kw).reshape(-1, 2)
        is_new = np.isnan(log_width)
        if is_any(is_new):
            log_width = np.where(is_new, conformal_interval.first_log_width(roots).reshape(log_width.shape), log_width)
        floors_kw = floor_kw.repeat(log_width[0].size)
        lower_kw, upper_kw = conformal_interval.bounds(log_width.reshape(-1), median_kw.reshape(-1), roots, floors_kw)
        kw[..., LOWER], kw[..., UPPER] = lower_kw.reshape(median_kw.shape), upper_kw.reshape(median_kw.shape)
        return log_width

    def store_newest(self, rows: I64, minutes: I64, issued_at_ms: int, kw: F64) -> None:
        """Store the newest outlooks ``kw`` ``[N, K, 2, 4]``."""
        self.state.arrays["newest_kw"][rows] = kw
        self.state.arrays["newest_when"][rows, 0] = minutes
        self.state.arrays["newest_when"][rows, 1] = issued_at_ms

    def stamp(self, row: int, issued_at_ms: int) -> None:
        """Set the time of issue of the newest outlook of ``row``."""
        self.state.index(np.array([row]))
        self.state.arrays["newest_when"][row, 1] = issued_at_ms

    def newest(self, row: int) -> tuple[F64, int, int] | None:
        """Return the newest outlook ``[K, 2, 4]`` of ``row``, its minute and time of issue (ms); None without one."""
        if not self.has_newest(row):
            return None
        minute, issued_at_ms = self.state.arrays["newest_when"][row].tolist()
        return self.state.arrays["newest_kw"][row].copy(), minute, issued_at_ms

    def has_newest(self, row: int) -> bool:
        """Return whether ``row`` has an outlook."""
        return row < len(self.state) and bool(self.state.arrays["newest_when"][row, 0] >= 0)

    def sums(self, row: int) -> F64:
        """Return the sums of the live scores of ``row``."""
        sums: F64 = self.state.arrays["sums"][row] if row < len(self.state) else self.state.initial("sums")
        return sums

    def reset(self, rows: I64) -> None:
        """Reset the learned state of ``rows``."""
        self.state.reset(rows)

    def learn(self, inputs: OutlookInputs, made: CorrectedOutlooks) -> None:
        """Learn from the newest readings of ``inputs``, and store the outlooks ``made``."""
        state, rows, minutes = self.state, inputs.rows, inputs.minutes
        at, arrays = row_index(rows), state.arrays
        arrays["log_width"][at] = made.log_width
        newest = arrays["seen"][at, _NEWEST]
        has_restarted = (minutes - newest > MAX_FILL_MIN + 1) | (minutes <= newest)
        if is_any(has_restarted):
            self.pending.discard(state, rows[has_restarted])
        arrays["seen"][at, _NEWEST] = minutes
        if is_every(inputs.is_measured):
            self._learn_outcomes(inputs, made.local)
        elif is_any(inputs.is_measured):
            which = np.flatnonzero(inputs.is_measured)
            self._learn_outcomes(inputs.select(which), made.local[which])
        gains, spread = made.columns, np.zeros(len(rows), dtype=np.float32)
        if self.options.learns:
            covariance = arrays["covariance"][at]
            gains, spread = correction_model.add_inputs(covariance, made.columns)
            state.write_back("covariance", at, covariance)
        issued = IssuedOutlooks(made.columns, gains, spread, inputs.base_kw, made.change, made.kw)
        self.pending.store(state, rows, minutes, issued)

    def _learn_outcomes(self, inputs: OutlookInputs, local: I64) -> None:
        state, rows, windows = self.state, inputs.rows, inputs.windows
        at, arrays = row_index(rows), state.arrays
        seen = arrays["seen"][at]
        scale_kw, last_kw = seen[:, _SCALE].copy(), windows[:, -1].astype(np.float64)
        due = self.pending.due(state, rows, inputs.minutes)
        if is_any(due.is_due):
            n_outcomes = arrays["n_outcomes"][at]
            actual_kw, before_kw = self._score(at, windows, due)
            log_width = arrays["log_width"][at]
            missed = ((actual_kw < due.kw[..., LOWER]) | (actual_kw > due.kw[..., UPPER])).astype(np.float64)
            updated = conformal_interval.updated_log_width(log_width, n_outcomes[:, :, np.newaxis], missed)
            np.copyto(log_width, updated, where=due.is_due[:, :, np.newaxis])
            state.write_back("log_width", at, log_width)
            if self.options.learns:
                errors = (actual_kw[..., np.newaxis] - due.base) / scale_kw[:, np.newaxis, np.newaxis, np.newaxis]
                moved = (actual_kw - before_kw[..., np.newaxis]) / scale_kw[:, np.newaxis, np.newaxis]
                self._learn_correction(at, due, errors, moved, n_outcomes)
            n_outcomes += due.is_due
            state.write_back("n_outcomes", at, n_outcomes)
        change_kw = last_kw - windows[:, -1 - _SCALE_MIN]
        seen[:, _SCALE] = error_scale.updated_scale(scale_kw, change_kw, seen[:, _N_READINGS])
        seen[:, _N_READINGS] += 1
        seen[:, _LOWEST] = np.minimum(seen[:, _LOWEST], last_kw)
        state.write_back("seen", at, seen)
        power_floor.update(powers := arrays[power_floor.STATE][at], last_kw)
        state.write_back(power_floor.STATE, at, powers)
        if self.options.learns:
            daily_profile.update(arrays["usual"], rows, local // BIN_MIN, last_kw)

    def _score(self, at: RowIndex, windows: F32, due: DueOutlooks) -> tuple[F64, F64]:
        """Add the outcomes of ``due`` to the scores.

        Return the outcomes ``[N, K, 2]`` and the last readings when the outlooks were made ``[N, K]``, kW.
        """
        leads, k = self.leads, len(self.leads)
        back = windows[:, : -2 * leads[-1] - 1 : -1].cumsum(axis=1, dtype=np.float64).take(self._ends, axis=1)
        actual_kw = np.empty((len(windows), k, 2))
        actual_kw[:, :, 0] = windows[:, -1:]
        actual_kw[:, :, 1] = back[:, :k] / leads
        last_kw = windows.take(self._before, axis=1).astype(np.float64)
        before = scores.Baselines(last_kw, (back[:, k:] - back[:, :k]) / leads)
        sums = self.state.arrays["sums"][at]
        scores.add(sums, due.kw.astype(np.float64), actual_kw, before, due.is_due)
        self.state.write_back("sums", at, sums)
        return actual_kw, last_kw

    def _learn_correction(self, at: RowIndex, due: DueOutlooks, errors: F64, moved: F64, n_outcomes: F64) -> None:
        state, arrays = self.state, self.state.arrays
        gains, coefficients, inside, recent = (
            arrays[name][at] for name in ("share_gains", "coefficients", "inside", "recent")
        )
        of_last = correction_shares.errors_of_last_reading(errors, moved, self.leads)
        correction_shares.update(gains, errors, due.change.astype(np.float64), of_last, due.is_due)
        correction_model.update(coefficients, inside, due, errors, n_outcomes)
        newest = errors[:, :, 1, 0].take(self.recent, axis=1)
        newest = np.minimum(np.maximum(newest, -_MOST_RECENT), _MOST_RECENT)
        recent += due.is_due.take(self.recent, axis=1) / _RECENT_MIN * (newest - recent)
        state.write_back("share_gains", at, gains)
        state.write_back("coefficients", at, coefficients)
        state.write_back("inside", at, inside)
        state.write_back("recent", at, recent)

    def discard_pending(self, rows: I64) -> None:
        """Discard the pending outlooks of ``rows``: nothing is learned from their outcomes."""
        self.state.index(rows)
        self.pending.discard(self.state, rows)


def _profile_kw(profile: F32, rows: I64, local: I64, last_kw: F64) -> F64:
    """Return the typical power ``[N, B]`` from ``local`` ``[N]`` on; the last reading if it is unknown."""
    known = profile[rows[:, np.newaxis], :, _USUAL_BINS.take(local, axis=0)]
    return np.where(known[..., 1] > 0, known[..., 0], last_kw[:, np.newaxis])
