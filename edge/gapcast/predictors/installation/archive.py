"""Reads a model's two files from an archive, a .zip or a .tar(.gz): nothing is extracted, and all sizes are bounded.

Only files with the names of a model's files are read, into memory; other members and the folders in their names have no
effect. The bounds below are checked here; anything they miss can only end the child process in which
:func:`gapcast.predictors.installation.packed_model.read_packed` runs this.

- the archive itself: :data:`MAX_ARCHIVE_BYTES`, packed and unpacked
- members: :data:`MAX_MEMBERS`; a header of a .tar that extends another (pax, GNU long names): :data:`MAX_HEADER_BYTES`
- the directory of a .zip: :data:`MAX_DIRECTORY_BYTES`; no ZIP64, which only archives of 4 GB need
- compression: deflate or none
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, Any, NamedTuple

from gapcast.core.errors import ModelError
from gapcast.core.models.card_types import MAX_MODEL_BYTES
from gapcast.predictors.models_folder.files import CARD_FILE, MAX_CARD_BYTES, MODEL_FILE, ModelFiles, read_limited

MAX_ARCHIVE_BYTES = 256 << 20
MAX_MEMBERS = 1_000
MAX_HEADER_BYTES = 8 << 10
MAX_DIRECTORY_BYTES = 1 << 20

_LIMITS = {MODEL_FILE: MAX_MODEL_BYTES, CARD_FILE: MAX_CARD_BYTES}
_GZIP_MAGIC, _TAR_MAGIC, _TAR_MAGIC_AT = b"\x1f\x8b", b"ustar", 257
_END_OF_ZIP, _ZIP64_LOCATOR, _END_SIZE, _MAX_COMMENT = b"PK\x05\x06", b"PK\x06\x07", 22, 1 << 16
_EXTENDING = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
#: Raised by the modules for an archive that is damaged, encrypted (RuntimeError), or packed by an unknown method.
_BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError, NotImplementedError, RuntimeError,
    ValueError, KeyError, IndexError, OverflowError,
)  # fmt: skip


class Member(NamedTuple):
    """A file of an archive: its path in the archive, and its bytes."""

    path: PurePosixPath
    content: bytes


def read_archive(file: IO[bytes], name: str) -> ModelFiles | None:
    """Return the model in the archive ``file``, called ``name`` in errors; None if it is not an archive.

    Raises :class:`ModelError` if it does not contain exactly one model, or exceeds a bound.
    """
    if os.fstat(file.fileno()).st_size > MAX_ARCHIVE_BYTES:
        raise _too_large(name)
    try:
        head = _read_at(file, 0, _TAR_MAGIC_AT + len(_TAR_MAGIC))
        if zipfile.is_zipfile(file):
            return _only_model(name, list(_members_of_zip(file, name)))
        if head.startswith(_GZIP_MAGIC):
            file.seek(0)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _only_model(name, list(_members_of_tar(unpacked, name)))
        if head[_TAR_MAGIC_AT:] == _TAR_MAGIC:
            file.seek(0)
            return _only_model(name, list(_members_of_tar(file, name)))
    except _BROKEN as error:
        msg = f"{name}: cannot be unpacked ({error}): fetch or pack it again"
        raise ModelError(msg) from error
    return None


def _read_at(file: IO[bytes], offset: int, n_bytes: int) -> bytes:
    file.seek(offset)
    return file.read(n_bytes)


def _members_of_zip(file: IO[bytes], name: str) -> Iterator[Member]:
    _check_directory(file, name)
    count = _Count(name)
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            count.add(info.file_size)
            path = PurePosixPath(info.filename)
            if path.name not in _LIMITS or info.is_dir():
                continue
            if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                msg = f"{name}: {path} is compressed by a method other than deflate: pack it again"
                raise ModelError(msg)
            most = min(info.file_size, _LIMITS[path.name])
            with archive.open(info) as content:
                yield Member(path, read_limited(content, f"{name}: {path}", most))


def _check_directory(file: IO[bytes], name: str) -> None:
    """Check the size of a .zip's directory, given at its end: :mod:`zipfile` reads the directory as a whole."""
    n_bytes = file.seek(0, io.SEEK_END)
    tail = _read_at(file, max(0, n_bytes - _END_SIZE - _MAX_COMMENT), _END_SIZE + _MAX_COMMENT)
    end = tail.rfind(_END_OF_ZIP)
    n_members = int.from_bytes(tail[end + 10 : end + 12], "little")
    n_directory = int.from_bytes(tail[end + 12 : end + 16], "little")
    if end >= 0 and (
        n_members > MAX_MEMBERS or n_directory > MAX_DIRECTORY_BYTES or _ZIP64_LOCATOR in tail[:end][-20:]
    ):
        raise _too_large(name)


def _members_of_tar(file: Any, name: str) -> Iterator[Member]:
    count = _Count(name)

    class CheckedHeader(tarfile.TarInfo):
        """A header that is checked before its content is read."""

        def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
            """Check a header before its content; the standard library documents this method as the one to override."""
            is_extending = self.type in _EXTENDING and self.size > MAX_HEADER_BYTES
            if self.type == tarfile.GNUTYPE_SPARSE or is_extending or self.size < 0:
                raise _too_large(name)
            count.add(0)
            member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]  # not in its type stubs
            return member

    counted: Any = _CountedReader(file, name)
    with tarfile.open(fileobj=counted, mode="r|", tarinfo=CheckedHeader) as archive:
        for info in archive:
            count.add(info.size, n_members=0)  # its header is counted
            if any(key.startswith("GNU.sparse") for key in info.pax_headers):
                raise _too_large(name)
            path = PurePosixPath(info.name)
            content = archive.extractfile(info) if path.name in _LIMITS and info.isreg() else None
            if content is not None:
                yield Member(path, read_limited(content, f"{name}: {path}", _LIMITS[path.name]))


class _Count:
    """Counts the members and bytes that an archive declares, before it is unpacked."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._n_members = self._n_bytes = 0

    def add(self, n_bytes: int, n_members: int = 1) -> None:
        """Count a member of ``n_bytes``; raise :class:`ModelError` if the total exceeds a bound."""
        self._n_members += n_members
        self._n_bytes += n_bytes
        if self._n_members > MAX_MEMBERS or not 0 <= self._n_bytes <= MAX_ARCHIVE_BYTES:
            raise _too_large(self._name)


class _CountedReader:
    """Reads at most :data:`MAX_ARCHIVE_BYTES` of an unpacked stream, whatever its headers declare."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name, self._n_left = file, name, MAX_ARCHIVE_BYTES

    def read(self, n_bytes: int) -> bytes:
        """Return up to ``n_bytes``."""
        content = self._file.read(n_bytes)
        self._n_left -= len(content)
        if self._n_left < 0:
            raise _too_large(self._name)
        return content


def _too_large(name: str) -> ModelError:
    most = f"{MAX_MEMBERS} files, or {MAX_ARCHIVE_BYTES >> 20} MB"
    return ModelError(f"{name}: holds more than {most}, or headers that no model needs: pack its two files alone")


def _only_model(name: str, members: list[Member]) -> ModelFiles:
    """Return the only model among ``members`` of the archive ``name``; raise :class:`ModelError` if there is none."""
    found = {wanted: [member for member in members if member.path.name == wanted] for wanted in _LIMITS}
    models, cards = found[MODEL_FILE], found[CARD_FILE]
    if len(models) != 1 or len(cards) != 1 or models[0].path.parent != cards[0].path.parent:
        names = ", ".join(str(member.path) for member in members[:10]) or "neither"
        msg = f"{name}: must hold one {MODEL_FILE} and its {CARD_FILE} in one folder; it has {names}"
        raise ModelError(msg)
    return ModelFiles(cards[0].content, models[0].content)
