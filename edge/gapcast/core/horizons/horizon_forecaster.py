"""The forecaster of one horizon: its models and ensemble, their learning, and the newest forecasts.

A gateway has one forecaster for all devices, and another for each further horizon that single devices are configured
with. They share the engine's buffers: each stores the state of its own devices in the devices' buffer rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import NamedTuple

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.forecasts.forecast import Forecast, Forecasts
from gapcast.core.forecasts.forecast_range import ForecastRange
from gapcast.core.forecasts.newest_forecast_columns import NewestForecastColumns
from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.forecasts.published_powers import PublishedPowers
from gapcast.core.horizons.forecast_builder import BatchKeys, from_ensemble, from_single_model, published_model_of
from gapcast.core.horizons.forecast_replacements import replace_impossible_windows, replacements_of
from gapcast.core.horizons.model_set import ModelPredictions, ModelSet
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.forests.house_forests import HouseForests
from gapcast.core.learning.scores.drift import Drift, ErrorChange
from gapcast.core.learning.scores.scores import Scores
from gapcast.core.models.predictor import ModelIdentity, Predictor, PublishedModel, TrunkOutputs, shares_trunk_with
from gapcast.core.outlook.options import OutlookConfig
from gapcast.core.outlook.outlook import Outlook
from gapcast.core.outlook.outlook_forecaster import OutlookForecaster
from gapcast.core.plans.plans import Plans
from gapcast.core.readings.reading import Limits
from gapcast.core.readings.submeters import Submeters
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.core.streams.buffer import Buffers
from gapcast.core.windows.window import WindowSpec


class HorizonModels(NamedTuple):
    """The models of one horizon: the primary model, and the ensemble (None: none), whose first model it is."""

    model: Predictor
    ensemble: Ensemble | None = None

    @property
    def horizon_min(self) -> int:
        """The horizon of the forecasts, minutes."""
        return self.model.lead_times_min[-1]


class DeviceHorizons(NamedTuple):
    """The horizons of devices with a horizon of their own, minutes, and the models of each horizon."""

    of_devices: Mapping[str, int]
    models: Sequence[HorizonModels]


class HorizonForecaster:
    """Forecasts the windows of its devices, and learns from their outcomes. Pure; one caller."""

    def __init__(
        self, models: HorizonModels, zone: tzinfo, limits: Limits, outlook: OutlookConfig | None, *, includes_path: bool
    ) -> None:
        """Forecast with ``models`` and the time of day in ``zone``, within the range derived from ``limits``.

        ``outlook`` makes the outlooks (None: no outlooks). ``includes_path``: whether forecasts have a path.
        """
        self.model, self.ensemble = model, ensemble = models
        self.horizon_min = models.horizon_min
        self._zone = zone
        self._range = ForecastRange.from_limits(limits)
        self.model_set = model_set = ModelSet((model,) if ensemble is None else ensemble.models, zone, self._range)
        #: The model identity of the published forecasts.
        self.published_model: ModelIdentity = (
            model if ensemble is None else published_model_of(ensemble, model_set.context)
        )
        self.has_path = includes_path and len(model.lead_times_min) > 1
        leads_min = self.published_model.lead_times_min if self.has_path else ()
        members = ensemble.members if ensemble is not None and ensemble.options.combines else ()
        self._has_submeters = ensemble is not None and ensemble.submetered is not None
        self._published_powers = PublishedPowers(leads_min, self._range, 2 * len(members))
        #: The outlook forecaster; None without outlooks.
        self.outlooks: OutlookForecaster | None = None
        if outlook is not None:
            published_min = model.lead_times_min if self.has_path else model.lead_times_min[-1:]
            self.outlooks = OutlookForecaster(outlook, zone, limits, published_min, model_set.channels)
        #: Whether the outlook's model continues from the trunk of the primary model.
        self._shares_trunk = outlook is not None and shares_trunk_with(outlook.model, model)
        #: Output of the primary model's trunk for the last batch, with its rows and minutes; None if it cannot be used.
        self._last_trunk_outputs: tuple[Sequence[int], Sequence[int], TrunkOutputs] | None = None
        #: Maximum number of tracked devices, which have the first rows.
        self.n_tracked = n_tracked = 0 if ensemble is None else ensemble.options.max_devices
        #: Forecast accuracy and drift, by row of the buffers.
        self.scores, self.drift = Scores(() if ensemble is None else ensemble.members, n_tracked), Drift(n_tracked)
        #: The forests of the nightly refit, by device.
        self.forests = HouseForests(model_set.context, self.horizon_min, zone)
        #: The newest forecasts, by row of the buffers.
        self.newest = NewestForecastColumns(len(model.lead_times_min) if self.has_path else 1, members, self._range)

    @property
    def context(self) -> int:
        """Minutes that a window must have."""
        return self.model_set.context if self.outlooks is None else max(self.model_set.context, self.outlooks.context)

    def use_submeters(self, submeters: Submeters) -> None:
        """Fit forests to the ``submeters`` of the devices, too; call it before there are any forests."""
        self.forests = HouseForests(self.model_set.context, self.horizon_min, self._zone, submeters)

    def count_minutes(self, n_minutes: int) -> None:
        """Set the published window length of forecasts to ``n_minutes``, which is the same for all horizons."""
        model = self.published_model
        self.published_model = PublishedModel(
            model.name, model.version, WindowSpec(n_minutes, model.spec.padding), model.lead_times_min,
            model.quantile_levels,
        )  # fmt: skip

    def predict(self, accepted: AcceptedBatch, measured: F32, buffers: Buffers) -> ModelPredictions:
        """Return each model's prediction for ``measured`` ``[N, context, C]``, the windows of ``accepted``.

        Raises :class:`ModelError` if a model cannot be run. Nothing is stored or learned.
        """
        minutes = np.asarray(accepted.minutes, dtype=np.int64)
        required = measured[:, -self.model_set.context :, : buffers.n_required]
        with_trunk = self._shares_trunk and self.outlooks is not None and self.outlooks.has_any(accepted.rows)
        return self.model_set.predict(required, minutes, accepted.rows, buffers.week, with_trunk=with_trunk)

    def forecast(
        self,
        accepted: AcceptedBatch,
        measured: F32,
        predicted: ModelPredictions,
        buffers: Buffers,
        issued_at_ms: int,
        plans: Plans,
    ) -> Forecasts:
        """Forecast ``measured`` ``[N, context, C]``, the windows of ``accepted``, and store the newest forecasts.

        ``predicted`` is the result of :meth:`predict`. Announced loads of ``plans`` are added.
        """
        keys = BatchKeys(accepted.devices, accepted.minutes, accepted.n_observed)
        minutes = np.asarray(accepted.minutes, dtype=np.int64)
        measured = measured[:, -self.model_set.context :]
        predictions, unusable, trunk = predicted
        replaced: list[tuple[int, float]] = []
        if self.ensemble is None:
            model, includes_path = self.published_model, self.has_path
            forecasts = from_single_model(model, keys, issued_at_ms, predictions[0], includes_path=includes_path)
        else:
            rows = np.asarray(accepted.rows, dtype=np.int64)
            forests_kw = None
            if len(self.forests):
                submeters_kw = measured[:, :, buffers.n_required :]
                forests_kw = self.forests.predict(accepted.devices, minutes, measured[:, :, 0], submeters_kw)
            windows = self._powers(measured, buffers.n_required) if self._has_submeters else measured[:, :, 0]
            published = self.ensemble.forecast(rows, minutes, windows, predictions, accepted.filled, forests_kw)
            path_kw, replaced = predictions[0].mean if self.has_path else None, published.replaced
            weights = published.shares.reshape(len(rows), -1) if self._published_powers.n_weights else None
            numbers = self._published_powers.compute_numbers(published.kw, path_kw, published.floor_kw, weights)
            forecasts = from_ensemble(self.ensemble, self.published_model, keys, issued_at_ms, numbers)
        is_repaired = bool(unusable or replaced)
        self._last_trunk_outputs = None if trunk is None or is_repaired else (accepted.rows, accepted.minutes, trunk)
        if is_repaired:
            models = (self.model,) if self.ensemble is None else self.ensemble.models
            combines = self.ensemble is not None and self.ensemble.options.combines
            replacements = replacements_of(accepted, models, unusable, replaced, combines=combines)
            replace_impossible_windows(buffers, accepted, measured, unusable, replaced, self._range)
            forecasts = replace(forecasts, replacements=replacements)
        if accepted.planned:
            forecasts = plans.add_to(forecasts, accepted.planned, self._range)
        self.newest.store_forecasts(accepted.rows, forecasts)
        return forecasts

    def take_trunk_outputs(self, accepted: AcceptedBatch) -> TrunkOutputs | None:
        """Return the output of the primary model's trunk for ``accepted``, whose windows were the last to be forecast.

        None if there is no output: then the outlook model computes it. The output is returned once.
        """
        last, self._last_trunk_outputs = self._last_trunk_outputs, None
        if last is None or last[0] != accepted.rows or last[1] != accepted.minutes:
            return None
        return last[2]

    @staticmethod
    def _powers(measured: F32, n_required: int) -> F32:
        """Return mains and submeter powers in ``measured`` ``[N, context, C]``, without other model features."""
        return measured if n_required == 1 else np.delete(measured, np.s_[1:n_required], axis=2)

    def learn(self, plans: Plans, device_of: Callable[[int], str]) -> tuple[Outcomes | None, list[ErrorChange]]:
        """Learn from the outcomes of the newest readings; see :meth:`gapcast.core.engine.Engine.learn`."""
        if self.ensemble is None:
            return None, []
        parts = self.ensemble.learn()
        if not parts:
            return None, []
        outcomes = Outcomes.joined(parts)
        if plans.trackers:
            outcomes = plans.totals_of(outcomes, device_of, self._range)
        self.scores.add(outcomes)
        return outcomes, self.drift.add(outcomes)

    def latest_of(self, row: int, device: str) -> Forecast | None:
        """Return the newest forecast of ``device`` in ``row``; None without a forecast."""
        return self.newest.read(row, device, self.published_model)

    def outlook_of(self, row: int, device: str) -> Outlook | None:
        """Return the newest outlook of ``device`` in ``row``; None without an outlook."""
        return None if self.outlooks is None else self.outlooks.newest(row, device)

    def stamp(self, rows: Sequence[int], issued_at_ms: Sequence[int]) -> None:
        """Set the time of issue of the newest forecasts and outlooks of ``rows``."""
        self.newest.stamp(list(rows), list(issued_at_ms))
        if self.outlooks is not None:
            self.outlooks.stamp(rows, issued_at_ms)

    def forget_learning(self, row: int) -> None:
        """Reset the learning state of the device in ``row``."""
        if self.ensemble is not None:
            self.ensemble.forget(row)
        if self.outlooks is not None:
            self.outlooks.forget(row)

    def discard_pending(self, row: int) -> None:
        """Discard the pending forecasts of the device in ``row``: nothing is learned from their outcomes."""
        if self.ensemble is not None:
            self.ensemble.discard_pending(row)
        if self.outlooks is not None:
            self.outlooks.discard_pending(row)

    def forget(self, row: int) -> None:
        """Remove all state of the device in ``row`` except its forest."""
        self.newest.forget(row)
        self.scores.forget(row)
        self.drift.forget(row)
        self.forget_learning(row)
