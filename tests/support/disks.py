"""Disks that are full, or that one may not write to: the real errors of the system, for as long as a test needs."""

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
    """Let no file of this process grow beyond ``n_bytes``: the write that would is cut short, the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be someone whom a folder's rights bind, where this process is root."""
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
    """A new folder that :func:`unprivileged` can reach, as pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="gapcast-test-"))
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
