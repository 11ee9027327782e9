"""The engine: readings in, forecasts out, for any number of devices at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, tzinfo

import numpy as np

from gapcast.core.acceptance import accept_readings, power_of_window
from gapcast.core.accepted_batch import AcceptedBatch
from gapcast.core.buffer import Buffers
from gapcast.core.damaged_state import DAMAGED
from gapcast.core.demand.demand import Demand, Demands
from gapcast.core.demand.engine_part import DemandPart
from gapcast.core.demand.headroom import LoadRisks
from gapcast.core.demand.headroom_request import HeadroomRequest
from gapcast.core.demand.limit_changes import require_demands
from gapcast.core.demand.month_peaks import DayPeak
from gapcast.core.demand.options import DemandPlan
from gapcast.core.demand.registers import RunningRegister
from gapcast.core.demand.scores import DemandScores
from gapcast.core.forecast import Forecast, Forecasts
from gapcast.core.forecast_builder import BatchKeys, from_ensemble, from_single_model, published_model_of
from gapcast.core.forecast_range import WIDEST, ForecastRange
from gapcast.core.history import History
from gapcast.core.latest import Latest
from gapcast.core.learning.drift import Drift, ErrorChange
from gapcast.core.learning.ensemble import Ensemble
from gapcast.core.learning.house_forests import HouseForests
from gapcast.core.learning.outcomes import F64, Outcomes
from gapcast.core.learning.scores import Scores
from gapcast.core.learning.summary import Period, Summary
from gapcast.core.minute_runs import MinuteRun, accept_runs, accepts_runs
from gapcast.core.outlook.engine_part import OutlookPart
from gapcast.core.outlook.options import OutlookOptions
from gapcast.core.outlook.outlook import Outlook, Outlooks
from gapcast.core.outlook.scores import OutlookScores
from gapcast.core.outlook.week import WeekHistory
from gapcast.core.panel import Panel
from gapcast.core.plan import LoadPlan
from gapcast.core.plans import Plans
from gapcast.core.predictor import ModelIdentity, Prediction, Predictor, history_steps_of
from gapcast.core.published_powers import PublishedPowers
from gapcast.core.reading import Limits, Reading
from gapcast.core.repairs import repair_windows, repairs_of
from gapcast.core.submeters import Submeters
from gapcast.core.window import F32, WindowSpec


class Engine:
    """Buffers of many devices and the models that forecast them. Pure: no clock, no I/O, one caller."""

    def __init__(  # noqa: PLR0913 - each has a default
        self,
        model: Predictor,
        max_devices: int = 100_000,
        zone: tzinfo = UTC,
        *,
        includes_path: bool = True,
        ensemble: Ensemble | None = None,
        history: History | None = None,
        limits: Limits = WIDEST,
        submeters: Submeters | None = None,
        outlook_model: Predictor | None = None,
        outlook: OutlookOptions | None = None,
        demand: DemandPlan | None = None,
    ) -> None:
        """Forecast at most ``max_devices`` devices with ``model``; the time of day is that of ``zone``.

        ``includes_path``: whether forecasts hold the mean of each lead time, if the model has several. ``ensemble``,
        whose first model is ``model``, makes the published forecast and learns from outcomes (None: ``model`` alone).
        ``history`` stores readings and forecasts (None: nothing is stored). ``limits`` are those of readings; they
        determine the range of forecasts. With an ``ensemble`` its options hold the limits. ``outlook_model`` makes the
        outlooks by the options ``outlook`` (None: the defaults); without one there are none. ``demand`` has the limits
        of billing windows (None: there are none), which need outlooks.
        """
        self.model = model
        self.zone = zone
        self.ensemble = ensemble
        #: Limits of readings, and the range of forecasts.
        self.limits = limits if ensemble is None else ensemble.limits
        self.forecast_range = ForecastRange.of(self.limits)
        self._panel = panel = Panel((model,) if ensemble is None else ensemble.models, zone, self.forecast_range)
        n_tracked = 0 if ensemble is None else ensemble.options.max_devices
        n_week_rows = 0 if not panel.takes_history else max_devices if ensemble is None else n_tracked
        #: The model identity that forecasts are published under.
        self.published_model: ModelIdentity = model if ensemble is None else published_model_of(ensemble, panel.context)
        self.includes_path = includes_path
        self._has_path = includes_path and len(model.lead_times_min) > 1
        leads_min = self.published_model.lead_times_min if self._has_path else ()
        self._published_powers = PublishedPowers(leads_min, self.forecast_range)
        #: The outlook; None without one.
        self.outlooks: OutlookPart | None = None
        context = panel.context
        if outlook_model is not None:
            published_min = model.lead_times_min if self._has_path else model.lead_times_min[-1:]
            options = outlook or OutlookOptions()
            self.outlooks = OutlookPart(outlook_model, options, zone, self.limits, published_min, panel.channels)
            context = max(context, self.outlooks.context)
            if history_steps_of(outlook_model):
                n_week_rows = max(n_week_rows, min(options.max_devices, max_devices))
        self.buffers = Buffers(
            WindowSpec(context, model.spec.padding),
            max_devices,
            panel.channels,
            n_counted=self.published_model.spec.context,
            submeters=submeters,
            week=WeekHistory(n_week_rows) if n_week_rows else None,
        )
        #: The demand of billing windows; None without a limit or outlook.
        self.demands: DemandPart | None = None
        if demand is not None and demand.is_limited and self.outlooks is not None:
            self.demands = DemandPart(
                demand, self.outlooks.model, self.outlooks.options.max_devices, self.limits.max_kw
            )
            self.buffers.billing = self.demands.windows
        members = ensemble.members if ensemble is not None and ensemble.options.combines else ()
        #: Forecast accuracy and drift, by row of the buffers.
        self.scores, self.drift = Scores(() if ensemble is None else ensemble.members, n_tracked), Drift(n_tracked)
        #: The trees of the night's refit, by device.
        self.forests = HouseForests(panel.context, model.lead_times_min[-1], zone, self.buffers.submeters)
        #: The newest forecasts, by row of the buffers.
        self.newest = Latest(len(model.lead_times_min) if self._has_path else 1, members, self.forecast_range)
        self.history = history or History()
        #: Announced loads.
        self.plans = Plans(self.published_model.lead_times_min, has_outcomes=ensemble is not None)

    def accept(self, readings: Sequence[Reading]) -> AcceptedBatch:
        """Accept ``readings`` in order; several readings of one device in a batch are handled as if one by one.

        A reading that raises an unexpected exception does not prevent the others from being accepted. Later readings
        of its device in the batch fail too, because the state of the device may be damaged.
        """
        return accept_readings(readings, self.buffers, self.history, self.plans)

    def accept_runs(self, runs: Sequence[MinuteRun]) -> AcceptedBatch:
        """Accept many minutes of each device at once, as :meth:`accept` does their readings, one after the other."""
        if accepts_runs(self.buffers) and not self.history.max_devices and not self.plans.trackers:
            return accept_runs(runs, self.buffers)
        return self.accept([reading for run in runs for reading in run.readings()])

    def forecast(self, accepted: AcceptedBatch, issued_at_ms: int) -> Forecasts:
        """Forecast the accepted windows in one call per model, and store the newest forecast of each device.

        All powers are finite and within the range of forecasts, and bounds enclose the median: other values are
        replaced and listed in :attr:`Forecasts.repairs`. Raises :class:`ModelError` if a model cannot be run.
        """
        keys = BatchKeys(accepted.devices, accepted.minutes, accepted.n_observed)
        if not accepted.devices:
            return Forecasts(self.published_model, issued_at_ms, *keys, [])
        minutes = np.asarray(accepted.minutes, dtype=np.int64)
        measured = self._measured_in(accepted)[:, -self._panel.context :]
        n_required = self.buffers.n_required
        required = measured[:, :, :n_required]
        predictions, unusable = self._panel.predict(required, minutes, accepted.rows, self.buffers.week)
        replaced: list[tuple[int, float]] = []
        if self.ensemble is None:
            forecasts = from_single_model(self.model, keys, issued_at_ms, predictions[0], includes_path=self._has_path)
        else:
            rows = np.asarray(accepted.rows, dtype=np.int64)
            with np.errstate(**DAMAGED):
                windows = self._powers(measured)
                submeters_kw = measured[:, :, n_required:]
                forests_kw = self.forests.predict(accepted.devices, minutes, measured[:, :, 0], submeters_kw)
                published = self.ensemble.forecast(rows, minutes, windows, predictions, accepted.filled, forests_kw)
            path_kw, replaced = predictions[0].mean if self._has_path else None, published.replaced
            powers_kw = self._published_powers.of(published.kw, path_kw)
            forecasts = from_ensemble(self.ensemble, self.published_model, keys, issued_at_ms, published, powers_kw)
        if unusable or replaced:
            models = (self.model,) if self.ensemble is None else self.ensemble.models
            combines = self.ensemble is not None and self.ensemble.options.combines
            repairs = repairs_of(accepted, models, unusable, replaced, combines=combines)
            repair_windows(self.buffers, accepted, measured, unusable, replaced, self.forecast_range)
            forecasts = replace(forecasts, repairs=repairs)
        if accepted.planned:
            forecasts = self.plans.add_to(forecasts, accepted.planned, self.forecast_range)
        self.newest.store_forecasts(accepted.rows, forecasts)
        self.history.record_forecasts(accepted.rows, forecasts)
        return forecasts

    def outlook(self, accepted: AcceptedBatch, forecasts: Forecasts) -> Outlooks | None:
        """Return the outlooks of the tracked devices of ``accepted``, and store the newest of each.

        Call it after :meth:`forecast`, which returned ``forecasts``, and before :meth:`learn`. The outlooks agree with
        the forecasts and do not change them. None without an outlook model, or if none of the devices has an outlook.
        Raises :class:`ModelError` if the model cannot be run.
        """
        if self.outlooks is None or not accepted.devices:
            return None
        planned_kw: dict[int, F64] = {}
        if self.plans.trackers:
            n_minutes = self.outlooks.model.lead_times_min[-1]
            planned_kw = self.plans.planned_minutes(accepted.devices, accepted.minutes, n_minutes)
        with np.errstate(**DAMAGED):
            return self.outlooks.make(accepted, self._measured_in(accepted), forecasts, planned_kw, self.buffers.week)

    def outlook_of(self, device: str) -> Outlook | None:
        """Return the newest outlook of ``device``, or None if the device is unknown or has none."""
        if self.outlooks is None or device not in self.buffers:
            return None
        return self.outlooks.newest(self.buffers.row(device), device)

    def outlook_scores_of(self, device: str) -> dict[Period, OutlookScores]:
        """Return the live scores of the outlooks of ``device`` by period; empty if it has none."""
        return {} if self.outlooks is None else self.outlooks.scores_of(self.buffers.row(device))

    def demand(self, accepted: AcceptedBatch, outlooks: Outlooks | None) -> Demands | None:
        """Return the demands of the devices of ``accepted`` with a limit, and store the newest of each; None if none.

        Call it after :meth:`outlook`, which returned ``outlooks``, and before :meth:`learn`.
        """
        if self.demands is None:
            return None
        with np.errstate(**DAMAGED):
            return self.demands.make(accepted, self._measured_in(accepted)[:, :, 0], outlooks)

    def demand_of(self, device: str) -> Demand | None:
        """Return the newest demand of ``device``, or None if the device is unknown or has none."""
        row = self._row_of(device)
        return None if self.demands is None or row is None else self.demands.newest(row, device)

    def demand_scores_of(self, device: str) -> DemandScores | None:
        """Return the live scores of the demands of ``device``; None if it has no demand."""
        row = self._row_of(device)
        return None if self.demands is None or row is None else self.demands.scores_of(row)

    def load_risks_of(self, device: str, request: HeadroomRequest) -> LoadRisks | None:
        """Return the risks of a load at ``device``; None if it has no demand of its newest reading."""
        demand, outlook = self.demand_of(device), self.outlook_of(device)
        if self.demands is None or demand is None or outlook is None:
            return None
        row, observed = self.buffers.row(device), self.buffers.stream(device).last_minute
        if {demand.observed_minute, outlook.observed_minute} != {observed}:
            return None
        with np.errstate(**DAMAGED):
            return self.demands.load_risks(row, demand, outlook, power_of_window(self.buffers.window(device)), request)

    def set_demand_limit(self, device: str, limit_kw: float | None) -> None:
        """Set the limit of ``device``, which may be unknown yet, kW; None: back to the configured one.

        Raises :class:`~gapcast.core.errors.PayloadError` if the device has no demand, or for an impossible limit.
        """
        require_demands(self.demands, device).set_limit(self._row_of(device), device, limit_kw)

    def record_running_register(self, device: str, register: RunningRegister) -> None:
        """Use the demand register of the meter of ``device`` for its next demand, if it has one."""
        if self.demands is not None and device in self.buffers:
            self.demands.record_running_register(self.buffers.row(device), register)

    def month_peak_of(self, device: str) -> float | None:
        """Return the highest window of the running month of ``device``, kW; None before the first."""
        row = self._row_of(device)
        return None if self.demands is None or row is None else self.demands.windows.month_peak_kw(row)

    def month_peaks_of(self, device: str, n_days: int) -> list[DayPeak]:
        """Return the highest windows of the running month of ``device``, of ``n_days`` days at most, highest first."""
        row = self._row_of(device)
        return [] if self.demands is None or row is None else self.demands.windows.month_peaks(row, n_days)

    def correct_month_peak(self, device: str, peak_kw: float, minute: int | None) -> None:
        """Correct the highest window of the running month of ``device``, kW: it is the one that contains ``minute``.

        None: the last one that is over. Raises :class:`~gapcast.core.errors.PayloadError` if the device has no demand,
        for an impossible power, and for a window that is not over or of another month.
        """
        require_demands(self.demands, device).correct_month_peak(self._row_of(device), device, peak_kw, minute)

    def _row_of(self, device: str) -> int | None:
        return self.buffers.row(device) if device in self.buffers else None

    def _measured_in(self, accepted: AcceptedBatch) -> F32:
        """Return the windows of ``accepted`` as ``[N, context, C]``."""
        return accepted.windows.reshape(len(accepted.devices), self.buffers.spec.context, len(self.buffers.channels))

    def _powers(self, measured: F32) -> F32:
        """Return the powers in ``measured`` ``[N, context, C]`` as the ensemble takes them: without other features."""
        if self.ensemble is None or self.ensemble.submetered is None:
            return measured[:, :, 0]
        n_required = self.buffers.n_required
        return measured if n_required == 1 else np.delete(measured, np.s_[1:n_required], axis=2)

    def predict(self, accepted: AcceptedBatch) -> list[Prediction]:
        """Return each model's prediction for the windows of ``accepted``, at least one, without storing or learning."""
        minutes = np.asarray(accepted.minutes, dtype=np.int64)
        required = self._measured_in(accepted)[:, -self._panel.context :, : self.buffers.n_required]
        return self._panel.predict(required, minutes, accepted.rows, self.buffers.week).predictions

    def forget_learning(self, row: int) -> None:
        """Reset the learning state of the device of ``row``; its readings stay."""
        if self.ensemble is not None:
            self.ensemble.forget(row)
        if self.outlooks is not None:
            self.outlooks.forget(row)

    def learn(self) -> tuple[Outcomes | None, list[ErrorChange]]:
        """Learn from the outcomes of the newest readings; call it after :meth:`forecast`.

        Return the outcomes of earlier forecasts (None if there are none), and lasting changes of devices' errors.
        """
        if self.outlooks is not None:
            with np.errstate(**DAMAGED):
                self.outlooks.learn()
                if self.demands is not None:
                    self.demands.learn()
        if self.ensemble is None:
            return None, []
        with np.errstate(**DAMAGED):
            parts = self.ensemble.learn()
            if not parts:
                return None, []
            outcomes = Outcomes.joined(parts)
            if self.plans.trackers:
                outcomes = self.plans.totals_of(outcomes, self.buffers.device, self.forecast_range)
            self.scores.add(outcomes)
            return outcomes, self.drift.add(outcomes)

    def replace_plan(self, device: str, plan: LoadPlan) -> None:
        """Replace the announced loads of ``device``, which may be unknown yet.

        Raises :class:`~gapcast.core.errors.PayloadError` if there are too many loads in all plans.
        """
        if device not in self.buffers:
            self.plans.replace_plan(device, plan, None, None)
            return
        row, (minute, _) = self.buffers.row(device), self.buffers.newest(device)
        shows = self.plans.replace_plan(device, plan, minute, power_of_window(self.buffers.window(device)))
        if shows and self.ensemble is not None:
            self.ensemble.discard_pending(row)
        if shows and self.outlooks is not None:
            self.outlooks.discard_pending(row)

    def plan_of(self, device: str) -> LoadPlan:
        """Return the announced loads of ``device`` that have not ended; none if there is no plan."""
        minute = self.buffers.stream(device).last_minute if device in self.buffers else None
        return self.plans.plan_of(device, minute)

    def scores_of(self, device: str) -> dict[Period, Summary]:
        """Return the live scores of ``device``."""
        return self.scores.of(self.buffers.row(device))

    def explain_incomplete(self, reading: Reading) -> str:
        """Return a sentence that names the features missing from an ``INCOMPLETE`` reading, and the fix."""
        channels = self.buffers.channels[: self.buffers.n_required]
        names = " or ".join(reading.missing_features(channels))
        fix = f"send {', '.join(channels)} with each reading, or publish another model"
        return f"the reading has no {names}, which model {self.model.name} needs: {fix}"

    def latest(self) -> list[Forecast]:
        """Return the newest forecast of every device that has one."""
        devices, latest = self.copy_latest()
        return latest.read_all(devices, self.published_model)

    def copy_latest(self) -> tuple[list[str], Latest]:
        """Return the devices by row ("": forgotten), and a copy of their newest forecasts."""
        return self.buffers.names(), self.newest.copy()

    def latest_of(self, device: str) -> Forecast | None:
        """Return the device's newest forecast, or None if the device is unknown or has none yet."""
        return (
            self.newest.read(self.buffers.row(device), device, self.published_model) if device in self.buffers else None
        )

    def stamp(self, rows: list[int], issued_at_ms: list[int]) -> None:
        """Set the time of issue of the newest forecasts and outlooks of ``rows``."""
        self.newest.stamp(rows, issued_at_ms)
        if self.outlooks is not None:
            self.outlooks.stamp(rows, issued_at_ms)
        if self.demands is not None:
            self.demands.stamp(rows, issued_at_ms)

    def is_changed(self, device: str) -> bool:
        """Return whether a plan or a limit was set for ``device``, which may be unknown otherwise."""
        has_limit = self.demands is not None and device in self.demands.windows.set_limits_kw
        return has_limit or device in self.plans.trackers

    def forget(self, device: str) -> int | None:
        """Remove all state of ``device``; return the row it had, or None if it is unknown."""
        row = self.buffers.forget(device)
        self.plans.forget(device)
        self.forests.forget(device)
        if row is not None:
            self.newest.forget(row)
            if self.ensemble is not None:
                self.ensemble.forget(row)
            self.scores.forget(row)
            self.drift.forget(row)
            self.history.forget(row)
            if self.outlooks is not None:
                self.outlooks.forget(row)
        if self.demands is not None:
            self.demands.forget(row, device)
        return row
