"""The service, the store and a back-test with devices of two horizons."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs

from gapcast.backtest.inputs.houses import FilePart
from gapcast.core.engine import Engine
from gapcast.core.errors import RequestError
from gapcast.core.forecasts.forecast import Forecasts
from gapcast.core.forecasts.forecast_template import ForecastTemplate, template_of
from gapcast.core.learning.scores.summary import ALL_TIME
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.time_grid import MINUTE_MS
from gapcast.mqtt.discovery.discovery import Discovery
from gapcast.mqtt.publishers.forecast_publisher import REPLAY_EXPIRY_S, ForecastPublisher
from gapcast.mqtt.session.session import Session
from gapcast.mqtt.topics import DeviceTopic
from gapcast.service.reports.availability import ReportOptions
from gapcast.service.service import Service
from gapcast.storage.generations import write_checkpoint
from gapcast.storage.store import Store
from tests.backtest.test_backtest import house, run
from tests.core.horizon_runs import DEVICES, HORIZONS, HorizonRun, engine_of, readings_of
from tests.mqtt.test_discovery_demand import HOME_ASSISTANT_TOPICS, Sent
from tests.support.links import MemoryLink


def served(engine: Engine, n_minutes: int = 40) -> tuple[Service, MemoryLink]:
    link = MemoryLink()
    service = Service(link, engine, {"smooth": engine.model}, reports=ReportOptions(report_every_s=1e-9))
    link.put(*readings_of(n_minutes))
    while link.queued:
        service.run_once(0)
    return service, link


# --- the service ------------------------------------------------------------------------------------


def test_service_publishes_each_device_at_its_horizon() -> None:
    service, link = served(engine_of(5, HORIZONS))
    undisturbed = HorizonRun(engine_of(5, HORIZONS)).process(readings_of(40), 256)
    assert [one.document() | {"issued_at": 0} for one in link.published] == [
        one.document() | {"issued_at": 0} for one in undisturbed.forecasts
    ]
    assert service.statistics.forecasts == {"blend": 39 * 4}
    assert {one.device for one in link.outlooks} == {"home", "pump", "barn"}
    forecasts, n_devices, _ = service.queries.latest_page(9)
    assert (n_devices, [(one.device, one.horizon_min) for one in forecasts]) == (
        4, [("barn", 5), ("car", 15), ("home", 5), ("pump", 15)],
    )  # fmt: skip
    newest = service.queries.latest_of("pump")
    assert newest is not None
    assert newest.horizon_min == 15
    assert service.queries.published_model_of("pump").lead_times_min[-1] == 15
    summaries, _ = service.queries.live_scores()
    assert summaries[ALL_TIME].n == 2 * (34 + 24)


def test_forecast_request_of_a_device_has_its_horizon() -> None:
    service, _ = served(engine_of(5, HORIZONS))
    readings = [one for one in readings_of(30) if one.device == "pump"]
    found = {device: service.queries.predict(readings, device=device)[0] for device in (None, "home", "pump", "new")}
    assert {device: one.horizon_min for device, one in found.items()} == {None: 5, "home": 5, "pump": 15, "new": 5}
    forecast, outlook = service.queries.predict(readings, "smooth", device="pump", has_outlook=True)
    assert outlook is not None
    assert forecast == found["pump"] or forecast.issued_at_ms != found["pump"].issued_at_ms
    with pytest.raises(RequestError, match="there is no 'other'"):
        service.queries.predict(readings, "other", device="pump")


def test_forgotten_device_of_another_horizon_starts_again() -> None:
    service, _ = served(engine_of(5, HORIZONS))
    assert service.forget("pump")
    assert service.queries.latest_of("pump") is None


# --- MQTT -------------------------------------------------------------------------------------------


class SentForecasts(Sent):
    """A session that records the expiry of what is published, s, by device."""

    def __init__(self) -> None:
        super().__init__()
        self.expiry_s: dict[str, int] = {}

    def next_ids(self, _n: int) -> None:
        """There are none: each message is published by itself."""

    def publish(self, topic: bytes, payload: bytes, **options: object) -> int:
        device = topic.decode().split("/")[1]
        self.expiry_s[device] = cast("int", options["expiry_s"])
        return list(DEVICES).index(device)


def test_forecasts_of_a_batch_expire_at_their_own_targets() -> None:
    engine = engine_of(5, HORIZONS)
    engine.accept(readings_of(1))
    minute = readings_of(1, 1)
    forecasts = engine.forecast(engine.accept(minute), (minute[0].minute + 1) * MINUTE_MS)
    sent = SentForecasts()
    topic = DeviceTopic.parse("topics.forecast", "gap/{device}/forecast")
    assert ForecastPublisher(cast("Session", sent), topic, retain=True).publish(forecasts) == [0, 1, 2, 3]
    assert sent.expiry_s == {"home": 240, "pump": 840, "barn": 240, "car": 840}
    assert REPLAY_EXPIRY_S not in sent.expiry_s.values()


def test_forecasts_of_two_horizons_in_turn_keep_their_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def counted(forecasts: Forecasts) -> ForecastTemplate:
        made.append(forecasts.model.lead_times_min[-1])
        return template_of(forecasts)

    monkeypatch.setattr("gapcast.core.forecasts.forecast_json.template_of", counted)
    engine, topic = engine_of(5, HORIZONS), DeviceTopic.parse("topics.forecast", "gap/{device}/forecast")
    publisher = ForecastPublisher(cast("Session", SentForecasts()), topic, retain=True)
    for reading in readings_of(4):
        publisher.publish(engine.forecast(engine.accept([reading]), 7))
    assert made == [5, 15]


def test_discovery_announces_sensors_that_expire_at_the_devices_horizon() -> None:
    sent, engine = Sent(), engine_of(5, HORIZONS)
    discovery = Discovery(
        cast("Session", sent),
        HOME_ASSISTANT_TOPICS,
        lambda device: engine.forecaster_of(device).published_model,
    )
    for device in ("home", "pump"):
        discovery.publish_device(device)
    sensors = {
        device: json.loads(sent.messages[HOME_ASSISTANT_TOPICS.config_topic(device).encode()])["cmps"]["forecast"]
        for device in ("home", "pump")
    }
    assert {device: one["exp_aft"] for device, one in sensors.items()} == {"home": 360, "pump": 960}


# --- the store --------------------------------------------------------------------------------------


def test_store_logs_devices_whose_horizon_has_changed(tmp_path: Path) -> None:
    before = HorizonRun(engine_of(5, {"pump": 15})).process(readings_of(30)).engine
    write_checkpoint(tmp_path, 1, capture_snapshot(before), 0)
    after = engine_of(5, {"pump": 10, "car": 15})
    with capture_logs() as logs:
        Store(tmp_path).restore(after)
    (logged,) = [entry for entry in logs if entry["event"] == "state.horizon_changed"]
    assert logged["log_level"] == "warning"
    assert (logged["n_devices"], logged["devices"]) == (2, ["pump: 15 to 10 min", "car: 5 to 15 min"])
    assert len(after.buffers) == 4
    assert after.scores_of("home")[ALL_TIME].n == before.scores_of("home")[ALL_TIME].n > 0


# --- a back-test ------------------------------------------------------------------------------------


def test_backtest_scores_each_house_at_its_horizon(tmp_path: Path) -> None:
    files = [house(tmp_path / f"{name}.csv", 90) for name in ("home", "pump")]
    out = tmp_path / "out.csv"
    forecast = {"devices": {"pump": {"horizon_min": 3}}}
    both = run(files, FilePart(), out, forecast=forecast)
    assert {one.name: one.live[ALL_TIME].n for one in both.houses} == {"home": 84, "pump": 86}
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    times = [[datetime.fromisoformat(one[name]) for name in ("observed_at", "target_at")] for one in rows]
    ahead = {(one["device"], (target - at).seconds // 60) for one, (at, target) in zip(rows, times, strict=True)}
    assert ahead == {("home", 5), ("pump", 3)}
    assert sum(bool(one["actual_kw"]) for one in rows) == 84 + 86
