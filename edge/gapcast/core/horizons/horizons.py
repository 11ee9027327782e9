"""The forecasters of all horizons: the main forecaster, and those of devices with a horizon of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.demand.distributions.mean_shares import FARTHEST_MIN
from gapcast.core.forecasts.forecast import Forecasts
from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.horizons.horizon_forecaster import DeviceHorizons, HorizonForecaster, HorizonModels
from gapcast.core.horizons.horizon_parts import (
    as_members,
    join_outlooks,
    members_of_all,
    mixed_forecasts,
    score_columns,
)
from gapcast.core.learning.scores.drift import ErrorChange
from gapcast.core.learning.scores.scores import Scores
from gapcast.core.learning.scores.summary import Period, Summary
from gapcast.core.models.predictor import history_steps_of
from gapcast.core.outlook.outlook import Outlooks
from gapcast.core.outlook.outlook_forecaster import OutlookForecaster
from gapcast.core.outlook.scores.scores import OutlookScores
from gapcast.core.plans.plans import Plans
from gapcast.core.readings.submeters import Submeters
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.core.streams.buffer import Buffers
from gapcast.core.streams.history import History
from gapcast.core.streams.week import WeekHistory
from gapcast.core.windows.window import WindowSpec


class Horizons:
    """The forecaster of each device. Batches are split by horizon only if there are several horizons."""

    def __init__(
        self, models: HorizonModels, own: DeviceHorizons, forecaster: Callable[[HorizonModels], HorizonForecaster]
    ) -> None:
        """Forecast devices at the horizons and by the models of ``own``, all others by ``models``.

        ``forecaster`` returns the forecaster for given models. Entries of ``own`` with the main horizon, and models of
        horizons that no device has, are ignored.
        """
        #: The forecaster of all devices without a horizon of their own.
        self.main = main = forecaster(models)
        #: Horizons of the devices with a horizon of their own, minutes.
        self.own_min = {
            device: horizon_min for device, horizon_min in own.of_devices.items() if horizon_min != main.horizon_min
        }
        #: The forecasters of these devices, by horizon.
        self.others = {
            one.horizon_min: forecaster(one) for one in own.models if one.horizon_min in self.own_min.values()
        }
        #: All forecasters, the main one first.
        self.all = (main, *self.others.values())
        #: The ensemble members of all horizons, first the members of the main one, but persistence last.
        self.members = members_of_all(one.scores.members for one in self.all)
        #: Number of minutes in which measured readings are counted, the same for all horizons.
        self.n_counted = max(one.published_model.spec.context for one in self.all)
        if self.others:
            for one in self.all:
                one.count_minutes(self.n_counted)

    def forecaster_of(self, device: str) -> HorizonForecaster:
        """Return the forecaster of ``device``; the device may be unknown yet."""
        return self.others[self.own_min[device]] if device in self.own_min else self.main

    @property
    def outlook_forecasters(self) -> list[OutlookForecaster]:
        """The outlook forecasters of all horizons, the main forecaster's first; empty without outlooks."""
        return [one.outlooks for one in self.all if one.outlooks is not None]

    def create_buffers(self, max_devices: int, submeters: Submeters | None) -> Buffers:
        """Return empty buffers for at most ``max_devices`` devices, with windows for all models.

        The forecasters use the ``submeters`` of the devices from now on.
        """
        n_rows = self._rows_with_history(max_devices)
        buffers = Buffers(
            WindowSpec(max(one.context for one in self.all), self.main.model.spec.padding),
            max_devices,
            self.main.model_set.channels,
            n_counted=self.n_counted,
            submeters=submeters,
            week=WeekHistory(n_rows) if n_rows else None,
        )
        for one in self.all:
            one.use_submeters(buffers.submeters)
        return buffers

    def _rows_with_history(self, max_devices: int) -> int:
        """Return the number of devices for which a model takes a week of quarter-hours as its second input."""
        n_rows, main = 0, self.main
        if any(one.model_set.takes_history for one in self.all):
            n_rows = max_devices if main.ensemble is None else main.ensemble.options.max_devices
        if main.outlooks is not None and history_steps_of(main.outlooks.model):
            n_rows = max(n_rows, min(main.outlooks.options.max_devices, max_devices))
        return n_rows

    def create_plans(self) -> Plans:
        """Return empty plans of the devices, with the lead times of each horizon."""
        own = {device: self.forecaster_of(device).published_model.lead_times_min for device in self.own_min}
        has_outcomes, outlooks = self.main.ensemble is not None, self.main.outlooks
        return Plans(
            self.main.published_model.lead_times_min,
            has_outcomes=has_outcomes,
            own_leads_min=own,
            outlook_min=0 if outlooks is None else max(outlooks.model.lead_times_min[-1], FARTHEST_MIN),
        )

    def forecast(
        self,
        accepted: AcceptedBatch,
        measured: F32,
        buffers: Buffers,
        issued_at_ms: int,
        plans: Plans,
        history: History,
    ) -> Forecasts:
        """Forecast ``measured`` ``[N, context, C]``, the windows of ``accepted``, and store the forecasts.

        Raises :class:`ModelError` if a model cannot be run.
        """
        if not self.others:
            predicted = self.main.predict(accepted, measured, buffers)
            forecasts = self.main.forecast(accepted, measured, predicted, buffers, issued_at_ms, plans)
            history.record_forecasts(accepted.rows, forecasts)
            return forecasts
        parts = [(one, places, accepted.select(places), measured[places]) for one, places in self._parts(accepted)]
        # All models run before anything is stored: if one fails, the whole batch has no forecast.
        predictions = [one.predict(part, of_part, buffers) for one, _, part, of_part in parts]
        made = []
        for (one, places, part, of_part), predicted in zip(parts, predictions, strict=True):
            forecasts = one.forecast(part, of_part, predicted, buffers, issued_at_ms, plans)
            history.record_forecasts(part.rows, forecasts)
            made.append((places, forecasts))
        return mixed_forecasts(made)

    def _parts(self, accepted: AcceptedBatch) -> list[tuple[HorizonForecaster, list[int]]]:
        """Return the forecasters of the windows of ``accepted``, each with the indices of its windows."""
        places: dict[int, list[int]] = {}
        for i, device in enumerate(accepted.devices):
            places.setdefault(self.own_min.get(device, self.main.horizon_min), []).append(i)
        return [(self.others.get(horizon_min, self.main), found) for horizon_min, found in places.items()]

    def have_outlooks(self, rows: Sequence[int]) -> bool:
        """Return whether any device of ``rows``, at least one row, has an outlook."""
        outlooks = self.main.outlooks
        return outlooks is not None and outlooks.has_any(rows)

    def outlook(
        self,
        accepted: AcceptedBatch,
        measured: F32,
        forecasts: Forecasts,
        week: WeekHistory | None,
    ) -> Outlooks | None:
        """Return the outlooks of the windows of ``accepted`` with their ``forecasts``; see :class:`OutlookForecaster`.

        At least one of the devices has an outlook. Announced loads are added.
        """
        outlook_forecasters = self.outlook_forecasters  # of all horizons
        for device, row in accepted.set_back_devices().items():
            outlook_forecasters[self.all.index(self.forecaster_of(device))].discard_pending(row)
        of_main = outlook_forecasters[0]
        planned_kw: dict[int, F64] = {}
        if accepted.planned:
            planned_kw = {i: part.minutes_kw for i, part in accepted.planned.items() if part.minutes_kw is not None}
        if not self.others:
            return of_main.make(accepted, measured, forecasts, planned_kw, week, self.main.take_trunk_outputs(accepted))
        made: list[tuple[list[int], Outlooks]] = []
        for indices, of_horizon in forecasts.by_horizon():
            places, one = [*indices], self.forecaster_of(of_horizon.devices[0])
            part, of_part = accepted.select(places), measured[places]
            own, trunk = one.outlooks, one.take_trunk_outputs(part)
            planned = {new: planned_kw[old] for new, old in enumerate(places) if old in planned_kw}
            if own is not None and (outlooks := own.make(part, of_part, of_horizon, planned, week, trunk)) is not None:
                made.append(([i for i in places if accepted.rows[i] < own.options.max_devices], outlooks))
        return join_outlooks(made)

    def learn(self, plans: Plans, buffers: Buffers) -> tuple[Outcomes | None, list[ErrorChange]]:
        """Learn from the outcomes of the newest readings; see :meth:`gapcast.core.engine.Engine.learn`."""
        if not self.others:
            return self.main.learn(plans, buffers.device)
        parts, changes = [], []
        for one in self.all:
            outcomes, changed = one.learn(plans, buffers.device)
            if outcomes is not None:
                parts.append(as_members(outcomes, one.scores.members, self.members))
            changes += changed
        return Outcomes.joined(parts) if parts else None, changes

    def learn_outlooks(self) -> None:
        """Learn from the outcomes of the newest readings for the outlooks of all horizons."""
        for one in self.all:
            if one.outlooks is not None:
                one.outlooks.learn()

    def stamp(self, rows: Sequence[int], issued_at_ms: Sequence[int], buffers: Buffers) -> None:
        """Set the time of issue of the newest forecasts and outlooks of ``rows``."""
        if not self.others:
            self.main.stamp(rows, issued_at_ms)
        else:
            for row, at_ms in zip(rows, issued_at_ms, strict=True):
                self.forecaster_of(buffers.device(row)).stamp([row], [at_ms])

    def forget_learning(self, row: int) -> None:
        """Reset the learning state of the device in ``row``; its readings stay."""
        for one in self.all:
            one.forget_learning(row)

    def forget(self, row: int) -> None:
        """Remove the state of the device in ``row`` at all horizons, except its forests."""
        for one in self.all:
            one.forget(row)

    def forget_device(self, row: int | None, device: str) -> None:
        """Remove all state of ``device`` in ``row`` (None: no readings), and its forests."""
        for one in self.all:
            one.forests.forget(device)
        if row is not None:
            self.forget(row)

    def score_columns(self, buffers: Buffers, rows: Sequence[int]) -> dict[str, Any]:
        """Return the columns of the scores of :attr:`members` for ``rows``, each device at its own horizon."""
        others = {
            buffers.row(device): self.forecaster_of(device).scores for device in self.own_min if device in buffers
        }
        return score_columns(self.main.scores, others, rows, self.members)

    def overall_scores(self) -> dict[Period, Summary]:
        """Return the live scores over all devices; each device is scored at its own horizon."""
        return Scores(self.members, 0).overall([one.scores for one in self.all])

    def overall_outlook_scores(self) -> dict[Period, OutlookScores]:
        """Return the live scores of the outlooks over all devices; empty without outlooks."""
        forecasters = self.outlook_forecasters
        return forecasters[0].overall_scores(forecasters[1:]) if forecasters else {}
