"""Engines with two horizons, and runs through the readings of four devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gapcast.core.billing.options import DemandOptions, SiteDemandOptions
from gapcast.core.engine import Engine
from gapcast.core.forecasts.forecast import Forecast
from gapcast.core.forecasts.forecast_json import ForecastEncoder
from gapcast.core.horizons.horizon_forecaster import DeviceHorizons, HorizonModels
from gapcast.core.horizons.lead_time_view import at_horizon
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.models.predictor import Predictor
from gapcast.core.outlook.options import OutlookConfig, OutlookOptions
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.streams.history import History
from gapcast.predictors.baselines import Trend
from tests.support.houses import FIRST, Smooth, house_kw, stream
from tests.support.outlook_model import OutlookModel

LEADS_MIN = (1, 2, 3, 4, 5, 10, 15)
LIMITS = Limits(-100, 100)
LIMITED = SiteDemandOptions(DemandOptions(limit_kw=2.0))
#: ``pump`` and ``car`` are forecast 15 minutes ahead, ``home`` and ``barn`` five.
HORIZONS = {"pump": 15, "car": 15}
DEVICES = ("home", "pump", "barn", "car")


def models_of(horizon_min: int, *, has_ensemble: bool = True) -> HorizonModels:
    """A model of every lead time, and one of five minutes, which is a member of only that ensemble."""
    whole = at_horizon(Smooth(lead_times_min=LEADS_MIN), horizon_min)
    models: tuple[Predictor, ...] = (whole, Trend(lead_times_min=(5,))) if horizon_min == 5 else (whole,)
    options = EnsembleOptions(min_kw=LIMITS.min_kw, max_kw=LIMITS.max_kw)
    return HorizonModels(whole, Ensemble(models, options) if has_ensemble else None)


def engine_of(
    horizon_min: int = 5,
    horizons: Mapping[str, int] | None = None,
    *,
    has_ensemble: bool = True,
    has_outlook: bool = True,
) -> Engine:
    """An engine whose devices have ``horizon_min``, except the devices in ``horizons``."""
    model, ensemble = models_of(horizon_min, has_ensemble=has_ensemble)
    own = horizons or {}
    outlook = OutlookConfig(OutlookModel(history_steps=0), OutlookOptions(max_devices=3))
    return Engine(
        model,
        ensemble=ensemble,
        history=History(60, 4),
        limits=LIMITS,
        outlook=outlook if has_outlook else None,
        demand=LIMITED if has_outlook else None,
        horizons=DeviceHorizons(own, [models_of(one, has_ensemble=has_ensemble) for one in sorted({*own.values()})]),
    )


def readings_of(n_minutes: int, first: int = 0) -> list[Reading]:
    """A reading a minute of each device, minute by minute."""
    houses = [
        stream(house_kw(120, seed)[first : first + n_minutes], FIRST + first, device)
        for seed, device in enumerate(DEVICES)
    ]
    return [reading for minute in zip(*houses, strict=True) for reading in minute]


@dataclass
class HorizonRun:
    """An engine with all its published forecasts."""

    engine: Engine
    n_outcomes: int = 0

    def __post_init__(self) -> None:
        self.forecasts: list[Forecast] = []
        self.documents: list[bytes] = []
        self.outlooks: dict[tuple[str, int], bytes] = {}
        self.demands: list[tuple[str, int]] = []
        self._encoder = ForecastEncoder()

    def process(self, readings: list[Reading], at_a_time: int = 4) -> HorizonRun:
        engine = self.engine
        for at in range(0, len(readings), at_a_time):
            accepted = engine.accept(readings[at : at + at_a_time])
            accepted.raise_failure()
            forecasts = engine.forecast(accepted, 7)
            outlooks = engine.outlook(accepted, forecasts)
            demands = engine.demand(accepted, outlooks)
            self.forecasts += forecasts
            self.documents += self._encoder.encode(forecasts)
            for outlook in outlooks or ():
                self.outlooks[outlook.device or "", outlook.observed_minute] = outlook.point_kw.tobytes()
            self.demands += [(one.device, one.observed_minute) for one in demands or ()]
            outcomes, _ = engine.learn()
            self.n_outcomes += 0 if outcomes is None else len(outcomes)
        return self

    def of(self, device: str) -> list[Forecast]:
        return [forecast for forecast in self.forecasts if forecast.device == device]

    def outlooks_of(self, device: str) -> dict[tuple[str, int], bytes]:
        return {key: kw for key, kw in self.outlooks.items() if key[0] == device}
