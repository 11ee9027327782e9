"""Metrics of a running service, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import NamedTuple, get_args

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gapcast.core.learning.outcomes import PERSISTENCE
from gapcast.core.learning.summary import ExpertSummary
from gapcast.core.statistics import Histogram
from gapcast.observability.device_metrics import DeviceCollector
from gapcast.service.internal_errors import Part
from gapcast.service.service import Service

#: Metric -> what it says, and which figure of :class:`~gapcast.core.learning.summary.Summary` it is.
_OF_TOLD = {
    "gapcast_bias_kw": ("Mean error of what was told, kW.", "bias_kw"),
    "gapcast_interval_coverage_ratio": ("Share of outcomes within the interval that was told.", "coverage"),
    "gapcast_interval_width_kw": ("Mean width of the interval that was told, kW.", "width_kw"),
    "gapcast_pinball_loss_kw": ("Mean pinball loss of bounds and median that were told, kW.", "pinball_kw"),
}
_OF_EACH = {
    "gapcast_squared_error_kw2": ("Mean squared error of the mean, kW^2.", "mse_kw2"),
    "gapcast_absolute_error_kw": ("Mean absolute error of the median, kW.", "mae_kw"),
    "gapcast_skill_ratio": ("1 - MSE / MSE of persistence on the same minutes.", "skill"),
}


class About(NamedTuple):
    """What is told of the program itself: its TFLite runtime, its gateway's id, and which shard it is, if any."""

    runtime: str
    gateway: str
    shard: int | None = None


class ServiceCollector(Collector):
    """Reads the service's statistics whenever Prometheus asks; nothing is counted twice."""

    def __init__(self, service: Service, about: About) -> None:
        self._service = service
        self._about = about

    def collect(self) -> Iterator[Metric]:
        """Yield every metric of the service."""
        service, statistics = self._service, self._service.statistics
        readings = CounterMetricFamily("gapcast_readings", "Readings by what became of them.", labels=["result"])
        for result, n in statistics.readings.items():
            readings.add_metric([result], n)
        yield readings
        forecasts = CounterMetricFamily("gapcast_forecasts", "Forecasts handed to the broker.", labels=["model"])
        for model in sorted({*statistics.forecasts, service.speaker.name}):
            forecasts.add_metric([model], statistics.forecasts.get(model, 0))
        yield forecasts
        yield _histogram(
            "gapcast_forecast_latency_seconds",
            "From a reading's arrival to its forecast handed to the broker.",
            statistics.latency_s,
        )
        yield _histogram(
            "gapcast_inference_seconds",
            "The forecasts of one batch, by all models that are heard.",
            statistics.inference_s,
        )
        yield _histogram("gapcast_batch_size", "Messages taken at a time.", statistics.batch_size)
        samples = CounterMetricFamily(
            "gapcast_samples", "Samples that minutes are made of, by what became of them.", labels=["result"]
        )
        for fate, n in statistics.samples.items():
            samples.add_metric([fate], n)
        yield samples
        yield CounterMetricFamily(
            "gapcast_messages_without_reading", "Messages of sources that tell no power.", statistics.n_not_readings
        )
        yield CounterMetricFamily(
            "gapcast_meter_resets", "Times that an energy counter fell.", statistics.n_counter_resets
        )
        yield GaugeMetricFamily(
            "gapcast_slow_meters", "Devices that send less than once a minute.", statistics.n_slow_meters
        )
        yield GaugeMetricFamily(
            "gapcast_clocks_off", "Devices whose clock is off against the gateway's.", statistics.n_clocks_off
        )
        yield CounterMetricFamily(
            "gapcast_rejections_omitted",
            "Rejections that were not told on the rejected topic, for there were too many.",
            statistics.n_rejections_omitted,
        )
        yield CounterMetricFamily(
            "gapcast_model_failures",
            "Batches in which a model failed or gave a value that is not finite or out of range.",
            statistics.n_model_failures,
        )
        replaced = CounterMetricFamily(
            "gapcast_forecasts_replaced", "Forecasts replaced by persistence, by cause.", labels=["cause"]
        )
        for cause, n in statistics.forecasts_replaced.items():
            replaced.add_metric([cause], n)
        yield replaced
        internal = CounterMetricFamily(
            "gapcast_internal_errors", "Errors inside gapcast that were contained, by part.", labels=["part"]
        )
        for part in get_args(Part):
            internal.add_metric([part], statistics.internal_errors.get(part, 0))
        yield internal
        yield GaugeMetricFamily("gapcast_queue_depth", "Messages that wait to be taken.", service.n_queued)
        yield GaugeMetricFamily("gapcast_devices", "Devices that have given a reading.", service.n_devices)
        yield GaugeMetricFamily(
            "gapcast_broker_connected", "1 while readings can come in from the broker.", int(service.connected)
        )
        yield GaugeMetricFamily(
            "gapcast_state_kept", "1 while readings are kept over a restart.", int(service.keeper.problem == "")
        )
        yield CounterMetricFamily(
            "gapcast_state_written_bytes", "Bytes written to keep them.", service.keeper.n_bytes_written
        )
        yield from _live_scores(service)
        models = InfoMetricFamily("gapcast_model", "Loaded models.", labels=["model"])
        for name, predictor in sorted(service.models.items()):
            models.add_metric(
                [name],
                {
                    "version": predictor.version,
                    "context": str(predictor.spec.context),
                    "default": str(name == service.model.name).lower(),
                },
            )
        yield models
        reloads = CounterMetricFamily(
            "gapcast_model_reloads", "Times that models changed while it ran, by what became of it.", labels=["result"]
        )
        for outcome, n in statistics.model_reloads.items():
            reloads.add_metric([outcome], n)
        yield reloads
        yield InfoMetricFamily(
            "gapcast_build", "The running program.", {"version": version("gapcast"), "runtime": self._about.runtime}
        )
        shard = "" if self._about.shard is None else str(self._about.shard)
        yield InfoMetricFamily(
            "gapcast_gateway", "Who this is, to its broker.", {"gateway": self._about.gateway, "shard": shard}
        )


def build_registry(service: Service, about: About, per_device: int = 0) -> CollectorRegistry:
    """Return a registry with the service's metrics and the process's own (memory, CPU, files).

    ``per_device`` is how many devices have series of their own, at most.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(ServiceCollector(service, about))
    if per_device:
        registry.register(DeviceCollector(service, per_device))
    return registry


def _live_scores(service: Service) -> Iterator[Metric]:
    """Yield the live scores over all devices, of periods that have enough outcomes for a verdict."""
    summaries, n_changes = service.live_scores()
    scored = GaugeMetricFamily("gapcast_scored_forecasts", "Forecasts whose minute came.", labels=["period"])
    for period, summary in summaries.items():
        scored.add_metric([period], summary.n)
    yield scored
    told = service.speaker.name
    for name, (text, figure) in _OF_EACH.items():
        family = GaugeMetricFamily(name, text, labels=["model", "period"])
        for period, summary in summaries.items():
            same_as_now = ExpertSummary(summary.persistence_mse_kw2, summary.persistence_mae_kw, 0.0)
            speakers = {told: summary, PERSISTENCE: same_as_now, **summary.experts} if summary.enough else {}
            for speaker, its in speakers.items():
                if (value := getattr(its, figure)) is not None:
                    family.add_metric([speaker, period], value)
        yield family
    for name, (text, figure) in _OF_TOLD.items():
        family = GaugeMetricFamily(name, text, labels=["model", "period"])
        for period, summary in summaries.items():
            if summary.enough and (value := getattr(summary, figure)) is not None:
                family.add_metric([told, period], value)
        yield family
    yield CounterMetricFamily("gapcast_drifts", "Lasting changes found in a device's errors.", n_changes)


def _histogram(name: str, documentation: str, histogram: Histogram) -> HistogramMetricFamily:
    buckets: list[tuple[str, float]] = []
    n = 0
    for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        n += count
        buckets.append((bound, n))
    return HistogramMetricFamily(name, documentation, buckets=buckets, sum_value=histogram.total)
