"""Where a device stands: its newest reading, its newest forecast, its scores."""

from __future__ import annotations

from gapcast.core.device_status import status_of
from gapcast.core.engine import Engine
from gapcast.core.learning.summary import Period
from gapcast.core.reading import Reading
from gapcast.predictors.baselines import Persistence
from tests.support.approximate import approx

FIRST = 21_476_160


def engine_with(*readings: Reading) -> Engine:
    engine = Engine(Persistence())
    engine.forecast(engine.accept(readings), 0)
    return engine


def test_a_device_that_is_not_known_stands_nowhere() -> None:
    assert status_of(engine_with(), "home") is None


def test_after_the_first_reading_there_is_no_forecast() -> None:
    standing = status_of(engine_with(Reading("home", FIRST, 1.5)), "home")
    assert standing is not None
    assert (standing.device, standing.minute, standing.gap_kw, standing.forecast) == ("home", FIRST, 1.5, None)
    assert {period: summary.n for period, summary in standing.scores.items()} == dict.fromkeys(Period, 0)


def test_the_newest_reading_and_forecast_are_told() -> None:
    engine = engine_with(*(Reading("home", FIRST + i, 1.0 + i) for i in range(3)), Reading("other", FIRST, 9.0))
    standing = status_of(engine, "home")
    assert standing is not None
    assert (standing.minute, standing.gap_kw) == (FIRST + 2, approx(3.0))
    assert standing.forecast is not None
    assert standing.forecast.observed_minute == FIRST + 2
