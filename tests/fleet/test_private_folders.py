"""With any umask, the fleet's files between its processes are private."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gapcast_fleet.buckets.handover import Handover
from gapcast_fleet.connectors.mqtt_spool import Message, Spool


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
