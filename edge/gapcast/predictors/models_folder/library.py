"""The models of a gateway: one folder of models, or installed models that override the bundled ones."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from gapcast.predictors.models_folder.files import CARD_FILE, MODEL_FILE, REGISTRY_FILE, read_registry
from gapcast.predictors.models_folder.store import default_model, has_registry, model_names

#: Errors of the process or the machine, not of a folder: the folder may be as before.
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
#: The state of a library's files: path, inode, size and modification time of each.
Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Library:
    """Folders of models; a model in a later folder overrides one of the same name in an earlier folder."""

    folders: tuple[Path, ...]
    #: Models (their folders) and registries (their files) of the last folder to ignore, or that folder itself.
    left_out: frozenset[Path] = frozenset()
    #: The folder that belongs to the program, and is not part of the stamp: an upgrade replaces its files while the
    #: previous program is still running, and the next start loads them.
    bundled: Path | None = None

    def __str__(self) -> str:
        """Return the folders as text."""
        return " and ".join(str(folder) for folder in self.folders)

    @property
    def own(self) -> Path:
        """The folder into which models are installed."""
        return self.folders[-1]

    def models(self) -> dict[str, Path]:
        """Return each model's folder by its name.

        Raises :class:`~gapcast.core.errors.ModelError` if a folder cannot be read.
        """
        found = ((name, folder / name) for folder in self._used_folders for name in model_names(folder))
        return {name: path for name, path in found if path not in self.left_out}

    def default(self) -> str:
        """Return the name of the default model, from the registry of the last folder that has one.

        Raises :class:`~gapcast.core.errors.ModelError` if there is no registry.
        """
        registries = [folder / REGISTRY_FILE for folder in self._used_folders]
        with_registry = [path.parent for path in registries if path not in self.left_out and has_registry(path.parent)]
        return default_model(with_registry[-1] if with_registry else self.folders[0])

    def optional(self) -> frozenset[str]:
        """Return the names of models that their folder's registry lists as optional ensemble members.

        A model that overrides an optional one is not optional. Raises :class:`~gapcast.core.errors.ModelError` if a
        registry is invalid.
        """
        listed: dict[Path, tuple[str, ...]] = {}
        for folder in self._used_folders:
            path = folder / REGISTRY_FILE
            if path not in self.left_out and has_registry(folder):
                listed[folder] = read_registry(folder).optional
        return frozenset(name for name, path in self.models().items() if name in listed.get(path.parent, ()))

    @property
    def _used_folders(self) -> list[Path]:
        return [folder for folder in self.folders if folder not in self.left_out]

    @property
    def has_fallback(self) -> bool:
        """Whether there are folders below the last one to fall back to."""
        return len(self.folders) > 1

    def without(self, path: Path) -> Library:
        """Return this library without the model, the registry or the folder at ``path``."""
        return replace(self, left_out=self.left_out | {path})

    def describe_missing(self, name: str, names: Iterable[str]) -> str:
        """Return the error that the model ``name`` is not one of ``names``, the models of this library."""
        return f"there is no model {name!r} in {self}; there are: {', '.join(sorted(names)) or 'none'}"

    def stamp(self) -> Stamp:
        """Return a stamp that differs after a model is added, changed or removed, except bundled ones. Reads no file.

        A folder that cannot be listed has no files; loading it names the reason. Raises :class:`OSError` if too many
        files are open.
        """
        found = []
        watched = (folder for folder in self.folders if folder != self.bundled)
        for path in (path for folder in watched for path in _watched_files(folder)):
            try:
                status = path.stat()
            except OSError:
                continue  # missing, or removed since the folder was listed, as when a file is replaced
            found.append((str(path), status.st_ino, status.st_size, status.st_mtime_ns))
        return tuple(sorted(found))


def _watched_files(folder: Path) -> list[Path]:
    """Return the paths of the possible model files and registry in ``folder``."""
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        if error.errno in _OUT_OF_RESOURCES:
            raise
        return []
    return [folder / REGISTRY_FILE, *(entry / name for entry in entries for name in (CARD_FILE, MODEL_FILE))]
