"""A record of the model files that passed their trial on this machine's runtime, stored with the state.

A proven model is loaded at the next start without another trial, which would start a process. The record identifies
contents instead of paths: a changed file is a new file. It does not protect against someone who can write to the state
folder and thus change the state itself; it is not stored in the models folder, which may be shared.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Iterable
from pathlib import Path

from gapcast.private_files import chown_to_owner_of, make_private_folder
from gapcast.text.json_input import decode_json

PROVEN_FILE = "proven.json"
_VERSION = 1
_MAX_MODELS = 200
_MAX_BYTES = 1 << 16


class ProvenModels:
    """A record of model files that passed, for one TFLite runtime; without a folder nothing is stored."""

    def __init__(self, folder: Path | None, runtime: str) -> None:
        """Store the record in ``folder``, for models that ran on ``runtime`` (its distribution and version)."""
        self._folder = folder
        self._runtime = f"{runtime} {platform.machine()}"

    def has(self, digest: str) -> bool:
        """Return whether a model with this digest has passed."""
        return self._key(digest) in self._read()

    def add(self, digest: str) -> None:
        """Record that a model with this digest has passed; raise :class:`OSError` if the record cannot be written."""
        if self._folder is None:
            return
        keys = [*(key for key in self._read() if key != self._key(digest)), self._key(digest)]
        self._write(self._folder, keys[-_MAX_MODELS:])

    def _key(self, digest: str) -> str:
        return hashlib.sha256(f"{_VERSION} {self._runtime} {digest}".encode()).hexdigest()

    def _read(self) -> list[str]:
        """Return the recorded keys; none if the record is missing or damaged, so that every model has another trial."""
        if self._folder is None:
            return []
        try:
            with (self._folder / PROVEN_FILE).open("rb") as file:
                document = decode_json(file.read(_MAX_BYTES))
        except (OSError, ValueError):
            return []
        models = document.get("models") if isinstance(document, dict) else None
        return [key for key in models if isinstance(key, str)] if isinstance(models, list) else []

    def _write(self, folder: Path, keys: Iterable[str]) -> None:
        make_private_folder(folder)
        descriptor, name = tempfile.mkstemp(prefix=".proven-", dir=folder)  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                json.dump({"models": list(keys)}, file)
            chown_to_owner_of(folder, Path(name))
            Path(name).replace(folder / PROVEN_FILE)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
