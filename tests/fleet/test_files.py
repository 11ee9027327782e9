"""Files that are written completely or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gapcast.core.errors import StateError
from gapcast_fleet.backtest.groups import read_result
from gapcast_fleet.connectors.mqtt_spool import Message, Spool, read_segment
from gapcast_fleet.files import write_atomically
from gapcast_fleet.histories.distribution import begin_or_resume


def test_write_atomically_failure_leaves_nothing_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result"
    write_atomically(path, b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        StateError,
        match=r"result: cannot be written \(No space left on device\): make the folder writable",
    ):
        write_atomically(path, b"new")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("result", b"old")]


def test_spool_on_a_full_disk_keeps_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, sync = Spool(tmp_path / "spool"), os.fsync

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StateError, match=r"spool: readings cannot be stored \(No space left on device\): free space"):
        spool.write([Message("home", b"1.5", 7, False)])
    monkeypatch.setattr(os, "fsync", sync)
    spool.write([Message("home", b"1.5", 7, False)])
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["segment-000000000.arrow"]


def test_spool_segment_keeps_its_name_after_a_power_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[bool, int]] = []

    def sync(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), len(list(tmp_path.glob("*.arrow")))))

    spool = Spool(tmp_path)
    monkeypatch.setattr(os, "fsync", sync)
    spool.write([Message("home", b"1.5", 7, False)])
    assert synced == [(False, 0), (True, 1)]


def test_spool_segment_missing_or_damaged_is_named(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.write([Message("home", b"1.5", 7, False)])
    path = spool.path(0)
    assert [row["payload"] for batch in read_segment(str(path)) for row in batch.to_pylist()] == [b"1.5"]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(
        StateError, match=r"segment-000000000\.arrow: stored readings cannot be read .*: restore it, or "
    ):
        list(read_segment(str(path)))
    path.unlink()
    with pytest.raises(StateError, match="stored readings cannot be read"):
        list(read_segment(str(path)))


def test_damaged_files_of_a_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "prepare.json").write_text('{"format', encoding="utf-8")
    with pytest.raises(StateError, match=r"prepare\.json: cannot be read .*: use another folder$"):
        begin_or_resume(tmp_path / "prepare.json", {}, "--to")
    for content in (b"", b"PK\x03\x04", b"half of it"):
        (tmp_path / "group-00000.npz").write_bytes(content)
        with pytest.raises(StateError, match=r"group-00000\.npz: cannot be read .*: remove it, and start again$"):
            read_result(tmp_path / "group-00000.npz")


def test_resume_removes_what_a_killed_run_left(tmp_path: Path) -> None:
    about = tmp_path / "prepare.json"
    begin_or_resume(about, {}, "--to")
    left = (
        ".group-00000.json-ab12_xyz",
        ".train-00000-000.npy-ab12_xyz",
        ".group-00000.npz-ab12_xyz",
        "group-00007.progress",
    )
    kept = ("group-00000.json", "train-00000-000.npy", ".hidden")
    for name in (*left, *kept):
        (tmp_path / name).touch()
    begin_or_resume(about, {}, "--to")
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "prepare.json"}


def test_write_atomically_two_writers_do_not_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark may run a task twice at the same time."""
    path = tmp_path / "result"
    sync = os.fsync

    def meanwhile(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", sync)
        write_atomically(path, b"of another task")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", meanwhile)
    write_atomically(path, b"own")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("result", b"own")]
