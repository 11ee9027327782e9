"""Restarts and new models continue at each device's horizon; a device with a changed horizon learns again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gapcast.core.engine import Engine
from gapcast.core.learning.scores.summary import ALL_TIME
from gapcast.core.plans.plan import LoadPlan, PlannedLoad
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import changed_horizons, restore_snapshot
from gapcast.core.snapshots.state_transfer import reserve_rows, transfer_state
from gapcast.core.time_grid import MINUTE_MS
from gapcast.storage.checkpoints import checkpoint
from tests.core.horizon_runs import DEVICES, HORIZONS, HorizonRun, engine_of, readings_of
from tests.support.houses import FIRST

pytestmark = pytest.mark.once

Damage = Callable[[NDArray[np.generic]], NDArray[np.generic]]


def restored(before: Engine, engine: Engine, folder: Path) -> Engine:
    """Restore the bytes of a checkpoint of ``before`` into ``engine``."""
    path = folder / "checkpoint.npz"
    path.write_bytes(checkpoint.encode(capture_snapshot(before)))
    snapshot = checkpoint.read(path)
    assert restore_snapshot(engine, snapshot) == ("", [])
    return engine


@pytest.mark.long
@pytest.mark.parametrize("has_ensemble", [True, False])
def test_restart_changes_nothing_at_either_horizon(tmp_path: Path, *, has_ensemble: bool) -> None:
    undisturbed = HorizonRun(engine_of(5, HORIZONS, has_ensemble=has_ensemble)).process(readings_of(90))
    first = HorizonRun(engine_of(5, HORIZONS, has_ensemble=has_ensemble)).process(readings_of(50))
    engine = restored(first.engine, engine_of(5, HORIZONS, has_ensemble=has_ensemble), tmp_path)
    assert engine.latest() == first.engine.latest()
    again = HorizonRun(engine).process(readings_of(40, 50))
    assert first.forecasts + again.forecasts == undisturbed.forecasts
    for device in DEVICES:
        assert engine.scores_of(device) == undisturbed.engine.scores_of(device)
    assert {**first.outlooks, **again.outlooks} == undisturbed.outlooks


@pytest.mark.parametrize(
    ("before", "now", "changes"),
    [
        ({}, {"pump": 15}, {"pump": (5, 15)}),
        ({"pump": 15}, {}, {"pump": (15, 5)}),
        ({"pump": 15}, {"pump": 10}, {"pump": (15, 10)}),
        ({"pump": 15}, {"pump": 15, "car": 10, "elsewhere": 10}, {"car": (5, 10)}),
    ],
)
def test_changed_horizon_of_a_device_discards_what_it_learned(
    tmp_path: Path, before: dict[str, int], now: dict[str, int], changes: dict[str, tuple[int, int]]
) -> None:
    first = HorizonRun(engine_of(5, before)).process(readings_of(60))
    snapshot = capture_snapshot(first.engine)
    engine = restored(first.engine, engine_of(5, now), tmp_path)
    assert changed_horizons(engine, snapshot) == changes
    for device in DEVICES:
        assert engine.buffers.window(device).tobytes() == first.engine.buffers.window(device).tobytes()
        is_changed = device in changes
        assert engine.scores_of(device)[ALL_TIME].n == (0 if is_changed else first.engine.scores_of(device)[ALL_TIME].n)
        assert (engine.latest_of(device) is None) == is_changed
    run = HorizonRun(engine).process(readings_of(1, 60))
    assert {one.device: one.horizon_min for one in run.forecasts} == {device: now.get(device, 5) for device in DEVICES}


def test_changed_horizon_forgets_the_forecasts_of_a_plan() -> None:
    plan = LoadPlan.from_loads([PlannedLoad(3.0, (FIRST + 30) * MINUTE_MS, (FIRST + 90) * MINUTE_MS, "load")])
    first = engine_of(5, HORIZONS)
    first.replace_plan("pump", plan)
    HorizonRun(first).process(readings_of(60))
    engine = engine_of(5)
    assert restore_snapshot(engine, capture_snapshot(first)) == ("", [])
    assert engine.plans.trackers["pump"].plan == plan
    assert engine.plans.trackers["pump"].issued == {}


def test_restart_keeps_the_planned_part_of_forecasts_at_both_horizons(tmp_path: Path) -> None:
    first = engine_of(5, HORIZONS)
    for device in ("home", "pump"):
        first.replace_plan(device, LoadPlan.from_loads([PlannedLoad(3.0, 0, (FIRST + 90) * MINUTE_MS, "load")]))
    HorizonRun(first).process(readings_of(40))
    engine = restored(first, engine_of(5, HORIZONS), tmp_path)
    assert [one.planned_kw is not None for one in engine.latest()] == [True, True, False, False]
    assert engine.latest() == first.latest()


def test_state_without_learning_is_of_the_main_horizon() -> None:
    first = HorizonRun(engine_of(5, has_ensemble=False, has_outlook=False)).process(readings_of(20)).engine
    engine = engine_of(5, {"pump": 15}, has_ensemble=False, has_outlook=False)
    snapshot = capture_snapshot(first)
    assert changed_horizons(engine, snapshot) == {}
    assert restore_snapshot(engine, snapshot) == ("", [])
    assert changed_horizons(engine, snapshot) == {"pump": (5, 15)}
    assert engine.latest_of("pump") is None
    newest = engine.copy_newest_forecasts()
    assert [newest.devices[row] for row in newest.rows()] == ["home", "barn", "car"]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("15/places", np.array([1, 1])),
        ("15/places", np.array([1, 99])),
        ("15/places", np.array([1.0, 3.0])),
        ("x/places", np.array([1, 3])),
    ],
)
def test_damaged_places_of_a_horizon_leave_its_state_out(column: str, values: NDArray[np.generic]) -> None:
    snapshot = capture_snapshot(HorizonRun(engine_of(5, HORIZONS)).process(readings_of(40)).engine)
    engine = engine_of(5, HORIZONS)
    problems = restore_snapshot(engine, replace(snapshot, horizons={**snapshot.horizons, column: values}))
    assert "names a device twice, or one that does not exist" in problems.learning
    assert engine.scores_of("home")[ALL_TIME].n == 34


@pytest.mark.parametrize(
    "name", ["of_devices", "15/signature", "15/latest/kw", "15/scores/newest_minute", "15/drift/day"]
)
@pytest.mark.parametrize("damage", [lambda column: column[:0], lambda column: column.astype(np.str_)])
def test_damaged_column_of_a_horizon_costs_only_that_state(name: str, damage: Damage) -> None:
    snapshot = capture_snapshot(HorizonRun(engine_of(5, HORIZONS)).process(readings_of(40)).engine)
    columns = {**snapshot.horizons, name: damage(snapshot.horizons[name])}
    engine = engine_of(5, HORIZONS)
    restore_snapshot(engine, replace(snapshot, horizons=columns))
    run = HorizonRun(engine).process(readings_of(1, 40))
    assert [one.horizon_min for one in run.forecasts] == [5, 15, 5, 15]


def test_implausible_learning_of_a_horizon_is_left_out() -> None:
    snapshot = capture_snapshot(HorizonRun(engine_of(5, HORIZONS)).process(readings_of(40)).engine)
    memory = snapshot.horizons["15/learnt/memory"].copy()
    memory[0] = np.nan
    problems = restore_snapshot(
        engine := engine_of(5, HORIZONS), replace(snapshot, horizons={**snapshot.horizons, "15/learnt/memory": memory})
    )
    assert problems.learning == "1 rows of learned values or scores are out of range"
    assert engine.scores_of("car")[ALL_TIME].n == 24


def test_scores_of_an_earlier_version_get_references_at_both_horizons() -> None:
    """The earlier version stored no sums of persistence over a member's minutes."""
    first = HorizonRun(engine_of(5, HORIZONS)).process(readings_of(60)).engine
    snapshot = capture_snapshot(first)
    scores = {name: column for name, column in snapshot.scores.items() if "reference " not in name}
    horizons = {name: column for name, column in snapshot.horizons.items() if "/scores/reference " not in name}
    assert len(scores) < len(snapshot.scores)
    assert len(horizons) < len(snapshot.horizons)
    engine = engine_of(5, HORIZONS)
    assert restore_snapshot(engine, replace(snapshot, scores=scores, horizons=horizons)) == ("", [])
    assert engine.scores_of("pump")[ALL_TIME].members["smooth"].skill is not None
    for device in DEVICES:
        assert engine.scores_of(device) == first.scores_of(device)


def test_transfer_continues_at_both_horizons() -> None:
    undisturbed = HorizonRun(engine_of(5, HORIZONS)).process(readings_of(80))
    first, after = HorizonRun(engine_of(5, HORIZONS)).process(readings_of(50)), engine_of(5, HORIZONS)
    reserve_rows(after, 4)
    transfer_state(first.engine, after)
    second = HorizonRun(after).process(readings_of(30, 50))
    assert first.forecasts + second.forecasts == undisturbed.forecasts
    assert after.scores_of("pump") == undisturbed.engine.scores_of("pump")


def test_transfer_to_other_horizons_copies_only_readings() -> None:
    plan = LoadPlan.from_loads([PlannedLoad(3.0, (FIRST + 30) * MINUTE_MS, (FIRST + 90) * MINUTE_MS, "load")])
    before, after = engine_of(5, HORIZONS), engine_of(5, {"pump": 10})
    before.replace_plan("pump", plan)
    HorizonRun(before).process(readings_of(50))
    assert before.plans.trackers["pump"].issued
    transfer_state(before, after)
    assert after.latest_of("pump") is None
    assert after.scores_of("pump")[ALL_TIME].n == 0
    assert after.plans.trackers["pump"].issued == {}
    assert after.history.max_devices == 4
    assert after.buffers.window("pump").tobytes() == before.buffers.window("pump").tobytes()
