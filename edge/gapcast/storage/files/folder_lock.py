"""Locks a state folder for one process, by a kernel lock that is released however the process ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def lock_folder(folder: Path) -> int:
    """Lock ``folder``, which exists; return the descriptor, whose closing releases it.

    Raises :class:`BlockingIOError` if another process holds the lock, and OSError if the folder cannot be locked.
    """
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock
