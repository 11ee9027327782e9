"""Devices with their own horizon: each is forecast, scored and learned as by an engine with only that horizon."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass, replace

import numpy as np
import pytest

from gapcast.core.arrays.array_types import F32
from gapcast.core.engine import Engine
from gapcast.core.errors import ModelError
from gapcast.core.horizons.horizon_forecaster import DeviceHorizons, HorizonModels
from gapcast.core.horizons.lead_time_view import at_horizon
from gapcast.core.isolation import forecast_with_bisection
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.scores.summary import ALL_TIME
from gapcast.core.models.predictor import Prediction
from gapcast.core.plans.plan import LoadPlan, PlannedLoad
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import MINUTE_MS
from gapcast.predictors.baselines import Persistence
from tests.core.horizon_runs import DEVICES, HORIZONS, LEADS_MIN, HorizonRun, engine_of, models_of, readings_of
from tests.support.houses import FIRST, Smooth

#: Columns of outcomes.
COLUMNS = ("rows", "minutes", "actual_kw", "last_kw", "published_kw")


@pytest.mark.long
@pytest.mark.parametrize("at_a_time", [1, 4, 20])
@pytest.mark.parametrize("has_ensemble", [True, False])
def test_device_with_its_own_horizon_equals_an_engine_of_that_horizon(at_a_time: int, *, has_ensemble: bool) -> None:
    readings = readings_of(80)
    both = HorizonRun(engine_of(5, HORIZONS, has_ensemble=has_ensemble)).process(readings, at_a_time)
    for horizon_min in (5, 15):
        alone = HorizonRun(engine_of(horizon_min, has_ensemble=has_ensemble)).process(readings, at_a_time)
        for device in DEVICES:
            if HORIZONS.get(device, 5) == horizon_min:
                assert both.of(device) == alone.of(device)
                assert both.outlooks_of(device) == alone.outlooks_of(device)
                assert both.engine.scores_of(device) == alone.engine.scores_of(device)
                assert both.engine.outlook_scores_of(device) == alone.engine.outlook_scores_of(device)
                assert both.engine.latest_of(device) == alone.engine.latest_of(device)
    first = both.of("pump")[0]
    assert (first.horizon_min, first.target_minute - first.observed_minute, len(first.path_kw or ())) == (15, 15, 15)
    assert both.outlooks.keys() == {
        (one.device, one.observed_minute) for one in both.forecasts if one.device != "car"
    }, "the fourth device has none"
    assert len(both.demands) == len(both.outlooks)


def test_documents_of_two_horizons_equal_single_forecasts() -> None:
    run = HorizonRun(engine_of(5, HORIZONS)).process(readings_of(12), 20)
    one_by_one = HorizonRun(engine_of(5, HORIZONS)).process(readings_of(12), 1)
    assert sorted(run.documents) == sorted(one_by_one.documents)
    forecasts = run.engine.forecast(run.engine.accept(readings_of(1, 12)), 7)
    assert [one.horizon_min for one in forecasts] == [5, 15, 5, 15]
    assert [list(places) for places, _ in forecasts.by_horizon()] == [[0, 2], [1, 3]]
    assert b'"horizon_min":15' in run.documents[1]
    assert b'"horizon_min":5,' in run.documents[0]


def test_latest_history_and_scores_are_of_the_devices_horizon() -> None:
    run = HorizonRun(engine_of(5, HORIZONS)).process(readings_of(40))
    engine = run.engine
    newest = engine.copy_newest_forecasts()
    assert [newest.read(row) for row in newest.rows()] == engine.latest()
    assert [(one.device, one.horizon_min) for one in engine.latest()] == [
        ("home", 5), ("pump", 15), ("barn", 5), ("car", 15),
    ]  # fmt: skip
    row = engine.buffers.row("pump")
    forecasts = engine.history.columns_of(row, 60, engine.forecaster_of("pump").horizon_min).forecasts()
    assert (forecasts[-1]["observed_at"], forecasts[-1]["target_at"]) == (
        "2010-11-01T00:39:00Z",
        "2010-11-01T00:54:00Z",
    )
    totals = {device: engine.scores_of(device)[ALL_TIME].n for device in DEVICES}
    assert totals == {"home": 34, "pump": 24, "barn": 34, "car": 24}
    assert engine.horizons.overall_scores()[ALL_TIME].n == sum(totals.values()) == run.n_outcomes
    outlooks = [engine.outlook_scores_of(device)[ALL_TIME].point[0].n for device in DEVICES[:3]]
    assert engine.horizons.overall_outlook_scores()[ALL_TIME].point[0].n == sum(outlooks) > 0
    columns = engine.horizons.score_columns(engine.buffers, [engine.buffers.row(device) for device in DEVICES])
    assert {len(column) for column in columns.values()} == {4}
    assert columns["newest_minute"].tolist() == [FIRST + 39] * 4


def test_overall_scores_of_two_horizons_are_added_without_a_copy() -> None:
    engine = engine_of(5, HORIZONS)
    engine.accept([Reading(f"home-{i}", FIRST, 1.0) for i in range(2000)])
    HorizonRun(engine).process(readings_of(20))
    tracemalloc.start()
    try:
        engine.horizons.overall_scores()
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 300 * 2000


def test_outcomes_are_of_the_main_horizons_members() -> None:
    engine = engine_of(5, {"pump": 15})
    readings = [one for one in readings_of(30) if one.device == "pump"]
    HorizonRun(engine).process(readings[:-1], 1)
    engine.forecast(engine.accept(readings[-1:]), 7)
    outcomes, _ = engine.learn()
    assert outcomes is not None
    assert outcomes.members_kw.shape == (1, 2, len(engine.horizons.main.scores.members))
    trend = engine.horizons.main.scores.members.index("trend")
    assert np.isnan(outcomes.members_kw[:, :, trend]).all()
    assert np.isfinite(np.delete(outcomes.members_kw, trend, axis=2)).all()


def test_outcomes_of_another_horizon_stay_as_they_are() -> None:
    engine = engine_of(5, {"pump": 15})
    *readings, last, next_one = [one for one in readings_of(30) if one.device == "pump"]
    HorizonRun(engine).process(readings, 1)
    engine.forecast(engine.accept([last]), 7)
    outcomes, _ = engine.learn()
    assert outcomes is not None
    found = [getattr(outcomes, name).tolist() for name in COLUMNS]
    engine.forecast(engine.accept([next_one]), 7)
    assert engine.learn()[0] is not None
    assert [getattr(outcomes, name).tolist() for name in COLUMNS] == found


@pytest.mark.long
@pytest.mark.parametrize(("main_min", "own"), [(5, HORIZONS), (15, {"home": 5, "barn": 5})])
def test_member_of_one_horizon_has_the_skill_of_its_devices(main_min: int, own: dict[str, int]) -> None:
    engine = HorizonRun(engine_of(main_min, own)).process(readings_of(60)).engine
    apart = (
        HorizonRun(engine_of(5)).process([one for one in readings_of(60) if one.device in {"home", "barn"}], 2).engine
    )
    for period, summary in engine.horizons.overall_scores().items():
        expected = apart.horizons.overall_scores()[period].members
        assert [*summary.members][-1] == "persistence"
        assert summary.members["trend"].skill == pytest.approx(expected["trend"].skill, rel=1e-6)
        assert summary.members["smooth"].skill != pytest.approx(expected["smooth"].skill, rel=1e-2), "of all devices"
        assert summary.members["persistence"].skill == 0


def test_horizon_like_the_main_one_needs_no_other_forecaster() -> None:
    assert engine_of(5, {"home": 5}).horizons.others == {}


def test_devices_with_two_horizons_count_minutes_in_one_window() -> None:
    model = at_horizon(Smooth(lead_times_min=LEADS_MIN), 15)
    longer = Persistence(replace(model.spec, context=60), lead_times_min=(15,))
    horizons = DeviceHorizons({"pump": 15}, [HorizonModels(longer)])
    engine = Engine(at_horizon(Smooth(lead_times_min=LEADS_MIN), 5), horizons=horizons)
    forecasts = engine.forecast(engine.accept(readings_of(40)), 7)
    assert {(one.context, one.n_observed) for one in forecasts if one.observed_minute == FIRST + 39} == {(60, 40)}


# --- plans, failures, forgetting --------------------------------------------------------------------


def test_plan_of_a_device_is_added_up_to_its_own_horizon() -> None:
    plan = LoadPlan.from_loads([PlannedLoad(3.0, (FIRST + 30) * MINUTE_MS, (FIRST + 60) * MINUTE_MS, "load")])
    readings = [
        one._replace(gap_kw=one.gap_kw + 3.0) if one.device == "pump" and one.minute >= FIRST + 30 else one
        for one in readings_of(60)
    ]
    both, alone = HorizonRun(engine_of(5, HORIZONS)), HorizonRun(engine_of(15))
    for run in (both, alone):
        run.process([one for one in readings if one.minute < FIRST + 20])
        run.engine.replace_plan("pump", plan)
        run.process([one for one in readings if one.minute >= FIRST + 20])
    assert both.of("pump") == alone.of("pump")
    planned = [one.observed_minute - FIRST for one in both.of("pump") if one.planned_kw]
    assert planned == [*range(20, 45)], "from its announcement on, to fifteen minutes before its end"
    assert both.engine.scores_of("pump") == alone.engine.scores_of("pump")
    both.engine.replace_plan("pump", LoadPlan())
    assert both.process(readings_of(5, 60)).of("pump")[-1].planned_kw is None


@dataclass(frozen=True, slots=True)
class Fragile(Persistence):
    """A model that cannot be run while a window contains 13 kW."""

    def predict(self, windows: F32) -> Prediction:
        if (windows == 13.0).any():
            msg = "unlucky"
            raise ModelError(msg)
        return Persistence.predict(self, windows)


def test_model_of_one_horizon_that_fails_leaves_the_others_untouched() -> None:
    fragile = Fragile(lead_times_min=(15,))
    model, ensemble = models_of(5)
    horizons = DeviceHorizons({"pump": 15}, [HorizonModels(fragile, Ensemble((fragile,), EnsembleOptions()))])
    engine = Engine(model, ensemble=ensemble, horizons=horizons)
    engine.forecast(engine.accept(readings_of(20)), 7)
    engine.learn()
    before = engine.latest_of("home")
    accepted = engine.accept([Reading(device, FIRST + 20, 13.0) for device in DEVICES])
    with pytest.raises(ModelError):
        engine.forecast(accepted, 7)
    assert engine.latest_of("home") == before
    assert engine.learn() == (None, [])


@dataclass(frozen=True, slots=True)
class Unlucky(Smooth):
    """A model that raises an error if a window's last reading is 13 kW."""

    def predict(self, windows: F32) -> Prediction:
        if (windows[:, -1, 0] == 13.0).any():
            msg = "unlucky"
            raise ZeroDivisionError(msg)
        return Smooth.predict(self, windows)


def test_window_that_raises_leaves_those_of_both_horizons() -> None:
    models = Unlucky(lead_times_min=(1, 5)), Unlucky(lead_times_min=(1, 15))
    horizons = DeviceHorizons(HORIZONS, [HorizonModels(models[1])])
    engine = Engine(models[0], horizons=horizons)
    engine.accept([Reading(device, FIRST, 1.0) for device in DEVICES])
    minute = [Reading(device, FIRST + 1, 13.0 if device == "barn" else 2.0) for device in DEVICES]
    accepted, forecasts = forecast_with_bisection(engine, engine.accept(minute), 7)
    assert [(one.device, one.horizon_min) for one in forecasts] == [("home", 5), ("pump", 15), ("car", 15)]
    assert accepted.forecast_indices == [0, 1, -1, 2]
    assert [list(places) for places, _ in forecasts.by_horizon()] == [[0], [1, 2]]


def test_forecasts_apart_of_two_horizons_are_those_together() -> None:
    one, other = engine_of(5, HORIZONS), engine_of(5, HORIZONS)
    for reading in range(3):
        minute = [Reading(device, FIRST + reading, 1.0 + reading) for device in DEVICES]
        together = one.forecast(one.accept(minute), 7)
        _, apart = forecast_with_bisection(other, other.accept(minute), 7)
        assert list(together) == list(apart)
    accepted = other.accept([Reading(device, FIRST + 3, 2.0) for device in DEVICES])
    assert [len(prediction.mean[0]) for prediction in other.predict(accepted)] == [5, 1]


def test_device_with_its_own_horizon_is_forgotten_whole() -> None:
    engine = HorizonRun(engine_of(5, HORIZONS)).process(readings_of(40)).engine
    row = engine.buffers.row("pump")
    engine.horizons.forget_learning(row)
    engine.forget("pump")
    assert engine.latest_of("pump") is None
    again = HorizonRun(engine).process([one for one in readings_of(3) if one.device == "pump"], 1)
    new = HorizonRun(engine_of(5, HORIZONS)).process([one for one in readings_of(3) if one.device == "pump"], 1)
    assert again.of("pump") == new.of("pump")
    assert engine.scores_of("pump")[ALL_TIME].n == 0


def test_stamp_sets_the_time_of_issue_at_each_horizon() -> None:
    engine = HorizonRun(engine_of(5, HORIZONS)).process(readings_of(4)).engine
    rows = [engine.buffers.row(device) for device in DEVICES]
    engine.stamp(rows, [11, 12, 13, 14])
    assert [one.issued_at_ms for one in engine.latest()] == [11, 12, 13, 14]
    outlook = engine.outlook_of("pump")
    assert outlook is not None
    assert outlook.issued_at_ms == 12


def test_untracked_device_of_another_horizon_is_without_an_outlook() -> None:
    engine = engine_of(5, HORIZONS)
    for i in range(2):
        engine.accept([Reading(device, FIRST + i, 1.0) for device in DEVICES])
    accepted = engine.accept([Reading(device, FIRST + 2, 1.0) for device in ("home", "car")])
    outlooks = engine.outlook(accepted, engine.forecast(accepted, 0))
    assert outlooks is not None
    assert outlooks.devices == ["home"]
