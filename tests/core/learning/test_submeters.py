"""Submeters: an ensemble member that learns from them, and the effect of missing, late, failed and new submeters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.engine import Engine
from gapcast.core.forecasts.forecast import Forecast
from gapcast.core.forecasts.outcomes import LEARNED, PERSISTENCE, SUBMETERED, Outcomes
from gapcast.core.horizons.horizon_forecaster import DeviceHorizons, HorizonModels
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.online_model import rls_model
from gapcast.core.learning.online_model.packed_covariance import columns_of, from_matrices, to_matrices
from gapcast.core.learning.scores.summary import ALL_TIME
from gapcast.core.learning.submeters.submeter_features import EDGE_KW, N_CELLS, load_features
from gapcast.core.learning.submeters.submetered_model import SubmeteredModel
from gapcast.core.models.predictor import Prediction, Predictor
from gapcast.core.plans.plan import LoadPlan, PlannedLoad
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.submeters import Submeters, channels_of, measured_name
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.core.snapshots.state_transfer import transfer_state
from gapcast.core.streams.buffer import Buffers, ReadingStatus
from gapcast.core.time_grid import MINUTE_MS
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.baselines import Trend
from gapcast.storage.checkpoints import checkpoint
from tests.support.approximate import approx
from tests.support.examples import examples
from tests.support.houses import FIRST, EngineRun, Smooth

SUBMETERS: Submeters = {"home": ("heater", "pump")}
NAN = math.nan


def engine_with(
    submeters: Submeters = SUBMETERS, models: Sequence[Predictor] = (Smooth(), Trend()), **options: Any
) -> Engine:
    n_submeters = len(channels_of(submeters))
    ensemble = Ensemble(models, EnsembleOptions(n_submeters=n_submeters, **options))
    return Engine(models[0], ensemble=ensemble, submeters=submeters)


def model_of(engine: Engine) -> SubmeteredModel:
    assert engine.ensemble is not None
    assert engine.ensemble.submetered is not None
    return engine.ensemble.submetered


def loads_kw(n_minutes: int) -> F64:
    """A heater that is on for 8 of 20 minutes, a pump for 3 of 11, and other loads that switch at random."""
    minute, draw = np.arange(n_minutes), np.random.default_rng(3)
    others = np.repeat(draw.choice([0.2, 0.5, 1.4], n_minutes // 7 + 1), 7)[:n_minutes]
    return np.stack((2.0 * (minute % 20 < 8), 0.6 * (minute % 11 < 3), others)).round(3)


def readings_of(n_minutes: int, device: str = "home", names: Sequence[str] = SUBMETERS["home"]) -> list[Reading]:
    """Return one reading a minute, with the minutes of the submeters ``names``."""
    loads = loads_kw(n_minutes)
    found = []
    for i, powers in enumerate(loads.T.tolist()):
        measured = {measured_name(name): kw for name, kw in zip(names, powers, strict=False)}
        found.append(Reading(device, FIRST + i, sum(powers), False, measured or None))
    return found


def without(reading: Reading, name: str) -> Reading:
    measured = {key: kw for key, kw in (reading.measured or {}).items() if key != measured_name(name)}
    return reading._replace(measured=measured or None)


@pytest.mark.long
def test_member_submetered_is_far_better_where_loads_cycle() -> None:
    run = EngineRun(engine_with()).process(readings_of(2_500), at_a_time=50)
    members = run.engine.scores_of("home")[ALL_TIME].members
    assert [*members][-3:] == [LEARNED, SUBMETERED, PERSISTENCE]
    learned, submetered = members[LEARNED], members[SUBMETERED]
    assert learned.mse_kw2 is not None
    assert submetered.mse_kw2 is not None
    assert submetered.mse_kw2 < 0.75 * learned.mse_kw2
    published = run.engine.scores_of("home")[ALL_TIME]
    assert published.mse_kw2 is not None
    assert published.mse_kw2 < 0.85 * learned.mse_kw2


def outcomes_of(engine: Engine, readings: Sequence[Reading]) -> Outcomes:
    return Outcomes.joined(list(outcomes_in(engine, readings)))


def outcomes_in(engine: Engine, readings: Sequence[Reading]) -> Iterator[Outcomes]:
    for first in range(0, len(readings), 100):
        engine.forecast(engine.accept(readings[first : first + 100]), 0)
        outcomes, _ = engine.learn()
        if outcomes is not None:
            yield outcomes


def test_member_submetered_of_a_device_without_submeters_repeats_learned() -> None:
    engine = engine_with()
    outcomes = outcomes_of(engine, readings_of(60, "barn", names=()))
    members = engine.horizons.main.scores.members
    learned, submetered = (outcomes.members_kw[:, :, members.index(name)] for name in (LEARNED, SUBMETERED))
    assert (learned == submetered).all()
    assert not model_of(engine).columns(range(1))["submetered followed"].size


def test_ensemble_without_submeters_has_no_such_member_or_channel() -> None:
    engine = engine_with({})
    assert SUBMETERED not in engine.horizons.main.scores.members
    assert engine.buffers.shape == (30,)


def test_ensemble_that_does_not_learn_ignores_submeters() -> None:
    engine = engine_with(learns=False)
    assert SUBMETERED not in engine.horizons.main.scores.members
    assert len(EngineRun(engine).process(readings_of(20)).forecasts) == 19


def assert_same(found: list[Forecast], expected: list[Forecast]) -> None:
    """Check equality to the last published decimal: some processors sum the rows of a matrix in another order."""
    powers = ("gap_kw", "median_kw", "lower_kw", "upper_kw")
    weights = ("experts", "median_experts")
    kept = [replace(one, gap_kw=0, median_kw=0, lower_kw=0, upper_kw=0, experts={}, median_experts={})
            for one in (*found, *expected)]  # fmt: skip
    assert kept[: len(found)] == kept[len(found) :]
    for one, other in zip(found, expected, strict=True):
        for name in powers:
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1.1e-6), (one, other)
        for name in weights:
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1.1e-3), (one, other)


def test_batch_gives_the_same_forecasts_as_its_readings_one_by_one() -> None:
    readings = [reading for pair in zip(readings_of(150), readings_of(150, "shop"), strict=True) for reading in pair]
    submeters = {**SUBMETERS, "shop": SUBMETERS["home"]}
    one_by_one = EngineRun(engine_with(submeters)).process(readings, at_a_time=1)
    assert_same(EngineRun(engine_with(submeters)).process(readings, at_a_time=64).forecasts, one_by_one.forecasts)


@pytest.mark.long
@examples(15)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=40, max_size=120))
def test_any_missing_submeters_leave_each_reading_a_finite_forecast(present: list[tuple[bool, bool]]) -> None:
    readings = readings_of(len(present))
    for i, is_present in enumerate(present):
        for name, is_there in zip(SUBMETERS["home"], is_present, strict=True):
            readings[i] = readings[i] if is_there else without(readings[i], name)
    engine = engine_with()
    run = EngineRun(engine).process(readings)
    assert len(run.forecasts) == len(readings) - 1
    for array in model_of(engine).state.arrays.values():
        assert np.isfinite(array).all()


@pytest.mark.long
def test_submeter_that_dies_leaves_the_forecast_no_worse_than_without_it() -> None:
    readings = readings_of(2_500)
    alive, dead = readings[:1_500], [without(without(one, "heater"), "pump") for one in readings[1_500:]]
    published = outcomes_of(engine_with(), alive + dead)
    never = outcomes_of(engine_with({}), alive + dead)
    late = published.minutes >= FIRST + 1_600
    errors = [np.square(one.published_kw[:, 0] - one.actual_kw)[late].mean() for one in (published, never)]
    assert errors[0] <= 1.03 * errors[1]


# --- features ---------------------------------------------------------------------------------------


def test_load_features_of_a_kettle_by_hand() -> None:
    kettle = np.array([0.125, 0, 0, 2, 2, 2, 2, 0, 0, 2], dtype=np.float32)
    window = np.stack((kettle + 0.5, kettle), axis=1)[np.newaxis]
    found = load_features(window, 5)
    assert found.columns_kw.shape == (1, 2, 5)
    # Now; less 1, 2, 5 and (cut to the window) 9 minutes ago.
    assert found.columns_kw[0, 0].tolist() == [2, 2, 2, 0, 1.875]
    assert found.columns_kw[0, 1].tolist() == [0.5, 0, 0, 0, 0]
    up, down = np.expm1(found.unitless[0, 0, :2] * np.log1p(len(kettle)))
    assert (round(up), round(down)) == (0, 2)
    assert found.change_kw[0].tolist() == [0, 0]
    assert load_features(window, 12).change_kw[0].tolist() == [1.875, 0]  # over the window, which is shorter


def test_load_features_of_an_unknown_submeter_are_zero_and_marked() -> None:
    windows = np.full((1, 20, 2), (1.0, 0.4), dtype=np.float32)
    windows[0, -1, 1] = NAN
    found = load_features(windows, 5)
    assert found.columns_kw[0, 0].tolist() == [0] * 5
    assert found.unitless[0, 0].tolist() == [0, 0, 1]
    assert found.columns_kw[0, 1, 0] == 1.0  # its power is in the remainder
    assert np.isnan(found.change_kw[0, 0])


def test_load_features_across_missing_minutes_use_the_next_value() -> None:
    submeter = np.array([0, NAN, NAN, 1, 1, NAN, 1], dtype=np.float32)
    window = np.stack((np.full(7, 2.0, dtype=np.float32), submeter), axis=1)[np.newaxis]
    assert load_features(window, 5).columns_kw[0, 0, :3].tolist() == [1, 0, 0]
    changes_kw = [load_features(window, horizon_min).change_kw[0, 0] for horizon_min in (3, 4, 5, 6)]
    assert np.array_equal(changes_kw, [0, NAN, NAN, 1], equal_nan=True)  # four and five minutes ago it is not known
    assert EDGE_KW < 1


# --- windows ----------------------------------------------------------------------------------------


def test_buffer_window_holds_submeters_after_the_mains_and_nan_for_others() -> None:
    buffers = Buffers(WindowSpec(context=4), 10, submeters={"home": ("car",), "shop": ("oven", "fridge")})
    car = {measured_name("car"): 7.0}
    for minute, measured in ((0, None), (1, car), (4, car)):
        buffers.accept(Reading("home", minute, 8.0, False, measured))
    buffers.accept(Reading("barn", 0, 1.0))
    assert buffers.channels == ("gap_kw", "submeter 1", "submeter 2")
    assert np.array_equal(buffers.window("home")[:, 1], [7, 7, 7, 7])
    assert np.isnan(buffers.window("home")[:, 2]).all()
    buffers.accept(Reading("home", 6, 8.0))
    assert np.array_equal(buffers.window("home")[:, 1], [7, 7, NAN, NAN], equal_nan=True)
    assert np.isnan(buffers.window("barn")[:, 1:]).all()


def test_damaged_window_is_repaired_without_touching_missing_submeters() -> None:
    engine = engine_with()
    EngineRun(engine).process([without(one, "pump") for one in readings_of(40)])
    stream = engine.buffers.stream("home")
    stream.block[stream.at, stream.end - 3, :2] = np.inf
    EngineRun(engine).process([without(one, "pump")._replace(minute=FIRST + 40) for one in readings_of(1)])
    window = engine.buffers.window("home")
    assert np.isfinite(window[:, 0]).all()
    assert np.isnan(window[-4, 1])
    assert np.isnan(window[:, 2]).all()


def test_model_with_other_features_does_not_see_submeters() -> None:
    seen: list[tuple[int, ...]] = []

    class Looking(Smooth):
        def predict(self, windows: F32) -> Prediction:
            seen.append(windows.shape[1:])
            assert np.isfinite(windows).all()
            return super().predict(windows)

    engine = engine_with(models=(Looking(features=("gap_kw", "voltage_v")),))
    readings = [one._replace(measured={**(one.measured or {}), "voltage_v": 239.0}) for one in readings_of(20)]
    assert (
        len(EngineRun(engine).process([readings[0], *(without(one, "pump") for one in readings[1:])]).forecasts) == 19
    )
    assert {*seen} == {(30, 2)}
    assert engine.buffers.channels == ("gap_kw", "voltage_v", "submeter 1", "submeter 2")
    lacking = engine.accept([readings[0]._replace(minute=FIRST + 20, measured=None)])
    assert lacking.statuses == [ReadingStatus.INCOMPLETE]
    assert "submeter" not in engine.explain_incomplete(readings[0]._replace(measured=None))


# --- state ------------------------------------------------------------------------------------------


def restarted(engine: Engine, folder: Path, submeters: Submeters) -> Engine:
    path = folder / "checkpoint.npz"
    path.write_bytes(checkpoint.encode(capture_snapshot(engine)))
    after = engine_with(submeters)
    assert restore_snapshot(after, checkpoint.read(path)) == ("", [])
    return after


@pytest.mark.long
def test_restart_continues_exactly(tmp_path: Path) -> None:
    readings = readings_of(300)
    through = EngineRun(engine_with()).process(readings)
    before = EngineRun(engine_with()).process(readings[:200])
    after = EngineRun(restarted(before.engine, tmp_path, SUBMETERS)).process(readings[200:])
    assert before.forecasts + after.forecasts == through.forecasts


def test_restart_with_a_submeter_more_keeps_the_values_of_the_others(tmp_path: Path) -> None:
    before = EngineRun(engine_with()).process(readings_of(200)).engine
    after = restarted(before, tmp_path, {"home": ("new", "pump")})
    window = after.buffers.window("home")
    assert np.array_equal(window[:, 2], before.buffers.window("home")[:, 2])
    assert np.isnan(window[:, 1]).all()
    assert not model_of(after).columns(range(1))["submetered followed"].size  # learned from others: starts again
    assert len(EngineRun(after).process(readings_of(220)[200:]).forecasts) == 20


@pytest.mark.parametrize(
    ("names", "after_names"),
    [(SUBMETERS["home"], ("pump", "heater")), (("heater",), SUBMETERS["home"]), ((), ("pump",))],
)
def test_other_submeters_begin_with_the_online_model(
    names: tuple[str, ...], after_names: tuple[str, ...], tmp_path: Path
) -> None:
    """An initial model, with the weight that the member has earned, would be worse than before for hours."""
    others: Submeters = {"shop": ("a", "b")}  # the ensemble has the member in any case
    before = EngineRun(engine_with({**others, "home": names})).process(readings_of(300, names=names)).engine
    after = restarted(before, tmp_path, {**others, "home": after_names})
    members = after.horizons.main.scores.members
    outcomes = outcomes_of(after, readings_of(330, names=after_names)[300:])
    learned, submetered = (outcomes.members_kw[:, :, members.index(name)] for name in (LEARNED, SUBMETERED))
    first = FIRST + 300 + 5  # the minute of the first forecast's outcome
    is_first = outcomes.minutes == first
    assert is_first.any()
    assert submetered[is_first] == approx(learned[is_first], abs=1e-6)
    assert not (submetered == learned).all()


def test_restart_with_another_primary_model_starts_the_member_again() -> None:
    """There are as many columns, but the learned coefficients refer to another model's forecasts."""
    before, same, other = (engine_with(models=(Smooth(name=name), Trend())) for name in ("smooth", "smooth", "other"))
    saved = model_of(EngineRun(before).process(readings_of(60)).engine).columns(range(1))
    for engine, n_restored in ((same, 1), (other, 0)):
        model_of(engine).restore_columns(saved, 1)
        assert model_of(engine).columns(range(1))["submetered followed"].size == n_restored


def test_state_without_submeters_loads_and_the_member_starts(tmp_path: Path) -> None:
    before = EngineRun(engine_with({})).process(readings_of(100, names=())).engine
    after = restarted(before, tmp_path, SUBMETERS)
    assert np.isnan(after.buffers.window("home")[:, 1:]).all()
    assert len(EngineRun(after).process(readings_of(120)[100:]).forecasts) == 20
    assert restarted(after, tmp_path, {}).buffers.shape == (30,)


@pytest.mark.parametrize("name", ["tables", "coefficients", "due_cells", "due_minute"])
def test_damaged_stored_state_of_a_device_starts_again(name: str, tmp_path: Path) -> None:
    before = EngineRun(engine_with()).process(readings_of(100)).engine
    snapshot = capture_snapshot(before)
    column = snapshot.learning_state[f"submetered {name}"]
    cases = [np.full_like(column, -9 if column.dtype.kind == "i" else 1e30), column[..., :-1], column.astype("U8")]
    if name == "due_minute":
        cases = cases[1:]
    elif name == "due_cells":
        cases.append(np.broadcast_to(N_CELLS, column.shape).astype(column.dtype))  # each is one too many
    for damaged in cases:
        snapshot.learning_state[f"submetered {name}"] = damaged
        after = engine_with()
        assert restore_snapshot(after, snapshot) == ("", [])
        assert not model_of(after).columns(range(1))["submetered followed"].size
    del snapshot.learning_state[f"submetered {name}"]
    assert restore_snapshot(engine_with(), snapshot) == ("", [])


@pytest.mark.parametrize("place", [-1, 1])
def test_damaged_place_of_stored_state_is_no_device(place: int) -> None:
    snapshot = capture_snapshot(EngineRun(engine_with()).process(readings_of(40)).engine)
    snapshot.learning_state["submetered followed"] = np.array([place])
    after = engine_with()
    assert restore_snapshot(after, snapshot) == ("", [])
    assert not model_of(after).columns(range(-1, 2))["submetered followed"].size


def test_damaged_learned_rows_leave_the_submeters_of_others(tmp_path: Path) -> None:
    submeters = {**SUBMETERS, "shop": SUBMETERS["home"]}
    readings = [one for pair in zip(readings_of(50), readings_of(50, "shop"), strict=True) for one in pair]
    snapshot = capture_snapshot(EngineRun(engine_with(submeters)).process(readings).engine)
    snapshot.learning_state["coefficients"][0] = 1e30
    after = engine_with(submeters)
    assert restore_snapshot(after, snapshot).learning.startswith("1 rows")
    assert model_of(after).columns(range(2))["submetered followed"].tolist() == [0, 1]


@pytest.mark.parametrize("name", ["coefficients", "tables"])
def test_damaged_state_in_memory_starts_again(name: str) -> None:
    engine = engine_with()
    run = EngineRun(engine).process(readings_of(100))
    model_of(engine).state.arrays[name][0] = np.nan
    n_before = len(run.forecasts)
    run.process(readings_of(110)[100:])
    assert len(run.forecasts) == n_before + 10
    assert all(math.isfinite(forecast.gap_kw) for forecast in run.forecasts)
    for array in model_of(engine).state.arrays.values():
        assert np.isfinite(array).all()


def test_unsound_update_resets_the_coefficients() -> None:
    engine = engine_with()
    run = EngineRun(engine).process(readings_of(100))
    state = model_of(engine).state
    state.arrays["covariance"][0] *= -1e6
    run.process(readings_of(101)[100:])
    for name in rls_model.STATE:
        assert np.array_equal(state.arrays[name][0], state.initial(name)), name
    run.process(readings_of(110)[101:])
    assert np.isfinite(state.arrays["coefficients"]).all()


def test_indefinite_covariance_is_repaired_within_three_days() -> None:
    engine = engine_with()
    run = EngineRun(engine).process(readings_of(100))
    arrays = model_of(engine).state.arrays
    too_much = lowest_variance(arrays["covariance"]) + 1e-5
    arrays["covariance"][0] -= from_matrices(np.eye(columns_of(arrays["covariance"]))[np.newaxis] * too_much)[0]
    arrays["n_outcomes"][0] = rls_model._N_CHECKED - 5
    run.process(readings_of(104)[100:])
    assert lowest_variance(arrays["covariance"]) < 0
    run.process(readings_of(105)[104:])
    assert lowest_variance(arrays["covariance"]) > 0


def lowest_variance(covariance: F32) -> float:
    """Return the lowest eigenvalue of the first covariance."""
    return float(np.linalg.eigvalsh(to_matrices(covariance)[0].astype(np.float64))[0])


def test_forgotten_device_starts_again_and_its_row_is_reused() -> None:
    engine = engine_with()
    run = EngineRun(engine).process(readings_of(100))
    engine.forget("home")
    assert not model_of(engine).columns(range(1))["submetered followed"].size
    run.process(readings_of(50))
    assert len(model_of(engine).state) == 1


def test_forgotten_device_leaves_its_row_empty_to_the_next_device() -> None:
    engine = engine_with(dict.fromkeys(("home", "shop", "barn"), SUBMETERS["home"]))
    readings = [one for pair in zip(readings_of(60), readings_of(60, "shop"), strict=True) for one in pair]
    run = EngineRun(engine).process(readings)
    of_shop = model_of(engine).columns([1])
    engine.forget("home")
    run.process(readings_of(2, "barn"))
    found = model_of(engine).columns(range(2))
    assert found["submetered followed"].tolist() == [0, 1]
    assert not found["submetered tables"][0].any()
    assert not found["submetered n_outcomes"][0]
    for name in ("tables", "coefficients", "due", "n_outcomes"):
        assert np.array_equal(found[f"submetered {name}"][1], of_shop[f"submetered {name}"][0]), name


@pytest.mark.long
@pytest.mark.parametrize("options", [{}, {"max_devices": 10}])
def test_engine_swap_continues_exactly(options: dict[str, Any]) -> None:
    readings = readings_of(300)
    through = EngineRun(engine_with()).process(readings)
    before = EngineRun(engine_with()).process(readings[:200])
    after = engine_with(**options)
    transfer_state(before.engine, after)
    assert before.forecasts + EngineRun(after).process(readings[200:]).forecasts == through.forecasts


def test_load_announced_while_it_is_on_is_not_learned_as_a_step() -> None:
    """The waiting forecasts were made from windows with the load, while the outcomes are without it."""
    engine = engine_with()
    for reading in readings_of(55):
        charging_kw = 7.4 if reading.minute >= FIRST + 50 else 0.0
        engine.forecast(engine.accept([reading._replace(gap_kw=reading.gap_kw + charging_kw)]), 0)
        engine.learn()
    arrays = model_of(engine).state.arrays
    n_outcomes = arrays["n_outcomes"][0]
    engine.replace_plan("home", LoadPlan.from_loads([PlannedLoad(7.4, 0, (FIRST + 90) * MINUTE_MS, "car")]))
    model_of(engine).discard_pending(99)  # of a device without submeters: nothing
    for reading in readings_of(61)[55:]:
        engine.forecast(engine.accept([reading._replace(gap_kw=reading.gap_kw + 7.4)]), 0)
        engine.learn()
    assert arrays["n_outcomes"][0] == n_outcomes + 1, "the first one made after the announcement"


def test_untracked_device_has_no_state() -> None:
    engine = engine_with(max_devices=0)
    assert len(EngineRun(engine).process(readings_of(20)).forecasts) == 19
    assert not model_of(engine).columns(range(1))["submetered followed"].size


def test_scores_are_restored_before_any_submeter_was_read() -> None:
    before = EngineRun(engine_with()).process(readings_of(60, "other", ())).engine
    after = engine_with()
    assert restore_snapshot(after, capture_snapshot(before)) == ("", [])
    assert after.scores_of("other")[ALL_TIME].n
    assert after.scores_of("other") == before.scores_of("other")


def test_new_options_continue_before_any_submeter_was_read() -> None:
    before = EngineRun(engine_with()).process(readings_of(60, "other", ())).engine
    scores, after = before.scores_of("other"), engine_with(forgetting=0.9999)
    transfer_state(before, after)
    assert after.scores_of("other")[ALL_TIME].n == scores[ALL_TIME].n


def test_other_submeters_start_again_at_a_devices_own_horizon() -> None:
    def engine(submeters: Submeters) -> Engine:
        options = EnsembleOptions(n_submeters=2)
        main, own = (HorizonModels(one, Ensemble((one,), options)) for one in (Smooth(), Smooth(lead_times_min=(9,))))
        horizons = DeviceHorizons({"home": 9}, [own])
        return Engine(main.model, ensemble=main.ensemble, submeters=submeters, horizons=horizons)

    snapshot = capture_snapshot(EngineRun(engine(SUBMETERS)).process(readings_of(60)).engine)
    for submeters, n_kept in ((SUBMETERS, 1), ({"home": ("pump", "heater")}, 0)):
        after = engine(submeters)
        assert restore_snapshot(after, snapshot) == ("", [])
        ensemble = after.forecaster_of("home").ensemble
        assert ensemble is not None
        assert ensemble.submetered is not None
        assert len(ensemble.submetered.columns(range(1))["submetered followed"]) == n_kept
