"""Files and folders of the state that only their owner may read: files 0600, folders 0700, whatever the umask.

The state tells when people are at home, and may hold a meter's topics. A mode given to ``open`` or ``mkdir`` is cut by
the umask and is not applied to what exists already, so that every mode is set on the open file or the made folder.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

FILE_MODE, FOLDER_MODE = 0o600, 0o700
#: What a gateway keeps in its folder of the state.
_KEPT = ("gateway-id", "gateway-id.part", "models", "stream", "shard-*")


def make_private_folder(folder: Path) -> None:
    """Make ``folder``, mode 0700, and those above it that are missing; raise OSError where that cannot be.

    A folder that exists keeps its mode: see :func:`tighten_modes`.
    """
    missing = []
    above = folder
    while not above.is_dir():
        missing.append(above)
        above = above.parent
    for made in reversed(missing):
        made.mkdir(mode=FOLDER_MODE, exist_ok=True)
        made.chmod(FOLDER_MODE)


def open_private(path: Path, flags: int) -> int:
    """Return a descriptor of the file at ``path``, opened by ``flags`` of :mod:`os`, with mode 0600.

    Raises OSError where it cannot be opened, or belongs to another account with a wider mode.
    """
    descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != FILE_MODE:
            os.fchmod(descriptor, FILE_MODE)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def create_private(path: Path) -> BinaryIO:
    """Return a new, empty file at ``path``, for writing and reading, mode 0600; one that is there is emptied."""
    return os.fdopen(open_private(path, os.O_RDWR | os.O_TRUNC), "w+b")


def tighten_modes(folder: Path) -> list[Path]:
    """Take from ``folder`` and all below it what is beyond 0700 and 0600; return the paths that could not be changed.

    Links are not followed. What belongs to another account, or lies on a read-only disk, cannot be changed.
    """
    unchanged = []
    paths = [folder.resolve()]
    for parent, folders, files in os.walk(folder):
        paths += [Path(parent, name) for name in (*folders, *files)]
    for path in paths:
        try:
            mode = path.lstat().st_mode
            allowed = FOLDER_MODE if stat.S_ISDIR(mode) else FILE_MODE
            if stat.S_IMODE(mode) & ~allowed and not stat.S_ISLNK(mode):
                path.chmod(stat.S_IMODE(mode) & allowed)
        except OSError:
            unchanged.append(path)
    return unchanged


def chown_to_owner_of(folder: Path, path: Path) -> None:
    """Give ``path`` and all below it to the account that owns ``folder``, where this process is root.

    What root puts into a service's folder would otherwise be unreadable for the service. Links are not followed.
    """
    if os.geteuid() == 0:
        owner = folder.stat()
        for one in (path, *path.rglob("*")):
            os.chown(one, owner.st_uid, owner.st_gid, follow_symlinks=False)


def tighten_state(state: Path) -> list[Path]:
    """Tighten what a gateway keeps in the folder ``state``, and the folder; return what could not be changed.

    Other files in it are left alone, as is a folder that is shared by its sticky bit, such as ``/tmp``.
    """
    unchanged: list[Path] = []
    try:
        mode = state.stat().st_mode
        if stat.S_IMODE(mode) & ~FOLDER_MODE and not mode & stat.S_ISVTX:
            state.chmod(stat.S_IMODE(mode) & FOLDER_MODE)
        kept = [path for name in _KEPT for path in state.glob(name)]
    except FileNotFoundError:
        return unchanged
    except OSError:
        return [state]
    for path in kept:
        unchanged += tighten_modes(path)
    return unchanged
