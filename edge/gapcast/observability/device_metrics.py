"""What Prometheus is told of single devices, where that is switched on: at most as many as are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gapcast.core.standing import Standing
from gapcast.service.service import Service

_MINUTE_S = 60.0
#: Metric -> what it says, and which figure of :class:`~gapcast.core.learning.summary.Summary` it is.
_SCORES = {
    "gapcast_device_squared_error_kw2": ("Mean squared error of the mean that was told of a device, kW^2.", "mse_kw2"),
    "gapcast_device_absolute_error_kw": ("Mean absolute error of the median told of a device, kW.", "mae_kw"),
    "gapcast_device_skill_ratio": ("1 - MSE / MSE of persistence of a device.", "skill"),
    "gapcast_device_interval_coverage_ratio": ("Share of a device's outcomes within the interval.", "coverage"),
}


class DeviceCollector(Collector):
    """Series of the devices that came first; those beyond ``n_at_most`` are counted."""

    def __init__(self, service: Service, n_at_most: int) -> None:
        self._service = service
        self._n_at_most = n_at_most

    def collect(self) -> Iterator[Metric]:
        """Yield every metric of the devices."""
        standings = list(self._service.standings(self._n_at_most))
        yield from _of_now(standings)
        for name, (text, figure) in _SCORES.items():
            family = GaugeMetricFamily(name, text, labels=["device", "period"])
            for standing in standings:
                for period, summary in standing.scores.items():
                    if summary.enough and (value := getattr(summary, figure)) is not None:
                        family.add_metric([standing.device, period], value)
            yield family
        yield GaugeMetricFamily(
            "gapcast_devices_without_series",
            "Devices beyond metrics.per_device, which have no series of their own.",
            max(0, self._service.n_devices - self._n_at_most),
        )


def _of_now(standings: Sequence[Standing]) -> Iterator[Metric]:
    """Yield what was last read and foreseen."""
    read = GaugeMetricFamily("gapcast_device_reading_kw", "Newest reading of a device, kW.", labels=["device"])
    of_minute = GaugeMetricFamily(
        "gapcast_device_reading_timestamp_seconds", "Minute of that reading, as the meter gave it.", labels=["device"]
    )
    mean = GaugeMetricFamily(
        "gapcast_device_forecast_kw", "Newest forecast of a device: its mean, kW.", labels=["device"]
    )
    target = GaugeMetricFamily(
        "gapcast_device_forecast_timestamp_seconds", "Minute that this forecast speaks of.", labels=["device"]
    )
    lower = GaugeMetricFamily("gapcast_device_forecast_lower_kw", "Its lower bound, kW.", labels=["device"])
    upper = GaugeMetricFamily("gapcast_device_forecast_upper_kw", "Its upper bound, kW.", labels=["device"])
    for standing in standings:
        labels = [standing.device]
        read.add_metric(labels, standing.gap_kw)
        of_minute.add_metric(labels, standing.minute * _MINUTE_S)
        forecast = standing.forecast
        if forecast is None:
            continue
        mean.add_metric(labels, forecast.gap_kw)
        target.add_metric(labels, forecast.target_minute * _MINUTE_S)
        if forecast.lower_kw is not None and forecast.upper_kw is not None:
            lower.add_metric(labels, forecast.lower_kw)
            upper.add_metric(labels, forecast.upper_kw)
    yield from (read, of_minute, mean, target, lower, upper)
