"""Engines with outlooks, and runs through the readings of houses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.engine import Engine
from gapcast.core.forecasts.forecast import Forecast, Forecasts
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.models.predictor import Predictor
from gapcast.core.outlook.options import OutlookConfig, OutlookOptions
from gapcast.core.outlook.outlook import Outlook, Outlooks
from gapcast.core.readings.reading import Reading
from gapcast.predictors.baselines import Trend
from tests.support.houses import FIRST, Smooth, stream
from tests.support.outlook_model import OutlookModel

LEADS_MIN = (1, 2, 3, 4, 5)


def outlook_engine(
    *, outlook_model: Predictor | None = None, options: OutlookOptions | None = None, **of_ensemble: Any
) -> Engine:
    """Return an engine with an ensemble that forecasts a path of five minutes, and outlooks."""
    models = Smooth(lead_times_min=LEADS_MIN), Trend(lead_times_min=LEADS_MIN)
    ensemble = Ensemble(models, EnsembleOptions(**of_ensemble))
    outlook = OutlookConfig(outlook_model or OutlookModel(), options or OutlookOptions())
    return Engine(models[0], ensemble=ensemble, outlook=outlook)


def process(engine: Engine, readings: Sequence[Reading], at_a_time: int = 1) -> list[tuple[Forecasts, Outlooks | None]]:
    """Forecast, make outlooks and learn, ``at_a_time`` readings in a batch; return the results."""
    made = []
    for at in range(0, len(readings), at_a_time):
        accepted = engine.accept(readings[at : at + at_a_time])
        accepted.raise_failure()
        forecasts = engine.forecast(accepted, 7)
        made.append((forecasts, engine.outlook(accepted, forecasts)))
        engine.learn()
    return made


def with_forecasts(made: Sequence[tuple[Forecasts, Outlooks | None]]) -> list[tuple[Forecast, Outlook]]:
    """Return each outlook of the result of :func:`process` with its forecast."""
    return [(forecasts[i], one) for forecasts, outlooks in made for i, one in enumerate(outlooks or ())]


def process_houses(engine: Engine, houses: Mapping[str, NDArray[np.floating]]) -> None:
    """Process a reading of each house a minute."""
    streams = [stream(kw, FIRST, device) for device, kw in houses.items()]
    process(engine, [one for minute in zip(*streams, strict=True) for one in minute], len(houses))
