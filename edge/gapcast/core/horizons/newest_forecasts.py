"""A copy of the newest forecasts of all devices, to read while the stream continues."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gapcast.core.forecasts.forecast import Forecast
from gapcast.core.forecasts.newest_forecast_columns import NewestForecastColumns
from gapcast.core.horizons.horizon_forecaster import HorizonForecaster
from gapcast.core.models.predictor import ModelIdentity


@dataclass(frozen=True, slots=True)
class NewestForecasts:
    """The devices by row ("": forgotten), and for each horizon the newest forecasts and the model."""

    devices: list[str]
    by_horizon: tuple[tuple[NewestForecastColumns, ModelIdentity], ...]

    @classmethod
    def copied(cls, devices: list[str], forecasters: Iterable[HorizonForecaster]) -> NewestForecasts:
        """Return a copy of the newest forecasts of ``forecasters``."""
        return cls(devices, tuple((one.newest.copy(), one.published_model) for one in forecasters))

    def rows(self) -> list[int]:
        """Return the rows of the devices that have a forecast."""
        found = [columns.rows(self.devices) for columns, _ in self.by_horizon]
        return found[0] if len(found) == 1 else sorted({row for rows in found for row in rows})

    def read(self, row: int) -> Forecast | None:
        """Return the forecast in ``row``; None if there is none, or if its stored values are impossible."""
        found = (columns.read(row, self.devices[row], model) for columns, model in self.by_horizon)
        return next((forecast for forecast in found if forecast is not None), None)
