"""The week of quarter-hours in the state files: it survives a restart, and state without it can be continued."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from gapcast.core.engine import Engine
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.storage.checkpoints import checkpoint
from gapcast.storage.store import Store
from tests.core.outlook.test_week_in_engine import QuarterMean, hour
from tests.core.test_snapshot import NOON


def forecast_kw(engine: Engine, minute: int) -> float:
    return engine.forecast(engine.accept([Reading("home", minute, 0.0)]), 0).gap_kw[0]


def lived(n: int = 300) -> Engine:
    engine = Engine(QuarterMean())
    engine.forecast(engine.accept([*hour(n=n), *hour("barn", n=20)]), 1)
    return engine


def test_checkpoint_reads_back_the_week_exactly(tmp_path: Path) -> None:
    snapshot = capture_snapshot(lived())
    assert sorted(snapshot.week) == ["device", "kw", "n_known", "step", "sum_kw"]
    checkpoint.replace_file(tmp_path / "state.npz", tmp_path / "part", snapshot)
    found = checkpoint.read(tmp_path / "state.npz").week
    assert found.keys() == snapshot.week.keys()
    for name, column in snapshot.week.items():
        assert found[name].dtype == column.dtype
        np.testing.assert_array_equal(found[name], column)


def test_checkpoint_without_a_week_equals_an_earlier_versions(tmp_path: Path) -> None:
    """A version without histories wrote no such columns: they begin with the windows."""
    before = replace(capture_snapshot(lived()), week={})
    content = checkpoint.encode(before)
    assert b"week/" not in content
    engine = Engine(QuarterMean())
    restore_snapshot(engine, checkpoint.decode(tmp_path, content))
    # The window's 20 minutes are all of the newest quarter-hour, and five of the one before.
    assert forecast_kw(engine, NOON + 300) == np.float32(0.9 * 19 + 0.1 * 18.5)


def test_checkpoint_with_a_week_is_read_without_one(tmp_path: Path) -> None:
    """By an engine whose models take no history, or by an earlier version, which ignores unknown columns."""
    snapshot = capture_snapshot(lived())
    engine = Engine(QuarterMean(history_steps=0))
    assert engine.buffers.week is None
    restored = restore_snapshot(engine, checkpoint.decode(tmp_path, checkpoint.encode(snapshot)))
    assert (restored.learning, restored.devices) == ("", [])
    assert list(engine.buffers) == ["home", "barn"]


def test_store_next_process_has_the_same_week(tmp_path: Path) -> None:
    """From the checkpoint, and from the journal after it."""
    undisturbed, store = Engine(QuarterMean()), Store(tmp_path)
    store.restore(Engine(QuarterMean()))
    readings = hour(n=300)
    for at in range(0, len(readings), 50):
        undisturbed.forecast(undisturbed.accept(readings[at : at + 50]), at + 1)
        store.append_batch(readings[at : at + 50], at + 1)
        if at == 150:
            store.write_snapshot(capture_snapshot(undisturbed))
            store.catch_up()
    store.close(None)
    engine = Engine(QuarterMean())
    Store(tmp_path).restore(engine)
    assert forecast_kw(engine, NOON + 300) == forecast_kw(undisturbed, NOON + 300)
