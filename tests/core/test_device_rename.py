"""A renamed snapshot is that of a gateway whose device always had the new name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gapcast.core.engine import Engine
from gapcast.core.plans.plan import LoadPlan, PlannedLoad
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.device_rename import rename_device
from gapcast.core.snapshots.snapshot import Snapshot, capture_snapshot
from gapcast.core.time_grid import DAY_MIN, MINUTE_MS
from gapcast.predictors.baselines import Trend
from gapcast.storage.checkpoints.checkpoint import encode
from tests.core.demand.runs import MONDAY, demand_engine, process, stream_of

N_MIN = 40


def with_demands(device: str) -> Snapshot:
    engine = demand_engine()
    plan = LoadPlan((PlannedLoad(2.0, (MONDAY + 30) * MINUTE_MS, (MONDAY + 90) * MINUTE_MS),))
    engine.replace_plan("barn", plan)
    engine.replace_plan(device, plan)
    engine.demands.set_limit(device, 1.5)
    engine.demands.set_limit("barn", 1.25)
    for name in (device, "barn"):
        process(engine, stream_of([0.5 + i % 7 / 4 for i in range(N_MIN)], device=name))
    return capture_snapshot(engine)


def without_demands(device: str) -> Snapshot:
    engine = Engine(Trend(), submeters={"barn": ("oven",), device: ("car",)})
    for minute in range(N_MIN):
        engine.accept([Reading(name, MONDAY + minute, 1.0) for name in ("barn", device, "shed")])
    for name in ("barn", device):
        engine.accept([Reading(name, MONDAY + 3 * DAY_MIN, 1.0)])  # held
    for name in (device, "shed"):
        engine.buffers.end_import(name)
    return capture_snapshot(engine)


def of_late_readings(device: str) -> Snapshot:
    engine = Engine(Trend())
    engine.accept([Reading(name, MONDAY + 10, 1.0) for name in ("barn", device, "shed")])
    engine.accept([Reading(name, MONDAY, 1.0) for name in ("barn", device)])
    return capture_snapshot(engine)


@pytest.mark.parametrize("snapshot_of", [with_demands, without_demands, of_late_readings])
def test_renamed_snapshot_is_that_of_a_device_with_the_new_name(snapshot_of: Callable[[str], Snapshot]) -> None:
    before = encode(snapshot_of("home"))
    assert encode(rename_device(snapshot_of("home"), "home", "a-longer-name")) == encode(snapshot_of("a-longer-name"))
    assert encode(rename_device(snapshot_of("a-longer-name"), "a-longer-name", "home")) == before


def test_snapshots_of_these_tests_have_state_under_the_name() -> None:
    limited, other, late = with_demands("home"), without_demands("home"), of_late_readings("home")
    assert limited.demand["limit_device"].tolist() == ["home", "barn"]
    assert [plan.device for plan in limited.plans] == ["barn", "home"]
    assert other.submeters == {"barn": ("oven",), "home": ("car",)}
    assert [reading.device for reading in other.held] == ["barn", "home"]
    assert other.imported == ["home", "shed"]
    assert [run[0].device for run in late.late_runs] == ["barn", "home"]
