"""The steps of a batch, in order.

Accept, forecast, publish forecasts; make outlooks and demands, learn, publish outlooks and demands; persist confirmed
batches, acknowledge, report.

A step that raises an error does not prevent the next ones: the error is recorded, and the message or device that caused
it is rejected as ``internal_error``.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from gapcast.core.isolation import ForecastFailed
from gapcast.core.streams.accepted_batch import none_accepted
from gapcast.service.batches.acknowledgement import BatchAcknowledgement
from gapcast.service.batches.forecast_step import ForecastStep, record_replacements
from gapcast.service.batches.served_batch import BatchMetrics, ServedBatch
from gapcast.service.containment import Containment, Step, record_internal_error
from gapcast.service.persistence.batch_persistence import BatchPersistence
from gapcast.service.ports.broker_link import Link
from gapcast.service.ports.minute_recorder import NoMinuteRecorder
from gapcast.service.reports.reports import Reports, log_infeasible_limits, log_low_registers, log_set_back_streams
from gapcast.service.running_engine import RunningEngine

_Steps = tuple[Step[ServedBatch], ...]


class BatchPipeline:
    """Passes batches through all steps, in the stream's thread."""

    def __init__(
        self,
        link: Link,
        running: RunningEngine,
        containment: Containment,
        persistence: BatchPersistence,
        reports: Reports,
        forget: Callable[[str], object],
    ) -> None:
        """Process batches of ``link`` with ``running``; ``forget`` discards a device whose state may be damaged."""
        self._link = link
        self._running = running
        self._containment = containment
        self._statistics = containment.statistics
        self._persistence = persistence
        self._reports = reports
        self._feed = reports.feed
        self._forget = forget
        self._forecast_step = ForecastStep(running, containment.statistics)
        self._acknowledgement = BatchAcknowledgement(link, containment)
        self._metrics = BatchMetrics(containment.statistics)
        record_steps: _Steps = (("refit", self._record),)
        self._change_steps: _Steps = (("persistence", lambda _: persistence.add_changes()),)  # run only with changes
        self._forecast_steps: _Steps = (  # run, like ``_learn_steps``, with the engine's lock
            ("stream", self._accept),
            ("publish", self._record_seen),
            ("forecast", self._forecast),
        )
        self._replacement_steps: _Steps = (("forecast", self._record_replacements),)  # run only with replacements
        self._publish_steps: _Steps = (
            ("publish", self._publish),
            ("publish", self._publish_measured),
        )
        self._learn_steps: _Steps = (
            *(() if isinstance(running.recorder, NoMinuteRecorder) else record_steps),
            ("outlook", self._make_outlooks),
            ("demand", self._make_demands),
            ("learning", self._learn),
        )
        self._forget_steps: _Steps = (("learning", self._forget_again),)  # run only with changes
        self._publish_outlook_steps: _Steps = (  # run only with outlooks
            ("outlook", self._publish_outlooks),
            ("demand", self._publish_demands),
        )
        self._persist_steps: _Steps = (
            ("persistence", persistence.add_batch),
            ("stream", self._acknowledge),
        )
        self._feed_steps: _Steps = (  # run only with a listener
            ("http", self._feed_batch),
            ("http", self._feed_outlooks),
            ("http", self._feed_demands),
        )
        self._failure_steps: _Steps = (("stream", self._record_failures),)  # run only with failures
        self._report_steps: _Steps = (
            ("persistence", lambda _: persistence.persist_confirmed()),  # batches without a forecast
            ("publish", self._publish_reports),
            ("stream", self._count),
        )

    def process(self, batch: ServedBatch) -> None:
        """Pass ``batch`` through all steps."""
        run_steps, lock, persistence = self._containment.run_steps, self._running.lock, self._persistence
        with lock:
            if persistence.changes:
                run_steps(self._change_steps, batch)
            run_steps(self._forecast_steps, batch)
        if batch.forecasts.replacements is not None:
            run_steps(self._replacement_steps, batch)
        run_steps(self._publish_steps, batch)
        with lock:
            run_steps(self._learn_steps, batch)
            if persistence.changes:
                run_steps(self._forget_steps, batch)
        if batch.outlooks is not None or batch.demands is not None:
            run_steps(self._publish_outlook_steps, batch)
        run_steps(self._persist_steps, batch)
        if self._feed.has_listener:
            run_steps(self._feed_steps, batch)
        if batch.accepted.failures:
            run_steps(self._failure_steps, batch)
        run_steps(self._report_steps, batch)

    # --- with the engine's lock -----------------------------------------------------------------

    def _accept(self, batch: ServedBatch) -> None:
        try:
            batch.accepted = self._running.engine.accept(batch.readings)
        except BaseException:
            batch.accepted = none_accepted(batch.readings)
            raise
        if batch.accepted.restarted_streams:
            log_set_back_streams(batch.accepted.restarted_streams)
            self._reports.intervals.log_slow(batch.accepted.restarted_streams)
        if "duplicate" in batch.accepted.counts:
            self._reports.intervals.log_fast(batch.readings, batch.accepted, self._running.engine.buffers)

    def _record_seen(self, batch: ServedBatch) -> None:
        accepted, availability, retained = batch.accepted, self._reports.availability, self._link.retained
        if retained:
            availability.record_beside_retained(accepted.window_readings(batch.readings), retained)
        else:
            availability.record_seen(accepted.first_rows + accepted.rows)

    def _forecast(self, batch: ServedBatch) -> None:
        began_s = time.perf_counter()
        try:
            batch.accepted, batch.forecasts = self._forecast_step.forecast(batch.accepted)
        except BaseException:
            batch.forecasts = self._forecast_step.none_made()
            raise
        batch.inference_s = time.perf_counter() - began_s

    def _record(self, batch: ServedBatch) -> None:
        """Record readings for the nightly refit, except of devices forgotten since their forecast was published."""
        running, entered = self._running, batch.accepted.uncontrolled_readings(batch.readings)
        running.recorder.record([reading for reading in entered if reading.device in running.engine.buffers])

    def _make_outlooks(self, batch: ServedBatch) -> None:
        batch.outlooks = self._forecast_step.outlook(batch.accepted, batch.forecasts)

    def _make_demands(self, batch: ServedBatch) -> None:
        engine = self._running.engine
        if engine.demands.forecaster is not None:
            batch.demands = engine.demand(batch.accepted, batch.outlooks)
            log_low_registers(engine.demands)
            if batch.demands is not None:
                self._reports.exports.record(
                    batch.accepted.window_readings(batch.readings), batch.demands, engine.demands
                )
            if batch.accepted.closed:
                log_infeasible_limits(engine.demands, batch.accepted.devices)

    def _learn(self, _: ServedBatch) -> None:
        self._reports.scores.record_outcomes(*self._running.engine.learn(copied=False))

    def _forget_again(self, batch: ServedBatch) -> None:
        """Discard the results of devices forgotten since their forecast: the next new device gets their row."""
        engine, accepted = self._running.engine, batch.accepted
        for device, row in zip(accepted.devices, accepted.rows, strict=True):
            if device not in engine.buffers:
                engine.horizons.forget(row)

    # --- without the engine's lock -------------------------------------------------------------

    def _record_replacements(self, batch: ServedBatch) -> None:
        if batch.forecasts.replacements is not None:
            record_replacements(self._statistics, batch.forecasts.replacements)

    def _publish(self, batch: ServedBatch) -> None:
        batch.forecast_ids = [0] * len(batch.accepted.devices)
        try:
            batch.forecast_ids = self._link.publish(batch.forecasts) or batch.forecast_ids
        finally:
            batch.published_s = time.perf_counter()

    def _publish_measured(self, batch: ServedBatch) -> None:
        self._link.publish_measured(batch.accepted.window_readings(batch.readings))

    def _publish_outlooks(self, batch: ServedBatch) -> None:
        if batch.outlooks is not None:
            self._link.publish_outlooks(batch.outlooks)
            self._statistics.n_outlooks += len(batch.outlooks)

    def _publish_demands(self, batch: ServedBatch) -> None:
        if batch.demands is not None:
            self._link.publish_demands(batch.demands)
            self._statistics.n_demands += len(batch.demands)

    def _acknowledge(self, batch: ServedBatch) -> None:
        self._acknowledgement.acknowledge(
            self._running.engine, batch.messages, batch.accepted, batch.forecast_ids, batch.number
        )

    def _feed_batch(self, batch: ServedBatch) -> None:
        self._feed.publish_batch(batch.readings, batch.accepted, batch.forecasts)

    def _feed_outlooks(self, batch: ServedBatch) -> None:
        if batch.outlooks is not None:
            self._feed.publish_outlooks(batch.outlooks)

    def _feed_demands(self, batch: ServedBatch) -> None:
        if batch.demands is not None:
            self._feed.publish_demands(batch.demands)

    def _record_failures(self, batch: ServedBatch) -> None:
        """Record the errors of readings, and forget the devices whose state they may have damaged."""
        damaged = set()
        for i, error in batch.accepted.failures:
            device, is_forecast = batch.readings[i].device, isinstance(error, ForecastFailed)
            cause = error.__cause__ or error
            record_internal_error(self._statistics, "forecast" if is_forecast else "message", cause, device)
            if not is_forecast:
                damaged.add(device)
        for device in damaged:
            self._containment.attempt("stream", self._forget, device)

    def _publish_reports(self, batch: ServedBatch) -> None:
        self._reports.publish(len(batch.messages))

    def _count(self, batch: ServedBatch) -> None:
        self._metrics.count(batch, self._link.n_dropped)
