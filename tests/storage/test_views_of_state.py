"""A checkpoint of views of the engine's arrays holds the state of the moment, however the engine goes on."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.snapshot import Snapshot, capture_snapshot
from gapcast.service.persistence import batch_persistence
from gapcast.service.persistence.batch_persistence import BatchPersistence
from gapcast.service.running_engine import RunningEngine
from gapcast.storage.checkpoints import checkpoint
from gapcast.storage.generations import checkpoint_path
from gapcast.storage.store import Store
from tests.support.houses import FIRST, EngineRun, ensemble_engine, ensemble_of, house_kw, stream
from tests.test_persistence import ConfirmingLink, MemoryStateStore

DEVICES = ("home", "barn", "shed")


def readings_of(n_minutes: int, first: int = 0) -> list[Reading]:
    houses = [
        stream(house_kw(first + n_minutes, seed)[first:], FIRST + first, name) for seed, name in enumerate(DEVICES)
    ]
    return [reading for minute in zip(*houses, strict=True) for reading in minute]


def learned(run: EngineRun, *, copies: bool) -> dict[str, Any]:
    return capture_snapshot(run.engine, copies=copies).learning_state


def test_snapshot_without_copies_has_views_of_consecutive_rows() -> None:
    run = EngineRun(ensemble_engine()).process(readings_of(20))
    state = ensemble_of(run.engine).state.arrays
    assert np.shares_memory(learned(run, copies=False)["covariance"], state["covariance"])
    assert not np.shares_memory(learned(run, copies=True)["covariance"], state["covariance"])


def test_snapshot_without_copies_copies_rows_that_are_apart() -> None:
    run = EngineRun(ensemble_engine()).process(readings_of(20))
    run.engine.forget("barn")
    run.process([reading for reading in readings_of(20, 20) if reading.device != "barn"])
    views, copied = learned(run, copies=False), learned(run, copies=True)
    assert not np.shares_memory(views["covariance"], ensemble_of(run.engine).state.arrays["covariance"])
    assert all(np.array_equal(views[name], copied[name], equal_nan=copied[name].dtype.kind == "f") for name in copied)


def test_store_writes_views_before_the_engine_goes_on(tmp_path: Path) -> None:
    run, store = EngineRun(ensemble_engine()), Store(tmp_path)
    store.restore(run.engine)
    run.process(readings_of(40))
    wanted = checkpoint.encode(capture_snapshot(run.engine))
    store.write_snapshot(capture_snapshot(run.engine, copies=False))
    run.process(readings_of(40, 40))
    wanted_next = checkpoint.encode(capture_snapshot(run.engine))
    store.catch_up()
    assert checkpoint_path(tmp_path, 2).read_bytes() == wanted
    store.write_snapshot(capture_snapshot(run.engine, copies=False))
    store.catch_up()
    assert checkpoint_path(tmp_path, 3).read_bytes() == wanted_next
    store.close(None)


def test_store_short_of_memory_for_views_notes_the_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    run, store = EngineRun(ensemble_engine()), Store(tmp_path)
    store.restore(run.engine)
    run.process(readings_of(20))
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_arrays", no_memory)
        store.write_snapshot(capture_snapshot(run.engine, copies=False))
    assert store.problem.startswith("readings are persisted in the journal alone, without checkpoints: ")
    assert not checkpoint_path(tmp_path, 2).exists()
    store.write_snapshot(capture_snapshot(run.engine, copies=False))
    store.catch_up()
    assert store.problem == ""
    store.close(None)


def test_store_writes_views_after_the_checkpoint_before(tmp_path: Path) -> None:
    run, store = EngineRun(ensemble_engine()), Store(tmp_path)
    store.restore(run.engine)
    for first in (0, 20, 40):
        run.process(readings_of(20, first))
        store.write_snapshot(capture_snapshot(run.engine, copies=first == 20))
    store.catch_up()
    assert checkpoint_path(tmp_path, 4).read_bytes() == checkpoint.encode(capture_snapshot(run.engine))
    assert store.problem == ""
    store.close(None)


@pytest.mark.parametrize(("n_most", "is_copy"), [(len(DEVICES), False), (len(DEVICES) - 1, True)])
def test_service_locks_the_engine_until_views_are_written(
    monkeypatch: pytest.MonkeyPatch, n_most: int, is_copy: bool
) -> None:
    monkeypatch.setattr(batch_persistence, "MAX_TRACKED_NOT_COPIED", n_most)

    running = RunningEngine(EngineRun(ensemble_engine()).process(readings_of(2)).engine, {})
    seen: list[tuple[bool, bool]] = []

    class WatchedStore(MemoryStateStore):
        def write_snapshot(self, snapshot: Snapshot) -> None:
            super().write_snapshot(snapshot)
            seen.append((snapshot.is_copy, running.lock.locked()))

    store = WatchedStore()
    store.wants = True
    BatchPersistence(ConfirmingLink(), running, store, deque(), lambda: False).persist_confirmed()
    assert seen == [(is_copy, True)]
    assert not running.lock.locked()
