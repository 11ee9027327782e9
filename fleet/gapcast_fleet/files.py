"""Atomic file writes, and what a killed run leaves of them."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import mkstemp


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically: readers see the old file or the new one, never a part.

    It is on the disk when this returns. If writing fails, ``path`` is unchanged; several processes may write it at a
    time.
    """
    descriptor, name = mkstemp(prefix=f".{path.name}-", dir=path.parent)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.chmod(0o644)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the incomplete files and the progress of a killed run in ``folder``; no run may write there meanwhile."""
    for pattern in (".*.json-????????", ".*.np[yz]-????????", "group-*.progress"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
