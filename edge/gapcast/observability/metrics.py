"""Metrics of a running service, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, get_args

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gapcast.compiled.library import load_library
from gapcast.core.monitoring.statistics import Histogram, Statistics
from gapcast.observability.device_metrics import DeviceCollector
from gapcast.observability.score_metrics import score_families
from gapcast.service.containment import Part
from gapcast.service.queries.queries import ServiceQueries
from gapcast.service.service import Service
from gapcast.text.distribution_version import version_of


def counter_by(label: str, name: str, text: str, values: Mapping[Any, int]) -> CounterMetricFamily:
    """Return a counter with a time series for each value of ``label``."""
    family = CounterMetricFamily(name, text, labels=[label])
    for value, n in values.items():
        family.add_metric([value], n)
    return family


def histogram_of(name: str, documentation: str, histogram: Histogram) -> HistogramMetricFamily:
    """Return a histogram with cumulative buckets, as Prometheus requires."""
    buckets: list[tuple[str, float]] = []
    n = 0
    for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        n += count
        buckets.append((bound, n))
    return HistogramMetricFamily(name, documentation, buckets=buckets, sum_value=histogram.total)


class ServiceInfo(NamedTuple):
    """The running program: its TFLite runtime, its gateway's id, and its shard, if any."""

    runtime: str
    gateway: str
    shard: int | None = None


class ServiceCollector(Collector):
    """Reads the service's statistics at each scrape; it has no counters of its own."""

    def __init__(self, service: Service, about: ServiceInfo) -> None:
        self._statistics = service.statistics
        self._queries = service.queries
        self._about = about

    def collect(self) -> Iterator[Metric]:
        """Yield every metric of the service."""
        yield from _stream(self._statistics, self._queries)
        yield from _meters(self._statistics)
        yield from _failures(self._statistics)
        yield from _gateway(self._queries)
        yield from score_families(self._queries)
        yield from _refits(self._queries)
        yield from _models(self._statistics, self._queries)
        yield from _program(self._about)


def _stream(statistics: Statistics, queries: ServiceQueries) -> Iterator[Metric]:
    yield counter_by(
        "result",
        "gapcast_readings",
        "Readings (minutes of samples) by result; messages if rejected.",
        statistics.readings,
    )
    by_model = {queries.published_model.name: 0} | statistics.forecasts
    yield counter_by("model", "gapcast_forecasts", "Forecasts published, by model.", dict(sorted(by_model.items())))
    yield CounterMetricFamily("gapcast_outlooks", "Outlooks computed.", statistics.n_outlooks)
    yield CounterMetricFamily("gapcast_demands", "Demand forecasts computed.", statistics.n_demands)
    yield histogram_of(
        "gapcast_forecast_latency_seconds",
        "Time from the arrival of a reading to the publication of its forecast.",
        statistics.latency_s,
    )
    yield histogram_of(
        "gapcast_inference_seconds",
        "Time to compute the forecasts of one batch, with all loaded ensemble members.",
        statistics.inference_s,
    )
    yield histogram_of("gapcast_batch_size", "Messages processed in one batch.", statistics.batch_size)


def _meters(statistics: Statistics) -> Iterator[Metric]:
    yield counter_by("result", "gapcast_samples", "Samples averaged into minutes, by result.", statistics.samples)
    yield CounterMetricFamily(
        "gapcast_messages_without_reading", "Messages of meters that contain no power value.", statistics.n_not_readings
    )
    yield CounterMetricFamily(
        "gapcast_meter_resets", "Resets of energy counters (the counter decreased).", statistics.n_counter_resets
    )
    yield CounterMetricFamily(
        "gapcast_filled_readings",
        "Readings filled with the last value, as the meter sent nothing for most of the minute; not used as outcomes.",
        statistics.n_filled_minutes,
    )
    yield GaugeMetricFamily(
        "gapcast_slow_meters", "Devices that send less often than once a minute.", statistics.n_slow_meters
    )
    for name, description in (
        ("gapcast_devices_with_clock_offset", "Devices whose timestamps differ from the gateway's clock."),
        # The name in 0.1.0, for one more version.
        ("gapcast_clocks_off", "Deprecated, removed in 0.3.0: use gapcast_devices_with_clock_offset."),
    ):
        yield GaugeMetricFamily(name, description, statistics.n_clock_offsets)


def _failures(statistics: Statistics) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "gapcast_rejections_omitted",
        "Rejected messages not published on the rejected topic because of its rate limit.",
        statistics.n_rejections_omitted,
    )
    yield CounterMetricFamily(
        "gapcast_model_failures",
        "Batches in which a model failed or returned a non-finite or out-of-range value.",
        statistics.n_model_failures,
    )
    yield counter_by(
        "cause",
        "gapcast_forecasts_replaced",
        "Forecasts replaced by the persistence forecast, by cause.",
        statistics.forecasts_replaced,
    )
    yield counter_by(
        "part",
        "gapcast_internal_errors",
        "Unexpected errors caught by the service, by part.",
        {part: statistics.internal_errors.get(part, 0) for part in get_args(Part)},
    )


def _gateway(queries: ServiceQueries) -> Iterator[Metric]:
    yield GaugeMetricFamily("gapcast_queue_depth", "Messages waiting to be processed.", queries.n_queued)
    yield GaugeMetricFamily("gapcast_devices", "Known devices (at least one accepted reading).", queries.n_devices)
    n_offline = queries.read(lambda _engine, availability: availability.n_offline)
    if n_offline is not None:
        yield GaugeMetricFamily("gapcast_devices_offline", "Known devices that are silent, and offline.", n_offline)
    yield GaugeMetricFamily(
        "gapcast_broker_connected",
        "1 if the service is connected to the broker and subscribed to readings, else 0.",
        int(queries.connected),
    )
    yield CounterMetricFamily("gapcast_broker_disconnects", "Lost connections to the broker.", queries.n_disconnects)
    yield GaugeMetricFamily(
        "gapcast_state_kept",
        "1 if the state is persisted and survives a restart; 0 if it is not, or in the journal alone.",
        int(queries.state_store.problem == ""),
    )
    yield CounterMetricFamily(
        "gapcast_state_written_bytes", "Bytes written to persist the state.", queries.state_store.n_bytes_written
    )


def _refits(queries: ServiceQueries) -> Iterator[Metric]:
    """Yield the nightly refits, if this gateway refits."""
    status = queries.refit_status
    if status is None:
        return
    results = {"used": status.n_used, "refused": status.n_refused}
    yield counter_by("result", "gapcast_refits", "Refits of devices at night, by result.", results)
    yield GaugeMetricFamily("gapcast_refit_devices", "Devices with trees from a refit in use.", status.n_forests)
    if status.last_ran_s is not None:
        yield GaugeMetricFamily(
            "gapcast_refit_last_run_timestamp_seconds", "End of the last refit, Unix time.", status.last_ran_s
        )
        yield GaugeMetricFamily(
            "gapcast_refit_duration_seconds", "Total duration of the last night's refits.", status.took_s
        )
    skill = GaugeMetricFamily(
        "gapcast_refit_skill_ratio",
        "1 - error / error of persistence on the newest days before the refit, mean over devices, by error.",
        labels=["error"],
    )
    for error, value in (("squared", status.mse_skill), ("absolute", status.mae_skill)):
        if value is not None:
            skill.add_metric([error], value)
    yield skill


def _models(statistics: Statistics, queries: ServiceQueries) -> Iterator[Metric]:
    models = InfoMetricFamily("gapcast_model", "Models that are loaded.", labels=["model"])
    for name, predictor in sorted(queries.models.items()):
        models.add_metric(
            [name],
            {
                "version": predictor.version,
                "context": str(predictor.spec.context),
                "default": str(name == queries.model.name).lower(),
            },
        )
    yield models
    yield counter_by(
        "result", "gapcast_model_reloads", "Model reloads at runtime, by result.", statistics.model_reloads
    )


def _program(about: ServiceInfo) -> Iterator[Metric]:
    yield InfoMetricFamily(
        "gapcast_build",
        "Version of gapcast and of its TFLite runtime; whether the compiled steps are in use.",
        {
            "version": version_of("gapcast"),
            "runtime": about.runtime,
            "compiled": str(load_library() is not None).lower(),
        },
    )
    yield InfoMetricFamily(
        "gapcast_gateway",
        "Id of the gateway, and its shard (empty: none).",
        {"gateway": about.gateway, "shard": "" if about.shard is None else str(about.shard)},
    )


def build_registry(service: Service, about: ServiceInfo, per_device: int = 0) -> CollectorRegistry:
    """Return a registry with the metrics of the service and of the process (memory, CPU, files).

    At most ``per_device`` devices get their own time series.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(ServiceCollector(service, about))
    if per_device:
        registry.register(DeviceCollector(service, per_device))
    return registry
