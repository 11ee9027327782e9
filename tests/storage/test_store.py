"""The store: a restart is as if it had not been, and no trouble with the disk stops the service or destroys a file."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gapcast.core.engine import Engine
from gapcast.core.reading import Reading
from gapcast.core.snapshot import capture_snapshot
from gapcast.predictors.baselines import Trend
from gapcast.storage import checkpoint, journal
from gapcast.storage import store as store_module
from gapcast.storage.record_lines import encode_line_v1
from gapcast.storage.recovery import checkpoint_path, files_of, journal_path
from gapcast.storage.store import Store
from tests.core.test_snapshot import STREAMS, Electric, Recorder
from tests.support.disks import no_room_beyond, open_folder, unprivileged
from tests.support.waiting import wait_until

NOON = 21_476_160


def minutes(first: int, last: int, devices: Sequence[str] = ("home", "barn")) -> list[Reading]:
    return [Reading(d, NOON + i, round(0.3 * (i % 11) + len(d) / 7, 3)) for i in range(first, last) for d in devices]


class Life:
    """One process's engine and store, from its start to its end."""

    def __init__(self, folder: Path) -> None:
        self.later_s = 0.0
        self.store = Store(folder, lambda: time.monotonic() + self.later_s)
        self.recorder = Recorder(Engine(Trend()))
        with capture_logs() as self.told:
            self.store.restore(self.recorder.engine)

    def run(self, readings: Sequence[Reading], *, at_a_time: int = 5) -> None:
        for at in range(0, len(readings), at_a_time):
            batch = readings[at : at + at_a_time]
            self.recorder.run(batch, issued_at_ms=9)
            self.store.keep(batch, 9)
            if self.store.maintain():
                self.store.write_snapshot(capture_snapshot(self.recorder.engine))

    def told_of(self, event: str) -> list[dict[str, Any]]:
        return [dict(entry) for entry in self.told if entry["event"] == event]

    def end(self) -> None:
        """End well, all confirmed."""
        self.store.close(capture_snapshot(self.recorder.engine))

    def break_off(self) -> None:
        """Leave the files as a killed process does."""
        self.store.close(None)


def assert_goes_on(life: Life, *before: Sequence[Reading]) -> None:
    """What ``life`` says from now on is what an engine says that was never stopped."""
    undisturbed = Recorder(Engine(Trend()))
    for readings in before:
        undisturbed.run(readings, issued_at_ms=9)
    assert life.recorder.engine.latest() == undisturbed.engine.latest()
    assert life.recorder.windows == undisturbed.windows
    undisturbed.outputs.clear()
    life.recorder.outputs.clear()
    after = minutes(60, 70)
    undisturbed.run(after)
    life.recorder.run(after)
    assert life.recorder.outputs == undisturbed.outputs


# --- restarts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [Life.end, Life.break_off])
def test_the_next_process_goes_on_where_the_last_one_ended(tmp_path: Path, end: Any) -> None:
    first = Life(tmp_path / "a" / "stream")
    first.run(minutes(0, 20))
    end(first)
    second = Life(tmp_path / "a" / "stream")
    second.run(minutes(20, 40))
    end(second)
    third = Life(tmp_path / "a" / "stream")
    assert_goes_on(third, minutes(0, 40))
    third.end()
    assert (first.store.problem, second.store.problem, third.store.problem) == ("", "", "")


@given(lives=st.lists(st.tuples(STREAMS, st.booleans(), st.integers(1, 9)), max_size=4), checkpoints=st.booleans())
def test_however_often_and_in_whatever_way_it_ended(
    tmp_path_factory: pytest.TempPathFactory,
    lives: list[tuple[list[Reading], bool, int]],
    checkpoints: bool,
) -> None:
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store_module, "LEAST_JOURNAL_BYTES", 400 if checkpoints else 1 << 20)
        for readings, well, at_a_time in lives:
            life = Life(folder)
            life.run(readings, at_a_time=at_a_time)
            if well:
                life.end()
            else:
                life.break_off()
        life = Life(folder)
        assert_goes_on(life, *(readings for readings, _, _ in lives))
        life.end()


def test_a_long_stream_takes_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "LEAST_JOURNAL_BYTES", 4_000)
    life = Life(tmp_path)
    for first in range(0, 2_000, 10):
        life.run(minutes(first, first + 10))
        life.store.catch_up()  # a stream is slower than the disk; this one would not be
    life.break_off()
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert len({files_of(tmp_path)[tmp_path / name] for name in sizes}) <= 3
    assert sum(sizes.values()) < 40_000
    assert life.store.n_bytes_written > 2_000 * 2 * 20
    last = Life(tmp_path)
    assert_goes_on(last, minutes(0, 2_000))
    last.end()


def test_the_journal_is_forced_to_the_disk_when_that_is_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forced: list[int] = []
    to_disk = os.fdatasync

    def recorded(file: int) -> None:
        forced.append(file)
        to_disk(file)

    monkeypatch.setattr(os, "fdatasync", recorded)
    life = Life(tmp_path)
    life.run(minutes(0, 20))
    wait_until(lambda: len(forced) == 1, "the first")
    life.run(minutes(20, 30))
    assert len(forced) == 1, "not due yet"
    life.later_s = 31.0
    wait_until(lambda: life.store.maintain() or len(forced) == 2, "the second")
    life.break_off()


def test_what_another_engine_would_replay_is_put_into_a_checkpoint_at_once(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.run(minutes(0, 10))
    life.store.write_snapshot(capture_snapshot(life.recorder.engine))
    life.store.invalidate()  # while one of before is being written
    wait_until(life.store.maintain, "the next to be due")
    life.store.write_snapshot(capture_snapshot(life.recorder.engine))
    life.store.catch_up()
    assert not life.store.maintain()
    life.run(minutes(10, 20))
    life.break_off()
    last = Life(tmp_path)
    assert_goes_on(last, minutes(0, 20))
    last.end()


# --- files that cannot be used ------------------------------------------------------------------------


def two_checkpoints(folder: Path) -> None:
    for first in (0, 20):
        life = Life(folder)
        life.run(minutes(first, first + 20))
        life.end()
    life = Life(folder)
    life.run(minutes(40, 60))
    life.break_off()


def newest_checkpoint(folder: Path) -> Path:
    return max(path for path in files_of(folder) if path.suffix == ".npz")


def told_of_damage(life: Life, name: str) -> bool:
    """Whether health names the damaged file, and what was used in its place."""
    return name in life.store.damage and "Used instead: checkpoint-0000000" in life.store.damage


def test_a_damaged_checkpoint_is_set_aside_and_nothing_is_lost(tmp_path: Path) -> None:
    two_checkpoints(tmp_path)
    damaged = newest_checkpoint(tmp_path)
    content = damaged.read_bytes()[:-100]
    damaged.write_bytes(content)
    life = Life(tmp_path)
    (told,) = life.told_of("state.damaged")
    assert told["path"] == str(damaged)
    assert "cannot be parsed (BadZipFile" in told["problem"]
    assert told_of_damage(life, damaged.name)
    assert Path(told["kept_as"]).read_bytes() == content
    assert not damaged.exists()
    assert_goes_on(life, minutes(0, 60))
    life.break_off()
    after = Life(tmp_path)  # it was mended once and for all
    assert after.told_of("state.damaged") == []
    assert_goes_on(after, minutes(0, 60))
    after.end()


def test_a_damaged_line_is_a_minute_that_is_missing(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.run(minutes(0, 20, ["home"]), at_a_time=1)
    life.break_off()
    path = journal_path(tmp_path, 1)
    content = path.read_bytes().replace(b'["home",%d,' % (NOON + 18), b'["barn",%d,' % (NOON + 17))
    path.write_bytes(content)
    life = Life(tmp_path)
    (told,) = life.told_of("state.damaged")
    assert "1 records are damaged or missing" in told["problem"]
    assert Path(told["kept_as"]).read_bytes() == content
    assert_goes_on(life, [reading for reading in minutes(0, 20, ["home"]) if reading.minute != NOON + 18])
    life.end()


def test_a_line_cut_short_is_no_damage(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.run(minutes(0, 20))
    life.break_off()
    path = journal_path(tmp_path, 1)
    with path.open("ab") as file:
        file.write(journal.encode(minutes(20, 21), 9)[:-9])
    life = Life(tmp_path)
    assert life.told_of("state.damaged") == []
    assert life.told_of("state.cut_short")[0]["n_bytes"] > 0
    life.run(minutes(20, 30))
    life.break_off()
    life = Life(tmp_path)
    assert life.told_of("state.cut_short") == [], "it was not continued after the cut"
    assert_goes_on(life, minutes(0, 30))
    life.end()


def test_where_all_is_damaged_it_begins_anew_and_all_is_there_still(tmp_path: Path) -> None:
    two_checkpoints(tmp_path)
    contents = {}
    for path in files_of(tmp_path):
        path.write_bytes(b"\x00rubbish\n" * 50)
        contents[path.name] = path.read_bytes()
    life = Life(tmp_path)
    assert list(life.recorder.engine.buffers) == []
    for name, content in contents.items():
        assert (tmp_path / f"{name}.damaged-1").read_bytes() == content
    assert_goes_on(life)
    life.end()
    newest_checkpoint(tmp_path).write_bytes(b"again")
    assert Life(tmp_path).store.problem == ""


@pytest.mark.parametrize("which", ["checkpoint", "journal"])
def test_files_of_a_newer_version_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    two_checkpoints(tmp_path)
    if which == "journal":
        newest = max(path for path in files_of(tmp_path) if path.suffix == ".jsonl")
        newest.write_bytes(encode_line_v1(b'{"gapcast":"readings","version":7}') + b"something new\n")
    else:
        snapshot = checkpoint.read(newest_checkpoint(tmp_path))
        with monkeypatch.context() as newer:
            newer.setattr(checkpoint, "VERSION", 7)
            newest_checkpoint(tmp_path).write_bytes(checkpoint.encode(snapshot))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    life = Life(tmp_path)
    life.run(minutes(60, 80))
    assert len(life.recorder.outputs) == 40, "it goes on all the same"
    assert "is of version 7, and this gapcast reads versions up to 2" in life.store.problem
    assert life.told_of("state.not_kept")[0]["cure"].startswith("run the newer gapcast")
    life.end()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_two_gateways_do_not_write_into_the_same_folder(tmp_path: Path) -> None:
    first = Life(tmp_path)
    second = Life(tmp_path)
    assert "another gapcast process uses" in second.store.problem
    first.run(minutes(0, 20))
    second.run(minutes(0, 40))
    second.end()
    first.end()
    third = Life(tmp_path)
    assert_goes_on(third, minutes(0, 20))
    third.end()


# --- disks that cannot be written to ------------------------------------------------------------------


def test_a_folder_that_may_only_be_read_is_read() -> None:
    with open_folder() as above:
        folder = above / "stream"
        with unprivileged():
            two_checkpoints(folder)
            folder.chmod(0o555)
            for path in folder.iterdir():
                path.chmod(0o444)
            before = {path.name: path.read_bytes() for path in folder.iterdir()}
            life = Life(folder)
        (told,) = life.told_of("state.not_kept")
        assert "Permission denied" in told["problem"]
        assert told["cure"] == "grant this account write permission, or set state.path"
        assert life.store.problem.startswith("readings are not persisted across a restart: ")
        assert_goes_on(life, minutes(0, 60))
        life.end()
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_files_that_may_not_be_read_are_set_aside_and_those_before_them_used() -> None:
    with open_folder() as above:
        folder = above / "stream"
        with unprivileged():
            two_checkpoints(folder)
            newest, journal_after = newest_checkpoint(folder), journal_path(folder, 3)
            for path in (newest, journal_after):
                path.chmod(0o000)
            life = Life(folder)
            assert {Path(told["path"]) for told in life.told_of("state.damaged")} == {newest, journal_after}
            assert all("cannot be read" in told["problem"] for told in life.told_of("state.damaged"))
            assert life.store.problem == ""
            assert_goes_on(life, minutes(0, 40))
            life.end()


def test_a_damaged_file_that_cannot_be_renamed_stays_where_it_is() -> None:
    with open_folder() as above:
        folder = above / "stream"
        with unprivileged():
            two_checkpoints(folder)
            newest = newest_checkpoint(folder)
            newest.write_bytes(b"rubbish")
            folder.chmod(0o555)
            life = Life(folder)
            assert "it cannot be renamed" in life.told_of("state.damaged")[0]["problem"]
            assert_goes_on(life, minutes(0, 60))
            life.end()
        assert newest.read_bytes() == b"rubbish"


def test_readings_without_what_the_next_model_needs_are_not_used(tmp_path: Path) -> None:
    two_checkpoints(tmp_path)
    store, engine = Store(tmp_path), Engine(Electric())
    with capture_logs() as told:
        store.restore(engine)
    assert "have no voltage_v" in next(entry["problem"] for entry in told if entry["event"] == "state.not_used")
    assert list(engine.buffers) == []
    assert store.problem == ""
    store.close(None)


def test_where_there_can_be_no_folder_it_says_so_and_goes_on() -> None:
    life = Life(Path("/proc/nowhere/stream"))
    assert life.told_of("state.not_kept")
    life.run(minutes(0, 20))
    assert life.store.problem
    assert_goes_on(life, minutes(0, 20))
    life.end()


def test_a_full_disk_stops_the_keeping_and_room_begins_it_again(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.run(minutes(0, 10))
    with capture_logs() as told, no_room_beyond(journal_path(tmp_path, 1).stat().st_size + 30):
        life.run(minutes(10, 20))
        life.run(minutes(20, 30))
    assert [entry["event"] for entry in told] == ["state.not_kept"], "one line a trouble"
    assert told[0]["cure"] == "free disk space"
    assert "No space left on device" in life.store.problem
    kept_before = files_of(tmp_path)

    life.later_s = 31.0
    with capture_logs() as told:
        life.run(minutes(30, 31))
        wait_until(lambda: not (life.store.maintain() or life.store.problem), "it to be kept again")
    assert [entry["event"] for entry in told] == ["state.kept_again"]
    life.run(minutes(31, 40))
    life.break_off()
    assert kept_before.keys() <= files_of(tmp_path).keys()
    again = Life(tmp_path)
    assert_goes_on(again, minutes(0, 40))
    again.end()


def test_a_disk_that_is_full_while_the_folder_is_made_ready(tmp_path: Path) -> None:
    two_checkpoints(tmp_path)
    with journal_path(tmp_path, 3).open("ab") as file:
        file.write(b"cut short")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with no_room_beyond(10):
        life = Life(tmp_path)
    assert life.store.problem
    assert_goes_on(life, minutes(0, 60))
    life.break_off()
    assert before.items() <= {path.name: path.read_bytes() for path in tmp_path.iterdir()}.items()


def test_a_checkpoint_that_cannot_be_written_loses_no_reading(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.run(minutes(0, 20))
    (tmp_path / "checkpoint.part").mkdir()
    life.store.write_snapshot(capture_snapshot(life.recorder.engine))
    wait_until(lambda: not life.store.maintain() and life.store.problem, "the failure to be noted")
    assert "Is a directory" in life.store.problem
    life.run(minutes(20, 40))
    (tmp_path / "checkpoint.part").rmdir()
    life.later_s = 31.0
    life.run(minutes(40, 50))
    wait_until(lambda: not (life.store.maintain() or life.store.problem), "it to be kept again")
    life.break_off()
    again = Life(tmp_path)
    assert_goes_on(again, minutes(0, 50))
    again.end()
    assert checkpoint_path(tmp_path, max(files_of(tmp_path).values())).exists()
