"""Atomic file writes, what a killed run leaves of them, and damaged files."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import Any
from zipfile import BadZipFile

from gapcast.core.errors import StateError

#: How to fix a damaged file of one step or group, which the next start creates again.
REMOVE_IT = "remove it, and start again"


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically: readers see the old file or the new one, never a part.

    It is on the disk when this returns. If writing fails, ``path`` is unchanged; several processes may write it at a
    time. Raises :class:`StateError` if it cannot be written.
    """
    try:
        _write_and_replace(path, content)
    except OSError as error:
        fix = "make the folder writable, or free space on its disk, and start again: finished groups are kept"
        msg = f"{path}: cannot be written ({error.strerror or error}): {fix}"
        raise StateError(msg) from error


def _write_and_replace(path: Path, content: bytes) -> None:
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


@contextmanager
def damage_reported(path: Path, fix: str) -> Iterator[None]:
    """Raise :class:`StateError`, with ``fix``, if the block cannot read the file at ``path``."""
    try:
        yield
    except PermissionError as error:
        msg = f"{path}: cannot be read ({error.strerror}): make it readable for this account"
        raise StateError(msg) from error
    except (OSError, EOFError, ValueError, LookupError, TypeError, BadZipFile, zlib.error) as error:
        msg = f"{path}: cannot be read ({error}): {fix}"
        raise StateError(msg) from error


def read_json(path: Path, fix: str) -> Any:
    """Return the content of a JSON file; raise :class:`StateError`, with ``fix``, if it cannot be read."""
    with damage_reported(path, fix):
        return json.loads(path.read_text(encoding="utf-8"))


def remove_leftovers(folder: Path) -> None:
    """Remove the incomplete files and the progress of a killed run in ``folder``; no run may write there meanwhile."""
    for pattern in (".*.json-????????", ".*.np[yz]-????????", "group-*.progress"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
