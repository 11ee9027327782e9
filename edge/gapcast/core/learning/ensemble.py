"""The ensemble: combines the forecasts of its members per device, and learns from outcomes.

The members are the models, an RLS model that learns online, the trees of the night's refit where they are used, an RLS
model that also learns from submeters if there are any, and persistence. Their weighted mean and median form the
forecast, with a calibrated interval around the median. When the reading of the target minute arrives, the RLS models,
weights and interval learn from it, separately for each device. The devices of a batch are computed together in numpy;
several readings of one device are processed in order, so that a batch gives the same result as its readings one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.errors import StateError
from gapcast.core.forecast_range import ForecastRange
from gapcast.core.learning import (
    boa_weights,
    conformal_interval,
    daily_profile,
    error_scale,
    learning_state,
    pending_forecasts,
    rls_model,
    situations,
)
from gapcast.core.learning.device_rows import UNTRACKED, DeviceRows
from gapcast.core.learning.ensemble_inputs import EnsembleInputs, MemberPredictions
from gapcast.core.learning.options import EnsembleOptions
from gapcast.core.learning.outcomes import F64, SUBMETERED, Outcomes
from gapcast.core.learning.rls_prior import RlsPrior
from gapcast.core.learning.submeter_features import load_features
from gapcast.core.learning.submetered_model import SubmeteredForecasts, SubmeteredModel
from gapcast.core.predictor import Prediction, Predictor
from gapcast.core.reading import Limits
from gapcast.core.window import F32, I64

#: The weights by situation, derived from the memory and kept with it: computed after an outcome.
_SPECIALISTS = "specialists"
#: Indices into ``seen``.
_SCALE, _N_OUTCOMES, _LOG_WIDTH, _LOWEST = range(4)
#: Devices whose RLS models are updated at a time, so that their covariances stay in the processor's cache.
_CHUNK = 32
#: A house without a reading below this does not feed in, kW: a meter's zero fluctuates a little.
_FEEDS_IN_KW = -0.05


@dataclass(frozen=True, slots=True)
class EnsembleForecasts:
    """Forecasts of N windows: ``kw`` ``[N, 4]`` is mean, median, lower and upper bound (NaN if there is none).

    ``shares`` ``[N, 2, E]`` are the weights of the members, for the mean and for the median. ``replaced`` are the
    indices of impossible forecasts that were replaced by persistence, each with its impossible value.
    """

    kw: F64
    shares: F64
    replaced: list[tuple[int, float]] = field(default_factory=list)


class Ensemble:
    """Forecasts with all members, and learns from outcomes. Pure; one caller."""

    def __init__(
        self,
        models: Sequence[Predictor],
        options: EnsembleOptions,
        zone: tzinfo = UTC,
        *,
        prior: RlsPrior | None = None,
    ) -> None:
        """Combine ``models``, the first of which is the primary one.

        The RLS model starts from ``prior`` if that is for its columns and horizon, else as the primary model.
        """
        self.options = options
        #: Limits of readings, and the range of forecasts.
        self.limits = Limits(options.min_kw, options.max_kw)
        self.forecast_range = ForecastRange.of(self.limits)
        self.models = tuple(models)
        has_submeters = options.learns and options.n_submeters > 0
        self._inputs = inputs = EnsembleInputs(
            models, zone, learns=options.learns, refits=options.refits, has_submeters=has_submeters
        )
        self.members = inputs.members
        #: Minutes ahead that all members forecast.
        self.horizon_min = inputs.horizon_min
        self._is_bounded = options.calibrates or inputs.has_bounds
        n_members = len(self.members)
        self._log_prior = np.log(boa_weights.prior_weights(n_members))
        self._pending = pending_forecasts.PendingForecasts(inputs.rls_features.width, n_members, inputs.horizon_min)
        initial: dict[str, NDArray[np.generic]] = {
            "seen": np.array([error_scale.FIRST_KW, 0.0, np.nan, 0.0]),
            "memory": boa_weights.initial_state(n_members),
            _SPECIALISTS: boa_weights.specialists_of(boa_weights.initial_state(n_members)[np.newaxis], self._log_prior)[
                0
            ],
            **self._pending.initial_state(),
        }
        if options.learns:
            names = inputs.rls_features.names
            rls = rls_model.initial_state(len(names), inputs.mean_column, inputs.median_column)
            initial |= rls if prior is None else prior.apply(rls, names, self.horizon_min)
            initial["usual"] = daily_profile.initial_state()
        self.state = DeviceRows(initial)
        #: The model of devices with submeters; None without them.
        self.submetered: SubmeteredModel | None = None
        if has_submeters:
            at = (inputs.mean_column, inputs.median_column)
            names = inputs.rls_features.names
            self.submetered = SubmeteredModel(names, options.n_submeters, inputs.horizon_min, at, prior)
        self._unlearned_loads: SubmeteredForecasts | None = None
        self._unlearned: tuple[MemberPredictions, pending_forecasts.IssuedForecasts, F64] | None = None
        self._outcomes: list[Outcomes] = []

    @property
    def n_bytes_per_device(self) -> int:
        """Bytes of state per tracked device."""
        return sum(array[0].nbytes for array in self.state.arrays.values())

    # --- forecasts --------------------------------------------------------------------------------

    def forecast(
        self,
        rows: I64,
        minutes: I64,
        windows: F32,
        predictions: Sequence[Prediction],
        filled: Sequence[int] = (),
        forests_kw: F64 | None = None,
    ) -> EnsembleForecasts:
        """Forecast each of ``windows`` ``[N, context]``, kW, N >= 1, in order.

        ``rows`` ``[N]`` are the devices' rows in :class:`~gapcast.core.buffer.Buffers`, ``minutes`` ``[N]`` the
        minutes of the newest readings, and ``predictions`` those of each model for the windows. Nothing is learned
        from the newest readings of the windows ``filled``. ``forests_kw`` ``[N, 4]`` are mean, median and bounds of
        the devices' own forests, NaN for a device without one (None: for all). With ``options.n_submeters`` K the
        windows are ``[N, context, 1 + K]``: mains and submeters, NaN where missing.
        """
        if self.submetered is None:
            inputs = self._inputs.collect(rows, minutes, windows, predictions, forests_kw)
        else:
            inputs = self._inputs.collect(rows, minutes, windows[:, :, 0], predictions, forests_kw)
            inputs = replace(inputs, loads=load_features(windows, self.horizon_min))
        if filled:
            inputs = inputs.without_outcomes(filled)
        published = EnsembleForecasts(np.empty((len(rows), 4)), np.empty((len(rows), 2, len(self.members))))
        is_tracked = rows < self.options.max_devices
        if is_tracked.all():
            self._combine_tracked(inputs, published)
            return published
        untracked, tracked = np.flatnonzero(~is_tracked), np.flatnonzero(is_tracked)
        self._combine(inputs.select(untracked), np.full(len(untracked), UNTRACKED), published, untracked)
        if tracked.size:
            self._combine_tracked(inputs.select(tracked), published, tracked)
        return published

    def learn(self) -> list[Outcomes]:
        """Learn from the outcomes of the newest readings; return all outcomes since the last call."""
        self._learn_pending()
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def forget(self, row: int) -> None:
        """Reset the state of the device of ``row``."""
        self._learn_pending()
        if row < self.options.max_devices:
            self.state.forget(row + 1)
            if self.submetered is not None:
                self.submetered.forget(row)

    def discard_pending(self, row: int) -> None:
        """Discard the pending forecasts of the device of ``row``: nothing is learned from their outcomes."""
        self._learn_pending()
        if row < self.options.max_devices:
            self._pending.discard(self.state, row + 1)

    def columns(self, rows: Sequence[int]) -> dict[str, NDArray[Any]]:
        """Return a copy of the learning state of ``rows``, for :meth:`restore_columns`."""
        self._learn_pending()
        tracked = np.flatnonzero(np.asarray(rows, dtype=np.int64) < self.options.max_devices)
        return {
            learning_state.TRACKED: tracked,
            learning_state.MEMBERS: np.array(self.members),
            learning_state.COLUMNS: np.array(self._inputs.rls_features.names),
            learning_state.HORIZON: np.array([self.horizon_min]),
            **self.state.columns(np.asarray(rows, dtype=np.int64)[tracked] + 1, without=_SPECIALISTS),
            **({} if self.submetered is None else self.submetered.columns(rows)),
        }

    def restore_columns(self, n_devices: int, columns: Mapping[str, NDArray[Any]]) -> None:
        """Restore the result of :meth:`columns` for the devices that now have the rows below ``n_devices``.

        The state of members that both ensembles have is restored; other members start from their initial state. Raises
        :class:`~gapcast.core.errors.StateError` if the columns do not fit each other, or are for another horizon.
        """
        if columns and (horizon_min := learning_state.horizon_of(columns)) != self.horizon_min:
            msg = f"it was learned {horizon_min} min ahead, and the models forecast {self.horizon_min} min ahead"
            raise StateError(msg)
        known = learning_state.restore_for_members(columns, self.state, self.members, self._inputs.rls_features.names)
        if known:
            known[_SPECIALISTS] = boa_weights.specialists_of(known["memory"], self._log_prior)
            tracked = columns[learning_state.TRACKED]
            which = tracked < min(n_devices, self.options.max_devices)
            self.state.restore_columns(tracked[which] + 1, {name: array[which] for name, array in known.items()})
        if self.submetered is not None:
            self.submetered.restore_columns(columns, min(n_devices, self.options.max_devices))

    def _combine_tracked(
        self, inputs: MemberPredictions, published: EnsembleForecasts, places: I64 | None = None
    ) -> None:
        """Write the forecasts of ``inputs`` to ``places`` of ``published`` (None: all), and keep them for learning."""
        for which in inputs.rounds():
            self._learn_pending()
            one = inputs.select(which)
            self._unlearned = self._combine(one, one.rows + 1, published, which if places is None else places[which])

    def _combine(
        self, one: MemberPredictions, rows: I64, published: EnsembleForecasts, places: I64 | slice
    ) -> tuple[MemberPredictions, pending_forecasts.IssuedForecasts, F64]:
        """Write the forecasts of ``one`` to ``places`` of ``published``, with the learning state in ``rows``.

        The feature columns of ``one`` are scaled in place. Return the inputs and forecasts to store until the outcome,
        and the log(width) of the interval.
        """
        at = self.state.index(rows)
        arrays = self.state.arrays
        seen, members_kw = arrays["seen"][at], one.members_kw
        scale_kw, log_width = seen[:, _SCALE], seen[:, _LOG_WIDTH]
        lowest_kw = np.minimum(seen[:, _LOWEST], one.last_kw)
        floor_kw = np.where(lowest_kw < _FEEDS_IN_KW, self.options.min_kw, np.minimum(lowest_kw, 0.0))
        columns, floor = one.columns, floor_kw[:, np.newaxis]
        if self.options.learns:
            typical_kw = daily_profile.typical_kw(arrays["usual"], rows, one.bins[1], one.last_kw)
            self._inputs.rls_features.complete(columns, one.windows, typical_kw, scale_kw, rls_model.LIMIT)
            change_kw = rls_model.predict(arrays["coefficients"][at], columns) * scale_kw[:, np.newaxis]
            learned_kw = members_kw[:, :, self._inputs.learned]
            learned_kw[...] = np.maximum(one.last_kw[:, np.newaxis] + change_kw, floor)
            if self._inputs.refit is not None:
                refit_kw = members_kw[:, :, self._inputs.refit]
                refit_kw[...] = np.where(np.isnan(refit_kw), learned_kw, np.maximum(refit_kw, floor))
        if self.submetered is not None:
            self._forecast_submetered(one, members_kw, scale_kw, floor, is_tracked=rows[0] != UNTRACKED)
        predicted_kw = members_kw[:, 0, max(len(self.members) - 2, 0)] - one.last_kw
        levels = situations.levels(situations.of_windows(one.windows), predicted_kw, scale_kw)
        shares = self._weights_of(arrays[_SPECIALISTS][at], levels)
        kw = np.empty((len(rows), 4))
        published_kw = np.add.reduce(shares * members_kw, axis=-1, out=kw[:, :2])
        if self.options.combines:
            np.maximum(published_kw, floor, out=published_kw)
        if self.options.calibrates:
            roots = one.spread_roots
            if roots is None:
                roots = np.repeat(conformal_interval.roots(2 * scale_kw)[:, np.newaxis], 2, axis=1)
            is_new = np.isnan(log_width)
            if is_new.any():
                log_width = np.where(is_new, conformal_interval.first_log_width(roots), log_width)
            kw[:, 2], kw[:, 3] = conformal_interval.bounds(log_width, kw[:, 1], roots, floor_kw)
        elif one.bounds_kw is None:
            kw[:, 2:] = np.nan
        else:
            kw[:, 2:] = one.bounds_kw + (kw[:, 1] - members_kw[:, 1, 0])[:, np.newaxis]
            if self.options.combines:
                np.maximum(kw[:, 2:], floor, out=kw[:, 2:])
        made = pending_forecasts.IssuedForecasts(columns, members_kw, kw, one.last_kw, scale_kw, levels)
        if not self.forecast_range.all_possible(kw, shares, bounded=self._is_bounded):
            of_batch = np.arange(len(published.kw))[places]
            published.replaced.extend(self._replace_impossible(rows, made, shares, log_width, of_batch))
        published.kw[places], published.shares[places] = kw, shares
        return one, made, log_width

    def _forecast_submetered(
        self, one: MemberPredictions, members_kw: F64, scale_kw: F64, floor_kw: F64, *, is_tracked: bool
    ) -> None:
        """Write the forecasts of devices with submeters to ``members_kw``; for others, those of the RLS model."""
        at = self.members.index(SUBMETERED)
        members_kw[:, :, at] = members_kw[:, :, self._inputs.learned]
        if self.submetered is None or one.loads is None or not is_tracked:
            return
        made = self.submetered.forecast(one.rows, one.columns, one.loads, scale_kw)
        if made is None:
            return
        change_kw = made.change * scale_kw[made.places, np.newaxis]
        members_kw[made.places, :, at] = np.maximum(
            one.last_kw[made.places, np.newaxis] + change_kw, floor_kw[made.places]
        )
        self._unlearned_loads = made

    def _replace_impossible(
        self, rows: I64, made: pending_forecasts.IssuedForecasts, shares: F64, log_width: F64, places: I64
    ) -> list[tuple[int, float]]:
        """Replace impossible forecasts by persistence and reset the learning state of their devices, in place.

        Bounds that alone are out of range are clipped. The stored state of a replaced forecast teaches nothing: all
        members forecast persistence. Return the ``places`` of the replaced forecasts, each with its impossible value.
        """
        forecast_range, is_bounded, kw = self.forecast_range, self._is_bounded, made.kw
        forecast_range.cut_bounds(kw)
        which = np.flatnonzero(forecast_range.impossible(kw, shares, bounded=is_bounded))
        if not which.size:
            return []
        impossible_kw = [forecast_range.outside(values[: 4 if is_bounded else 2]) for values in kw[which].tolist()]
        last_kw = made.last_kw[which]
        kw[which] = forecast_range.persistence(last_kw)
        if not is_bounded:
            kw[which, 2:] = np.nan
        self.state.reset(rows[which])
        made.scale_kw[which], log_width[which] = error_scale.FIRST_KW, np.nan
        made.members_kw[which] = last_kw[:, np.newaxis, np.newaxis]
        made.columns[which] = 0.0
        shares[which] = 0.0
        shares[which, :, -1] = 1.0
        return list(zip(places[which].tolist(), impossible_kw, strict=True))

    def _weights_of(self, specialists: boa_weights.F32, levels: F64) -> F64:
        if self.options.combines:
            return boa_weights.weights_of(specialists, situations.memberships(levels))
        shares = np.zeros((len(levels), 2, len(self.members)))
        shares[:, :, 0] = 1.0
        return shares

    # --- outcomes ---------------------------------------------------------------------------------

    def _learn_pending(self) -> None:
        """Store the forecasts of the last round, and learn from the outcomes that its readings bring.

        This runs only before the next round, after the forecasts of the last one were published.
        """
        unlearned, self._unlearned = self._unlearned, None
        if unlearned is None:
            return
        one, published, log_width = unlearned
        rows, arrays = one.rows + 1, self.state.arrays
        arrays["seen"][rows, _LOG_WIDTH] = log_width
        self._pending.store(self.state, rows, one, published)
        if self.submetered is not None and self._unlearned_loads is not None:
            self.submetered.store(self._unlearned_loads, one.minutes, published.last_kw, published.scale_kw)
            self._unlearned_loads = None
        if one.is_measured is not None:
            one = one.select(np.flatnonzero(one.is_measured))
            rows = one.rows + 1
        lowest = arrays["seen"][rows, _LOWEST]
        arrays["seen"][rows, _LOWEST] = np.minimum(lowest, one.last_kw)
        if self.options.learns:
            daily_profile.update(arrays["usual"], rows, one.bins[0], one.last_kw)
        if self.submetered is not None and one.loads is not None:
            loads_kw = one.loads.change_kw
            self.submetered.learn(one.rows, one.minutes, one.last_kw, loads_kw, self.options.forgetting)
        which = self._pending.due(self.state, rows, one.minutes)
        if which.size:
            self._learn_from(one.rows[which], one.minutes[which], one.last_kw[which])

    def _learn_from(self, rows: I64, minutes: I64, actual_kw: F64) -> None:
        at = self.state.index(rows + 1)
        arrays = self.state.arrays
        columns, members_kw, published_kw, last_kw, scale_kw, levels = self._pending.pop(self.state, rows + 1, minutes)
        self._outcomes.append(Outcomes(rows, minutes, actual_kw, last_kw, members_kw, published_kw))
        seen = arrays["seen"][at]
        change_kw, n_outcomes = actual_kw - last_kw, seen[:, _N_OUTCOMES].copy()
        if self.options.learns:
            self._update_rls(rows + 1, columns, change_kw / scale_kw, n_outcomes)
        if self.options.combines:
            memory = arrays["memory"][at]
            memberships = situations.memberships(levels)
            boa_weights.update(memory, members_kw, published_kw[:, :2], actual_kw, scale_kw, memberships)
            self.state.write_back("memory", at, memory)
            arrays[_SPECIALISTS][at] = boa_weights.specialists_of(memory, self._log_prior)
        missed = ((actual_kw < published_kw[:, 2]) | (actual_kw > published_kw[:, 3])).astype(np.float64)
        seen[:, _LOG_WIDTH] = conformal_interval.updated_log_width(seen[:, _LOG_WIDTH], n_outcomes, missed)
        seen[:, _SCALE] = error_scale.updated_scale(seen[:, _SCALE], change_kw, n_outcomes)
        seen[:, _N_OUTCOMES] = n_outcomes + 1
        self.state.write_back("seen", at, seen)

    def _update_rls(self, rows: I64, columns: F32, changes: F64, n_outcomes: F64) -> None:
        """Update the RLS model in ``rows`` ``[N]`` of the state; reset those whose recursion has broken down."""
        for first in range(0, len(rows), _CHUNK):
            part = slice(first, first + _CHUNK)
            at = self.state.index(rows[part])
            model = {name: self.state.arrays[name][at] for name in rls_model.STATE}
            sound = rls_model.update(model, columns[part], changes[part], n_outcomes[part], self.options.forgetting)
            for name, values in model.items():
                if sound is not None:
                    values[~sound] = self.state.initial(name)
                self.state.write_back(name, at, values)
