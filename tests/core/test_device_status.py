"""The status of a device: its newest reading, its newest forecast, its scores."""

from __future__ import annotations

from gapcast.core.device_status import status_of
from gapcast.core.engine import Engine
from gapcast.core.learning.scores.summary import Period
from gapcast.core.readings.reading import Reading
from gapcast.predictors.baselines import Persistence
from tests.support.approximate import approx

FIRST = 21_476_160


def engine_with(*readings: Reading) -> Engine:
    engine = Engine(Persistence())
    engine.forecast(engine.accept(readings), 0)
    return engine


def test_status_of_an_unknown_device_is_none() -> None:
    assert status_of(engine_with(), "home") is None


def test_status_after_the_first_reading_has_no_forecast() -> None:
    status = status_of(engine_with(Reading("home", FIRST, 1.5)), "home")
    assert status is not None
    assert (status.device, status.minute, status.gap_kw, status.forecast) == ("home", FIRST, 1.5, None)
    assert {period: summary.n for period, summary in status.scores.items()} == dict.fromkeys(Period, 0)


def test_status_has_the_newest_reading_and_forecast() -> None:
    engine = engine_with(*(Reading("home", FIRST + i, 1.0 + i) for i in range(3)), Reading("other", FIRST, 9.0))
    status = status_of(engine, "home")
    assert status is not None
    assert (status.minute, status.gap_kw) == (FIRST + 2, approx(3.0))
    assert status.forecast is not None
    assert status.forecast.observed_minute == FIRST + 2
