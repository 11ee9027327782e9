"""The store of the state, which also stores an id that could not be stored at the start."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gapcast.app.state_store import store_of
from gapcast.config.files.state_dir import gateway_id
from gapcast.config.settings import Settings
from gapcast.core.engine import Engine
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.predictors.baselines import Persistence
from gapcast.storage import store as store_module
from gapcast.storage.store import Store
from tests.support.disks import no_room_beyond


@pytest.fixture(autouse=True)
def immediate_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "RETRY_S", 0.0)


def started(state: Path, gateway: str, engine: Engine, configured: str = "") -> Store:
    store = store_of(Settings.model_validate({"gateway": {"id": configured}}), gateway, state, state / "stream")
    assert store is not None
    store.restore(engine)
    return store


def warnings_of_shard(state: Path, shard: int) -> list[str]:
    """Start a shard without state and return its warnings."""
    folder = state / f"shard-{shard}" / "stream"
    with capture_logs() as lines:
        store = store_of(Settings(shards=(shard,)), f"gw-{shard}", state, folder)
        assert store is not None
        store.restore(Engine(Persistence()))
        store.close(None)
    return [f"{line['event']}: {line['path']}, {line['fix']}" for line in lines if line["log_level"] == "warning"]


def iterate(store: Store, engine: Engine) -> None:
    if store.maintain():
        store.write_snapshot(capture_snapshot(engine))
        store.catch_up()


def test_gateway_id_of_a_start_on_a_full_disk_is_stored_later(tmp_path: Path) -> None:
    engine = Engine(Persistence())
    with no_room_beyond(0), capture_logs():
        gateway = gateway_id("", tmp_path)
        store = started(tmp_path, gateway, engine)
        assert store.problem
    iterate(store, engine)
    assert store.problem == ""
    store.close(None)
    assert gateway_id("", tmp_path) == gateway


def test_gateway_id_that_cannot_be_stored_is_retried_with_checkpoints(tmp_path: Path) -> None:
    """It is no reason for a checkpoint: at a start on a full disk, the readings have the same problem."""
    engine = Engine(Persistence())
    started(tmp_path, gateway_id("", tmp_path), engine).close(None)
    (tmp_path / "gateway-id").unlink()
    (tmp_path / "gateway-id.part").mkdir()
    gateway = gateway_id("", tmp_path)
    store = started(tmp_path, gateway, Engine(Persistence()))
    iterate(store, engine)
    assert store.problem == ""
    assert not store.maintain()
    (tmp_path / "gateway-id.part").rmdir()
    store.invalidate()
    iterate(store, engine)
    store.close(None)
    assert gateway_id("", tmp_path) == gateway


def test_gateway_id_of_white_space_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "gateway-id").write_text("\n", encoding="utf-8")
    assert gateway_id("", tmp_path) == gateway_id("", tmp_path)


def test_gateway_id_configured_or_stored_by_another_shard_is_not_replaced(tmp_path: Path) -> None:
    engine = Engine(Persistence())
    started(tmp_path, "north", engine, "north").close(None)
    assert not (tmp_path / "gateway-id").exists()
    (tmp_path / "gateway-id").write_text("gw-first\n", encoding="utf-8")
    store = started(tmp_path, "gw-second", Engine(Persistence()))
    store.invalidate()
    iterate(store, engine)
    store.close(None)
    assert gateway_id("", tmp_path) == "gw-first"
    assert store_of(Settings.model_validate({"state": {"keep": False}}), "gw", tmp_path, tmp_path) is None


def test_new_shard_names_the_unused_state_of_the_gateway(tmp_path: Path) -> None:
    before, folder = tmp_path / "stream", tmp_path / "shard-0" / "stream"
    assert warnings_of_shard(tmp_path, 1) == []
    started(tmp_path, "gw", Engine(Persistence()), "gw").close(None)
    (found,) = warnings_of_shard(tmp_path, 0)
    assert found == (
        f"shard.state_not_used: {before}, to continue with it in this shard, stop gapcast, remove {folder}, "
        f"and move {before} to {folder.parent}"
    )
    assert warnings_of_shard(tmp_path, 0) == [], "it has state of its own now"
    shutil.rmtree(folder)
    before.rename(folder)
    assert warnings_of_shard(tmp_path, 0) == warnings_of_shard(tmp_path, 2) == []
