"""The status of a service at one moment, from its REST API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gapcast.core.errors import StatusError
from gapcast.core.learning.scores.summary import FORMER_ALL_TIME
from gapcast.status.device_lines import DemandLine, OutlookLine, current_forecast
from gapcast.status.metric_series import Series, buckets_of, quantile_of, read_series, total_of, value_of
from gapcast.status.rest_client import RestClient, instant_of
from gapcast.text.terminal_text import printable

#: One page of the maximum size.
_DEVICES = "/devices?limit=1000"
_SOURCES = "/sources"
#: Outlooks and demands of the first few devices: a line each.
_OUTLOOKS, _DEMANDS = "/outlook?limit=5", "/demand?limit=5"


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """Forecast accuracy over a period; None with insufficient data, or without an interval."""

    period: str
    n: int
    skill: float | None
    coverage: float | None
    mae_kw: float | None
    persistence_mae_kw: float | None


@dataclass(frozen=True, slots=True)
class ForecastCells:
    """The newest forecast of a device; None without an interval."""

    gap_kw: float
    lower_kw: float | None
    upper_kw: float | None
    target_at: datetime
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class DeviceLine:
    """One device: its newest reading, its newest forecast (None: there is none), and its scores of the last day.

    A score is None with insufficient data.
    """

    device: str
    reading_kw: float
    observed_at: datetime
    #: Number of measured minutes in its window.
    n_observed: int
    forecast: ForecastCells | None
    skill: float | None
    coverage: float | None
    #: Whether the newest reading is a filled minute: the meter sent nothing for most of it.
    is_filled: bool = False
    #: Whether the device is offline: no readings arrive.
    is_offline: bool = False


@dataclass(frozen=True, slots=True)
class RefitLine:
    """The nightly refits: devices with trees in use, time and duration of the last refit, and skill (None: not yet)."""

    n_devices: int
    last_ran_s: float | None
    took_s: float
    mse_skill: float | None
    mae_skill: float | None


@dataclass(frozen=True, slots=True)
class StatusSnapshot:
    """The status of a service. Counts and latency quantiles (s) are since its start."""

    version: str
    runtime: str
    #: ``pass``, ``warn`` or ``fail``; and the message of each check that does not pass.
    status: str
    problems: tuple[str, ...]
    models: tuple[str, ...]
    published_models: str
    started_s: float
    readings: Mapping[str, float]
    forecasts: Mapping[str, float]
    n_devices: int
    n_queued: int
    mean_batch: float | None
    latency_p50_s: float | None
    latency_p99_s: float | None
    resident_bytes: float
    n_clock_offsets: int
    #: Devices of the fetched page that are offline.
    n_offline: int
    scores: tuple[ScoreLine, ...]
    devices: tuple[DeviceLine, ...]
    #: Number of further devices, which are not on the fetched page.
    n_unlisted: int
    #: Without a forecast: the subscriptions and the received messages, and when a forecast is expected.
    intake: str = ""
    first_forecast_at: datetime | None = None
    #: The nightly refits; None if the service does not refit.
    refit: RefitLine | None = None
    #: Outlooks and demands of the first devices that have one, and the numbers of devices without a line for theirs.
    outlooks: tuple[OutlookLine, ...] = ()
    demands: tuple[DemandLine, ...] = ()
    n_outlooks_unlisted: int = 0
    n_demands_unlisted: int = 0

    @property
    def has_forecasts(self) -> bool:
        """Whether a device of the fetched page has a forecast."""
        return any(line.forecast is not None for line in self.devices)


def fetch_snapshot(rest: RestClient) -> StatusSnapshot:
    """Fetch the status from ``rest``; raise :class:`StatusError` if that fails."""
    try:
        health, series, page = rest.document("/readyz"), read_series(rest.text("/metrics")), rest.document(_DEVICES)
        snapshot = snapshot_of(health, series, page)
        if snapshot.devices:
            snapshot = with_windows(snapshot, rest.document(_OUTLOOKS), rest.document(_DEMANDS))
        if snapshot.has_forecasts:
            return snapshot
        sources = rest.document(_SOURCES)
        at = sources["first_forecast_at"]
        return replace(
            snapshot,
            intake=printable(str(sources["summary"])),
            first_forecast_at=None if at is None else instant_of(at),
        )
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        msg = f"unexpected response from {rest.url} ({type(error).__name__}: {error}): is it gapcast, of this version?"
        raise StatusError(msg) from error


def snapshot_of(health: Mapping[str, Any], series: Series, page: Mapping[str, Any]) -> StatusSnapshot:
    """Return the snapshot of a health document, metrics and a page of devices."""
    problems = tuple(
        printable(f"{name}: {one.get('output') or one.get('status')}")
        for name, checks in health.get("checks", {}).items()
        for one in checks
        if one.get("status") != "pass"
    )
    build = next((labels for labels, _ in series.get("gapcast_build_info", [])), {})
    published = {labels["model"] for labels, _ in series.get("gapcast_forecasts_total", [])}
    n_batches = total_of(series, "gapcast_batch_size_count")
    latency = buckets_of(series, "gapcast_forecast_latency_seconds_bucket")
    return StatusSnapshot(
        version=printable(build.get("version", "?")),
        runtime=printable(build.get("runtime", "?")),
        status=printable(str(health.get("status", "?"))),
        problems=problems,
        models=tuple(printable(labels["model"]) for labels, _ in series.get("gapcast_model_info", [])),
        published_models=printable(", ".join(sorted(published))),
        started_s=total_of(series, "process_start_time_seconds"),
        readings={printable(labels["result"]): n for labels, n in series.get("gapcast_readings_total", [])},
        forecasts={labels["model"]: n for labels, n in series.get("gapcast_forecasts_total", [])},
        n_devices=int(total_of(series, "gapcast_devices")),
        n_queued=int(total_of(series, "gapcast_queue_depth")),
        mean_batch=total_of(series, "gapcast_batch_size_sum") / n_batches if n_batches else None,
        latency_p50_s=quantile_of(latency, 0.5),
        latency_p99_s=quantile_of(latency, 0.99),
        resident_bytes=total_of(series, "process_resident_memory_bytes"),
        n_clock_offsets=int(total_of(series, "gapcast_devices_with_clock_offset")),
        n_offline=sum(one.get("online") is False for one in page.get("devices", [])),
        scores=tuple(_scores(series, published)),
        devices=tuple(_devices(page.get("devices", []))),
        refit=_refit(series),
        n_unlisted=int(page.get("n_devices", 0)) - len(page.get("devices", [])),
    )


def with_windows(snapshot: StatusSnapshot, outlooks: Mapping[str, Any], demands: Mapping[str, Any]) -> StatusSnapshot:
    """Return ``snapshot`` with lines for a page of outlooks and a page of demands."""
    warnings = demands.get("limit_warnings", {})
    return replace(
        snapshot,
        outlooks=tuple(OutlookLine.from_document(one) for one in outlooks["outlooks"]),
        demands=tuple(
            DemandLine.from_document(one, str(warnings.get(one["device"], ""))) for one in demands["demands"]
        ),
        n_outlooks_unlisted=int(outlooks["n_devices"]) - len(outlooks["outlooks"]),
        n_demands_unlisted=int(demands["n_devices"]) - len(demands["demands"]),
    )


def _scores(series: Series, published: set[str]) -> Iterable[ScoreLine]:
    for labels, n in series.get("gapcast_scored_forecasts", []):
        period = labels["period"]
        if period == FORMER_ALL_TIME:
            continue
        mae_kw = {of["model"]: kw for of, kw in series.get("gapcast_absolute_error_kw", []) if of["period"] == period}
        skill = [of for of in published if value_of(series, "gapcast_skill_ratio", model=of, period=period) is not None]
        # If several models were published since the start, only the current one has a skill score.
        model = skill[0] if skill else ""
        yield ScoreLine(
            period, int(n), value_of(series, "gapcast_skill_ratio", model=model, period=period),
            value_of(series, "gapcast_interval_coverage_ratio", model=model, period=period),
            mae_kw.get(model), mae_kw.get("persistence"),
        )  # fmt: skip


def _refit(series: Series) -> RefitLine | None:
    if "gapcast_refit_devices" not in series:
        return None
    return RefitLine(
        int(total_of(series, "gapcast_refit_devices")),
        value_of(series, "gapcast_refit_last_run_timestamp_seconds"),
        total_of(series, "gapcast_refit_duration_seconds"),
        value_of(series, "gapcast_refit_skill_ratio", error="squared"),
        value_of(series, "gapcast_refit_skill_ratio", error="absolute"),
    )


def _devices(devices: Iterable[Mapping[str, Any]]) -> Iterable[DeviceLine]:
    for device in devices:
        forecast, scores = current_forecast(device), device["scores"]["last_day"]
        yield DeviceLine(
            device=printable(str(device["device"])),
            reading_kw=float(device["last_reading"]["gap_kw"]),
            observed_at=instant_of(device["last_reading"]["ts"]),
            n_observed=int(device.get("n_observed", 0)),
            forecast=None if forecast is None else _forecast(forecast),
            skill=_number(scores["skill"]) if scores["sufficient"] else None,
            coverage=_number(scores["coverage"]) if scores["sufficient"] else None,
            is_filled=bool(device["last_reading_filled"]),
            is_offline=device.get("online") is False,
        )


def _forecast(forecast: Mapping[str, Any]) -> ForecastCells:
    return ForecastCells(
        gap_kw=float(forecast["gap_kw"]),
        lower_kw=_number(forecast["lower_kw"]),
        upper_kw=_number(forecast["upper_kw"]),
        target_at=instant_of(forecast["target_at"]),
        issued_at=instant_of(forecast["issued_at"]),
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
