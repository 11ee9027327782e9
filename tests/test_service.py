"""One iteration of the service: its counts, and models that return a non-finite value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from gapcast.core.arrays.array_types import F32
from gapcast.core.engine import Engine
from gapcast.core.forecasts.forecast import Forecasts
from gapcast.core.models.predictor import Prediction
from gapcast.core.monitoring.online_tracker import OnlineTracker
from gapcast.core.plans.plan import LoadPlan, PlannedLoad
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import MINUTE_MS, minute_label
from gapcast.observability.metrics import ServiceInfo, build_registry
from gapcast.predictors.baselines import Persistence
from gapcast.service import batch_pipeline
from gapcast.service.ports.broker_link import IncomingMessage, RetainedReading
from gapcast.service.reports import availability
from gapcast.service.reports.availability import ReportOptions
from gapcast.service.reports.event_feed import DeviceEvent
from gapcast.service.service import MAX_BATCH, Service
from tests.support.approximate import approx
from tests.support.clocks import ManualClock
from tests.support.links import MemoryLink
from tests.support.rest_requests import ask

NOON = 21_476_160


@dataclass(frozen=True, slots=True)
class Overflowing(Persistence):
    """A model that returns infinity if the last reading is above 50 kW."""

    def predict(self, windows: F32) -> Prediction:
        last = windows[:, -1, :1]
        return Prediction(np.where(last > 50, np.inf, last))


def test_run_once_processes_a_batch_and_counts_it() -> None:
    link = MemoryLink()
    service = Service(link, Engine(Persistence(), max_devices=1), {})
    link.put(*(Reading("home", NOON + minute, 1.0) for minute in (0, 1, 1, 2)), Reading("other", NOON, 1.0))
    link.put_problem()
    assert service.run_once(0) == 6
    assert service.statistics.readings == {"accepted": 3, "duplicate": 1, "late": 0, "rejected": 2}
    assert service.statistics.forecasts == {"persistence": 2}
    assert sum(service.statistics.latency_s.counts) == 2
    assert [forecast.observed_minute for forecast in link.published] == [NOON + 1, NOON + 2]
    assert service.run_once(0) == 0


@pytest.mark.parametrize("n_devices", [1, 3])
def test_latency_of_a_forecast_ends_with_its_publication(monkeypatch: pytest.MonkeyPatch, n_devices: int) -> None:
    """All work after the publication (learning, the disk, a checkpoint) takes a second here."""
    clock = ManualClock()
    monkeypatch.setattr(batch_pipeline, "time", SimpleNamespace(perf_counter=clock))

    class SlowRecorder(Recorder):
        def record(self, readings: Sequence[Reading]) -> None:
            clock.now_s += 1.0

    link = MemoryLink()
    service = Service(link, Engine(Persistence()), {}, recorder=SlowRecorder())
    for minute in range(2):
        link.queued = [
            IncomingMessage(Reading(f"d{i}", NOON + minute, 1.0), None, clock.now_s - 0.03, None)
            for i in range(n_devices)
        ]
        service.run_once(0)
    latency_s = service.statistics.latency_s
    assert (sum(latency_s.counts), latency_s.total) == (n_devices, approx(0.03 * n_devices))


def test_queries_name_the_problem_with_the_broker_while_there_is_one() -> None:
    link = MemoryLink()
    service = Service(link, Engine(Persistence()), {})
    link.put(Reading("home", NOON, 1.0))
    service.run_once(0)
    link.problem, line = "it refuses", "1 readings of 1 devices, forecasts of persistence"
    assert (service.queries.status_line(), service.queries.intake().problem) == (line, "")
    link.connected = False
    assert service.queries.status_line() == f"no broker (it refuses); {line}"
    assert service.queries.intake().sentence() == "it refuses"


def test_statuses_cover_the_first_devices() -> None:
    link = MemoryLink()
    service = Service(link, Engine(Persistence()), {})
    link.put(*(Reading(name, NOON + i, 1.0 + i) for i, name in enumerate("abc")))
    service.run_once(0)
    found = [(status.device, status.minute) for status in service.queries.device_statuses(2)]
    assert found == [("a", NOON), ("b", NOON + 1)]


def test_run_once_processes_at_most_one_batch() -> None:
    link = MemoryLink()
    service = Service(link, Engine(Persistence()), {})
    link.put(*(Reading("home", NOON + minute, 1.0) for minute in range(MAX_BATCH + 10)))
    assert [service.run_once(0), service.run_once(0), service.run_once(0)] == [MAX_BATCH, 10, 0]


class Closing(MemoryLink):
    """A link that adds a minute closed by the clock to every message."""

    def receive_messages(self, n_at_most: int, timeout_s: float) -> list[IncomingMessage]:
        return [message for taken in super().receive_messages(n_at_most, timeout_s) for message in (taken, taken)]


def test_stop_processes_all_received_messages() -> None:
    link = Closing()
    service = Service(link, Engine(Persistence()), {})
    link.put(*(Reading("home", NOON + minute, 1.0) for minute in range(4 * MAX_BATCH)))
    stopping = Event()
    stopping.set()
    assert service.run(stopping)
    assert link.n_queued == 0


def test_device_deleted_during_a_stop_is_cleared_at_the_broker() -> None:
    link = MemoryLink()
    service = Service(link, Engine(Persistence()), {})
    link.put(Reading("home", NOON, 1.0))
    stopping = Event()
    stopping.set()
    assert service.run(stopping, on_drained=lambda: service.forget("home"))
    assert link.forgotten == ["home"]


def test_devices_beyond_a_limit_are_the_later_ones() -> None:
    link = MemoryLink()
    service = Service(link, Engine(Persistence()), {})
    link.put(*(Reading(device, NOON, 1.0) for device in ("first", "second", "third")))
    service.run_once(0)
    names = "first", "second", "third", "unknown"
    assert [service.queries.exceeds_device_limit(device, 2) for device in names] == [False, False, True, False]
    assert service.forget("first")
    assert [service.queries.exceeds_device_limit(device, 1) for device in names] == [False, True, True, False]
    link.put(Reading("new", NOON, 1.0), Reading("newer", NOON, 1.0))
    service.run_once(0)
    assert not service.queries.exceeds_device_limit("new", 1), "it takes the place of the forgotten device"
    assert service.queries.exceeds_device_limit("newer", 3)


class Recorder:
    """Implements :class:`gapcast.service.ports.minute_recorder.MinuteRecorder` in memory."""

    status = None

    def __init__(self) -> None:
        self.recorded: list[Reading] = []

    def record(self, readings: Sequence[Reading]) -> None:
        self.recorded += readings

    def forget(self, device: str) -> None:
        self.recorded = [reading for reading in self.recorded if reading.device != device]


class Forgetting(MemoryLink):
    """A link over which a device is forgotten as soon as its forecast is published."""

    service: Service

    def publish(self, forecasts: Forecasts) -> list[int]:
        if len(forecasts):
            self.service.forget("home")
        return super().publish(forecasts)


def test_device_forgotten_at_its_forecast_is_not_recorded() -> None:
    link, recorder = Forgetting(), Recorder()
    link.service = Service(link, Engine(Persistence()), {}, recorder=recorder)
    for minute in (0, 1):
        link.put(Reading("home", NOON + minute, 1.0), Reading("other", NOON + minute, 1.0))
        link.service.run_once(0)
    assert recorder.recorded == [Reading("other", NOON + minute, 1.0) for minute in (0, 1)]


class Unmarked(MemoryLink):
    """A link whose acknowledgements fail once."""

    def __init__(self) -> None:
        super().__init__()
        self.persisted: list[int] = []

    def mark_persisted(self, batch: int) -> None:
        self.persisted.append(batch)
        if len(self.persisted) == 1:
            raise OSError


def test_acknowledgement_of_a_persisted_batch_that_failed_is_repeated() -> None:
    link = Unmarked()
    service = Service(link, Engine(Persistence()), {})
    link.put(Reading("home", NOON, 1.0))
    for _ in range(3):
        service.run_once(0)
    assert link.persisted == [1, 1]


def test_forget_offline_is_published_on_reconnect() -> None:
    link = MemoryLink()
    service = Service(link, Engine(Persistence()), {}, reports=ReportOptions(OnlineTracker(stale_after_s=600)))
    link.put(Reading("home", NOON, 1.0))
    service.run_once(0)
    link.connected = False
    service.forget("home")
    service.run_once(0)
    assert link.forgotten == []
    link.connected = True
    link.put(Reading("home", NOON + 1, 1.0))
    service.run_once(0)
    assert (link.forgotten, link.announced) == (["home"], [("home", True), ("home", True)])


def test_offline_devices_are_counted_until_they_return_or_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    def n_offline(service: Service) -> float | None:
        return build_registry(service, ServiceInfo("", "gw")).get_sample_value("gapcast_devices_offline")

    clock, link = ManualClock(), MemoryLink()
    monkeypatch.setattr(availability, "time", SimpleNamespace(monotonic=clock))
    service = Service(link, Engine(Persistence()), {}, reports=ReportOptions(OnlineTracker(stale_after_s=600)))
    link.put(*(Reading(device, NOON, 1.0) for device in ("attic", "cellar", "home")))
    service.run_once(0)
    assert n_offline(service) == 0
    clock.now_s += 601
    service.run_once(0)
    assert n_offline(service) == 3
    link.put(Reading("home", NOON + 11, 1.0))
    service.run_once(0)
    service.forget("attic")
    service.run_once(0)
    assert n_offline(service) == 1
    assert n_offline(Service(MemoryLink(), Engine(Persistence()), {})) is None, "availability is not tracked"


def test_forgotten_device_does_not_count_as_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the metric nor in the log, and the next device in its row is new."""
    clock, link = ManualClock(), MemoryLink()
    monkeypatch.setattr(availability, "time", SimpleNamespace(monotonic=clock))
    service = Service(link, Engine(Persistence()), {}, reports=ReportOptions(OnlineTracker(stale_after_s=600)))
    registry = build_registry(service, ServiceInfo("", "gw"))
    link.put(Reading("attic", NOON, 1.0), Reading("home", NOON, 1.0))
    service.run_once(0)
    service.forget("attic")
    with capture_logs() as logs:
        for after_s in (6, 601):
            clock.now_s += after_s
            service.run_once(0)
        assert registry.get_sample_value("gapcast_devices_offline") == 1
        link.put(Reading("cellar", NOON + 11, 1.0))
        clock.now_s += 6
        service.run_once(0)
    assert [(line["event"], line["devices"]) for line in logs] == [("devices.offline", "home")]
    assert link.announced == [("attic", True), ("home", True), ("home", False), ("cellar", True)]


def test_clock_offsets_are_counted_under_the_name_of_0_1_0_too() -> None:
    service = Service(MemoryLink(), Engine(Persistence()), {})
    service.statistics.clock_offsets_min.update(home=60, attic=-60)
    registry = build_registry(service, ServiceInfo("", "gw"))
    for name in ("gapcast_devices_with_clock_offset", "gapcast_clocks_off"):
        assert registry.get_sample_value(name) == 2


def test_device_without_readings_goes_offline_until_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the broker, and for the listeners of the event feed."""
    clock, link = ManualClock(), MemoryLink()
    monkeypatch.setattr(availability, "time", SimpleNamespace(monotonic=clock))
    service = Service(link, Engine(Persistence()), {}, reports=ReportOptions(OnlineTracker(stale_after_s=600)))
    service.feed.listen(lambda: None)
    link.put(Reading("home", NOON, 1.0))
    announced = []
    for after_s in (0, 599, 6, 3_600):
        clock.now_s += after_s
        service.run_once(0)
        announced.append([online for _, online in link.announced])
    assert announced == [[True], [True], [True, False], [True, False]]
    link.put(Reading("home", NOON + 1, 1.0))
    service.run_once(0)
    service.forget("home")
    service.run_once(0)
    events = [event.document["state"] for event in service.feed.drain()[0] if isinstance(event, DeviceEvent)]
    assert events == ["online", "offline", "online", "forgotten"]


def test_device_of_a_stale_retained_reading_is_not_online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker sends it after a subscription, however long its meter has been silent."""
    clock, link = ManualClock(), MemoryLink()
    monkeypatch.setattr(availability, "time", SimpleNamespace(monotonic=clock))
    service = Service(link, Engine(Persistence()), {}, reports=ReportOptions(OnlineTracker(stale_after_s=600)))
    received_ms = (NOON + 12) * 60_000
    for device, minute in (("dead", 0), ("slow", 1), ("back", 0)):
        link.retained.append(RetainedReading(device, NOON + minute, received_ms))
        link.put(Reading(device, NOON + minute, 1.0))
    link.put(Reading("back", NOON + 12, 1.0), Reading("live", NOON, 1.0))
    service.run_once(0)
    assert sorted(link.announced) == [("back", True), ("live", True), ("slow", True)]
    link.retained.clear()
    link.announced.clear()
    for after_s in (6, 601):
        clock.now_s += after_s
        service.run_once(0)
    assert ("dead", False) in link.announced


def test_retained_reading_without_availability_is_accepted() -> None:
    link = MemoryLink()
    service = Service(link, Engine(Persistence()), {})
    link.retained.append(RetainedReading("home", NOON, (NOON + 99) * 60_000))
    link.put(Reading("home", NOON, 1.0))
    service.run_once(0)
    assert (service.statistics.readings["accepted"], link.announced) == (1, [])


def test_stream_restarted_by_late_readings_is_logged() -> None:
    link = MemoryLink()
    service = Service(link, Engine(Persistence()), {})
    link.put(*(Reading("home", NOON + minute, 1.0) for minute in (100, 0, 1, 2, 3)))
    with capture_logs() as logs:
        service.run_once(0)
        service.run_once(0)
    (line,) = logs
    found = (line["event"], line["device"], line["from_minute"], line["to_minute"])
    assert found == ("device.set_back", "home", minute_label(NOON + 100), minute_label(NOON))
    assert "if the meter sends no time, this machine's" in line["fix"]


def test_devices_offline_and_back_are_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when they are published again to a broker that lost them, and many at once in one line."""
    clock, link = ManualClock(), MemoryLink()
    monkeypatch.setattr(availability, "time", SimpleNamespace(monotonic=clock))
    service = Service(link, Engine(Persistence()), {}, reports=ReportOptions(OnlineTracker(stale_after_s=600)))
    link.put(*(Reading(f"d{i}", NOON, 1.0) for i in range(7)))
    with capture_logs() as logs:
        for after_s in (0, 601, 1, 3_600):
            clock.now_s += after_s
            link.n_fresh_sessions += 1
            service.run_once(0)
        service.forget("d0")
        link.put(Reading("d0", NOON + 1, 1.0), Reading("d6", NOON + 1, 1.0))
        clock.now_s += 5
        service.run_once(0)
    assert [(line["event"], line["n_devices"], line["devices"]) for line in logs] == [
        ("devices.offline", 7, "d0, d1, d2, d3, d4 and 2 more"),
        ("devices.online", 1, "d6"),
    ]


def test_devices_offline_and_back_are_logged_with_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """For any number published at once, and also while nothing can be published."""
    clock, link = ManualClock(), MemoryLink()
    monkeypatch.setattr(availability, "time", SimpleNamespace(monotonic=clock))
    service = Service(link, Engine(Persistence()), {}, reports=ReportOptions(OnlineTracker(stale_after_s=600)))
    n_devices = 600
    with capture_logs() as logs:
        for minute in (0, 1):
            link.put(*(Reading(f"d{i}", NOON + minute, 1.0) for i in range(n_devices)))
            while link.n_queued:
                service.run_once(0)
            clock.now_s += 5
            service.run_once(0)
            clock.now_s += 601 * (1 - minute)
            link.is_backlogged = minute == 0
            service.run_once(0)
            link.is_backlogged = False
    assert [(line["event"], line["n_devices"]) for line in logs] == [
        ("devices.offline", n_devices),
        ("devices.online", n_devices),
    ]


def test_time_without_a_connection_does_not_set_devices_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, link = ManualClock(), MemoryLink()
    monkeypatch.setattr(availability, "time", SimpleNamespace(monotonic=clock))
    service = Service(link, Engine(Persistence()), {}, reports=ReportOptions(OnlineTracker(stale_after_s=600)))
    link.put(Reading("home", NOON, 1.0))
    found = []
    with capture_logs() as logs:
        for after_s, connected in (
            (0, True),
            (100, True),
            (5, False),
            (3_600, False),
            (5, True),
            (480, True),
            (20, True),
        ):
            clock.now_s += after_s
            link.connected = connected
            service.run_once(0)
            found.append(len(logs))
    assert found == [0, 0, 0, 0, 0, 0, 1]
    assert logs[0]["event"] == "devices.offline"


def test_devices_are_announced_on_connect() -> None:
    link = MemoryLink()
    service = Service(link, Engine(Persistence()), {}, reports=ReportOptions(OnlineTracker(stale_after_s=600)))
    link.connected = False
    link.put(Reading("home", NOON, 1.0), Reading("other", NOON, 1.0), Reading("home", NOON + 1, 1.0))
    service.run_once(0)
    assert link.announced == []
    link.connected = True
    service.run_once(0)
    service.run_once(0)
    assert link.announced == [("home", True), ("other", True)]
    link.n_fresh_sessions += 1
    service.run_once(0)
    assert link.announced == [("home", True), ("other", True)] * 2


def test_devices_are_not_announced_while_the_broker_confirms_nothing() -> None:
    """Announcements of a large fleet must not use up the packet identifiers of a broker that confirms none."""
    link = MemoryLink()
    service = Service(link, Engine(Persistence()), {}, reports=ReportOptions(OnlineTracker(stale_after_s=600)))
    link.is_backlogged = True
    link.put(Reading("home", NOON, 1.0))
    service.run_once(0)
    assert link.announced == []
    link.is_backlogged = False
    service.run_once(0)
    assert link.announced == [("home", True)]


def test_service_with_a_model_without_a_number_publishes_persistence() -> None:
    link = MemoryLink()
    service = Service(link, Engine(Overflowing()), {})
    link.put(Reading("home", NOON, 1.0), Reading("home", NOON + 1, 60.0))
    assert service.run_once(0) == 2
    link.put(Reading("home", NOON + 2, 2.0))
    service.run_once(0)
    assert [(forecast.gap_kw, forecast.n_observed) for forecast in link.published] == [(60.0, 2), (2.0, 3)]
    assert service.statistics.n_model_failures == 1
    assert service.statistics.forecasts_replaced == {"model": 1, "state": 0}
    assert service.statistics.readings["accepted"] == 3


def test_request_with_a_model_without_a_number_gets_persistence() -> None:
    service = Service(MemoryLink(), Engine(Overflowing()), {})
    answer = ask(service, "POST", "/predict", json={"readings": [1.0, 60.0]})
    assert answer.status_code == 200
    assert answer.json()["gap_kw"] == 60.0


def test_latest_forecast_of_a_device_forgotten_while_it_is_read_is_none() -> None:
    engine, link = Engine(Persistence()), MemoryLink()
    service = Service(link, engine, {})
    service.replace_plan("home", LoadPlan((PlannedLoad(0.5, NOON * MINUTE_MS, (NOON + 60) * MINUTE_MS),)))
    link.put(*(Reading("home", NOON + minute, 1.0) for minute in range(2)))
    service.run_once(0)
    read = service.queries.latest_of("home")
    assert read is not None
    assert read.planned_kw == 0.5

    class Planned(dict[int, tuple[float, float]]):
        def get(self, row: int, default: Any = None) -> Any:
            service.forget("home")  # by another thread, after the powers are read, and before the planned one
            return super().get(row, default)

    newest = engine.horizons.main.newest
    newest.planned = Planned(newest.planned)
    assert service.queries.latest_of("home") is None
