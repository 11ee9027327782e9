"""State files and folders that only their owner may read: files 0600, folders 0700, whatever the umask.

The state reveals when people are at home, and may contain a meter's topics. A mode passed to ``open`` or ``mkdir`` is
reduced by the umask and does not apply to existing files, so every mode is set on the open file or the new folder.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

FILE_MODE, FOLDER_MODE = 0o600, 0o700
#: Ends the name of a file that is being written, and will replace the file without this suffix.
PART_SUFFIX = ".part"
#: The entries of a gateway's state folder.
_STATE_ENTRIES = (
    "gateway-id", "gateway-id.part", "http-address", "http-address.part", "models", "proven.json", "stream", "shard-*",
)  # fmt: skip

#: How to fix an error of the disk, by its number.
_FIXES = {
    errno.ENOSPC: "free disk space",
    errno.EDQUOT: "free disk space",
    errno.EROFS: "mount the file system read-write, or set state.path",
    errno.EACCES: "grant this account read and write permission (owner and mode), or set state.path",
    errno.EPERM: "grant this account read and write permission (owner and mode), or set state.path",
    errno.ENOMEM: "free memory, or raise the memory limit of gapcast",
    errno.EMFILE: "raise the limit of open files (LimitNOFILE)",
}


def disk_error_fix(error: BaseException) -> str:
    """Return how to fix ``error``.

    >>> disk_error_fix(OSError(errno.ENOSPC, "No space left on device"))
    'free disk space'
    """
    return _FIXES.get(getattr(error, "errno", None) or 0, "check the disk, or set state.path")


def make_private_folder(folder: Path) -> None:
    """Create ``folder`` and its missing parents with mode 0700; raise OSError if that fails.

    An existing folder keeps its mode: see :func:`tighten_modes`.
    """
    missing = []
    parent = folder
    while not parent.is_dir():
        missing.append(parent)
        parent = parent.parent
    for path in reversed(missing):
        path.mkdir(mode=FOLDER_MODE, exist_ok=True)
        path.chmod(FOLDER_MODE)


def write_error(folder: Path) -> OSError | None:
    """Return the error of creating a file in ``folder``, without creating one; None if this account can."""
    if os.access(folder, os.W_OK | os.X_OK):
        return None
    code = errno.EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES
    return OSError(code, os.strerror(code), str(folder))


def open_private(path: Path, flags: int) -> int:
    """Return a descriptor of the file at ``path``, opened with ``flags`` of :mod:`os` and mode 0600.

    Raises OSError if it cannot be opened, or belongs to another account with a wider mode.
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
    """Return an empty file at ``path`` for writing and reading, mode 0600; an existing file is truncated."""
    return os.fdopen(open_private(path, os.O_RDWR | os.O_TRUNC), "w+b")


def write_private(path: Path, content: bytes) -> None:
    """Write ``content`` to a file at ``path``, mode 0600, and wait until it is on the disk.

    A file renamed afterwards is therefore complete even after a power failure. Raises OSError if writing fails.
    """
    with create_private(path) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replacement_of(path: Path) -> Iterator[Path]:
    """Yield the path of a new file beside ``path``, which replaces ``path`` after the block, atomically.

    If the block or the replacement fails, the new file is removed, because it may fill the disk, and ``path`` is
    unchanged. One process at a time may replace ``path``.
    """
    part = path.with_name(path.name + PART_SUFFIX)
    try:
        yield part
        part.replace(path)
    except BaseException:
        with suppress(OSError):  # the first error is raised
            part.unlink()
        raise


def sync_folder(folder: Path) -> None:
    """Wait until the names in ``folder`` are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def newest_first(paths: Iterable[Path]) -> list[Path]:
    """Return ``paths`` by time of last change, the newest first; paths whose time cannot be read come last."""

    def changed_ns(path: Path) -> int:
        try:
            return path.stat().st_mtime_ns
        except OSError:
            return 0

    return sorted(sorted(paths), key=changed_ns, reverse=True)


def tighten_modes(folder: Path) -> list[Path]:
    """Reduce the modes of ``folder`` and everything in it to 0700 and 0600; return the paths that could not be changed.

    Links are not followed. Files of another account or on a read-only disk cannot be changed.
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
    """Change the owner of ``path`` and everything in it to the owner of ``folder``, if this process is root.

    Files that root puts into a service's folder would otherwise be unreadable for the service. Links are not followed.
    """
    if os.geteuid() == 0:
        owner = folder.stat()
        for one in (path, *path.rglob("*")):
            os.chown(one, owner.st_uid, owner.st_gid, follow_symlinks=False)


def tighten_state(state: Path) -> list[Path]:
    """Reduce the modes of the folder ``state`` and a gateway's files in it; return the paths that could not be changed.

    Other files in it stay unchanged, as does a shared folder with the sticky bit, such as ``/tmp``.
    """
    unchanged: list[Path] = []
    try:
        mode = state.stat().st_mode
        if stat.S_IMODE(mode) & ~FOLDER_MODE and not mode & stat.S_ISVTX:
            state.chmod(stat.S_IMODE(mode) & FOLDER_MODE)
        paths = [path for name in _STATE_ENTRIES for path in state.glob(name)]
    except FileNotFoundError:
        return unchanged
    except OSError:
        return [state]
    for path in paths:
        unchanged += tighten_modes(path)
    return unchanged
