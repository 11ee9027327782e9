"""The engine: turns readings into forecasts, for any number of devices at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, tzinfo
from functools import partial

from gapcast.core.arrays.array_types import F32
from gapcast.core.billing.options import SiteDemandOptions
from gapcast.core.demand.demand import Demands
from gapcast.core.demand.device_demands import DeviceDemands
from gapcast.core.forecasts.forecast import Forecast, Forecasts
from gapcast.core.forecasts.forecast_range import WIDEST
from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.horizons.horizon_forecaster import DeviceHorizons, HorizonForecaster, HorizonModels
from gapcast.core.horizons.horizons import Horizons
from gapcast.core.horizons.newest_forecasts import NewestForecasts
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.step_outcomes import StepOutcomes
from gapcast.core.learning.scores.drift import ErrorChange
from gapcast.core.learning.scores.summary import Period, Summary
from gapcast.core.models.predictor import ModelIdentity, Prediction, Predictor
from gapcast.core.outlook.options import OutlookConfig
from gapcast.core.outlook.outlook import Outlook, Outlooks
from gapcast.core.outlook.outlook_forecaster import OutlookForecaster
from gapcast.core.outlook.scores.scores import OutlookScores
from gapcast.core.plans.plan import LoadPlan
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.readings.submeters import Submeters
from gapcast.core.streams.acceptance import accept_readings, power_of_window
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.core.streams.history import History
from gapcast.core.streams.minute_runs import MinuteRun, accept_runs, accepts_runs


class Engine:
    """Buffers of many devices and the models that forecast them. Pure: no clock, no I/O; for one caller."""

    #: Limits of readings without ``limits`` and ``ensemble``.
    default_limits = WIDEST

    def __init__(  # noqa: PLR0913 - each has a default
        self,
        model: Predictor,
        max_devices: int = 100_000,
        zone: tzinfo = UTC,
        *,
        includes_path: bool = True,
        ensemble: Ensemble | None = None,
        history: History | None = None,
        limits: Limits | None = None,
        submeters: Submeters | None = None,
        outlook: OutlookConfig | None = None,
        demand: SiteDemandOptions | None = None,
        horizons: DeviceHorizons | None = None,
    ) -> None:
        """Forecast at most ``max_devices`` devices with ``model``; the time of day is in ``zone``.

        ``includes_path``: whether forecasts hold the mean of each lead time, if the model has several. ``ensemble``,
        whose first model is ``model``, makes the published forecast and learns from outcomes (None: ``model`` alone).
        ``history`` stores readings and forecasts (None: nothing is stored). ``limits`` are the limits of readings, and
        determine the range of forecasts (None: those of the ``ensemble``, or the default limits). ``outlook`` holds the
        model and the options of the outlooks (None: no outlooks). ``demand`` has the limits of billing windows, and
        needs outlooks (None: no demands). ``horizons`` has the horizons of single devices with their models (None: all
        devices have the horizon of ``model``).

        Raises :class:`ValueError` if the options of the ``ensemble`` have other limits.
        """
        if ensemble is not None and limits not in (None, ensemble.limits):
            raise ValueError(f"limits: {limits}, but the ensemble has {ensemble.limits}: set them in its options only")
        self.zone = zone
        #: Limits of readings, from which the range of forecasts is derived.
        self.limits = limits = ensemble.limits if ensemble is not None else limits or self.default_limits
        self.includes_path = includes_path
        forecaster = partial(HorizonForecaster, zone=zone, limits=limits, outlook=outlook, includes_path=includes_path)
        #: The forecasters of all horizons.
        self.horizons = Horizons(HorizonModels(model, ensemble), horizons or DeviceHorizons({}, ()), forecaster)
        self.buffers = self.horizons.create_buffers(max_devices, submeters)
        #: Announced loads.
        self.plans = self.horizons.create_plans()
        #: The demands of billing windows, and their limits.
        self.demands = DeviceDemands(demand, self.outlooks, self.buffers, self.plans, limits.max_kw)
        self.history = history or History()

    def forecaster_of(self, device: str) -> HorizonForecaster:
        """Return the forecaster of ``device``; the device may be unknown yet."""
        return self.horizons.forecaster_of(device)

    @property
    def model(self) -> Predictor:
        """The primary model."""
        return self.horizons.main.model

    @property
    def ensemble(self) -> Ensemble | None:
        """The ensemble of the main forecaster; None without an ensemble."""
        return self.horizons.main.ensemble

    @property
    def published_model(self) -> ModelIdentity:
        """The model identity of the published forecasts of the main horizon."""
        return self.horizons.main.published_model

    @property
    def outlooks(self) -> OutlookForecaster | None:
        """The outlook forecaster of the main horizon; None if no device has outlooks."""
        return self.horizons.main.outlooks

    # --- the stream -------------------------------------------------------------------------------

    def accept(self, readings: Sequence[Reading]) -> AcceptedBatch:
        """Accept ``readings`` in order; several readings of one device in a batch are handled as if one by one.

        A reading that raises an unexpected exception does not prevent the others from being accepted. Later readings of
        the same device in the batch fail, too, because the state of the device may be damaged.
        """
        return accept_readings(readings, self.buffers, self.history, self.plans)

    def accept_runs(self, runs: Sequence[MinuteRun]) -> AcceptedBatch:
        """Accept many minutes of each device at once, as if :meth:`accept` got the readings one after the other."""
        if accepts_runs(self.buffers) and not self.history.max_devices and not self.plans.trackers:
            return accept_runs(runs, self.buffers)
        return self.accept([reading for run in runs for reading in run.readings()])

    def forecast(self, accepted: AcceptedBatch, issued_at_ms: int) -> Forecasts:
        """Forecast the accepted windows in one call per model, and store the newest forecast of each device.

        All powers are finite and within the range of forecasts, and bounds enclose the median: other values are
        replaced and listed in :attr:`Forecasts.replacements`. Raises :class:`ModelError` if a model cannot be run.
        """
        if not accepted.devices:
            return Forecasts(self.published_model, issued_at_ms, [], [], [], [])
        measured = self._measured_in(accepted)
        return self.horizons.forecast(accepted, measured, self.buffers, issued_at_ms, self.plans, self.history)

    def outlook(self, accepted: AcceptedBatch, forecasts: Forecasts) -> Outlooks | None:
        """Return the outlooks of the tracked devices of ``accepted``, and store the newest outlook of each.

        Call it after :meth:`forecast`, which returned ``forecasts``, and before :meth:`learn`. The outlooks agree with
        the forecasts and do not change them. None without an outlook model, or if no device of the batch has an
        outlook. Raises :class:`ModelError` if the model cannot be run.
        """
        if not accepted.devices or not self.horizons.have_outlooks(accepted.rows):
            return None
        measured = self._measured_in(accepted)
        return self.horizons.outlook(accepted, measured, forecasts, self.buffers.week)

    def demand(self, accepted: AcceptedBatch, outlooks: Outlooks | None) -> Demands | None:
        """Return the demands of the devices of ``accepted`` with a limit, and store the newest; None without any.

        Call it after :meth:`outlook`, which returned ``outlooks``, and before :meth:`learn`.
        """
        return self.demands.make(accepted, self._measured_in(accepted), outlooks)

    def _measured_in(self, accepted: AcceptedBatch) -> F32:
        """Return the windows of ``accepted`` as ``[N, context, C]``."""
        return accepted.windows.reshape(len(accepted.devices), self.buffers.spec.context, len(self.buffers.channels))

    def predict(self, accepted: AcceptedBatch) -> list[Prediction]:
        """Predict ``accepted``, not empty, with each model of its first device, without storing or learning."""
        forecaster = self.forecaster_of(accepted.devices[0])
        return forecaster.predict(accepted, self._measured_in(accepted), self.buffers).predictions

    def learn(self, *, copied: bool = True) -> tuple[Outcomes | None, list[ErrorChange]]:
        """Learn from the outcomes of the newest readings; call it after :meth:`forecast`.

        Return the outcomes of earlier forecasts (None without any), and lasting changes of devices' errors. The
        outcomes are of the ensemble members of all horizons, NaN for members that a device's horizon does not have.
        Unless they are ``copied``, the next :meth:`forecast` overwrites them.
        """
        self.horizons.learn_outlooks()
        self.demands.learn()
        outcomes, changes = self.horizons.learn(self.plans, self.buffers)
        return outcomes.copied() if copied and isinstance(outcomes, StepOutcomes) else outcomes, changes

    # --- single devices ---------------------------------------------------------------------------

    def replace_plan(self, device: str, plan: LoadPlan) -> None:
        """Replace the announced loads of ``device``; the device may be unknown yet.

        Raises :class:`~gapcast.core.errors.PayloadError` if all plans together have too many loads.
        """
        if device not in self.buffers:
            self.plans.replace_plan(device, plan, None, None)
            return
        row, (minute, _) = self.buffers.row(device), self.buffers.newest(device)
        if self.plans.replace_plan(device, plan, minute, power_of_window(self.buffers.window(device))):
            self.forecaster_of(device).discard_pending(row)

    def plan_of(self, device: str) -> LoadPlan:
        """Return the announced loads of ``device`` that have not ended; an empty plan if there are none."""
        minute = self.buffers.stream(device).last_minute if device in self.buffers else None
        return self.plans.plan_of(device, minute)

    def outlook_of(self, device: str) -> Outlook | None:
        """Return the newest outlook of ``device``; None if the device is unknown or has no outlook."""
        if device not in self.buffers:
            return None
        return self.forecaster_of(device).outlook_of(self.buffers.row(device), device)

    def outlook_scores_of(self, device: str) -> dict[Period, OutlookScores]:
        """Return the live scores of the outlooks of ``device`` by period; empty without outlooks."""
        outlooks = self.forecaster_of(device).outlooks
        return {} if outlooks is None else outlooks.scores_of(self.buffers.row(device))

    def scores_of(self, device: str) -> dict[Period, Summary]:
        """Return the live scores of ``device`` by period."""
        return self.forecaster_of(device).scores.for_row(self.buffers.row(device))

    def explain_incomplete(self, reading: Reading) -> str:
        """Return a sentence that names the features missing from an ``INCOMPLETE`` reading, and the fix."""
        channels = self.buffers.channels[: self.buffers.n_required]
        names = " or ".join(reading.missing_features(channels))
        fix = f"send {', '.join(channels)} with each reading, or publish another model"
        return f"the reading has no {names}, which model {self.model.name} needs: {fix}"

    def latest(self) -> list[Forecast]:
        """Return the newest forecast of every device that has a forecast."""
        found = (self.latest_of(device) for device in self.buffers.names() if device)
        return [forecast for forecast in found if forecast is not None]

    def copy_newest_forecasts(self) -> NewestForecasts:
        """Return a copy of the newest forecasts."""
        return NewestForecasts.copied(self.buffers.names(), self.horizons.all)

    def latest_of(self, device: str) -> Forecast | None:
        """Return the newest forecast of ``device``; None if the device is unknown or has no forecast yet."""
        if device not in self.buffers:
            return None
        return self.forecaster_of(device).latest_of(self.buffers.row(device), device)

    def stamp(self, rows: list[int], issued_at_ms: list[int]) -> None:
        """Set the time of issue of the newest forecasts and outlooks of ``rows``."""
        self.horizons.stamp(rows, issued_at_ms, self.buffers)
        self.demands.stamp(rows, issued_at_ms)

    def is_changed(self, device: str) -> bool:
        """Return whether a plan or a limit was set for ``device``, even if it is unknown otherwise."""
        return self.demands.has_set_limit(device) or device in self.plans.trackers

    def forget(self, device: str) -> int | None:
        """Remove all state of ``device``; return the row it had, None if it is unknown."""
        row = self.buffers.forget(device)
        self.plans.forget(device)
        self.horizons.forget_device(row, device)
        if row is not None:
            self.history.forget(row)
        self.demands.forget(row, device)
        return row
