"""Snapshots that the Python workers of a machine share through Spark's scratch folder.

Spark does not guarantee which worker processes a bucket next. Reading a snapshot from the state store is slow, because
it passes through Java and a pickle; reading it from the scratch folder is as fast as the disk cache.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path

from gapcast.private_files import create_private, make_private_folder


@lru_cache(maxsize=4)
def handover_of(query: str) -> Handover:
    """Return this machine's handover for the checkpoint ``query``; Spark removes the folder when it ends."""
    folders = os.environ["SPARK_LOCAL_DIRS"].split(",")  # set for each of its Python workers
    name = f"gapcast-{hashlib.sha256(query.encode()).hexdigest()[:16]}"
    return Handover([Path(folder) / name for folder in folders])


class Handover:
    """The latest snapshot of each bucket processed on this machine, with its stamp in the state store."""

    def __init__(self, folders: list[Path]) -> None:
        """Store snapshots in ``folders``, which are created."""
        self._folders = folders
        for folder in folders:
            make_private_folder(folder)

    def put(self, bucket: int, stamp: str, content: bytes) -> None:
        """Store the snapshot ``content``, replacing the bucket's previous one."""
        path = self._path(bucket)
        part = path.with_name(f"{bucket}.{stamp}")
        with create_private(part) as file:
            file.write(stamp.encode())
            file.write(content)
        path.unlink(missing_ok=True)  # renaming over it would make some file systems flush it to disk
        part.rename(path)

    def get(self, bucket: int, stamp: str) -> bytes | None:
        """Return the snapshot of the bucket with this stamp; None if there is none."""
        try:
            with self._path(bucket).open("rb") as file:
                return file.read() if file.read(len(stamp)) == stamp.encode() else None
        except FileNotFoundError:
            return None

    def _path(self, bucket: int) -> Path:
        return self._folders[bucket % len(self._folders)] / str(bucket)
