"""With any umask, only its owner can read what a gateway stores."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gapcast.config.files.state_dir import gateway_id
from gapcast.core.engine import Engine
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.predictors.baselines import Trend
from gapcast.predictors.trials.proven_models import ProvenModels
from gapcast.private_files import newest_first, tighten_modes, tighten_state
from gapcast.setup.config_file import write
from gapcast.storage.files.locks import ShardLock
from gapcast.storage.store import Store


@pytest.fixture(autouse=True)
def _no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def write_state(state: Path) -> None:
    gateway_id("", state)
    hold = ShardLock(state / "shard-0")
    hold.acquire({"trend": "1 aaaaaaaa"})
    for folder in (state / "stream", state / "shard-0" / "stream"):
        engine, store = Engine(Trend()), Store(folder)
        store.restore(engine)
        store.append_batch([Reading("home", 21_476_160, 1.0)], 1)
        store.close(capture_snapshot(engine))
    hold.release()


def modes_of(state: Path) -> set[tuple[bool, int]]:
    return {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in (state, *state.rglob("*"))}


def test_state_written_without_a_umask_is_private(tmp_path: Path) -> None:
    state = tmp_path / "above" / "state"
    write_state(state)
    assert len(list(state.rglob("*"))) > 8
    assert modes_of(state) == {(True, 0o700), (False, 0o600)}


def test_state_of_wider_modes_is_narrowed_at_start(tmp_path: Path) -> None:
    state = tmp_path / "state"
    write_state(state)
    ProvenModels(state, "runtime").add("digest")
    for path in (state, *state.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (state / "another program's").write_text("x", encoding="utf-8")
    assert tighten_state(state) == []
    assert stat.S_IMODE((state / "another program's").stat().st_mode) == 0o666
    (state / "another program's").unlink()
    assert modes_of(state) == {(True, 0o700), (False, 0o600)}


def test_tighten_state_does_not_change_a_shared_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    assert tighten_state(tmp_path) == []
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777
    tmp_path.chmod(0o700)
    assert tighten_state(tmp_path / "nowhere") == []


def test_link_in_the_state_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("x", encoding="utf-8")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "link").symlink_to(other)
    assert tighten_modes(tmp_path / "state") == []
    assert stat.S_IMODE(other.stat().st_mode) == 0o666


def test_record_of_trials_makes_private_folders(tmp_path: Path) -> None:
    ProvenModels(tmp_path / "above" / "state", "runtime").add("0" * 64)
    assert modes_of(tmp_path / "above") == {(True, 0o700), (False, 0o600)}


@pytest.mark.parametrize("replacing", [False, True])
def test_setup_file_with_a_secret_is_private(tmp_path: Path, replacing: bool) -> None:
    path = tmp_path / "mqtt-password"
    if replacing:
        path.write_text("old", encoding="utf-8")
    write(path, "secret", 0o600, replacing=replacing)
    assert path.read_text(encoding="utf-8") == "secret"
    assert [stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()] == [0o600]


def test_newest_first_places_what_has_no_time_last(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("older", "newer", "gone")]
    for time_s, path in enumerate(paths[:2], start=1):
        path.touch()
        os.utime(path, (time_s, time_s))
    assert [path.name for path in newest_first(paths)] == ["newer", "older", "gone"]
