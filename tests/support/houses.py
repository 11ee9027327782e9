"""Synthetic houses, and engines with an ensemble of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, tzinfo
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.engine import Engine
from gapcast.core.forecasts.forecast import Forecast
from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.learning_prior import LearningPrior
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.models.predictor import Prediction, Predictor
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.features import GAP
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.baselines import Trend
from tests.support.library_choice import build

#: 2010-11-01T00:00Z
FIRST = 21_476_160
LEAD_MIN = 5


@dataclass(frozen=True, slots=True)
class Smooth:
    """A model double: half the last reading, half the mean of the window, and an interval around it."""

    spec: WindowSpec = WindowSpec()
    lead_times_min: tuple[int, ...] = (LEAD_MIN,)
    name: str = "smooth"
    version: str = "1"
    quantile_levels: tuple[float, ...] | None = (0.05, 0.5, 0.95)
    features: tuple[str, ...] = (GAP,)

    def predict(self, windows: F32) -> Prediction:
        """Forecast from the last reading and the mean of ``windows`` ``[N, context, features]``."""
        mean = (windows[:, -1, :1] + windows[:, :, 0].mean(1, keepdims=True)) / 2
        path = np.repeat(mean, len(self.lead_times_min), axis=1)
        if self.quantile_levels is None:
            return Prediction(path)
        away = np.array([(level - 0.5) * 0.8 - 0.02 for level in self.quantile_levels], dtype=np.float32)
        return Prediction(path, path[:, :, np.newaxis] + away)


def ensemble_engine(
    *models: Predictor,
    zone: tzinfo = UTC,
    includes_path: bool = True,
    compiled: bool = True,
    prior: LearningPrior | None = None,
    **options: Any,
) -> Engine:
    """Return an engine with an ensemble of ``models`` (Smooth and Trend by default) and its ``options``."""
    models = models or (Smooth(), Trend())
    ensemble = build(Ensemble, models, EnsembleOptions(**options), zone, prior=prior, compiled=compiled)
    return Engine(models[0], zone=zone, includes_path=includes_path, ensemble=ensemble)


def ensemble_of(engine: Engine) -> Ensemble:
    """Return the ensemble of an engine that has one."""
    assert engine.ensemble is not None
    return engine.ensemble


def house_kw(n_minutes: int, seed: int = 1) -> F64:
    """Return the power of a synthetic house: base load, daily curve and appliances, each on for some minutes; kW."""
    draw = np.random.default_rng(seed)
    minute = np.arange(n_minutes)
    kw = 0.3 + 0.15 * np.sin(2 * np.pi * minute / DAY_MIN)
    for size_kw, mean_min, a_day in ((2.0, 4, 8), (1.2, 45, 3), (0.12, 20, 30)):
        begins = np.flatnonzero(draw.random(n_minutes) < a_day / DAY_MIN)
        for begin in begins.tolist():
            kw[begin : begin + 1 + int(draw.exponential(mean_min))] += size_kw
    return np.maximum(kw + draw.normal(0, 0.03, n_minutes), 0.02).round(3)


def plug_kw(n_minutes: int, seed: int = 1) -> F64:
    """Return the power of a plug: the noise of standby, and a kettle that is on for three minutes now and then; kW."""
    draw = np.random.default_rng(seed)
    kw = 0.003 + draw.uniform(0, 0.001, n_minutes)
    for begin in np.flatnonzero(draw.random(n_minutes) < 4 / DAY_MIN).tolist():
        kw[begin : begin + 3] += 2.0
    return kw


def stream(kw: Sequence[float] | NDArray[np.floating], first: int = FIRST, device: str = "home") -> list[Reading]:
    """Return a reading for each minute of ``kw``, without those that are NaN."""
    values = np.asarray(kw, dtype=np.float64)
    return [Reading(device, first + i, float(value)) for i, value in enumerate(values) if not np.isnan(value)]


@dataclass
class EngineRun:
    """An engine with all its forecasts and outcomes."""

    engine: Engine
    forecasts: list[Forecast] = field(default_factory=list)
    outcomes: list[Outcomes] = field(default_factory=list)

    def process(self, readings: Sequence[Reading], *, at_a_time: int = 1) -> EngineRun:
        """Forecast and learn from ``readings``, ``at_a_time`` in a batch."""
        for at in range(0, len(readings), at_a_time):
            self.forecasts.extend(self.engine.forecast(self.engine.accept(readings[at : at + at_a_time]), 7))
            outcomes, _ = self.engine.learn()
            if outcomes is not None:
                self.outcomes.append(outcomes)
        return self

    def process_houses(self, houses: Mapping[str, NDArray[np.floating]]) -> EngineRun:
        """Forecast and learn from several houses, by device, as if each were alone, an hour in a batch."""
        for begin in range(0, max(map(len, houses.values())), 60):
            hours = {device: stream(kw[begin : begin + 60], FIRST + begin, device) for device, kw in houses.items()}
            hour = sorted((one for readings in hours.values() for one in readings), key=lambda one: one.minute)
            self.process(hour, at_a_time=max(len(hour), 1))
        return self

    def outcome(self, name: str, device: str | None = None) -> NDArray[np.float64]:
        """Return one column of all outcomes, or of the outcomes of ``device``, in order."""
        column: NDArray[np.float64] = np.concatenate([getattr(outcomes, name) for outcomes in self.outcomes])
        if device is None:
            return column
        rows = np.concatenate([outcomes.rows for outcomes in self.outcomes])
        chosen: NDArray[np.float64] = column[rows == self.engine.buffers.row(device)]
        return chosen

    def of(self, device: str) -> list[Forecast]:
        """Return the forecasts of one device, in order."""
        return [forecast for forecast in self.forecasts if forecast.device == device]

    def state(self) -> dict[str, dict[str, bytes]]:
        """Return the bytes of the learnt state, by device."""
        ensemble = ensemble_of(self.engine)
        found = {}
        for device in self.engine.buffers:
            columns = ensemble.columns([self.engine.buffers.row(device)])
            found[device] = {name: column.tobytes() for name, column in columns.items() if name != "followed"}
        return found


def same_outcomes(one: Outcomes, other: Outcomes) -> bool:
    """Return whether they are equal, bit for bit."""
    names = [each.name for each in fields(Outcomes)]
    return all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in names)
