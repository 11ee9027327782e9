"""``gapcast backtest`` refits at the simulated nights."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, tzinfo
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gapcast.backtest.forecasts.refits import CHECK_EVERY_MIN, SimulatedRefits
from gapcast.backtest.results.report import document, lines
from gapcast.backtest.run import run_houses
from gapcast.core.engine import Engine
from gapcast.core.errors import ModelError
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.submeters import measured_name
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.core.time_grid import DAY_MIN
from gapcast.recordings.recording import Minute
from gapcast.refit.forest_file import RefitResult, Skills
from gapcast.refit.minutes import RecordedMinutes
from gapcast.refit.schedule import LastRefit, NightWatch, is_due
from gapcast.refit.worker import FitOptions, FormerForest
from tests.core.learning.test_house_forests import constant_forest
from tests.refit.cycling import cycling_kw
from tests.support.examples import examples
from tests.support.houses import FIRST, Smooth, ensemble_engine


def house_of(n: int) -> list[Minute]:
    return [Minute(FIRST + i, kw) for i, kw in enumerate(cycling_kw(n).tolist())]


class Fits:
    """Replaces the fit, which takes seconds: records its arguments, and returns a constant forest."""

    def __init__(self, features: tuple[str, ...], problems: dict[int, str] | None = None) -> None:
        self.given: list[tuple[int, int, bool]] = []  # readings, last minute, whether there is a former forest
        self._features = features
        self._problems = problems or {}

    def __call__(self, house: RecordedMinutes, options: FitOptions, former: FormerForest | None) -> RefitResult:
        problem = self._problems.get(len(self.given), "")
        self.given.append((len(house), int(house.minutes[-1]), former is not None))
        if problem == "killed":
            msg = "the refit ended by SIGKILL"
            raise ModelError(msg)
        forest = None if problem else constant_forest(self._features)
        return RefitResult(forest, problem, 5, len(house), 720, Skills(0.5, 0.5), None, 1.0, int(house.minutes[-1]))


def run(n: int, every_days: int, **options: Any) -> tuple[Fits, SimulatedRefits, list[str]]:
    engine = ensemble_engine(refits=True)
    fits = Fits(engine.horizons.main.forests.features.names, **options)
    simulated = SimulatedRefits(engine, every_days, fits)
    result = run_houses(engine, {"home": iter(house_of(n))}, simulated=simulated)
    assert document(result)["refits"]["n"] == simulated.n_refits
    return fits, simulated, list(lines(result))


def test_young_house_is_refitted_at_night_when_it_has_grown_by_half() -> None:
    """Its readings begin at midnight, so that it has two days of them before the third night, which begins at three."""
    fits, simulated, report = run(5 * DAY_MIN, every_days=14)
    assert [former for _, _, former in fits.given] == [False, True]
    for (n, last, _), day in zip(fits.given, (2, 4), strict=True):
        assert day * DAY_MIN + 180 <= n < day * DAY_MIN + 180 + CHECK_EVERY_MIN
        assert last == FIRST + n - 1
    assert (simulated.n_refits, simulated.n_refused) == (2, 0)
    assert report[-2].startswith("2 refits, in ")


@examples(25)
@given(
    st.integers(0, DAY_MIN),
    st.lists(st.tuples(st.integers(1, 3 * DAY_MIN), st.integers(0, 4 * DAY_MIN)), min_size=1, max_size=4),
    st.integers(1, 5),
    st.sampled_from((UTC, ZoneInfo("Europe/Berlin"))),
)
def test_simulated_nights_are_those_of_a_gateway(
    start: int, parts: list[tuple[int, int]], every_days: int, zone: tzinfo
) -> None:
    """The house has gaps: a gateway counts its readings in each minute in which a night begins."""
    minutes, at = list[int](), FIRST - 2 * DAY_MIN + start  # the clocks change at the end of October
    for n, gap in parts:
        minutes += range(at, at + n)
        at += n + gap
    last, wanted, n_readings, known = None, set[int](), 0, set(minutes)
    watch = NightWatch(zone, 180)
    for minute in range(minutes[0], minutes[-1] + 1):
        if (nights := watch.begun(minute)) and is_due(nights[-1], n_readings, last, every_days):
            last = LastRefit(nights[-1], n_readings)
            wanted.add(n_readings // CHECK_EVERY_MIN)  # the batch of the next reading
        n_readings += minute in known
    fits = Fits((), dict.fromkeys(range(99), "too few"))
    simulated = SimulatedRefits(ensemble_engine(refits=True, zone=zone), every_days, fits)
    accepted = cast("AcceptedBatch", SimpleNamespace(window_readings=list))
    for first in range(0, len(minutes), CHECK_EVERY_MIN):
        simulated.add(accepted, [Reading("home", one, 1.0) for one in minutes[first : first + CHECK_EVERY_MIN]])
    assert {(n - 1) // CHECK_EVERY_MIN for n, _, _ in fits.given} == wanted


def test_house_is_refitted_every_night() -> None:
    fits, _, _ = run(6 * DAY_MIN, every_days=1)
    assert [(last - FIRST) // DAY_MIN for _, last, _ in fits.given] == [2, 3, 4, 5]
    assert all(180 <= (last - FIRST) % DAY_MIN < 180 + CHECK_EVERY_MIN for _, last, _ in fits.given)


def test_refit_that_fails_or_is_refused_changes_nothing() -> None:
    with capture_logs() as logs:
        fits, simulated, report = run(6 * DAY_MIN, every_days=1, problems={0: "killed", 1: "no better"})
    assert [former for _, _, former in fits.given] == [False, False, False, True]
    assert (simulated.n_refits, simulated.n_refused) == (2, 2)
    assert ", 2 not used, in " in report[-2]
    assert [(log["event"], log["problem"]) for log in logs] == [("refit.failed", "the refit ended by SIGKILL")]


def test_long_history_keeps_its_newest_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gapcast.backtest.forecasts.refits.MAX_MINUTES", 3_000)
    fits, _, _ = run(5 * DAY_MIN, every_days=1)
    assert max(n for n, _, _ in fits.given) < 6_000


def test_fit_is_given_the_submeters_of_its_house(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gapcast.refit.schedule.LEAST_READINGS", 150)
    smooth = Smooth()
    ensemble = Ensemble((smooth,), EnsembleOptions(refits=True, n_submeters=1))
    engine = Engine(smooth, ensemble=ensemble, submeters={"home": ("car",)})
    fits = Fits(engine.horizons.main.forests.features_of("home").names)
    houses = {"home": iter(house_of(400)), "flat": iter(house_of(400))}
    kept_kw: list[float] = []

    def car_kw(minute: int) -> dict[str, float]:
        return {measured_name("car"): minute % 8.0} if minute % 3 else {}

    def fit(house: RecordedMinutes, options: FitOptions, former: FormerForest | None) -> RefitResult:
        if options.submeters:
            assert options.submeters == ("car",)
            kept_kw.extend(house.submeters_kw["car"].tolist())
            return fits(house, options, former)
        assert not house.submeters_kw
        names = engine.horizons.main.forests.features.names
        return replace(fits(house, options, former), forest=constant_forest(names))

    simulated = SimulatedRefits(engine, 14, fit)
    run_houses(engine, houses, submeters={"home": car_kw}, simulated=simulated)
    assert simulated.n_refits == 2
    expected = [minute % 8.0 if minute % 3 else np.nan for minute in range(FIRST, FIRST + len(kept_kw))]
    assert np.array_equal(kept_kw, expected, equal_nan=True)


@pytest.mark.long
@pytest.mark.lightgbm
def test_refits_make_the_published_forecast_better() -> None:
    """With the real fit, in its child process, on a load that cycles: no other member is as good as its trees."""
    n = 5 * DAY_MIN
    scores = {}
    for refits in (False, True):
        engine = ensemble_engine(refits=refits)
        simulated = SimulatedRefits(engine, 14) if refits else None
        result = run_houses(engine, {"home": iter(house_of(n))}, FIRST + n - 900, simulated=simulated)
        scores[refits] = result.scored
    with_refit, without = scores[True], scores[False]
    assert with_refit.mse_kw2 is not None
    assert without.mse_kw2 is not None
    assert with_refit.mse_kw2 < without.mse_kw2
    assert with_refit.mae_kw is not None
    assert without.mae_kw is not None
    assert with_refit.mae_kw < 0.95 * without.mae_kw, "whose median is calibrated"
    others_kw = [scored.mae_kw for name, scored in with_refit.members.items() if name != "refit"]
    assert with_refit.mae_kw < 0.65 * min(mae_kw for mae_kw in others_kw if mae_kw is not None)
    assert with_refit.members["refit"].mse_kw2 is not None


def test_nights_of_a_house_do_not_depend_on_the_other_houses() -> None:
    """When the short houses have ended, the long one has no larger batches."""
    given = []
    for others in (0, 4):
        engine = ensemble_engine(refits=True)
        fits = Fits(engine.horizons.main.forests.features.names)
        houses = {"home": iter(house_of(5 * DAY_MIN)), **{f"b{i}": iter(house_of(300)) for i in range(others)}}
        run_houses(engine, houses, simulated=SimulatedRefits(engine, 1, fits))
        given.append(fits.given)
    assert given[0] == given[1] != []
