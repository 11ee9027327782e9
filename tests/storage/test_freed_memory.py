"""Memory that was freed goes back to the system."""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace

import pytest

from gapcast.core.engine import Engine
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.predictors.baselines import Trend
from gapcast.storage import disk_writer
from gapcast.storage.freed_memory import release_freed_memory
from gapcast.storage.store import Store


def test_release_freed_memory_calls_the_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def malloc_trim(pad: int) -> int:
        asked.append(pad)
        return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: SimpleNamespace(malloc_trim=malloc_trim))
    assert release_freed_memory()
    assert asked == [0]


def test_release_freed_memory_without_malloc_trim_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: SimpleNamespace())
    assert not release_freed_memory()


def test_store_releases_memory_after_each_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[list[str]] = []
    monkeypatch.setattr(
        disk_writer, "release_freed_memory", lambda: written.append(sorted(path.name for path in tmp_path.iterdir()))
    )
    engine, store = Engine(Trend()), Store(tmp_path)
    store.restore(engine)
    store.write_snapshot(capture_snapshot(engine))
    store.close(None)
    assert ["checkpoint-00000002.npz" in names for names in written] == [False, True]
