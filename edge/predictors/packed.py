"""A model as it travels: a folder, a .zip or .tar archive, or the .tflite with its card beside it.

Of an archive the two files of a model are read, into memory: what else it holds, and where its names point, is of no
effect. What its members say of their size, and what they have, is held to a limit before more of it is unpacked.
"""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from edge.core.errors import ModelError
from edge.predictors.store import CARD_FILE, MODEL_FILE

#: Most bytes of a model's file, and of all that an archive holds. The shipped ones have less than 1 MB.
MAX_FILE_BYTES, MAX_ARCHIVE_BYTES = 64 << 20, 256 << 20
#: An archive with more members is no model's.
MAX_MEMBERS = 1_000
_FILES = (MODEL_FILE, CARD_FILE)
#: What the two modules raise of an archive that is damaged, encrypted (RuntimeError), or packed in an unknown way.
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)

#: A file of an archive: where it says to be, and its bytes.
Member = tuple[PurePosixPath, bytes]


class Packed(NamedTuple):
    """The two files of a model."""

    model: bytes
    card: bytes


def read_packed(file: Path) -> Packed:
    """Return what ``file`` holds; raise :class:`ModelError`, in a sentence that names it, where that is no model."""
    try:
        if file.is_dir():
            return Packed(_of(file / MODEL_FILE), _of(file / CARD_FILE))
        if file.suffix == ".tflite":
            return Packed(_of(file), _of(_card_beside(file)))
        if zipfile.is_zipfile(file):
            return _only(file, list(_zipped(file)))
        if tarfile.is_tarfile(file):
            return _only(file, list(_tarred(file)))
    except OSError as error:
        msg = f"{error.filename or file}: cannot be read ({error.strerror or error})"
        raise ModelError(msg) from error
    except _BROKEN as error:
        msg = f"{file}: cannot be unpacked ({error}): fetch or pack it again"
        raise ModelError(msg) from error
    msg = f"{file}: is no model: give a folder, a .zip or a .tar.gz with {' and '.join(_FILES)}, or the .tflite itself"
    raise ModelError(msg)


def _card_beside(file: Path) -> Path:
    """Return the card of a .tflite: the .json that bears its name, else the card in its folder."""
    namesake = file.with_suffix(".json")
    return namesake if namesake.exists() else file.with_name(CARD_FILE)


def _of(path: Path) -> bytes:
    with path.open("rb") as file:
        return _limited(file, path)


def _limited(file: IO[bytes], name: object) -> bytes:
    content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        msg = f"{name}: has more than {MAX_FILE_BYTES >> 20} MB, as no model's file has"
        raise ModelError(msg)
    return content


def _zipped(file: Path) -> Iterator[Member]:
    limits = _Limits(file)
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            limits.count(info.file_size)
            name = PurePosixPath(info.filename)
            if name.name in _FILES and not info.is_dir():
                with archive.open(info) as content:
                    yield name, _limited(content, f"{file}: {name}")


def _tarred(file: Path) -> Iterator[Member]:
    limits = _Limits(file)
    with tarfile.open(file) as archive:
        for info in archive:
            limits.count(info.size)
            name = PurePosixPath(info.name)
            content = archive.extractfile(info) if name.name in _FILES and info.isreg() else None
            if content is not None:
                yield name, _limited(content, f"{file}: {name}")


class _Limits:
    """Counts what an archive says that it holds, before it is unpacked."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._n_members = self._n_bytes = 0

    def count(self, n_bytes: int) -> None:
        """Count a member of so many bytes; raise :class:`ModelError` where that is too much."""
        self._n_members += 1
        self._n_bytes += n_bytes
        if self._n_members > MAX_MEMBERS or self._n_bytes > MAX_ARCHIVE_BYTES:
            msg = (
                f"{self._file}: holds more than {MAX_MEMBERS} files, or {MAX_ARCHIVE_BYTES >> 20} MB: it is no model's"
            )
            raise ModelError(msg)


def _only(file: Path, members: list[Member]) -> Packed:
    """Return the model among ``members`` of the archive ``file``; raise :class:`ModelError` unless there is one."""
    found = {wanted: [member for member in members if member[0].name == wanted] for wanted in _FILES}
    models, cards = found[MODEL_FILE], found[CARD_FILE]
    if len(models) != 1 or len(cards) != 1 or models[0][0].parent != cards[0][0].parent:
        names = ", ".join(str(name) for name, _ in members) or "neither"
        msg = f"{file}: must hold one {MODEL_FILE} and its {CARD_FILE} in one folder; it has {names}"
        raise ModelError(msg)
    return Packed(models[0][1], cards[0][1])
