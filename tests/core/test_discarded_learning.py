"""A start that tracks fewer devices, or learns less, logs whose learned state it does not use."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from gapcast.core.engine import Engine
from gapcast.core.horizons.horizon_forecaster import DeviceHorizons, HorizonModels
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.scores.summary import ALL_TIME
from gapcast.core.learning.submeters.submetered_state import COLUMNS, PREFIX, TRACKED
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.submeters import Submeters, channels_of, measured_name
from gapcast.core.snapshots.discarded_learning import discarded_learning
from gapcast.core.snapshots.snapshot import Snapshot, capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.storage.generations import write_checkpoint
from gapcast.storage.store import Store
from tests.support.houses import FIRST, Smooth

DEVICES = ("a", "b", "c")
PLUG: Submeters = {"a": ("plug",)}


def engine_of(
    max_devices: int = 10, submeters: Submeters | None = None, far: tuple[str, ...] = (), **options: Any
) -> Engine:
    submeters = submeters or {}
    own = EnsembleOptions(n_submeters=len(channels_of(submeters)), **options)
    main, other = (HorizonModels(one, Ensemble((one,), own)) for one in (Smooth(), Smooth(lead_times_min=(9,))))
    horizons = DeviceHorizons(dict.fromkeys(far, 9), [other]) if far else None
    return Engine(main.model, max_devices, ensemble=main.ensemble, submeters=submeters, horizons=horizons)


def readings_of(minutes: range) -> list[Reading]:
    plug = {measured_name("plug"): 0.25}
    return [
        Reading(device, FIRST + minute, 1.0 + minute % 3, measured=plug if device == "a" else None)
        for minute in minutes
        for device in DEVICES
    ]


def process(engine: Engine, minutes: range) -> Engine:
    for reading in readings_of(minutes):
        engine.forecast(engine.accept([reading]), 7)
        engine.learn()
    return engine


def logs_of_restart(folder: Path, snapshot: Snapshot, engine: Engine) -> list[dict[str, Any]]:
    folder.mkdir(exist_ok=True)
    write_checkpoint(folder, 1, snapshot, 0)
    with capture_logs() as logs:
        Store(folder).restore(engine)
    return [dict(entry) for entry in logs if entry["event"] == "state.learning_discarded"]


ONE_TRACKED = "the limit is 1 tracked device now (learning.max_devices)"
SWITCHED_OFF = "the online model is switched off (forecast.learn, forecast.blend)"
NOT_USED = (
    "submeters, or members of the ensemble, have changed, or the stored values are damaged: "
    "what submetered learned of the loads is not used"
)


@pytest.mark.parametrize(
    ("after", "reasons"),
    [
        ({"max_devices": 2, "submeters": PLUG}, {"c": "the limit is 2 devices now (devices.max)"}),
        ({"submeters": PLUG, "tracked": 1}, {"b": ONE_TRACKED, "c": ONE_TRACKED}),
        ({"learns": False}, dict.fromkeys(DEVICES, SWITCHED_OFF)),
        ({"submeters": {"a": ("oven",)}}, {"a": NOT_USED}),
        ({"submeters": {"b": ("oven", "fridge"), **PLUG}}, {"a": NOT_USED}),
        ({}, {"a": NOT_USED}),
    ],
)
def test_discarded_learning_is_logged_once(tmp_path: Path, after: dict[str, Any], reasons: dict[str, str]) -> None:
    def engine() -> Engine:
        options = dict(after)
        n_tracked = options.pop("tracked", None)
        one = engine_of(**options)
        if n_tracked is None:
            return one
        submeters = options["submeters"]
        model, own = Smooth(), EnsembleOptions(max_devices=n_tracked, n_submeters=1)
        return Engine(model, 10, ensemble=Ensemble((model,), own), submeters=submeters)

    before = process(engine_of(submeters=PLUG), range(40))
    changed = engine()
    (logged,) = logs_of_restart(tmp_path, capture_snapshot(before), changed)
    assert logged["log_level"] == "warning"
    assert logged["n_devices"] == len(reasons)
    assert logged["devices"] == [f"{device}: {reason}" for device, reason in reasons.items()]
    process(changed, range(40, 60))
    assert logs_of_restart(tmp_path / "next", capture_snapshot(changed), engine()) == []


def test_same_configuration_or_no_outcome_logs_nothing(tmp_path: Path) -> None:
    before = process(engine_of(submeters=PLUG), range(40))
    assert logs_of_restart(tmp_path / "same", capture_snapshot(before), engine_of(submeters=PLUG)) == []
    early = process(engine_of(submeters=PLUG), range(3))
    assert logs_of_restart(tmp_path / "early", capture_snapshot(early), engine_of(learns=False)) == []


def test_without_an_ensemble_no_device_is_tracked(tmp_path: Path) -> None:
    before = process(engine_of(), range(40))
    (logged,) = logs_of_restart(tmp_path, capture_snapshot(before), Engine(Smooth()))
    assert logged["devices"][0] == "a: the limit is 0 tracked devices now (learning.max_devices)"


def test_learning_at_an_own_horizon_counts_and_a_changed_one_does_not(tmp_path: Path) -> None:
    snapshot = capture_snapshot(process(engine_of(far=("b",)), range(40)))
    (logged,) = logs_of_restart(tmp_path, snapshot, engine_of(far=("b",), learns=False))
    assert sorted(logged["devices"]) == [f"{device}: {SWITCHED_OFF}" for device in DEVICES]
    (logged,) = logs_of_restart(tmp_path / "main", snapshot, engine_of(learns=False))
    assert sorted(logged["devices"]) == [f"{device}: {SWITCHED_OFF}" for device in ("a", "c")]


def test_damaged_columns_have_no_discarded_learning() -> None:
    snapshot, after = capture_snapshot(process(engine_of(), range(40))), engine_of(learns=False)
    del snapshot.learning_state["seen"]
    restore_snapshot(after, snapshot)
    assert discarded_learning(after, snapshot) == {}
    snapshot.learning_state["seen"] = np.zeros(3)
    assert discarded_learning(after, snapshot) == {}


def test_damaged_values_of_submeters_are_a_possible_reason(tmp_path: Path) -> None:
    snapshot = capture_snapshot(process(engine_of(submeters=PLUG), range(40)))
    name = next(
        name
        for name, column in snapshot.learning_state.items()
        if name.startswith(PREFIX) and name not in (TRACKED, COLUMNS) and column.dtype.kind == "f"
    )
    snapshot.learning_state[name][:] = np.nan
    (logged,) = logs_of_restart(tmp_path, snapshot, engine_of(submeters=PLUG))
    assert logged["devices"] == [f"a: {NOT_USED}"]


def begin(folder: Path, engine: Engine) -> Store:
    store = Store(folder)
    store.restore(engine)
    return store


def process_batches(store: Store, engine: Engine, minutes: range) -> None:
    for minute in minutes:
        batch = readings_of(range(minute, minute + 1))
        engine.forecast(engine.accept(batch), 7)
        engine.learn()
        store.append_batch(batch, 7)


def test_copied_folder_of_the_checkpoint_is_used_again(tmp_path: Path) -> None:
    """The documented way back; a checkpoint while running, and that of the stop, remove the logged one."""
    folder, copy = tmp_path / "state", tmp_path / "copy"
    store = begin(folder, first := engine_of())
    process_batches(store, first, range(40))
    store.close(capture_snapshot(first))

    with capture_logs() as logs:
        store = begin(folder, changed := engine_of(learns=False))
    (logged,) = (entry for entry in logs if entry["event"] == "state.learning_discarded")
    path = Path(logged["path"])
    process_batches(store, changed, range(40, 50))
    store.write_snapshot(capture_snapshot(changed))
    store.catch_up()
    process_batches(store, changed, range(50, 60))
    store.catch_up()
    shutil.copytree(path.parent, copy)
    process_batches(store, changed, range(60, 70))
    store.close(capture_snapshot(changed))
    assert not path.exists()

    shutil.rmtree(path.parent)
    copy.rename(path.parent)
    for checkpoint in path.parent.glob("checkpoint-*.npz"):
        if checkpoint.name > path.name:
            checkpoint.unlink()
    begin(folder, back := engine_of()).close(None)
    alone = process(engine_of(), range(60))
    assert back.scores_of("a")[ALL_TIME].n == alone.scores_of("a")[ALL_TIME].n
    assert back.buffers.stream("a").last_minute == FIRST + 59
