"""Houses of 0.5 kW with a charger, and what an engine makes of them and of the charger's plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.engine import Engine
from gapcast.core.forecasts.forecast import Forecast
from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.models.predictor import Prediction
from gapcast.core.plans.plan import LoadPlan, PlannedLoad
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.time_grid import MINUTE_MS
from gapcast.predictors.baselines import Persistence

NOON = 21_476_160
HORIZON_MIN = 5
#: The charger's hour, in minutes after noon.
START, END = 35, 95
CHARGER_KW = 7.4
N_MINUTES = 120


class Quantiles(Persistence):
    """Persistence with an interval of 0.2 kW each side."""

    def predict(self, windows: F32) -> Prediction:
        mean = np.repeat(windows[:, -1, :1], len(self.lead_times_min), axis=1)
        return Prediction(mean, np.stack([mean - 0.2, mean, mean + 0.2], axis=-1))


MODEL = Quantiles(lead_times_min=(1, 2, 3, 4, 5), quantile_levels=(0.05, 0.5, 0.95))


def charger(kw: float = CHARGER_KW, start: int = START, end: int = END) -> LoadPlan:
    return LoadPlan.from_loads([PlannedLoad(kw, (NOON + start) * MINUTE_MS, (NOON + end) * MINUTE_MS, "car")])


def flat(*on: int, kw: float = CHARGER_KW) -> list[float]:
    """Return a house of 0.5 kW, with ``kw`` more from minute ``on[0]`` to ``on[1]``."""
    return [0.5 + (kw if on and on[0] <= minute < on[1] else 0.0) for minute in range(N_MINUTES)]


def new_engine(*, has_ensemble: bool = True, learns: bool = False, limits: Limits | None = None) -> Engine:
    """Return an engine whose ensemble, without an online model, forecasts no change."""
    found = limits or Limits()
    options = EnsembleOptions(learns=learns, min_kw=found.min_kw, max_kw=found.max_kw)
    return Engine(MODEL, limits=found, ensemble=Ensemble((MODEL,), options) if has_ensemble else None)


@dataclass
class PlannedRun:
    """The forecasts by target, and the outcomes by minute, in minutes after noon."""

    engine: Engine
    forecasts: dict[int, Forecast] = field(default_factory=dict)
    outcomes: dict[int, Outcomes] = field(default_factory=dict)

    def read(self, house_kw: Mapping[int, float], plans: Mapping[int, LoadPlan] | None = None) -> PlannedRun:
        """Read the minutes of ``house_kw``; announce each of ``plans`` before the reading of its minute."""
        for minute, kw in house_kw.items():
            if plans and minute in plans:
                self.engine.replace_plan("home", plans[minute])
            for forecast in self.engine.forecast(self.engine.accept([Reading("home", NOON + minute, kw)]), 0):
                self.forecasts[minute + HORIZON_MIN] = forecast
            outcomes, _ = self.engine.learn()
            if outcomes is not None:
                self.outcomes[minute] = outcomes
        return self

    def gap_kw(self, *targets: int) -> list[float]:
        return [round(self.forecasts[target].gap_kw, 3) for target in targets]

    def planned_kw(self, *targets: int) -> list[float | None]:
        return [self.forecasts[target].planned_kw for target in targets]

    def uncontrolled_kw(self) -> set[float]:
        """Return the uncontrolled parts that were forecast."""
        return {round(f.gap_kw if f.uncontrolled_kw is None else f.uncontrolled_kw, 3) for f in self.forecasts.values()}


def run(
    house_kw: Sequence[float], plans: Mapping[int, LoadPlan] | None = None, engine: Engine | None = None
) -> PlannedRun:
    return PlannedRun(engine or new_engine()).read(dict(enumerate(house_kw)), plans)
