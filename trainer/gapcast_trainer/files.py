"""Atomic file writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp

from gapcast_trainer.errors import TrainerError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` to write to; on success it replaces ``path``.

    If the block fails or is interrupted, the temporary file is removed and ``path`` is unchanged. The temporary name
    keeps the suffixes of ``path``, because some writers choose a format by them. A link stays a link. A device, such as
    ``/dev/stdout``, is yielded itself.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        yield path
        return
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = "".join(path.suffixes)
    descriptor, name = mkstemp(prefix=f".{path.name.removesuffix(suffix)}-", suffix=suffix, dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def reported_if_unwritable(path: Path, remark: str = "") -> Iterator[None]:
    """Raise :class:`TrainerError` that names ``path``, with ``remark``, for an :class:`OSError` of the block."""
    try:
        yield
    except OSError as error:
        msg = f"{path}: cannot be written ({error.strerror}){remark}"
        raise TrainerError(msg) from error


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write ``content`` to ``path`` atomically: readers see the old file or the new one, never a part.

    Raises :class:`TrainerError` if it cannot be written.
    """
    with reported_if_unwritable(path, "; a previous file is unchanged"), atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
