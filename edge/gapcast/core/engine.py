"""The engine: readings in, forecasts out, for any number of devices at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from gapcast.core.buffer import Buffers, ReadingStatus
from gapcast.core.errors import StateError
from gapcast.core.forecast import Forecast, Forecasts
from gapcast.core.forecast_builder import BatchKeys, from_ensemble, from_single_model, published_model_of
from gapcast.core.forecast_range import WIDEST, Flags, ForecastRange, Repairs, Replacement
from gapcast.core.history import History
from gapcast.core.latest import Latest
from gapcast.core.learning.drift import Drift, ErrorChange
from gapcast.core.learning.ensemble import Ensemble
from gapcast.core.learning.house_forests import HouseForests
from gapcast.core.learning.outcomes import Outcomes
from gapcast.core.learning.scores import Scores
from gapcast.core.learning.summary import Period, Summary
from gapcast.core.panel import Panel, Unusable
from gapcast.core.plan import LoadPlan
from gapcast.core.plans import PlannedPart, Plans
from gapcast.core.predictor import ModelIdentity, Prediction, Predictor
from gapcast.core.reading import Limits, Reading
from gapcast.core.submeters import Submeters
from gapcast.core.window import F32, WindowSpec

#: The result of a reading in metrics.
Result = Literal["accepted", "duplicate", "late", "rejected"]
_RESULT: dict[ReadingStatus, Result] = {
    ReadingStatus.READY: "accepted",
    ReadingStatus.FIRST: "accepted",
    ReadingStatus.DUPLICATE: "duplicate",
    ReadingStatus.LATE: "late",
    ReadingStatus.FULL: "rejected",
    ReadingStatus.INCOMPLETE: "rejected",
    ReadingStatus.FAILED: "rejected",
}
#: Statuses of readings that a journal does not need: they changed nothing or raised an error.
_NO_EFFECT = (ReadingStatus.DUPLICATE, ReadingStatus.FULL, ReadingStatus.INCOMPLETE, ReadingStatus.FAILED)

#: Statuses of readings that are in a window.
_ENTERED = (ReadingStatus.READY, ReadingStatus.FIRST)


class _ErrstateOptions(TypedDict):
    over: Literal["ignore"]
    divide: Literal["ignore"]
    invalid: Literal["ignore"]


#: Damaged state may overflow: the results are detected and replaced.
_DAMAGED: _ErrstateOptions = {"over": "ignore", "divide": "ignore", "invalid": "ignore"}


@dataclass(frozen=True, slots=True)
class AcceptedBatch:
    """The results of a batch of readings, and the windows to forecast.

    ``statuses[i]`` is the status of reading ``i``, ``forecast_indices[i]`` the index of its window and forecast, or -1.
    ``windows`` is ``[N, context]``, kW, or ``[N, context, C]`` if the model takes C measured features;
    ``devices``, ``rows`` (in :class:`Buffers`), ``minutes`` and ``n_observed`` are those of the windows;
    ``first_rows`` are the rows of readings that were the first of a history and have no window.
    ``disproved`` are held readings that turned out to be clock errors. ``failures`` has the index of each
    reading that raised an unexpected exception, and the exception: the state of its device may be damaged.
    ``filled`` are the indices of the windows whose newest reading is of a filled minute: it is no outcome.
    ``planned`` is the planned power of windows with announced loads, by index: the windows are without it.
    """

    statuses: list[ReadingStatus]
    forecast_indices: list[int]
    windows: NDArray[np.float32]
    devices: list[str]
    rows: list[int]
    first_rows: list[int]
    minutes: list[int]
    n_observed: list[int]
    disproved: list[Reading]
    counts: dict[Result, int]
    failures: list[tuple[int, Exception]] = field(default_factory=list)
    filled: list[int] = field(default_factory=list)
    planned: dict[int, PlannedPart] = field(default_factory=dict)

    def uncontrolled(self, readings: Sequence[Reading]) -> Sequence[Reading]:
        """Return :meth:`entered` without the planned loads in each reading's power: what the learning sees."""
        if not self.planned:
            return self.entered(readings)
        kept = []
        for reading, status, index in zip(readings, self.statuses, self.forecast_indices, strict=True):
            if status in _ENTERED:
                part = self.planned.get(index)
                kept.append(reading if part is None else reading._replace(gap_kw=reading.gap_kw - part.subtracted_kw))
        return kept

    def raise_failure(self) -> None:
        """Raise the first of ``failures``, if any: for callers that need the whole batch."""
        for _, error in self.failures:
            raise error

    def with_effect(self, readings: Sequence[Reading]) -> Sequence[Reading]:
        """Return those of the batch's ``readings`` that changed anything: the ones that a journal needs."""
        if "duplicate" not in self.counts and "rejected" not in self.counts:
            return readings
        return [one for one, status in zip(readings, self.statuses, strict=True) if status not in _NO_EFFECT]

    def entered(self, readings: Sequence[Reading]) -> Sequence[Reading]:
        """Return those of the batch's ``readings`` that are now in a window, newest of their device when they came."""
        if self.counts.get("accepted", 0) == len(readings):
            return readings
        return [one for one, status in zip(readings, self.statuses, strict=True) if status in _ENTERED]


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
    ) -> None:
        """Forecast at most ``max_devices`` devices with ``model``; the time of day is that of ``zone``.

        ``includes_path``: whether forecasts hold the mean of each lead time, if the model has several. ``ensemble``,
        whose first model is ``model``, makes the published forecast and learns from outcomes (None: ``model`` alone).
        ``history`` stores readings and forecasts (None: nothing is stored). ``limits`` are those of readings; they
        determine the range of forecasts. With an ``ensemble`` its options hold the limits.
        """
        self.model = model
        self.zone = zone
        self.ensemble = ensemble
        #: Limits of readings, and the range of forecasts.
        self.limits = limits if ensemble is None else ensemble.limits
        self.forecast_range = ForecastRange.of(self.limits)
        self._panel = panel = Panel((model,) if ensemble is None else ensemble.models, zone, self.forecast_range)
        #: The model identity that forecasts are published under.
        self.published_model: ModelIdentity = model if ensemble is None else published_model_of(ensemble, panel.context)
        self.buffers = Buffers(
            WindowSpec(panel.context, model.spec.padding),
            max_devices,
            panel.channels,
            n_counted=self.published_model.spec.context,
            submeters=submeters,
        )
        self.includes_path = includes_path
        self._has_path = includes_path and len(model.lead_times_min) > 1
        members = ensemble.members if ensemble is not None and ensemble.options.combines else ()
        n_tracked = 0 if ensemble is None else ensemble.options.max_devices
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
        windows = np.empty((len(readings), *self.buffers.shape), dtype=np.float32)
        statuses: list[ReadingStatus] = []
        forecast_indices: list[int] = []
        devices: list[str] = []
        minutes: list[int] = []
        n_observed: list[int] = []
        rows: list[int] = []
        first_rows: list[int] = []
        failures: list[tuple[int, Exception]] = []
        filled: list[int] = []
        planned: dict[int, PlannedPart] = {}
        buffers, history, trackers = self.buffers, self.history, self.plans.trackers
        for reading in readings:
            try:
                if failures:
                    _require_sound(reading.device, readings, failures)
                status = buffers.accept(reading)
                if status is ReadingStatus.READY or status is ReadingStatus.FIRST:
                    row = buffers.row(reading.device)
                    if row < history.max_devices:
                        history.record_reading(buffers.stream(reading.device))
                    if status is ReadingStatus.READY:
                        if reading.is_filled:
                            filled.append(len(devices))
                        n_real = buffers.copy_window(reading.device, windows[len(devices)])
                        if trackers and reading.device in trackers:
                            window_kw = self._power_of(windows[len(devices)])
                            part = self.plans.observe(reading.device, reading.minute, window_kw)
                            if part is not None:
                                planned[len(devices)] = part
                        n_observed.append(n_real)
                        statuses.append(status)
                        forecast_indices.append(len(devices))
                        devices.append(reading.device)
                        rows.append(row)
                        minutes.append(reading.minute)
                        continue
                    first_rows.append(row)
                statuses.append(status)
                forecast_indices.append(-1)
            except Exception as error:
                failures.append((len(forecast_indices), error))
                statuses.append(ReadingStatus.FAILED)
                forecast_indices.append(-1)
        windows = windows[: len(devices)]
        account = self._account(statuses)
        return AcceptedBatch(
            statuses, forecast_indices, windows, devices, rows, first_rows, minutes, n_observed, *account, failures,
            filled, planned,
        )  # fmt: skip

    def forecast(self, accepted: AcceptedBatch, issued_at_ms: int) -> Forecasts:
        """Forecast the accepted windows in one call per model, and store the newest forecast of each device.

        All powers are finite and within the range of forecasts, and bounds enclose the median: other values are
        replaced and listed in :attr:`Forecasts.repairs`. Raises :class:`ModelError` if a model cannot be run.
        """
        keys = BatchKeys(accepted.devices, accepted.minutes, accepted.n_observed)
        if not accepted.devices:
            return Forecasts(self.published_model, issued_at_ms, *keys, [])
        minutes = np.asarray(accepted.minutes, dtype=np.int64)
        measured = accepted.windows.reshape(len(minutes), self.buffers.spec.context, -1)
        n_required = self.buffers.n_required
        predictions, unusable = self._panel.predict(measured[:, :, :n_required], minutes)
        replaced: list[tuple[int, float]] = []
        if self.ensemble is None:
            forecasts = from_single_model(self.model, keys, issued_at_ms, predictions[0], includes_path=self._has_path)
        else:
            rows = np.asarray(accepted.rows, dtype=np.int64)
            with np.errstate(**_DAMAGED):
                windows = self._powers(measured)
                submeters_kw = measured[:, :, n_required:]
                forests_kw = self.forests.predict(accepted.devices, minutes, measured[:, :, 0], submeters_kw)
                published = self.ensemble.forecast(rows, minutes, windows, predictions, accepted.filled, forests_kw)
            path_kw, replaced = predictions[0].mean if self._has_path else None, published.replaced
            forecasts = from_ensemble(self.ensemble, self.published_model, keys, issued_at_ms, published, path_kw)
        if unusable or replaced:
            repairs = self._repair(accepted, measured, unusable, replaced)
            forecasts = replace(forecasts, repairs=repairs)
        if accepted.planned:
            forecasts = self.plans.add_to(forecasts, accepted.planned, self.forecast_range)
        self.newest.store_forecasts(accepted.rows, forecasts)
        self.history.record_forecasts(accepted.rows, forecasts)
        return forecasts

    def _powers(self, measured: F32) -> F32:
        """Return the powers in ``measured`` ``[N, context, C]`` as the ensemble takes them: without other features."""
        if self.ensemble is None or self.ensemble.submetered is None:
            return measured[:, :, 0]
        n_required = self.buffers.n_required
        return measured if n_required == 1 else np.delete(measured, np.s_[1:n_required], axis=2)

    def predict(self, accepted: AcceptedBatch) -> list[Prediction]:
        """Return each model's prediction for the windows of ``accepted``, at least one, without storing or learning."""
        minutes = np.asarray(accepted.minutes, dtype=np.int64)
        windows = accepted.windows.reshape(len(minutes), self.buffers.spec.context, -1)
        return self._panel.predict(windows[:, :, : self.buffers.n_required], minutes).predictions

    def forget_learning(self, row: int) -> None:
        """Reset the learning state of the device of ``row``; its readings stay."""
        if self.ensemble is not None:
            self.ensemble.forget(row)

    def learn(self) -> tuple[Outcomes | None, list[ErrorChange]]:
        """Learn from the outcomes of the newest readings; call it after :meth:`forecast`.

        Return the outcomes of earlier forecasts (None if there are none), and lasting changes of devices' errors.
        """
        if self.ensemble is None:
            return None, []
        with np.errstate(**_DAMAGED):
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
        shows = self.plans.replace_plan(device, plan, minute, self._power_of(self.buffers.window(device)))
        if shows and self.ensemble is not None:
            self.ensemble.discard_pending(row)

    def plan_of(self, device: str) -> LoadPlan:
        """Return the announced loads of ``device`` that have not ended; none if there is no plan."""
        minute = self.buffers.stream(device).last_minute if device in self.buffers else None
        return self.plans.plan_of(device, minute)

    def _power_of(self, window: F32) -> F32:
        """Return a view of the power in ``window``, ``[context]`` or ``[context, C]``."""
        return window if window.ndim == 1 else window[:, 0]

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
        return row

    def _repair(
        self, accepted: AcceptedBatch, measured: F32, unusable: dict[int, Unusable], replaced: list[tuple[int, float]]
    ) -> Repairs:
        """Return the repairs of a batch, and repair the buffers of devices with a damaged window."""
        found: list[Replacement] = []
        touched: Flags = np.zeros(len(accepted.devices), dtype=bool)
        models = (self.model,) if self.ensemble is None else self.ensemble.models
        for which, _ in unusable.values():
            touched |= which
        if 0 in unusable and (self.ensemble is None or not self.ensemble.options.combines):
            which, mean_kw = unusable[0]
            places = np.flatnonzero(which)
            found += (Replacement(accepted.devices[i], "model", float(mean_kw[i])) for i in places.tolist())
        found += (Replacement(accepted.devices[i], "state", value_kw) for i, value_kw in replaced)
        touched[[i for i, _ in replaced]] = True
        for i in np.flatnonzero(touched).tolist():
            if not self.forecast_range.usable_windows(measured[i, :, : self.buffers.n_required]).all():
                self.buffers.repair_window(accepted.devices[i], self.forecast_range)
        return Repairs(tuple(models[i].name for i in sorted(unusable)), tuple(found))

    def _account(self, statuses: list[ReadingStatus]) -> tuple[list[Reading], dict[Result, int]]:
        counts: dict[Result, int] = {}
        for status in set(statuses) - {ReadingStatus.HELD}:  # counted once confirmed or disproved
            result = _RESULT[status]
            counts[result] = counts.get(result, 0) + statuses.count(status)
        buffers = self.buffers
        disproved, buffers.disproved = buffers.disproved, []
        if disproved:
            counts["rejected"] = counts.get("rejected", 0) + len(disproved)
        if buffers.n_confirmed:
            counts["accepted"] = counts.get("accepted", 0) + buffers.n_confirmed
            buffers.n_confirmed = 0
        return disproved, counts


def _require_sound(device: str, readings: Sequence[Reading], failures: Sequence[tuple[int, Exception]]) -> None:
    """Raise :class:`StateError` if an earlier reading of ``device`` in the batch failed."""
    if any(readings[i].device == device for i, _ in failures):
        msg = f"an earlier reading of {device} in the same batch failed"
        raise StateError(msg)


def none_accepted(readings: Sequence[Reading]) -> AcceptedBatch:
    """Return the result for ``readings`` of which none could be accepted: all failed, and there is no window."""
    statuses, forecast_indices = [ReadingStatus.FAILED] * len(readings), [-1] * len(readings)
    windows = np.empty((0, 0), dtype=np.float32)
    return AcceptedBatch(
        statuses, forecast_indices, windows, [], [], [], [], [], [], {"rejected": len(readings)} if readings else {}
    )
