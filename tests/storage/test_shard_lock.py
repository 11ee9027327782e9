"""A shard's folder belongs to one process at a time, and to one set of models."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bench.subject import PYTHON_PATH
from gapcast.core.engine import Engine
from gapcast.core.errors import ShardError
from gapcast.predictors.baselines import Trend
from gapcast.storage.files.locks import ShardLock
from gapcast.storage.generations import journal_path
from gapcast.storage.store import Store
from tests.support.disks import no_room_beyond, unprivileged
from tests.support.waiting import wait_until

MODELS = {"lstm": "1 aaaaaaaaaaaa", "linear": "1 bbbbbbbbbbbb"}
HOLDS = "import sys, time; from pathlib import Path; from gapcast.storage.files.locks import ShardLock; "
HOLDS += "hold = ShardLock(Path(sys.argv[1])); hold.acquire({}); print('held', flush=True); time.sleep(60)"


def test_lock_held_by_another_worker_is_rejected_by_name(tmp_path: Path) -> None:
    first, second = ShardLock(tmp_path), ShardLock(tmp_path)
    first.acquire(MODELS)
    with pytest.raises(ShardError, match=rf"another worker has this shard: .* process {os.getpid()} on "):
        second.acquire(MODELS, wait_s=0.1)
    second.release()
    first.release()
    second.acquire(MODELS, wait_s=0)
    second.release()


def test_lock_is_free_after_its_holder_was_killed(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": PYTHON_PATH}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    hold = ShardLock(tmp_path)
    with pytest.raises(ShardError, match=f"process {holder.pid}"):
        hold.acquire({}, wait_s=0)
    hold.release()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    assert json.loads((tmp_path / "lock").read_text(encoding="utf-8"))["pid"] == holder.pid, "as after a power cut"
    hold.acquire({}, wait_s=0)
    hold.release()


def test_lock_waits_for_a_holder_that_is_ending(tmp_path: Path) -> None:
    first, second = ShardLock(tmp_path), ShardLock(tmp_path)
    first.acquire(MODELS)

    def taken() -> bool:
        try:
            second.acquire(MODELS, wait_s=0)
        except ShardError:
            second.release()
            first.release()
            return False
        return True

    wait_until(taken, "the second to have it")
    second.release()


def test_lock_without_a_name_still_holds(tmp_path: Path) -> None:
    first, second = ShardLock(tmp_path), ShardLock(tmp_path)
    first.acquire(MODELS)
    (tmp_path / "lock").write_text("?", encoding="utf-8")
    with pytest.raises(ShardError, match="an unknown process"):
        second.acquire(MODELS, wait_s=0)
    second.release()
    first.release()


@pytest.mark.parametrize("other", [{"lstm": "2 cccccccccccc"}, {**MODELS, "big": "1 dddddddd"}, {}])
def test_other_models_are_rejected_unless_accepted(tmp_path: Path, other: dict[str, str]) -> None:
    first = ShardLock(tmp_path)
    first.acquire(MODELS)
    first.release()
    second = ShardLock(tmp_path)
    with pytest.raises(ShardError, match=r"was written with other models \(.*\): .*state\.accept_other_models"):
        second.acquire(other)
    second.release()
    accepting = ShardLock(tmp_path, accepts_other_models=True)
    with capture_logs() as logs:
        accepting.acquire(other)
    assert [one["event"] for one in logs] == ["shard.other_models"]
    accepting.release()
    second.acquire(other)
    second.release()


def test_recorded_models_are_accepted(tmp_path: Path) -> None:
    hold = ShardLock(tmp_path)
    hold.acquire(MODELS)
    hold.record_models({"lstm": "2 cccccccccccc"})
    hold.release()
    hold.acquire({"lstm": "2 cccccccccccc"})
    hold.release()


@pytest.mark.parametrize("content", ["", "{}", '{"models": 3}', "[]", "\x00"])
def test_damaged_record_of_models_is_rejected(tmp_path: Path, content: str) -> None:
    (tmp_path / "models.json").write_text(content, encoding="utf-8")
    hold = ShardLock(tmp_path)
    with pytest.raises(ShardError, match=r"models\.json is damaged .*: remove it"):
        hold.acquire(MODELS)
    hold.release()


def test_read_only_folder_is_rejected(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        with unprivileged(), pytest.raises(ShardError, match="cannot be locked"):
            ShardLock(tmp_path / "shard-0").acquire(MODELS)
    finally:
        tmp_path.chmod(0o755)


def test_record_of_models_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    hold = ShardLock(tmp_path)
    hold.acquire(MODELS)
    (tmp_path / "models.json.part").mkdir()
    with pytest.raises(ShardError, match=r"models\.json cannot be written"):
        hold.record_models(MODELS)
    hold.release()


def test_record_of_models_on_a_full_disk_leaves_the_earlier_one(tmp_path: Path) -> None:
    hold = ShardLock(tmp_path)
    hold.acquire(MODELS)
    before = (tmp_path / "models.json").read_bytes()
    with no_room_beyond(10), pytest.raises(ShardError, match=r"models\.json cannot be written"):
        hold.record_models({"lstm": "2 cccccccccccc"})
    hold.release()
    assert {path.name for path in tmp_path.iterdir()} == {"lock", "models.json"}
    assert (tmp_path / "models.json").read_bytes() == before


# --- its store ----------------------------------------------------------------------------------------


def test_store_of_a_newer_version_is_left_unchanged(tmp_path: Path) -> None:
    Store(tmp_path, holds_shard_lock=True).restore(Engine(Trend()))
    path = journal_path(tmp_path, 1)
    body = b'{"gapcast":"readings","version":99}'
    content = b"%08x %b\n" % (zlib.crc32(body), body)
    path.write_bytes(content)
    with pytest.raises(ShardError, match=r"version 99.*run the newer gapcast"):
        Store(tmp_path, holds_shard_lock=True).restore(Engine(Trend()))
    assert path.read_bytes() == content


def test_unreadable_store_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "stream").write_text("a file in its place", encoding="utf-8")
    with pytest.raises(ShardError, match="cannot be read"):
        Store(tmp_path / "stream", holds_shard_lock=True).restore(Engine(Trend()))
