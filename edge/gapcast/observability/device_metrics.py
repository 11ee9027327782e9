"""Prometheus metrics of single devices: off by default, and for a limited number of devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gapcast.core.device_status import DeviceStatus
from gapcast.core.learning.scores.summary import named_periods
from gapcast.service.service import Service

_MINUTE_S = 60.0
#: Metric of the newest reading or forecast -> its help text.
_NEWEST = {
    "gapcast_device_reading_kw": "Newest reading of a device, kW.",
    "gapcast_device_reading_timestamp_seconds": "Minute of the newest reading, by the meter's timestamp.",
    "gapcast_device_forecast_kw": "Mean of the newest forecast of a device, kW.",
    "gapcast_device_forecast_timestamp_seconds": "Target minute of the newest forecast.",
    "gapcast_device_forecast_lower_kw": "Lower bound of the newest forecast, kW.",
    "gapcast_device_forecast_upper_kw": "Upper bound of the newest forecast, kW.",
}
#: Metric -> its help text, and the field of :class:`~gapcast.core.learning.scores.summary.Summary` that it exposes.
_SCORES = {
    "gapcast_device_squared_error_kw2": ("Mean squared error of a device's mean forecasts, kW^2.", "mse_kw2"),
    "gapcast_device_absolute_error_kw": ("Mean absolute error of a device's median forecasts, kW.", "mae_kw"),
    "gapcast_device_skill_ratio": ("Skill score of a device: 1 - MSE / MSE of persistence.", "skill"),
    "gapcast_device_interval_coverage_ratio": ("Share of a device's actual values within the interval.", "coverage"),
}


class DeviceCollector(Collector):
    """Exposes time series of the first ``n_at_most`` devices and counts the others."""

    def __init__(self, service: Service, n_at_most: int) -> None:
        self._service = service
        self._n_at_most = n_at_most

    def collect(self) -> Iterator[Metric]:
        """Yield every metric of the devices."""
        device_statuses = list(self._service.queries.device_statuses(self._n_at_most))
        yield from _newest(device_statuses)
        for name, (text, figure) in _SCORES.items():
            family = GaugeMetricFamily(name, text, labels=["device", "period"])
            for status in device_statuses:
                for period, summary in named_periods(status.scores):
                    if summary.is_sufficient and (value := getattr(summary, figure)) is not None:
                        family.add_metric([status.device, period], value)
            yield family
        yield GaugeMetricFamily(
            "gapcast_devices_without_series",
            "Devices beyond the limit metrics.per_device, which have no time series of their own.",
            max(0, self._service.queries.n_devices - self._n_at_most),
        )


def _newest(device_statuses: Sequence[DeviceStatus]) -> Iterator[Metric]:
    """Yield the newest reading and the newest forecast of each device."""
    read, of_minute, mean, target, lower, upper = families = [
        GaugeMetricFamily(name, text, labels=["device"]) for name, text in _NEWEST.items()
    ]
    for status in device_statuses:
        labels = [status.device]
        read.add_metric(labels, status.gap_kw)
        of_minute.add_metric(labels, status.minute * _MINUTE_S)
        forecast = status.forecast
        if forecast is None:
            continue
        mean.add_metric(labels, forecast.gap_kw)
        target.add_metric(labels, forecast.target_minute * _MINUTE_S)
        if forecast.lower_kw is not None and forecast.upper_kw is not None:
            lower.add_metric(labels, forecast.lower_kw)
            upper.add_metric(labels, forecast.upper_kw)
    yield from families
