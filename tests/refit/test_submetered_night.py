"""The nightly refit gets the submeters of each device, including plugs that were first read meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from gapcast.core.engine import Engine
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.submeters import measured_name
from gapcast.refit.forest_file import RefitResult, Skills
from gapcast.refit.minutes import RecordedMinutes
from gapcast.refit.nights import NightlyRefits
from gapcast.refit.schedule import LEAST_READINGS
from gapcast.refit.worker import FitOptions
from gapcast.service.service import Service
from tests.core.learning.test_house_forests import constant_forest
from tests.support.houses import FIRST, Smooth

SUBMETERS = {"home": ("car", "oven")}


def engine_with_submeters() -> Engine:
    smooth = Smooth()
    ensemble = Ensemble((smooth,), EnsembleOptions(refits=True, n_submeters=2))
    return Engine(smooth, ensemble=ensemble, submeters=SUBMETERS)


def service_of(engine: Engine) -> Service:
    """Return the parts of a service that a night needs."""

    def read(what: Callable[[Engine, Any], Any]) -> Any:
        return what(engine, None)

    def use_forest(device: str, forest: Any) -> bool:
        engine.horizons.main.forests.use(device, forest)
        return True

    return cast("Service", SimpleNamespace(queries=SimpleNamespace(read=read), use_forest=use_forest))


def test_night_fits_the_submeters_and_a_restart_keeps_their_trees(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: dict[str, tuple[RecordedMinutes, FitOptions]] = {}
    engine = engine_with_submeters()

    def fit(house: RecordedMinutes, options: FitOptions, *_: object) -> RefitResult:
        device = "home" if options.submeters else "flat"
        given[device] = house, options
        forest = constant_forest(engine.horizons.main.forests.features_of(device).names)
        return RefitResult(forest, "", 5, len(house), 720, Skills(0.5, 0.5), None, 1.0, int(house.minutes[-1]))

    monkeypatch.setattr("gapcast.refit.nights.refit_confined", fit)
    nights = NightlyRefits(tmp_path, 10, clock_s=lambda: (FIRST + LEAST_READINGS) * 60.0)
    for i in range(LEAST_READINGS):
        measured = {measured_name("car"): i % 8.0} if i % 2 else None
        nights.record([Reading("home", FIRST + i, 9.0, measured=measured), Reading("flat", FIRST + i, 1.0)])
    nights.refit_due(service_of(engine))

    house, options = given["home"]
    assert options.submeters == SUBMETERS["home"]
    expected = [i % 8.0 if i % 2 else np.nan for i in range(LEAST_READINGS)]
    assert np.array_equal(house.submeters_kw["car"], expected, equal_nan=True)
    assert not given["flat"][0].submeters_kw
    forests = engine.horizons.main.forests
    assert ("home" in forests, "flat" in forests) == (True, True)

    again = engine_with_submeters()
    NightlyRefits(tmp_path, 10).restore(again)
    forests = again.horizons.main.forests
    assert ("home" in forests, "flat" in forests) == (True, True)
