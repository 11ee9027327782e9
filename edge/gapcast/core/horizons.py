"""The forecasters of all horizons: the main one, and those of devices with a horizon of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gapcast.core.accepted_batch import AcceptedBatch
from gapcast.core.buffer import Buffers
from gapcast.core.forecast import Forecasts
from gapcast.core.history import History
from gapcast.core.horizon_forecaster import HorizonForecaster
from gapcast.core.horizon_parts import (
    as_members,
    joined_outlooks,
    members_of_all,
    mixed_forecasts,
    part_of,
    score_columns,
)
from gapcast.core.learning.drift import ErrorChange
from gapcast.core.learning.outcomes import F64, Outcomes
from gapcast.core.learning.scores import Scores
from gapcast.core.learning.summary import Period, Summary
from gapcast.core.outlook.engine_part import OutlookPart
from gapcast.core.outlook.outlook import Outlooks
from gapcast.core.outlook.scores import OutlookScores
from gapcast.core.outlook.week import WeekHistory
from gapcast.core.plans import Plans
from gapcast.core.window import F32


class Horizons:
    """Which forecaster each device has. Batches are split by horizon only if there are several."""

    def __init__(
        self, main: HorizonForecaster, own_min: Mapping[str, int], others: Sequence[HorizonForecaster]
    ) -> None:
        """Forecast the devices in ``own_min`` at that horizon, minutes, by one of ``others``; all else by ``main``.

        Horizons that are the main one, and forecasters of horizons that no device has, are left out.
        """
        #: The forecaster of all devices but those with a horizon of their own.
        self.main = main
        #: Horizons of devices that have one of their own, minutes.
        self.own_min = {
            device: horizon_min for device, horizon_min in own_min.items() if horizon_min != main.horizon_min
        }
        #: The forecasters of these, by horizon.
        self.others = {one.horizon_min: one for one in others if one.horizon_min in self.own_min.values()}
        #: All forecasters, the main one first.
        self.all = (main, *self.others.values())
        #: The ensemble members of any horizon, those of the main one first, but persistence last.
        self.members = members_of_all(one.scores.members for one in self.all)
        #: Minutes in which real readings are counted, for all horizons alike.
        self.n_counted = max(one.published_model.spec.context for one in self.all)
        if self.others:
            for one in self.all:
                one.count_minutes(self.n_counted)

    def of(self, device: str) -> HorizonForecaster:
        """Return the forecaster of ``device``, which may be unknown yet."""
        return self.others[self.own_min[device]] if device in self.own_min else self.main

    @property
    def context(self) -> int:
        """Minutes that windows must have."""
        return max(one.context for one in self.all)

    @property
    def takes_history(self) -> bool:
        """Whether a model of forecasts takes a history."""
        return any(one.panel.takes_history for one in self.all)

    @property
    def outlooks(self) -> list[OutlookPart]:
        """The outlooks of all horizons, the main one's first; empty without outlooks."""
        return [one.outlooks for one in self.all if one.outlooks is not None]

    def plans(self, *, has_outcomes: bool) -> Plans:
        """Return the plans of devices, at first none, with the lead times of each horizon."""
        own = {device: self.of(device).published_model.lead_times_min for device in self.own_min}
        return Plans(self.main.published_model.lead_times_min, has_outcomes=has_outcomes, own_leads_min=own)

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
        parts = [(one, places, *part_of(accepted, measured, places)) for one, places in self._parts(accepted)]
        # All models run before anything is stored: if one cannot, the whole batch has no forecast.
        predictions = [one.predict(part, of_part, buffers) for one, _, part, of_part in parts]
        made = []
        for (one, places, part, of_part), predicted in zip(parts, predictions, strict=True):
            forecasts = one.forecast(part, of_part, predicted, buffers, issued_at_ms, plans)
            history.record_forecasts(part.rows, forecasts)
            made.append((places, forecasts))
        return mixed_forecasts(made)

    def _parts(self, accepted: AcceptedBatch) -> list[tuple[HorizonForecaster, list[int]]]:
        """Return the forecasters of the windows of ``accepted``, and the indices of each one's windows."""
        places: dict[int, list[int]] = {}
        for i, device in enumerate(accepted.devices):
            places.setdefault(self.own_min.get(device, self.main.horizon_min), []).append(i)
        return [(self.others.get(horizon_min, self.main), found) for horizon_min, found in places.items()]

    def outlook(
        self,
        accepted: AcceptedBatch,
        measured: F32,
        forecasts: Forecasts,
        planned_kw: Mapping[int, F64],
        week: WeekHistory | None,
    ) -> Outlooks | None:
        """Return the outlooks of the windows of ``accepted`` with their ``forecasts``; see :class:`OutlookPart`."""
        if not self.others:
            maker = self.main.outlooks
            body = self.main.take_body(accepted)
            return None if maker is None else maker.make(accepted, measured, forecasts, planned_kw, week, body)
        made: list[tuple[list[int], Outlooks]] = []
        for indices, of_horizon in forecasts.by_horizon():
            places, one = [*indices], self.of(of_horizon.devices[0])
            maker = one.outlooks
            part, of_part = part_of(accepted, measured, places)
            planned = {new: planned_kw[old] for new, old in enumerate(places) if old in planned_kw}
            body = one.take_body(part)
            outlooks = None if maker is None else maker.make(part, of_part, of_horizon, planned, week, body)
            if maker is not None and outlooks is not None:
                made.append(([i for i in places if accepted.rows[i] < maker.options.max_devices], outlooks))
        return joined_outlooks(made)

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

    def score_columns(self, buffers: Buffers, rows: Sequence[int]) -> dict[str, Any]:
        """Return the columns of the scores of :attr:`members` for ``rows``, each device's at its own horizon."""
        others = {buffers.row(device): self.of(device).scores for device in self.own_min if device in buffers}
        return score_columns(self.main.scores, others, rows, self.members)

    def overall_scores(self, buffers: Buffers) -> dict[Period, Summary]:
        """Return the live scores over all devices, each at its own horizon."""
        if not self.others:
            return self.main.scores.overall()
        scores = Scores(self.members, buffers.n_rows)
        scores.restore_columns(self.score_columns(buffers, range(buffers.n_rows)))
        return scores.overall()

    def overall_outlook_scores(self) -> dict[Period, OutlookScores]:
        """Return the live scores of the outlooks over all devices; empty without outlooks."""
        makers = self.outlooks
        return makers[0].overall_scores(makers[1:]) if makers else {}
