"""The checkpoint file: a snapshot of the engine's state in numpy's ``.npz`` format, followed by a SHA-256 digest.

:mod:`.checkpoint_columns` defines its arrays. The digest is in a line after the archive, which numpy and older versions
ignore, and is checked before the archive is opened. Version 1 has no digest: the CRC-32 of every member is checked
instead.
"""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import ExitStack, suppress
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import BinaryIO

from gapcast.core.errors import StateError
from gapcast.core.snapshots.snapshot import Snapshot, check_shapes
from gapcast.private_files import create_private, sync_folder
from gapcast.storage.checkpoints.checkpoint_columns import arrays_of, snapshot_of, version_of
from gapcast.storage.checkpoints.npz_archive import read_arrays, write_arrays
from gapcast.storage.journals.journal import check_version

#: The line at the end: this label and the hexadecimal digest of everything before it.
_LABEL = b"\ngapcast-sha256 "
_DIGEST_DIGITS = 64
_TRAILER_BYTES = len(_LABEL) + _DIGEST_DIGITS + 1
_FIRST_WITH_DIGEST = 2
#: Maximum number of bytes of a file in memory at once while its digest is computed.
_BLOCK_BYTES = 1 << 18


class DamagedError(StateError):
    """A damaged checkpoint; the message describes the damage."""


def encode(snapshot: Snapshot) -> bytes:
    """Return the file's bytes."""
    out = BytesIO()
    write_arrays(out, arrays_of(snapshot))
    _write_digest(out)
    return out.getvalue()


def _write_digest(file: BinaryIO) -> int:
    """Write the line after the archive; return the size of the file."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]  # BytesIO is accepted too
    file.seek(0, SEEK_END)
    file.write(b"%b%b\n" % (_LABEL, digest.hexdigest().encode()))
    return file.tell()


def replace_file(path: Path, part: Path, snapshot: Snapshot) -> int:
    """Write ``snapshot`` to ``part``, and then rename it to ``path``, atomically; return its size in bytes.

    Both paths are in the same folder. Raises OSError if writing fails; ``path`` is then unchanged.
    """
    return complete_file(create_file(part, snapshot), part, path)


def create_file(part: Path, snapshot: Snapshot) -> BinaryIO:
    """Write the columns of ``snapshot`` to ``part``, without waiting for the disk; :func:`complete_file` does the rest.

    Raises OSError if writing fails; ``part`` is then removed, because it may fill the disk.
    """
    with ExitStack() as stack:
        stack.callback(_discard, part)
        file = stack.enter_context(create_private(part))
        write_arrays(file, arrays_of(snapshot))
        file.flush()
        stack.pop_all()
    return file


def complete_file(file: BinaryIO, part: Path, path: Path) -> int:
    """Complete the result of :func:`create_file` and rename it to ``path``, atomically; return its size in bytes.

    Raises OSError if this fails; ``part`` is then removed, and ``path`` is unchanged, or new if only its folder could
    not be synced.
    """
    try:
        with file:
            n_bytes = _write_digest(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        _discard(part)
        raise
    sync_folder(path.parent)
    return n_bytes


def _discard(part: Path) -> None:
    with suppress(OSError):  # the error of the write is raised
        part.unlink(missing_ok=True)


def read(path: Path) -> Snapshot:
    """Return the snapshot at ``path``.

    Raises :class:`DamagedError` if it is damaged, :class:`StateError` if it is of a newer version, and OSError or
    MemoryError if it cannot be read at all.
    """
    with path.open("rb") as file:
        return _decode(path, file)


def decode(path: Path, content: bytes) -> Snapshot:
    """Decode the snapshot in ``content``, the bytes of ``path``.

    Raises :class:`DamagedError` if it is damaged, whatever its bytes, and :class:`StateError` if it is of a newer
    version.
    """
    return _decode(path, BytesIO(content))


def _decode(path: Path, file: BinaryIO) -> Snapshot:
    """Decode the snapshot in ``file``, holding no more than its arrays in memory; see :func:`read`."""
    n_before_trailer = max(0, file.seek(0, SEEK_END) - _TRAILER_BYTES)
    file.seek(n_before_trailer)
    trailer = file.read()
    has_digest = trailer.startswith(_LABEL)
    if has_digest and trailer[len(_LABEL) :] != _digest_of(file, n_before_trailer).encode() + b"\n":
        msg = "its digest is wrong"
        raise DamagedError(msg)
    try:
        return _parse(path, file, has_digest=has_digest)
    except (StateError, MemoryError):
        raise
    except Exception as error:  # a crafted archive, or one without a digest, may raise any error
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # EINVAL: an impossible offset
            raise
        msg = f"it cannot be parsed ({type(error).__name__}: {str(error)[:200]})"
        raise DamagedError(msg) from error


def _digest_of(file: BinaryIO, n_bytes: int) -> str:
    """Return the digest of the first ``n_bytes`` of ``file``."""
    digest = hashlib.sha256()
    file.seek(0)
    while n_bytes > 0 and (block := file.read(min(n_bytes, _BLOCK_BYTES))):
        digest.update(block)
        n_bytes -= len(block)
    return digest.hexdigest()


def _parse(path: Path, file: BinaryIO, *, has_digest: bool) -> Snapshot:
    arrays = read_arrays(file)
    version = version_of(arrays)
    check_version(path, version)
    if not has_digest and version >= _FIRST_WITH_DIGEST:
        msg = "its digest is missing: it is truncated"
        raise DamagedError(msg)
    snapshot = snapshot_of(arrays)
    try:
        check_shapes(snapshot)
    except StateError as error:
        msg = f"its columns do not fit each other: {error}"
        raise DamagedError(msg) from error
    return snapshot
