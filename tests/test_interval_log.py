"""Meters whose readings do not come once a minute are logged, with the fix."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from gapcast.core.engine import Engine
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import minute_label
from gapcast.predictors.baselines import Persistence
from gapcast.service.ports.broker_link import NoMeters
from gapcast.service.service import Service
from tests.support.links import MemoryLink

NOON = 21_476_160


class SampledMeters(NoMeters):
    """Meters that send samples."""

    def sends_samples(self, device: str) -> bool:
        return True


@pytest.fixture
def link() -> MemoryLink:
    return MemoryLink()


@pytest.fixture
def service(link: MemoryLink) -> Service:
    return Service(link, Engine(Persistence()), {})


def logs_of(service: Service, link: MemoryLink, *readings: Reading) -> list[Any]:
    with capture_logs() as logs:
        for reading in readings:
            link.put(reading)
            service.run_once(0)
    return logs


def minutes_of(*powers_kw: float, minutes: range = range(3), redelivered: bool = False) -> list[Reading]:
    """Return readings of each minute with these powers; all but the first may be ``redelivered``."""
    return [
        Reading("home", NOON + minute, kw + minute, redelivered and i > 0)
        for minute in minutes
        for i, kw in enumerate(powers_kw)
    ]


def test_meter_with_several_values_a_minute_is_logged_once(service: Service, link: MemoryLink) -> None:
    (line,) = logs_of(service, link, *minutes_of(0.1, 0.2, 0.3, minutes=range(9)))
    assert (line["event"], line["log_level"], line["device"]) == ("meter.fast", "warning", "home")
    assert line["minute"] == minute_label(NOON + 2)
    assert line["fix"] == "configure it to send the mean of each minute once, or read its samples"
    assert line["meanwhile"].startswith("each minute has the value of its first reading, not the mean")
    service.forget("home")
    assert [one["event"] for one in logs_of(service, link, *minutes_of(0.1, 0.2))] == ["meter.fast"]


def test_meter_with_several_values_a_minute_is_logged_in_one_batch(service: Service, link: MemoryLink) -> None:
    link.put(*minutes_of(0.1, 0.2, 0.3, minutes=range(9)))
    with capture_logs() as logs:
        service.run_once(0)
    assert [(one["event"], one["minute"]) for one in logs] == [("meter.fast", minute_label(NOON + 2))]


@pytest.mark.parametrize(
    "readings",
    [
        minutes_of(0.1, 0.1),
        minutes_of(0.1, 0.2, redelivered=True),
        minutes_of(0.1, 0.2, minutes=range(2)),
        [*minutes_of(0.1, 0.2, minutes=range(2)), *minutes_of(0.1, minutes=range(2, 3)),
         *minutes_of(0.1, 0.2, minutes=range(3, 5))],
    ],
    ids=["the same value", "redelivered", "two minutes", "a pause"],
)  # fmt: skip
def test_meter_with_other_duplicates_is_not_logged(service: Service, link: MemoryLink, readings: list[Reading]) -> None:
    assert logs_of(service, link, *readings) == []


def test_meter_with_late_and_held_duplicates_is_not_logged(service: Service, link: MemoryLink) -> None:
    held = [Reading("home", NOON + 5_000, kw) for kw in (1.0, 2.0)]
    late = [Reading("home", NOON - 100, kw) for kw in (1.0, 2.0)]
    assert logs_of(service, link, *minutes_of(0.1), *held, *late) == []


@pytest.mark.parametrize(("every_min", "has_samples_fix"), [(7, True), (15, True), (20, False)])
def test_meter_too_slow_for_a_forecast_is_logged_once(
    service: Service, link: MemoryLink, every_min: int, has_samples_fix: bool
) -> None:
    (line,) = logs_of(service, link, *minutes_of(1.0, minutes=range(0, 9 * every_min, every_min)))
    assert (line["event"], line["device"], line["every_s"]) == ("meter.slow", "home", every_min * 60)
    samples = f"; or read its samples, and every_s = {every_min * 60}" if has_samples_fix else ""
    assert line["fix"] == f"configure it to send once a minute{samples}"
    assert line["meanwhile"] == "the device has no forecast: forecasts need two readings at most 6 minutes apart"
    assert link.published == []
    service.forget("home")
    assert len(logs_of(service, link, *minutes_of(1.0, minutes=range(0, 60, 15)))) == 1


def test_meter_with_gaps_and_forecasts_is_not_slow(service: Service, link: MemoryLink) -> None:
    readings = [reading for at in range(0, 150, 15) for reading in minutes_of(1.0, minutes=range(at, at + 2))]
    assert logs_of(service, link, *readings) == []


def test_meter_of_samples_is_logged_by_its_source_only(service: Service, link: MemoryLink) -> None:
    link.meters = SampledMeters()
    assert logs_of(service, link, *minutes_of(1.0, minutes=range(0, 135, 15))) == []
