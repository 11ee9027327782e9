"""Engines with demands, and runs through readings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, tzinfo

from gapcast.core.billing.options import DemandOptions, SiteDemandOptions
from gapcast.core.demand.demand import Demands
from gapcast.core.demand.step.numpy_demands import NumpyDemands
from gapcast.core.engine import Engine
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.outlook.options import OutlookConfig, OutlookOptions
from gapcast.core.readings.reading import Limits, Reading
from gapcast.predictors.baselines import Trend
from tests.support.houses import Smooth
from tests.support.outlook_model import OutlookModel

LEADS_MIN = (1, 2, 3, 4, 5)
#: 2026-11-02T00:00:00Z, a Monday.
MONDAY = 29_892_960
LIMITED = SiteDemandOptions(DemandOptions(limit_kw=2.0))


def demand_engine(
    demand: SiteDemandOptions | None = LIMITED,
    *,
    options: OutlookOptions | None = None,
    zone: tzinfo = UTC,
    version: str = "1",
) -> Engine:
    """Return an engine with an ensemble, outlooks and demands."""
    models = Smooth(lead_times_min=LEADS_MIN), Trend(lead_times_min=LEADS_MIN)
    limits = EnsembleOptions(min_kw=-100, max_kw=100)
    return Engine(
        models[0],
        zone=zone,
        ensemble=Ensemble(models, limits),
        limits=Limits(-100, 100),
        outlook=OutlookConfig(OutlookModel(version=version), options or OutlookOptions()),
        demand=demand,
    )


def use_numpy(engine: Engine) -> None:
    """Make the demands of ``engine``, which has none yet, in numpy."""
    part = engine.demands.forecaster
    assert part is not None
    part.arithmetic = NumpyDemands(part.stored, part.fuse, part.highest_kw)


def process(engine: Engine, readings: Sequence[Reading], at_a_time: int = 1) -> list[Demands]:
    """Forecast, make demands and learn, ``at_a_time`` readings in a batch; return the demands."""
    made = []
    for at in range(0, len(readings), at_a_time):
        accepted = engine.accept(readings[at : at + at_a_time])
        accepted.raise_failure()
        demands = engine.demand(accepted, engine.outlook(accepted, engine.forecast(accepted, 7)))
        if demands is not None:
            made.append(demands)
        engine.learn()
    return made


def stream_of(powers_kw: Sequence[float], first: int = MONDAY, device: str = "home") -> list[Reading]:
    """Return one reading a minute from ``first`` on."""
    return [Reading(device, first + i, kw) for i, kw in enumerate(powers_kw)]
