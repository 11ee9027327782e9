"""Reports of live scores, on their topic and as metrics, and of lasting changes of a device."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from threading import Lock
from typing import cast

import numpy as np
import pytest
from prometheus_client.exposition import generate_latest

from gapcast.core.engine import Engine
from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.learning.scores.drift import MIN_OUTCOMES_PER_DAY
from gapcast.core.learning.scores.summary import ALL_TIME, LAST_DAY, MIN_OUTCOMES
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import DAY_MIN
from gapcast.observability.metrics import ServiceInfo, build_registry
from gapcast.service.reports.availability import ReportOptions
from gapcast.service.reports.event_feed import EventFeed
from gapcast.service.reports.score_reports import ScoreReports
from gapcast.service.running_engine import RunningEngine
from gapcast.service.service import Service
from tests.support.houses import FIRST, ensemble_engine, house_kw, stream
from tests.support.links import MemoryLink

ALWAYS = ReportOptions(report_every_s=1e-9)


def serving(engine: Engine, telling: ReportOptions = ALWAYS) -> tuple[Service, MemoryLink]:
    link = MemoryLink()
    return Service(link, engine, {engine.model.name: engine.model}, reports=telling), link


def feed(service: Service, link: MemoryLink, readings: list[Reading]) -> None:
    for at in range(0, len(readings), 256):
        link.put(*readings[at : at + 256])
        service.run_once(0)


def test_score_report_has_the_current_scores() -> None:
    service, link = serving(ensemble_engine())
    feed(service, link, stream(house_kw(MIN_OUTCOMES + 100)))
    document = link.scores["home"]
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["v"] == 1
    assert document["device"] == "home"
    assert document["model"] == "blend"
    summaries, _ = service.queries.live_scores()
    assert document[ALL_TIME] == summaries[ALL_TIME].document()
    assert summaries[ALL_TIME].is_sufficient


def test_score_report_interval_is_kept() -> None:
    service, link = serving(ensemble_engine(), ReportOptions(report_every_s=3_600))
    feed(service, link, stream(house_kw(300)))
    first = link.scores["home"]
    feed(service, link, stream(house_kw(300), FIRST + 300))
    assert link.scores["home"] is first


def test_score_report_switched_off_or_disconnected() -> None:
    service, link = serving(ensemble_engine(), ReportOptions())
    feed(service, link, stream(house_kw(300)))
    assert link.scores == {}
    service, link = serving(ensemble_engine())
    link.connected = False
    feed(service, link, stream(house_kw(300)))
    assert link.scores == {}
    link.connected = True
    service.run_once(0)
    assert set(link.scores) == {"home"}


class Clock:
    """A clock that stands still until it is put forward."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_score_report_covers_many_devices_in_parts() -> None:
    clock = Clock()
    service, link = serving(ensemble_engine(), ReportOptions(report_every_s=3_600, clock_s=clock))
    names = [f"d{i}" for i in range(20)]
    for minute in range(8):
        feed(service, link, [Reading(name, FIRST + minute, 1.0 + minute / 10) for name in names])
        assert len(link.scores) <= 4 * (minute + 1)
    for _ in range(len(names)):
        clock.now_s += 0.05
        service.run_once(0)
    assert set(link.scores) == set(names)


def test_score_report_of_many_devices_is_paced() -> None:
    """Twenty a second, whatever arrives; a pause is not made up for by more than four at once."""
    clock = Clock()
    service, link = serving(ensemble_engine(), ReportOptions(report_every_s=3_600, clock_s=clock))
    names = [f"d{i}" for i in range(40)]
    for minute in range(8):
        feed(service, link, [Reading(name, FIRST + minute, 1.0) for name in names])
    for _ in range(8):
        service.run_once(0)
    assert len(link.scores) == 4
    clock.now_s += 0.11
    for _ in range(8):
        service.run_once(0)
    assert len(link.scores) == 6
    clock.now_s += 60.0
    for _ in range(8):
        service.run_once(0)
    assert len(link.scores) == 10


def test_score_report_pace_grows_with_the_devices_that_wait() -> None:
    clock = Clock()
    service, link = serving(ensemble_engine(), ReportOptions(report_every_s=1.0, clock_s=clock))
    link.is_backlogged = True
    names = [f"d{i}" for i in range(100)]
    for minute in range(8):
        feed(service, link, [Reading(name, FIRST + minute, 1.0) for name in names])
    link.is_backlogged = False
    service.run_once(0)
    for _ in range(24):  # at twenty a second, three would be published in this time
        clock.now_s += 0.006
        service.run_once(0)
    assert len(link.scores) > 4 + 20


@pytest.mark.parametrize(("n_readings", "n_published"), [(0, 4), (1, 1), (31, 1), (32, 2), (256, 4)])
def test_score_report_after_few_readings_covers_few_devices(n_readings: int, n_published: int) -> None:
    service, link = serving(ensemble_engine(), ReportOptions(report_every_s=3_600))
    link.is_backlogged = True  # so that all devices wait
    names = [f"d{i}" for i in range(20)]
    for minute in range(8):
        feed(service, link, [Reading(name, FIRST + minute, 1.0) for name in names])
    link.is_backlogged = False
    link.put(*(Reading(f"new{i}", FIRST, 1.0) for i in range(n_readings)))
    service.run_once(0)
    assert len(link.scores) == n_published


def test_score_report_omits_a_forgotten_device() -> None:
    service, link = serving(ensemble_engine())
    link.connected = False
    feed(service, link, stream(house_kw(300)))
    service.forget("home")
    link.connected = True
    service.run_once(0)
    assert link.scores == {}
    assert service.queries.live_scores()[0][ALL_TIME].n == 0


def changing(day: int, factor: float) -> list[Reading]:
    """Readings of a house whose noise grows by ``factor`` from ``day`` on: as many a day as drift detection needs."""
    draw = np.random.default_rng(2)
    readings = []
    for today in range(day + 8):
        scale_kw = 0.1 * (factor if today >= day else 1.0)
        kw = np.abs(0.5 + draw.normal(0, scale_kw, MIN_OUTCOMES_PER_DAY + 10)).round(3).tolist()
        readings += stream(kw, FIRST + today * DAY_MIN)
    return readings


@pytest.mark.long
def test_drift_report_is_sent_once_and_counted() -> None:
    service, link = serving(ensemble_engine())
    feed(service, link, changing(day=9, factor=4.0))
    (event,) = link.events
    assert event["event"] == "drift"
    assert event["device"] == "home"
    assert event["errors"] == "grew"
    assert isinstance(event["factor"], float)
    assert 2.5 < event["factor"] < 6
    assert service.queries.live_scores()[1] == 1
    assert "gapcast_drifts_total 1.0" in metrics(service)


@pytest.mark.long
def test_drift_report_is_not_sent_in_the_first_week() -> None:
    service, link = serving(ensemble_engine())
    last = FIRST + 8 * DAY_MIN  # the readings of the eighth day end the seventh
    feed(service, link, [one for one in changing(day=2, factor=6.0) if one.minute < last])
    assert link.events == []


# --- metrics ----------------------------------------------------------------------------------------


def metrics(service: Service) -> str:
    return generate_latest(build_registry(service, ServiceInfo("test", "gw-test"))).decode()


def value(text: str, name: str, **labels: str) -> float | None:
    for line in text.splitlines():
        if line.startswith(f"{name}{{") and all(f'{key}="{label}"' in line for key, label in labels.items()):
            return float(line.rsplit(" ", 1)[1])
    return None


def test_score_metrics_appear_with_enough_outcomes() -> None:
    service, link = serving(ensemble_engine())
    feed(service, link, stream(house_kw(MIN_OUTCOMES)))
    assert value(metrics(service), "gapcast_skill_ratio", model="blend", period=LAST_DAY) is None
    assert value(metrics(service), "gapcast_scored_forecasts", period=ALL_TIME) == MIN_OUTCOMES - 6
    feed(service, link, stream(house_kw(20), FIRST + MIN_OUTCOMES))
    text, (summaries, _) = metrics(service), service.queries.live_scores()
    for name, figure in (
        ("gapcast_squared_error_kw2", "mse_kw2"),
        ("gapcast_absolute_error_kw", "mae_kw"),
        ("gapcast_skill_ratio", "skill"),
        ("gapcast_interval_coverage_ratio", "coverage"),
        ("gapcast_interval_width_kw", "width_kw"),
        ("gapcast_bias_kw", "bias_kw"),
        ("gapcast_pinball_loss_kw", "pinball_kw"),
    ):
        for period, summary in summaries.items():
            assert value(text, name, model="blend", period=period) == pytest.approx(getattr(summary, figure))
    for member in ("smooth", "learned", "persistence"):
        assert value(text, "gapcast_squared_error_kw2", model=member, period=ALL_TIME) is not None


def test_score_metrics_labels_are_bounded() -> None:
    service, link = serving(ensemble_engine())
    before = len(re.findall(r"^gapcast_", metrics(service), re.MULTILINE))
    for minute in range(8):
        feed(service, link, [Reading(f"d{i}", FIRST + minute, 1.0) for i in range(50)])
    after = len(re.findall(r"^gapcast_", metrics(service), re.MULTILINE))
    assert after <= before + 2


class LockAfter:
    """A lock that another thread gets first, and forgets a device with it."""

    def __init__(self, forget: Callable[[], None]) -> None:
        self._forget = forget

    def __enter__(self) -> None:
        self._forget()

    def __exit__(self, *_: object) -> None:
        pass


def test_score_reports_continue_if_a_device_is_forgotten_meanwhile() -> None:
    engine, link = ensemble_engine(), MemoryLink()
    running = RunningEngine(engine, {})
    reports = ScoreReports(link, EventFeed(), running, 1e-9)
    for device in ("home", "shop"):
        engine.accept([Reading(device, FIRST, 1.0)])
    columns = (np.array([0, 1]), *(np.zeros((2, *shape)) for shape in ((), (), (), (2, 1), (4,))))
    reports.record_outcomes(Outcomes(*columns), ())
    running.lock = cast("Lock", LockAfter(lambda: reports.forget(1)))
    reports.publish_changes()
    assert list(link.scores) == ["home"]
