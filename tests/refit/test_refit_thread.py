"""The thread of the nightly refit: when it refits and writes, which errors it survives, and how it stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path

import pytest
import structlog

from gapcast.core.errors import ModelError
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import DAY_MIN
from gapcast.refit import nights
from gapcast.refit.forest_file import RefitResult
from gapcast.refit.minutes import RecordedMinutes
from gapcast.refit.minutes_file import read_file
from gapcast.refit.nights import START_DELAY_S, NightlyRefits, NightOptions
from gapcast.service.service import Service
from tests.refit.test_nights import GATEWAY, NIGHT, archived
from tests.support.clocks import ManualClock
from tests.support.houses import ensemble_engine
from tests.support.links import MemoryLink
from tests.support.waiting import wait_until

DAY_S = DAY_MIN * 60.0


class CountedClock(ManualClock):
    """Counts how often it is read: at least once in each turn of the thread."""

    n_read = 0

    def __call__(self) -> float:
        self.n_read += 1
        return super().__call__()

    def wait_for_turns(self) -> None:
        """Return after enough turns for a refit to begin; a turn reads the clock twice before one."""
        n_before = self.n_read
        wait_until(lambda: self.n_read >= n_before + 6, "the thread to look at the clock")


@pytest.fixture
def clock() -> CountedClock:
    return CountedClock(NIGHT * 60.0)


@pytest.fixture
def found(tmp_path: Path, clock: CountedClock, monkeypatch: pytest.MonkeyPatch) -> NightlyRefits:
    monkeypatch.setattr(nights, "_CHECK_S", 0.001)
    return NightlyRefits(tmp_path, 10, NightOptions(1, UTC, GATEWAY), clock)


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the numbers of readings of the refits, which give no trees."""
    n_readings: list[int] = []

    def fit(house: RecordedMinutes, *_: object) -> RefitResult:
        n_readings.append(len(house))
        return RefitResult(None, "too few", 5, len(house), 0, None, None, 0.0)

    monkeypatch.setattr(nights, "refit_confined", fit)
    return n_readings


@contextmanager
def started(found: NightlyRefits) -> Iterator[Service]:
    service = Service(MemoryLink(), ensemble_engine(refits=True), {}, recorder=found)
    found.start(service)
    try:
        yield service
    finally:
        found.stop()


def test_refit_thread_waits_after_the_start_and_for_the_next_night(
    found: NightlyRefits, clock: CountedClock, fitted: list[int]
) -> None:
    archived(found)
    with started(found):
        clock.wait_for_turns()
        assert not fitted, "a start has other work first"
        clock.now_s += START_DELAY_S
        wait_until(lambda: len(fitted) == 1, "the refit of this night")
        archived(found, "barn")
        clock.wait_for_turns()
        assert len(fitted) == 1, "a device that has enough readings by day"
        clock.now_s += DAY_S
        wait_until(lambda: len(fitted) == 3, "both refits of the next night")


def test_refit_thread_survives_an_error(
    found: NightlyRefits, clock: CountedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> RefitResult:
        raise ZeroDivisionError

    monkeypatch.setattr(nights, "refit_confined", fail)
    archived(found)
    with started(found) as service:
        errors = service.statistics.internal_errors
        clock.now_s += DAY_S
        wait_until(lambda: errors.get("refit") == 1, "the error of a night")
        clock.now_s += DAY_S
        wait_until(lambda: errors.get("refit") == 2, "that of the next night")


def test_refit_thread_writes_the_archive_hourly_and_at_its_end(
    found: NightlyRefits, clock: CountedClock, tmp_path: Path
) -> None:
    def is_written(n: int) -> bool:
        path = tmp_path / "home.minutes"
        return path.exists() and len(read_file(path.read_bytes()).minutes) == n

    found.record([Reading("home", NIGHT, 1.0)])
    with started(found):
        clock.now_s += 3_600.0
        wait_until(lambda: is_written(1), "the minutes of an hour")
        found.record([Reading("home", NIGHT + 1, 1.0)])
        clock.now_s -= DAY_S
        wait_until(lambda: is_written(2), "the minutes until a clock was set back")
        found.record([Reading("home", NIGHT + 2, 1.0)])
    assert is_written(3)


def test_refit_thread_stop_ends_the_refit_and_begins_no_other(
    found: NightlyRefits, clock: CountedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []

    def fit(house: RecordedMinutes, _: object, __: object, is_cancelled: Callable[[], bool]) -> RefitResult:
        begun.append(len(house))
        wait_until(is_cancelled, "the stop")
        msg = "the refit was cancelled"
        raise ModelError(msg)

    monkeypatch.setattr(nights, "refit_confined", fit)
    archived(found)
    archived(found, "barn")
    with structlog.testing.capture_logs() as lines, started(found):
        clock.now_s += START_DELAY_S
        wait_until(lambda: begun, "a refit")
    assert len(begun) == 1
    assert lines == []
