"""Forecasts of a series of readings that belongs to no device, with an outlook."""

from __future__ import annotations

import pytest

from gapcast.core.outlook.outlook import MEAN
from gapcast.core.reading import Reading
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
