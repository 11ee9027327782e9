"""The files of a models folder, read as bytes with size limits: model files and cards, and ``registry.json``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO, NamedTuple

from gapcast.core.errors import ModelError
from gapcast.core.models.card_types import MAX_MODEL_BYTES
from gapcast.text.json_input import decode_json

MODEL_FILE, CARD_FILE, REGISTRY_FILE = "model.tflite", "card.json", "registry.json"

#: Maximum size of a card, which is mostly its golden example; the bundled cards have less than 50 kB.
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


class Registry(NamedTuple):
    """The content of ``registry.json``.

    ``default`` is the name of the default primary model. ``optional`` are the names of models that are ensemble members
    only if ``forecast.experts`` names them, because they cost more time than they improve the forecast.
    """

    default: str
    optional: tuple[str, ...] = ()


def read_registry(models: Path) -> Registry:
    """Return the registry of the folder ``models``; raise :class:`ModelError` that names the file if it is not one."""
    path = models / REGISTRY_FILE
    if not path.exists():
        msg = f'{path}: there is no such file: correct models.path, or write {{"default": "<name of a model>"}} to it'
        raise ModelError(msg)
    try:
        document = decode_json(read_bytes(path, MAX_REGISTRY_BYTES))
        default, optional = document["default"], document.get("optional", [])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f'{path}: must read {{"default": "<name of a model>"}}'
        raise ModelError(msg) from error
    if not isinstance(default, str):
        msg = f'{path}: "default" must be the name of a model, not {default!r}'
        raise ModelError(msg)
    if not isinstance(optional, list) or not all(isinstance(name, str) for name in optional):
        msg = f'{path}: "optional" must be a list of names of models, not {optional!r}'
        raise ModelError(msg)
    return Registry(default, tuple(optional))
