"""With any umask, the fleet's files between its processes are private."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gapcast_fleet.buckets.handover import Handover
from gapcast_fleet.connectors.mqtt_spool import Message, Spool
from gapcast_fleet.histories.distribution import begin_or_resume


@pytest.fixture(autouse=True)
def _no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes_of(folder: Path) -> set[str]:
    return {stat.filemode(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}


def test_handover_without_a_umask_is_private(tmp_path: Path) -> None:
    Handover([tmp_path / "spark" / "gapcast"]).put(0, "stamp", b"snapshot")
    assert modes_of(tmp_path / "spark") == {"drwx------", "-rw-------"}


def test_spool_without_a_umask_is_private(tmp_path: Path) -> None:
    Spool(tmp_path / "sources" / "0").write([Message("home", b"1.5", 7, False)])
    assert modes_of(tmp_path / "sources") == {"drwx------", "-rw-------"}


def test_results_folder_that_is_new_is_private(tmp_path: Path) -> None:
    for name in ("new", "shared"):
        (tmp_path / "shared").mkdir(exist_ok=True)
        begin_or_resume(tmp_path / name / "about.json", {}, "--results")
    modes = [stat.filemode((tmp_path / name).stat().st_mode) for name in ("new", "shared")]
    assert modes == ["drwx------", "drwxrwxrwx"]
