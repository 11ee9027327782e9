"""Forecasts of a series of readings that belongs to no device, with an outlook."""

from __future__ import annotations

import pytest

from gapcast.core.errors import RequestError
from gapcast.core.outlook.outlook import MEAN
from gapcast.core.readings.reading import Reading
from gapcast.core.series import forecast_series, forecast_series_with_outlook
from gapcast.predictors.baselines import Persistence
from tests.support.outlook_model import OutlookModel

NOON = 21_476_160
READINGS = [Reading("", NOON + i, 1.0 + i % 3) for i in range(40)]


def test_series_outlook_agrees_with_its_forecast() -> None:
    model = Persistence()
    forecast, outlook = forecast_series_with_outlook(model, OutlookModel(), READINGS, 1_700_000_000_000)
    assert outlook is not None
    assert (outlook.device, outlook.observed_minute) == (None, READINGS[-1].minute)
    at = outlook.lead_times_min.index(forecast.horizon_min)
    assert outlook.point_kw[at, MEAN] == pytest.approx(forecast.gap_kw, abs=1e-6)
    assert forecast == forecast_series(model, READINGS, 1_700_000_000_000)


def test_series_without_an_outlook_model_has_none() -> None:
    assert forecast_series_with_outlook(Persistence(), None, READINGS, 1_700_000_000_000)[1] is None


@pytest.mark.parametrize(
    ("ahead_min", "problem"),
    [
        (0, "2010-11-01T00:39:00Z does not follow the reading before (duplicate): send one reading per minute"),
        (-1, "2010-11-01T00:38:00Z does not follow the reading before (late): send the oldest reading first"),
        (1_441, "2010-11-02T00:40:00Z does not follow the reading before (unconfirmed): send only the readings after"),
        (7, "more than 5 minutes are missing before it: send at least 2 readings after such a gap"),
    ],
)
def test_series_out_of_order_names_the_reading_and_the_fix(ahead_min: int, problem: str) -> None:
    readings = [*READINGS, Reading("", READINGS[-1].minute + ahead_min, 1.0)]
    with pytest.raises(RequestError) as raised:
        forecast_series(Persistence(), readings, 0)
    assert str(raised.value).startswith(f"readings[40]: {problem}")
