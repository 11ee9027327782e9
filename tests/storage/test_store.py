"""The store: a restart changes no forecast, and no disk error stops the service or destroys a file."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gapcast.core.engine import Engine
from gapcast.core.errors import StateInUseError
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.journal_replay import JournalReplay
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.predictors.baselines import Trend
from gapcast.storage import disk_writer, journal_file, recovery
from gapcast.storage.checkpoints import checkpoint, checkpoint_columns, checkpoint_rule
from gapcast.storage.files import locks
from gapcast.storage.generations import checkpoint_path, files_of, journal_path, write_checkpoint
from gapcast.storage.journals import journal, journal_reader
from gapcast.storage.journals.record_lines import encode_line_v1
from gapcast.storage.store import Store
from tests.core.test_snapshot import STREAMS, Electric, Recorder
from tests.support.disks import no_room_beyond, open_folder, unprivileged
from tests.support.waiting import GUARD_S, wait_until

NOON = 21_476_160


def minutes(first: int, last: int, devices: Sequence[str] = ("home", "barn")) -> list[Reading]:
    return [Reading(d, NOON + i, round(0.3 * (i % 11) + len(d) / 7, 3)) for i in range(first, last) for d in devices]


class ProcessRun:
    """One process's engine and store, from its start to its end."""

    def __init__(self, folder: Path) -> None:
        self.later_s = 0.0
        self.store = Store(folder, lambda: time.monotonic() + self.later_s)
        self.recorder = Recorder(Engine(Trend()))
        with capture_logs() as self.logs:
            self.store.restore(self.recorder.engine)

    def run(self, readings: Sequence[Reading], *, at_a_time: int = 5) -> None:
        for at in range(0, len(readings), at_a_time):
            batch = readings[at : at + at_a_time]
            self.recorder.run(batch, issued_at_ms=9)
            self.store.append_batch(batch, 9)
            if self.store.maintain():
                self.store.write_snapshot(capture_snapshot(self.recorder.engine))

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [dict(entry) for entry in self.logs if entry["event"] == event]

    def end(self) -> None:
        """End after all forecasts are confirmed."""
        self.store.close(capture_snapshot(self.recorder.engine))

    def kill(self) -> None:
        """Leave the files as a killed process does."""
        self.store.close(None)


def assert_continues(process: ProcessRun, *before: Sequence[Reading]) -> None:
    """Check that ``process`` makes the same forecasts as an engine that never stopped."""
    undisturbed = Recorder(Engine(Trend()))
    for readings in before:
        undisturbed.run(readings, issued_at_ms=9)
    assert process.recorder.engine.latest() == undisturbed.engine.latest()
    assert process.recorder.windows == undisturbed.windows
    undisturbed.outputs.clear()
    process.recorder.outputs.clear()
    after = minutes(60, 70)
    undisturbed.run(after)
    process.recorder.run(after)
    assert process.recorder.outputs == undisturbed.outputs


# --- restarts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [ProcessRun.end, ProcessRun.kill])
def test_store_next_process_continues_exactly(tmp_path: Path, end: Any) -> None:
    first = ProcessRun(tmp_path / "a" / "stream")
    first.run(minutes(0, 20))
    end(first)
    second = ProcessRun(tmp_path / "a" / "stream")
    second.run(minutes(20, 40))
    end(second)
    third = ProcessRun(tmp_path / "a" / "stream")
    assert_continues(third, minutes(0, 40))
    third.end()
    assert (first.store.problem, second.store.problem, third.store.problem) == ("", "", "")


def test_store_without_new_readings_writes_no_checkpoint(tmp_path: Path) -> None:
    process = ProcessRun(tmp_path)
    process.run(minutes(0, 20))
    process.end()
    before = files_of(tmp_path)
    process = ProcessRun(tmp_path)
    process.end()
    assert files_of(tmp_path) == before
    assert process.store.n_bytes_written == 0


@pytest.mark.long
@given(lives=st.lists(st.tuples(STREAMS, st.booleans(), st.integers(1, 9)), max_size=4), checkpoints=st.booleans())
def test_store_any_sequence_of_stops_and_kills_continues_exactly(
    tmp_path_factory: pytest.TempPathFactory,
    lives: list[tuple[list[Reading], bool, int]],
    checkpoints: bool,
) -> None:
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checkpoint_rule, "LEAST_JOURNAL_BYTES", 400 if checkpoints else 1 << 20)
        for readings, well, at_a_time in lives:
            process = ProcessRun(folder)
            process.run(readings, at_a_time=at_a_time)
            if well:
                process.end()
            else:
                process.kill()
        process = ProcessRun(folder)
        assert_continues(process, *(readings for readings, _, _ in lives))
        process.end()


def test_store_long_stream_takes_little_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_rule, "LEAST_JOURNAL_BYTES", 4_000)
    process = ProcessRun(tmp_path)
    for first in range(0, 2_000, 10):
        process.run(minutes(first, first + 10))
        process.store.catch_up()  # a stream is slower than the disk; this one would not be
    process.kill()
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert len({files_of(tmp_path)[tmp_path / name] for name in sizes}) <= 3
    assert sum(sizes.values()) < 40_000
    assert process.store.n_bytes_written > 2_000 * 2 * 20
    last = ProcessRun(tmp_path)
    assert_continues(last, minutes(0, 2_000))
    last.end()


def test_store_syncs_the_journal_when_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forced: list[int] = []
    to_disk = os.fdatasync

    def recorded(file: int) -> None:
        forced.append(file)
        to_disk(file)

    monkeypatch.setattr(os, "fdatasync", recorded)
    process = ProcessRun(tmp_path)
    process.run(minutes(0, 20))
    wait_until(lambda: len(forced) == 1, "the first")
    process.run(minutes(20, 30))
    assert len(forced) == 1, "not due yet"
    process.later_s = 31.0
    wait_until(lambda: process.store.maintain() or len(forced) == 2, "the second")
    process.kill()


def test_store_writes_a_checkpoint_after_a_change_of_engine(tmp_path: Path) -> None:
    process = ProcessRun(tmp_path)
    process.run(minutes(0, 10))
    process.store.write_snapshot(capture_snapshot(process.recorder.engine))
    process.store.invalidate()  # while one of before is being written
    wait_until(process.store.maintain, "the next to be due")
    process.store.write_snapshot(capture_snapshot(process.recorder.engine))
    process.store.catch_up()
    assert not process.store.maintain()
    process.run(minutes(10, 20))
    process.kill()
    last = ProcessRun(tmp_path)
    assert_continues(last, minutes(0, 20))
    last.end()


# --- files that cannot be used ------------------------------------------------------------------------


def two_checkpoints(folder: Path) -> None:
    for first in (0, 20):
        process = ProcessRun(folder)
        process.run(minutes(first, first + 20))
        process.end()
    process = ProcessRun(folder)
    process.run(minutes(40, 60))
    process.kill()


def newest_checkpoint(folder: Path) -> Path:
    return max(path for path in files_of(folder) if path.suffix == ".npz")


def reports_damage(process: ProcessRun, name: str) -> bool:
    """Return whether health names the damaged file and the one used instead."""
    return name in process.store.damage and "Used instead: checkpoint-0000000" in process.store.damage


def test_store_sets_a_damaged_checkpoint_aside(tmp_path: Path) -> None:
    two_checkpoints(tmp_path)
    damaged = newest_checkpoint(tmp_path)
    content = damaged.read_bytes()[:-100]
    damaged.write_bytes(content)
    process = ProcessRun(tmp_path)
    (logs,) = process.logged("state.damaged")
    assert logs["path"] == str(damaged)
    assert "cannot be parsed (BadZipFile" in logs["problem"]
    assert reports_damage(process, damaged.name)
    assert Path(logs["kept_as"]).read_bytes() == content
    assert not damaged.exists()
    assert_continues(process, minutes(0, 60))
    process.kill()
    after = ProcessRun(tmp_path)  # it was mended once and for all
    assert after.logged("state.damaged") == []
    assert_continues(after, minutes(0, 60))
    after.end()


def test_store_damaged_line_is_a_missing_minute(tmp_path: Path) -> None:
    process = ProcessRun(tmp_path)
    process.run(minutes(0, 20, ["home"]), at_a_time=1)
    process.kill()
    path = journal_path(tmp_path, 1)
    content = path.read_bytes().replace(b'["home",%d,' % (NOON + 18), b'["barn",%d,' % (NOON + 17))
    path.write_bytes(content)
    process = ProcessRun(tmp_path)
    (logs,) = process.logged("state.damaged")
    assert "1 records are damaged or missing" in logs["problem"]
    assert Path(logs["kept_as"]).read_bytes() == content
    assert_continues(process, [reading for reading in minutes(0, 20, ["home"]) if reading.minute != NOON + 18])
    process.end()


def test_store_damaged_journal_is_read_until_a_checkpoint_has_it(tmp_path: Path) -> None:
    process = ProcessRun(tmp_path)
    process.run(minutes(0, 20, ["home"]), at_a_time=1)
    process.kill()
    path = journal_path(tmp_path, 1)
    path.write_bytes(path.read_bytes().replace(b'["home",%d,' % (NOON + 18), b'["barn",%d,' % (NOON + 17)))
    known = [reading for reading in minutes(0, 20, ["home"]) if reading.minute != NOON + 18]
    with no_room_beyond(10):  # or the process ends while it replays the journal
        process = ProcessRun(tmp_path)
    assert_continues(process, known)
    process.kill()
    process = ProcessRun(tmp_path)
    assert reports_damage(process, path.name)
    assert_continues(process, known)
    process.kill()
    assert path.with_name(f"{path.name}.damaged-1").exists()
    process = ProcessRun(tmp_path)
    assert process.store.damage == ""
    assert_continues(process, known)
    process.end()


def test_store_truncated_last_line_is_no_damage(tmp_path: Path) -> None:
    process = ProcessRun(tmp_path)
    process.run(minutes(0, 20))
    process.kill()
    path = journal_path(tmp_path, 1)
    with path.open("ab") as file:
        file.write(journal.encode(journal.PersistedBatch(9, minutes(20, 21)))[:-9])
    process = ProcessRun(tmp_path)
    assert process.logged("state.damaged") == []
    assert process.logged("state.cut_short")[0]["n_bytes"] > 0
    process.run(minutes(20, 30))
    process.kill()
    process = ProcessRun(tmp_path)
    assert process.logged("state.cut_short") == [], "it was not continued after the cut"
    assert_continues(process, minutes(0, 30))
    process.end()


@pytest.mark.parametrize("end", [b"", b"\0" * 4_096])
def test_store_last_line_without_newline_loses_no_record(tmp_path: Path, end: bytes) -> None:
    """A full disk or a power failure may leave a line without its last byte."""
    process = ProcessRun(tmp_path)
    process.run(minutes(0, 20))
    process.kill()
    path = journal_path(tmp_path, 1)
    path.write_bytes(path.read_bytes().removesuffix(b"\n") + end)
    process = ProcessRun(tmp_path)
    process.run(minutes(20, 30))
    process.kill()
    process = ProcessRun(tmp_path)
    assert process.store.damage == ""
    assert_continues(process, minutes(0, 30))
    process.end()


def test_store_with_all_files_damaged_starts_empty(tmp_path: Path) -> None:
    two_checkpoints(tmp_path)
    contents = {}
    for path in files_of(tmp_path):
        path.write_bytes(b"\x00rubbish\n" * 50)
        contents[path.name] = path.read_bytes()
    process = ProcessRun(tmp_path)
    assert list(process.recorder.engine.buffers) == []
    for name, content in contents.items():
        assert (tmp_path / f"{name}.damaged-1").read_bytes() == content
    assert_continues(process)
    process.end()
    newest_checkpoint(tmp_path).write_bytes(b"again")
    assert ProcessRun(tmp_path).store.problem == ""


@pytest.mark.parametrize("which", ["checkpoint", "journal"])
def test_store_leaves_files_of_a_newer_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    two_checkpoints(tmp_path)
    if which == "journal":
        newest = max(path for path in files_of(tmp_path) if path.suffix == ".jsonl")
        newest.write_bytes(encode_line_v1(b'{"gapcast":"readings","version":7}') + b"something new\n")
    else:
        snapshot = checkpoint.read(newest_checkpoint(tmp_path))
        with monkeypatch.context() as newer:
            newer.setattr(checkpoint_columns, "VERSION", 7)
            newest_checkpoint(tmp_path).write_bytes(checkpoint.encode(snapshot))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    process = ProcessRun(tmp_path)
    process.run(minutes(60, 80))
    assert len(process.recorder.outputs) == 40, "it continues"
    assert "is of version 7, and this gapcast reads versions up to 2" in process.store.problem
    assert process.logged("state.not_persisted")[0]["fix"].startswith("run the newer gapcast")
    process.end()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_store_folder_in_use_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "WAIT_S", 0.0)
    first = ProcessRun(tmp_path)
    with pytest.raises(
        StateInUseError, match=r"another gapcast process uses .*: stop it first, or set a different state.path"
    ):
        Store(tmp_path).restore(Engine(Trend()))
    first.run(minutes(0, 20))
    first.end()
    third = ProcessRun(tmp_path)
    assert_continues(third, minutes(0, 20))
    third.end()


# --- disks that cannot be written to ------------------------------------------------------------------


def test_store_read_only_folder_is_read() -> None:
    with open_folder() as above:
        folder = above / "stream"
        with unprivileged():
            two_checkpoints(folder)
            folder.chmod(0o555)
            for path in folder.iterdir():
                path.chmod(0o444)
            before = {path.name: path.read_bytes() for path in folder.iterdir()}
            process = ProcessRun(folder)
            problem = process.store.problem
            assert_continues(process, minutes(0, 60))
            process.end()
        (logs,) = process.logged("state.not_persisted")
        assert "Permission denied" in logs["problem"]
        assert logs["fix"] == "grant this account read and write permission (owner and mode), or set state.path"
        assert problem.startswith("readings are not persisted across a restart: ")
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("which", ["checkpoint", "journal"])
def test_store_leaves_files_it_may_not_read(which: str) -> None:
    """As if another account had restored a backup."""
    with open_folder() as above:
        folder = above / "stream"
        with unprivileged():
            two_checkpoints(folder)
            before = {path.name: path.read_bytes() for path in folder.iterdir()}
            unreadable = newest_checkpoint(folder) if which == "checkpoint" else journal_path(folder, 3)
            unreadable.chmod(0o000)
            process = ProcessRun(folder)
            (logs,) = process.logged("state.not_persisted")
            assert f"nothing is restored or replaced until gapcast is started again: '{unreadable}'" in logs["problem"]
            assert logs["fix"].startswith("grant this account read and write permission")
            assert list(process.recorder.engine.buffers) == []
            process.later_s = 31.0
            with capture_logs():
                process.run(minutes(60, 80))
                process.end()
            unreadable.chmod(0o600)
            assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        again = ProcessRun(folder)
        assert_continues(again, minutes(0, 60))
        again.end()


def system_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("owner", "name", "error", "fix"),
    [
        (checkpoint, "_parse", MemoryError(), "free memory"),
        (checkpoint, "_digest_of", system_error(errno.EMFILE), "raise the limit of open files"),
        (checkpoint, "_digest_of", system_error(errno.EIO), "check the disk"),
        (recovery, "restore_snapshot", MemoryError(), "free memory"),
        (recovery, "_replay_entry", MemoryError(), "free memory"),
        (journal_reader, "_n_different", system_error(errno.ENOMEM), "free memory"),
        (JournalReplay, "finish", MemoryError(), "free memory"),
    ],
)
def test_store_leaves_files_it_lacks_the_means_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, error: Exception, fix: str
) -> None:
    two_checkpoints(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as short:
        short.setattr(owner, name, fail)
        process = ProcessRun(tmp_path)
    (logs,) = process.logged("state.not_persisted")
    assert f": '{tmp_path}" in logs["problem"]
    assert logs["fix"].startswith(fix)
    assert list(process.recorder.engine.buffers) == []
    process.end()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    again = ProcessRun(tmp_path)
    assert_continues(again, minutes(0, 60))
    again.end()


@pytest.mark.parametrize("suffix", [".npz", ".jsonl"])
def test_store_sets_files_with_bad_blocks_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    two_checkpoints(tmp_path)
    newest = max(path for path in files_of(tmp_path) if path.suffix == suffix)
    open_file: Any = Path.open

    def read_bad_block(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == newest:
            raise system_error(errno.EIO)
        return open_file(path, *arguments, **options)

    with monkeypatch.context() as bad:
        bad.setattr(Path, "open", read_bad_block)
        process = ProcessRun(tmp_path)
    (logs,) = process.logged("state.damaged")
    assert (logs["path"], process.store.problem) == (str(newest), "")
    assert logs["problem"] == "it cannot be read ([Errno 5] Input/output error)"
    assert reports_damage(process, newest.name)
    assert_continues(process, minutes(0, 60 if suffix == ".npz" else 40))
    process.end()


def test_store_does_not_replace_state_that_it_could_not_read() -> None:
    with open_folder() as above:
        folder = above / "stream"
        with unprivileged():
            two_checkpoints(folder)
            before = {path.name: path.read_bytes() for path in folder.iterdir()}
            folder.chmod(0o000)
            process = ProcessRun(folder)
            folder.chmod(0o700)
            process.later_s = 31.0
            with capture_logs():
                process.run(minutes(60, 80))
                process.end()
            assert "restart gapcast to use it" in process.store.problem
            assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        again = ProcessRun(folder)
        assert_continues(again, minutes(0, 60))
        again.end()


def test_store_creates_a_folder_that_could_not_be_created_at_the_start() -> None:
    with open_folder() as above:
        folder = above / "a" / "stream"
        with unprivileged():
            folder.parent.mkdir(0o500)
            process = ProcessRun(folder)
            assert "Permission denied" in process.store.problem
            folder.parent.chmod(0o700)
            process.later_s = 31.0
            for first in (0, 20):
                with capture_logs():
                    process.run(minutes(first, first + 20))
                    process.store.catch_up()
                assert process.store.problem == ""
            process.end()
        again = ProcessRun(folder)
        assert_continues(again, minutes(0, 40))
        again.end()


def test_store_leaves_a_damaged_file_it_cannot_rename() -> None:
    with open_folder() as above:
        folder = above / "stream"
        with unprivileged():
            two_checkpoints(folder)
            newest = newest_checkpoint(folder)
            newest.write_bytes(b"rubbish")
            folder.chmod(0o555)
            process = ProcessRun(folder)
            assert "it cannot be renamed" in process.logged("state.damaged")[0]["problem"]
            assert_continues(process, minutes(0, 60))
            process.end()
        assert newest.read_bytes() == b"rubbish"


def test_store_skips_readings_without_needed_features(tmp_path: Path) -> None:
    two_checkpoints(tmp_path)
    store, engine = Store(tmp_path), Engine(Electric())
    with capture_logs() as logs:
        store.restore(engine)
    assert "have no voltage_v" in next(entry["problem"] for entry in logs if entry["event"] == "state.not_used")
    assert list(engine.buffers) == []
    assert store.problem == ""
    store.close(None)


def test_store_without_a_folder_reports_it_and_continues() -> None:
    process = ProcessRun(Path("/proc/nowhere/stream"))
    assert process.logged("state.not_persisted")
    process.run(minutes(0, 20))
    assert process.store.problem
    assert_continues(process, minutes(0, 20))
    process.end()


def test_store_resumes_after_a_full_disk(tmp_path: Path) -> None:
    process = ProcessRun(tmp_path)
    process.run(minutes(0, 10))
    with capture_logs() as logs, no_room_beyond(journal_path(tmp_path, 1).stat().st_size + 30):
        process.run(minutes(10, 20))
        process.run(minutes(20, 30))
    assert [entry["event"] for entry in logs] == ["state.not_persisted"], "one line for each problem"
    assert logs[0]["fix"] == "free disk space"
    assert logs[0]["meanwhile"] == "readings from now on are lost if the process ends"
    assert "No space left on device" in process.store.problem
    kept_before = files_of(tmp_path)

    process.later_s = 31.0
    with capture_logs() as logs:
        process.run(minutes(30, 31))
        wait_until(lambda: not (process.store.maintain() or process.store.problem), "it to be kept again")
    assert [entry["event"] for entry in logs] == ["state.persisted_again"]
    process.run(minutes(31, 40))
    process.kill()
    assert kept_before.keys() <= files_of(tmp_path).keys()
    again = ProcessRun(tmp_path)
    assert_continues(again, minutes(0, 40))
    again.end()


def test_store_at_the_end_tries_again_to_persist(tmp_path: Path) -> None:
    process = ProcessRun(tmp_path)
    process.run(minutes(0, 10))
    with capture_logs(), no_room_beyond(journal_path(tmp_path, 1).stat().st_size + 30):
        process.run(minutes(10, 20))
    assert process.store.problem
    process.run(minutes(20, 40))
    process.end()
    again = ProcessRun(tmp_path)
    assert_continues(again, minutes(0, 40))
    again.end()


def test_store_resumes_after_a_full_disk_during_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint that was begun before does not contain the batches that the journal could not take."""
    process = ProcessRun(tmp_path)
    process.run(minutes(0, 10))
    may_write = Event()

    def write_when_allowed(*arguments: Any) -> int:
        assert may_write.wait(GUARD_S)
        return write_checkpoint(*arguments)

    monkeypatch.setattr(disk_writer, "write_checkpoint", write_when_allowed)
    process.store.write_snapshot(capture_snapshot(process.recorder.engine))
    try:
        with capture_logs(), no_room_beyond(journal_path(tmp_path, 2).stat().st_size + 30):
            process.run(minutes(10, 20))
    finally:
        may_write.set()
    process.store.catch_up()
    assert checkpoint_path(tmp_path, 2).exists()
    assert "No space left on device" in process.store.problem
    process.later_s = 31.0
    process.run(minutes(20, 21))
    wait_until(lambda: not (process.store.maintain() or process.store.problem), "it to be kept again")
    process.run(minutes(21, 40))
    process.kill()
    again = ProcessRun(tmp_path)
    assert_continues(again, minutes(0, 40))
    again.end()


def test_store_without_a_new_journal_continues_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = ProcessRun(tmp_path)
    process.run(minutes(0, 20))

    def fail(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as broken, capture_logs():
        broken.setattr(journal_file, "open_private", fail)
        process.store.write_snapshot(capture_snapshot(process.recorder.engine))
    assert "Too many open files" in process.store.problem
    process.run(minutes(20, 40))
    process.kill()
    again = ProcessRun(tmp_path)
    assert_continues(again, minutes(0, 40))
    again.end()


def test_store_on_a_full_disk_leaves_no_incomplete_journals(tmp_path: Path) -> None:
    process = ProcessRun(tmp_path)
    process.run(minutes(0, 20))
    before = {path.name for path in tmp_path.iterdir()}
    with capture_logs(), no_room_beyond(10):
        for n in range(1, 5):
            process.later_s = 31.0 * n
            process.run(minutes(20 * n, 20 * n + 2))
    assert {path.name for path in tmp_path.iterdir()} == before
    process.kill()


@pytest.mark.parametrize("n_room", [10, 1_000])  # for no journal, and for a journal alone
def test_store_disk_full_at_the_start(tmp_path: Path, n_room: int) -> None:
    two_checkpoints(tmp_path)
    with journal_path(tmp_path, 3).open("ab") as file:
        file.write(b"cut short")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with no_room_beyond(n_room):
        process = ProcessRun(tmp_path)
    assert process.store.problem
    assert_continues(process, minutes(0, 60))
    process.kill()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_store_writes_a_checkpoint_after_a_failed_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may have discarded what it could not write, so that the next sync succeeds without it."""
    process = ProcessRun(tmp_path)

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken, capture_logs() as logs:
        broken.setattr(os, "fdatasync", fail)
        process.run(minutes(0, 10))
        process.store.catch_up()
    assert [entry["event"] for entry in logs] == ["state.not_persisted"]
    assert "Input/output error" in process.store.problem
    process.later_s = 31.0
    process.run(minutes(10, 20))
    process.store.catch_up()
    assert process.store.problem == ""
    assert checkpoint_path(tmp_path, 2).exists()
    process.end()


def test_store_reports_a_sync_that_fails_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = ProcessRun(tmp_path)
    process.run(minutes(0, 10))
    process.store.catch_up()

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", fail)
    with capture_logs() as logs:
        process.store.close(None)
    assert [entry["event"] for entry in logs] == ["state.not_persisted"]


@pytest.mark.parametrize("copies", [True, False])
def test_store_failed_checkpoint_loses_no_reading(tmp_path: Path, copies: bool) -> None:
    process = ProcessRun(tmp_path)
    process.run(minutes(0, 20))
    (tmp_path / "checkpoint.part").mkdir()
    process.store.write_snapshot(capture_snapshot(process.recorder.engine, copies=copies))
    wait_until(lambda: not process.store.maintain() and process.store.problem, "the failure to be noted")
    assert "Is a directory" in process.store.problem
    process.run(minutes(20, 40))
    (tmp_path / "checkpoint.part").rmdir()
    process.later_s = 31.0
    process.run(minutes(40, 50))
    wait_until(lambda: not (process.store.maintain() or process.store.problem), "it to be kept again")
    process.kill()
    again = ProcessRun(tmp_path)
    assert_continues(again, minutes(0, 50))
    again.end()
    assert checkpoint_path(tmp_path, max(files_of(tmp_path).values())).exists()


@pytest.mark.parametrize(("copies", "n_more"), [(True, 1), (False, 0)])
def test_store_without_room_for_checkpoints_adds_no_journals(tmp_path: Path, copies: bool, n_more: int) -> None:
    """The journal's lines fit on the disk, but checkpoints do not. A copied snapshot is first tried in the thread."""
    process = ProcessRun(tmp_path)
    process.run(minutes(0, 10))
    n_before = len(list(tmp_path.iterdir()))
    process.store.invalidate()
    with capture_logs() as logs, no_room_beyond(checkpoint_path(tmp_path, 1).stat().st_size):
        for n in range(1, 6):
            process.later_s = 31.0 * n
            assert process.store.maintain()
            process.store.write_snapshot(capture_snapshot(process.recorder.engine, copies=copies))
            process.store.catch_up()
            process.recorder.run(readings := minutes(10 * n, 10 * n + 10), issued_at_ms=9)
            process.store.append_batch(readings, 9)
        assert len(list(tmp_path.iterdir())) == n_before + n_more
    assert [entry["event"] for entry in logs] == ["state.not_persisted"]
    assert logs[0]["meanwhile"].startswith("the journal has the readings, and the next start reads it")
    assert process.store.problem.startswith("readings are persisted in the journal alone, without checkpoints: [Errno")
    process.kill()
    again = ProcessRun(tmp_path)  # the journals have all
    assert_continues(again, minutes(0, 60))
    again.end()


def test_store_whose_journal_stops_too_logs_that_readings_are_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until a checkpoint has the readings that the journals lack, also while a new journal is written."""

    def fail(*_: object) -> int:
        raise system_error(errno.EIO)

    process = ProcessRun(tmp_path)
    process.run(minutes(0, 10))
    lost = "readings are not persisted across a restart: "
    with capture_logs() as logs:
        with no_room_beyond(journal_path(tmp_path, 1).stat().st_size + 30):
            process.store.write_snapshot(capture_snapshot(process.recorder.engine, copies=False))
            assert not process.store.problem.startswith(lost)
            process.run(minutes(10, 20))
            process.run(minutes(20, 30))
        assert process.store.problem.startswith(lost)
        monkeypatch.setattr(checkpoint, "_write_digest", fail)
        process.later_s = 31.0
        process.store.write_snapshot(capture_snapshot(process.recorder.engine, copies=False))
        process.store.catch_up()
        assert journal_path(tmp_path, 2).exists()
        assert process.store.problem == f"{lost}[Errno 5] Input/output error"
    assert [(entry["event"], entry["meanwhile"].partition(",")[0]) for entry in logs] == [
        ("state.not_persisted", "the journal has the readings"),
        ("state.not_persisted", "readings from now on are lost if the process ends"),
    ]
    monkeypatch.undo()
    process.later_s = 62.0
    process.run(minutes(30, 31))
    wait_until(lambda: not (process.store.maintain() or process.store.problem), "it to be kept again")
    process.kill()
    again = ProcessRun(tmp_path)
    assert_continues(again, minutes(0, 31))
    again.end()


def test_store_without_a_new_journal_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = ProcessRun(tmp_path)
    process.run(minutes(0, 20))
    before = {path.name for path in tmp_path.iterdir()}

    def fail(*_: object) -> int:
        raise system_error(errno.EMFILE)

    with monkeypatch.context() as broken, capture_logs():
        broken.setattr(journal_file, "open_private", fail)
        process.store.write_snapshot(capture_snapshot(process.recorder.engine, copies=False))
    assert {path.name for path in tmp_path.iterdir()} == before
    process.kill()


@pytest.mark.parametrize("error", [system_error(errno.EMFILE), MemoryError()])
def test_store_first_checkpoint_without_a_journal_is_discarded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> int:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(journal_file, "open_private", fail)
        process = ProcessRun(tmp_path)
    assert process.logged("state.not_persisted")
    assert list(tmp_path.iterdir()) == []
    process.later_s = 31.0
    process.run(minutes(0, 20))
    process.end()
    again = ProcessRun(tmp_path)
    assert_continues(again, minutes(0, 20))
    again.end()


def test_store_removes_the_unfinished_checkpoint_of_a_killed_process(tmp_path: Path) -> None:
    process = ProcessRun(tmp_path)
    process.run(minutes(0, 20))
    process.kill()
    (tmp_path / "checkpoint.part").write_bytes(b"PK")
    again = ProcessRun(tmp_path)
    assert not (tmp_path / "checkpoint.part").exists()
    assert_continues(again, minutes(0, 20))
    again.kill()
