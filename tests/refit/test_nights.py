"""Which devices are refitted after a restart."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gapcast.core.engine import Engine
from gapcast.core.grid import DAY_MIN
from gapcast.core.readings.reading import Reading
from gapcast.refit import nights
from gapcast.refit.forest_file import RefitResult, Skills
from gapcast.refit.minutes import RecordedMinutes
from gapcast.refit.nights import NightOptions, RefitNights
from gapcast.refit.schedule import LEAST_READINGS, night_minute
from tests.core.learning.test_house_forests import constant_forest
from tests.support.clocks import HandClock
from tests.support.houses import FIRST, ensemble_engine

GATEWAY = "gateway-1"
#: When a night begins.
NIGHT = FIRST + 9 * DAY_MIN + night_minute(GATEWAY)


def service_of(engine: Engine) -> Any:
    """Return what stands for the service: it reads ``engine``, and accepts every forest."""
    queries = SimpleNamespace(read=lambda query: query(engine, None))
    return SimpleNamespace(queries=queries, use_forest=lambda _device, _forest: True)


def test_nights_restart_does_not_repeat_the_refit_of_the_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, n_fitted = ensemble_engine(refits=True), 0

    def fit(house: RecordedMinutes, *_: object) -> RefitResult:
        nonlocal n_fitted
        n_fitted += 1
        forest = constant_forest(engine.horizons.main.forests.features.names)
        return RefitResult(forest, "", 5, len(house), 720, Skills(0.5, 0.5), None, 1.0, int(house.minutes[-1]))

    monkeypatch.setattr(nights, "refit_confined", fit)
    clock = HandClock(NIGHT * 60.0)

    def restarted() -> RefitNights:
        found = RefitNights(tmp_path, 10, NightOptions(1, UTC, GATEWAY), clock)
        found.restore(engine)
        return found

    first = restarted()
    first.record([Reading("home", minute, 1.0) for minute in range(NIGHT - LEAST_READINGS, NIGHT)])
    first.refit_due(service_of(engine))
    assert n_fitted == 1
    clock.now_s += 12 * 3_600.0
    restarted().refit_due(service_of(engine))
    assert n_fitted == 1, "the newest reading was of the minute before that night"
    clock.now_s += 12 * 3_600.0
    restarted().refit_due(service_of(engine))
    assert n_fitted == 2


def test_nights_forget_during_the_last_step_of_a_refit_discards_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = ensemble_engine(refits=True)
    forest = constant_forest(engine.horizons.main.forests.features.names)
    formers: list[object] = []

    def fit(house: RecordedMinutes, _: object, former: object, *__: object) -> RefitResult:
        formers.append(former)
        return RefitResult(forest, "", 5, len(house), 720, Skills(0.5, 0.5), None, 1.0, int(house.minutes[-1]))

    def use_forest(device: str, _: object) -> bool:
        if len(formers) == 1:
            found.forget(device)  # a DELETE by another thread, once the forest is in use
        return True

    monkeypatch.setattr(nights, "refit_confined", fit)
    found = RefitNights(tmp_path, 10, NightOptions(1, UTC, GATEWAY), HandClock(NIGHT * 60.0))
    service = service_of(engine)
    service.use_forest = use_forest
    for n_used in (0, 1):
        found.record([Reading("home", minute, 1.0) for minute in range(NIGHT - LEAST_READINGS, NIGHT)])
        found.refit_due(service)
        assert (found.status.n_forests, found.status.n_used) == (n_used, n_used)
    assert formers == [None, None], "the trees of the deleted household are not compared with those of the next"
