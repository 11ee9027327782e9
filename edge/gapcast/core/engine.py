"""The engine: readings in, forecasts out, for any number of devices at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gapcast.core.acceptance import accept_readings, power_of_window
from gapcast.core.accepted_batch import AcceptedBatch
from gapcast.core.damaged_state import DAMAGED
from gapcast.core.demand.demand import Demands
from gapcast.core.demand.limit_changes import require_demands
from gapcast.core.demand.registers import RunningRegister
from gapcast.core.engine_queries import EngineQueries
from gapcast.core.forecast import Forecasts
from gapcast.core.learning.drift import ErrorChange
from gapcast.core.learning.outcomes import F64, Outcomes
from gapcast.core.minute_runs import MinuteRun, accept_runs, accepts_runs
from gapcast.core.outlook.outlook import Outlooks
from gapcast.core.plan import LoadPlan
from gapcast.core.predictor import Prediction
from gapcast.core.reading import Reading
from gapcast.core.window import F32


class Engine(EngineQueries):
    """Buffers of many devices and the models that forecast them. Pure: no clock, no I/O, one caller."""

    # --- batches of the stream --------------------------------------------------------------------

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
        if not accepted.devices:
            return Forecasts(self.published_model, issued_at_ms, [], [], [], [])
        measured = self._measured_in(accepted)
        return self.horizons.forecast(accepted, measured, self.buffers, issued_at_ms, self.plans, self.history)

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
        measured = self._measured_in(accepted)
        return self.horizons.outlook(accepted, measured, forecasts, planned_kw, self.buffers.week)

    def demand(self, accepted: AcceptedBatch, outlooks: Outlooks | None) -> Demands | None:
        """Return the demands of the devices of ``accepted`` with a limit, and store the newest of each; None if none.

        Call it after :meth:`outlook`, which returned ``outlooks``, and before :meth:`learn`.
        """
        if self.demands is None:
            return None
        with np.errstate(**DAMAGED):
            return self.demands.make(accepted, self._measured_in(accepted)[:, :, 0], outlooks)

    def learn(self) -> tuple[Outcomes | None, list[ErrorChange]]:
        """Learn from the outcomes of the newest readings; call it after :meth:`forecast`.

        Return the outcomes of earlier forecasts (None if there are none), and lasting changes of devices' errors. The
        outcomes are of the ensemble members of all horizons, NaN for those that a device's horizon does not have.
        """
        if self.outlooks is not None:
            with np.errstate(**DAMAGED):
                for maker in self.horizons.outlooks:
                    maker.learn()
                if self.demands is not None:
                    self.demands.learn()
        return self.horizons.learn(self.plans, self.buffers)

    def stamp(self, rows: list[int], issued_at_ms: list[int]) -> None:
        """Set the time of issue of the newest forecasts and outlooks of ``rows``."""
        if not self.horizons.others:
            self.horizons.main.stamp(rows, issued_at_ms)
        else:
            for row, at_ms in zip(rows, issued_at_ms, strict=True):
                self.forecaster_of(self.buffers.device(row)).stamp([row], [at_ms])
        if self.demands is not None:
            self.demands.stamp(rows, issued_at_ms)

    def predict(self, accepted: AcceptedBatch) -> list[Prediction]:
        """Return each model's prediction for the windows of ``accepted``, at least one, without storing or learning.

        The models are those of the first device.
        """
        forecaster = self.forecaster_of(accepted.devices[0])
        return forecaster.predict(accepted, self._measured_in(accepted), self.buffers).predictions

    def _measured_in(self, accepted: AcceptedBatch) -> F32:
        """Return the windows of ``accepted`` as ``[N, context, C]``."""
        return accepted.windows.reshape(len(accepted.devices), self.buffers.spec.context, len(self.buffers.channels))

    # --- single devices ---------------------------------------------------------------------------

    def replace_plan(self, device: str, plan: LoadPlan) -> None:
        """Replace the announced loads of ``device``, which may be unknown yet.

        Raises :class:`~gapcast.core.errors.PayloadError` if there are too many loads in all plans.
        """
        if device not in self.buffers:
            self.plans.replace_plan(device, plan, None, None)
            return
        row, (minute, _) = self.buffers.row(device), self.buffers.newest(device)
        shows = self.plans.replace_plan(device, plan, minute, power_of_window(self.buffers.window(device)))
        if shows:
            self.forecaster_of(device).discard_pending(row)

    def set_demand_limit(self, device: str, limit_kw: float | None) -> None:
        """Set the limit of ``device``, which may be unknown yet, kW; None: back to the configured one.

        Raises :class:`~gapcast.core.errors.PayloadError` if the device has no demand, or for an impossible limit.
        """
        require_demands(self.demands, device).set_limit(self._row_of(device), device, limit_kw)

    def correct_month_peak(self, device: str, peak_kw: float, minute: int | None) -> None:
        """Correct the highest window of the running month of ``device``, kW: it is the one that contains ``minute``.

        None: the last one that is over. Raises :class:`~gapcast.core.errors.PayloadError` if the device has no demand,
        for an impossible power, and for a window that is not over or of another month.
        """
        require_demands(self.demands, device).correct_month_peak(self._row_of(device), device, peak_kw, minute)

    def record_running_register(self, device: str, register: RunningRegister) -> None:
        """Use the demand register of the meter of ``device`` for its next demand, if it has one."""
        if self.demands is not None and device in self.buffers:
            self.demands.record_running_register(self.buffers.row(device), register)

    def forget_learning(self, row: int) -> None:
        """Reset the learning state of the device of ``row``; its readings stay."""
        for forecaster in self.horizons.all:
            forecaster.forget_learning(row)

    def forget(self, device: str) -> int | None:
        """Remove all state of ``device``; return the row it had, or None if it is unknown."""
        row = self.buffers.forget(device)
        self.plans.forget(device)
        for forecaster in self.horizons.all:
            forecaster.forests.forget(device)
            if row is not None:
                forecaster.forget(row)
        if row is not None:
            self.history.forget(row)
        if self.demands is not None:
            self.demands.forget(row, device)
        return row
