"""Snapshots that one Python worker of a machine leaves for the others, in the folder that Spark keeps for scratch.

Spark gives no promise which of its workers a bucket meets next. From the state store a snapshot comes slowly, through
Java and a pickle; from here at a disk cache's speed.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path

from gapcast.private_files import create_private, make_private_folder


@lru_cache(maxsize=4)
def handover_of(query: str) -> Handover:
    """Return this machine's for the checkpoint ``query``; Spark removes the folder when it ends."""
    folders = os.environ["SPARK_LOCAL_DIRS"].split(",")  # set for each of its Python workers
    name = f"gapcast-{hashlib.sha256(query.encode()).hexdigest()[:16]}"
    return Handover([Path(folder) / name for folder in folders])


class Handover:
    """The newest snapshot of each bucket that was here, with the stamp that the state store got with it."""

    def __init__(self, folders: list[Path]) -> None:
        """Keep them in ``folders``, which are made."""
        self._folders = folders
        for folder in folders:
            make_private_folder(folder)

    def leave(self, bucket: int, stamp: str, content: bytes) -> None:
        """Leave the snapshot ``content`` in place of the last one of that bucket."""
        path = self._path(bucket)
        part = path.with_name(f"{bucket}.{stamp}")
        with create_private(part) as file:
            file.write(stamp.encode())
            file.write(content)
        path.unlink(missing_ok=True)  # to rename over it would have some file systems write it to the disk at once
        part.rename(path)

    def find(self, bucket: int, stamp: str) -> bytes | None:
        """Return the snapshot of that bucket and stamp; None where there is none."""
        try:
            with self._path(bucket).open("rb") as file:
                return file.read() if file.read(len(stamp)) == stamp.encode() else None
        except FileNotFoundError:
            return None

    def _path(self, bucket: int) -> Path:
        return self._folders[bucket % len(self._folders)] / str(bucket)
