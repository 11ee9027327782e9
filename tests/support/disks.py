"""Full disks and disks without permission to write: real errors of the system, for part of a test."""

from __future__ import annotations

import codecs
import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NOBODY = 65_534


@contextmanager
def no_room_beyond(n_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond ``n_bytes``: a longer write is cut short, and the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def unprivileged() -> Iterator[None]:
    """Run as an unprivileged account if this process is root, so that folder permissions apply."""
    if os.geteuid():
        yield
        return
    codecs.lookup("cp437")  # of zipfile: this account may not read Python's modules, and a failed import is cached
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A new folder that is accessible in :func:`unprivileged`, which pytest's folders are not."""
    folder = Path(tempfile.mkdtemp(prefix="gapcast-test-"))
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
