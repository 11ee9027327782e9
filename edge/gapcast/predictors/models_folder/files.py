"""The files of a model, read as bytes with size limits."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO, NamedTuple

from gapcast.core.errors import ModelError
from gapcast.core.models.card_types import MAX_MODEL_BYTES

MODEL_FILE, CARD_FILE, REGISTRY_FILE = "model.tflite", "card.json", "registry.json"

#: Maximum size of a card, which is nearly all golden example; the bundled ones have less than 50 kB.
MAX_CARD_BYTES = 8 << 20
MAX_REGISTRY_BYTES = 4_096


class ModelFiles(NamedTuple):
    """The two files of a model, read once, so that the tested bytes are the used ones."""

    card: bytes
    model: bytes

    @property
    def digest(self) -> str:
        """SHA-256 over both files."""
        return hashlib.sha256(hashlib.sha256(self.card).digest() + hashlib.sha256(self.model).digest()).hexdigest()


def read_model_files(folder: Path) -> ModelFiles:
    """Return the files of the model in ``folder``; raise :class:`ModelError` if one is missing or too large."""
    return ModelFiles(read_bytes(folder / CARD_FILE, MAX_CARD_BYTES), read_bytes(folder / MODEL_FILE, MAX_MODEL_BYTES))


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """Return a file's bytes; raise :class:`ModelError` that names the path if it cannot be read or is too large."""
    try:
        if not path.is_file():  # reading a pipe or a device could block forever
            path.stat()
            msg = f"{path}: is not a regular file"
            raise ModelError(msg)
        with path.open("rb") as file:
            return read_limited(file, path, max_bytes)
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror})"
        raise ModelError(msg) from error


def read_limited(file: IO[bytes], name: object, max_bytes: int) -> bytes:
    """Return the bytes of an open ``file``; raise :class:`ModelError` if there are more than ``max_bytes``."""
    content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        size = f"{max_bytes >> 20} MB" if max_bytes >= 1 << 20 else f"{max_bytes} bytes"
        msg = f"{name}: has more than {size}, the limit for this file of a model"
        raise ModelError(msg)
    return content
