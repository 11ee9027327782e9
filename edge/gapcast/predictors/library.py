"""The models that a gateway has: one folder of models, or some laid over those that came with gapcast."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gapcast.predictors.files import CARD_FILE, MODEL_FILE, REGISTRY_FILE
from gapcast.predictors.store import default_model, model_names

#: What a library's files were at one moment: path, inode, bytes and time of the last change of each.
Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Library:
    """Folders of models; what a later one has takes the place of what an earlier one has by the same name."""

    folders: tuple[Path, ...]
    #: Models (their folders) and registries (their files) of the last folder that are left out.
    left_out: frozenset[Path] = frozenset()

    def __str__(self) -> str:
        """Name the folders, for people."""
        return " and ".join(str(folder) for folder in self.folders)

    @property
    def own(self) -> Path:
        """The folder that models are installed into."""
        return self.folders[-1]

    def models(self) -> dict[str, Path]:
        """Return each model's folder by its name."""
        found = ((name, folder / name) for folder in self.folders for name in model_names(folder))
        return {name: path for name, path in found if path not in self.left_out}

    def default(self) -> str:
        """Return the name of the default: the last folder with a registry says it.

        Raises :class:`~gapcast.core.errors.ModelError` where none does.
        """
        registries = [folder / REGISTRY_FILE for folder in self.folders]
        saying = [path.parent for path in registries if path.exists() and path not in self.left_out]
        return default_model(saying[-1] if saying else self.folders[0])

    @property
    def has_fallback(self) -> bool:
        """Whether there are models beneath those of the last folder."""
        return len(self.folders) > 1

    def without(self, path: Path) -> Library:
        """Return this library without the model or the registry at ``path``."""
        return Library(self.folders, self.left_out | {path})

    def stamp(self) -> Stamp:
        """Return what changes when a model comes, changes or goes. It reads no file.

        Raises :class:`OSError` where a folder that exists cannot be listed, as when no file can be opened any more.
        """
        found = []
        for path in (path for folder in self.folders for path in _watched_files(folder)):
            try:
                status = path.stat()
            except OSError:
                continue  # it is not there, or went between the two looks, as a file that is replaced does
            found.append((str(path), status.st_ino, status.st_size, status.st_mtime_ns))
        return tuple(sorted(found))


def _watched_files(folder: Path) -> list[Path]:
    """Return the files of models and registry that may be in ``folder``."""
    try:
        entries = list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    return [folder / REGISTRY_FILE, *(entry / name for entry in entries for name in (CARD_FILE, MODEL_FILE))]
