"""The engine passes the primary model's trunk outputs on to the outlook's model, if they belong to its windows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from gapcast.core.arrays.array_types import F32
from gapcast.core.engine import Engine
from gapcast.core.horizons.horizon_forecaster import DeviceHorizons, HorizonModels
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.models.predictor import Prediction, Predictor, TrunkOutputs
from gapcast.core.outlook.options import OutlookConfig, OutlookOptions
from gapcast.core.readings.reading import Reading
from gapcast.core.windows.features import GAP
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.baselines import Trend
from tests.core.outlook.runs import LEADS_MIN, process
from tests.support.houses import Smooth, house_kw, stream
from tests.support.outlook_model import OutlookModel

DIGEST = "f" * 64
#: The inputs of the outlook's model.
INPUTS: dict[str, Any] = {"spec": WindowSpec(180), "features": (GAP, "tod_sin", "tod_cos")}


class BodySmooth(Smooth):
    """A primary model whose trunk is the last reading and the mean of the window."""

    trunk_digest = DIGEST

    def predict_with_trunk(self, windows: F32) -> tuple[Prediction, TrunkOutputs]:
        values = {"body_0": windows[:, -1, 0].copy(), "body_1": windows[:, -1:, 0].copy()}
        return self.predict(windows), TrunkOutputs(windows, values)


class NanSmooth(BodySmooth):
    """A model that cannot forecast windows that end with 9 kW."""

    def predict(self, windows: F32) -> Prediction:
        mean, quantiles, *_ = Smooth.predict(self, windows)
        mean[windows[:, -1, 0] == 9.0] = np.nan
        return Prediction(mean, quantiles)


@dataclass(frozen=True, slots=True)
class TrunkOutlook(OutlookModel):
    """An outlook model that counts the continued windows, and checks that the trunk belongs to its windows."""

    trunk_digest: str | None = DIGEST
    n_continued: list[int] = field(default_factory=list)

    def predict_from_trunk(self, trunk: TrunkOutputs, history: F32 | None = None) -> Prediction:
        windows, values = trunk
        np.testing.assert_array_equal(values["body_0"], windows[:, -1, 0])
        assert values["body_1"].shape == (len(windows), 1)
        self.n_continued.append(len(windows))
        return self.predict(windows, history)


def engine_of(
    model: Predictor, outlook: Predictor, max_devices: int = 20, *, trend: bool = True, horizons: bool = False
) -> Engine:
    models = (model, Trend(lead_times_min=model.lead_times_min)) if trend else (model,)
    own = (
        DeviceHorizons({"house 1": 3}, [HorizonModels(BodySmooth(lead_times_min=(1, 2, 3), **INPUTS))])
        if horizons
        else None
    )
    return Engine(
        model,
        ensemble=Ensemble(models, EnsembleOptions()),
        outlook=OutlookConfig(outlook, OutlookOptions(max_devices=max_devices)),
        horizons=own,
    )


def readings_of(n_houses: int, n_minutes: int = 8) -> list[Reading]:
    streams = [stream(house_kw(n_minutes, seed), device=f"house {seed}") for seed in range(n_houses)]
    return [reading for minute in zip(*streams, strict=True) for reading in minute]


def outlooks_of(engine: Engine, readings: list[Reading], at_a_time: int) -> list[bytes]:
    made = process(engine, readings, at_a_time)
    return [one.point_kw.tobytes() + one.mean_kw.tobytes() for _, outlooks in made for one in outlooks or ()]


@pytest.mark.parametrize("at_a_time", [1, 2, 11, 33])
@pytest.mark.parametrize("max_devices", [4, 20])
def test_engine_passes_the_trunk_of_tracked_devices_on(at_a_time: int, max_devices: int) -> None:
    readings, outlook = readings_of(11), TrunkOutlook()
    shared = outlooks_of(
        engine_of(BodySmooth(lead_times_min=LEADS_MIN, **INPUTS), outlook, max_devices), readings, at_a_time
    )
    alone = engine_of(Smooth(lead_times_min=LEADS_MIN, **INPUTS), OutlookModel(), max_devices)
    assert shared == outlooks_of(alone, readings, at_a_time)
    assert sum(outlook.n_continued) == len(shared) == 7 * min(11, max_devices)  # the first minute has no forecast


@pytest.mark.parametrize(("n", "parts"), [(70, [32, 32, 6]), (58, [32, 26]), (34, [32, 1, 1]), (24, [8, 8, 8])])
def test_engine_continues_large_batches_in_parts(n: int, parts: list[int]) -> None:
    readings, outlook = readings_of(n, 2), TrunkOutlook()
    shared = outlooks_of(engine_of(BodySmooth(lead_times_min=LEADS_MIN, **INPUTS), outlook, n), readings, n)
    alone = engine_of(Smooth(lead_times_min=LEADS_MIN, **INPUTS), OutlookModel(), n)
    assert shared == outlooks_of(alone, readings, n)
    assert outlook.n_continued == parts


def test_engine_passes_the_trunk_on_beside_horizons_of_devices() -> None:
    readings, outlook = readings_of(3), TrunkOutlook()
    engine = engine_of(BodySmooth(lead_times_min=LEADS_MIN, **INPUTS), outlook, horizons=True)
    assert len(outlooks_of(engine, readings, 3)) == sum(outlook.n_continued) == 21


def test_engine_without_the_same_trunk_runs_the_whole_model() -> None:
    readings = readings_of(3)
    others = (
        (Smooth(lead_times_min=LEADS_MIN, **INPUTS), DIGEST),
        (BodySmooth(lead_times_min=LEADS_MIN), DIGEST),  # it has other inputs
        (BodySmooth(lead_times_min=LEADS_MIN, **INPUTS), "0" * 64),
    )
    for model, digest in others:
        outlook = TrunkOutlook(trunk_digest=digest)
        assert len(outlooks_of(engine_of(model, outlook), readings, 3)) == 21
        assert not outlook.n_continued


def test_engine_does_not_pass_the_trunk_of_repaired_windows_on() -> None:
    outlook = TrunkOutlook()
    engine = engine_of(NanSmooth(lead_times_min=LEADS_MIN, **INPUTS), outlook, trend=False)
    process(engine, stream([1.0, 2.0, 9.0, 1.0]))
    assert sum(outlook.n_continued) == 2  # of the second and the fourth minute


def test_engine_does_not_pass_the_trunk_of_another_batch_on() -> None:
    outlook = TrunkOutlook()
    engine = engine_of(BodySmooth(lead_times_min=LEADS_MIN, **INPUTS), outlook)
    _, first, second = (engine.accept([one]) for one in stream([1.0, 2.0, 3.0]))
    forecasts = engine.forecast(first, 7)
    engine.forecast(second, 7)
    engine.outlook(first, forecasts)
    assert not outlook.n_continued
    engine.outlook(first, engine.forecast(first, 7))
    engine.outlook(first, forecasts)
    assert outlook.n_continued == [1]
