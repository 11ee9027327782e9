"""The models that a gateway has: one folder of models, or some laid over those that came with gapcast."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.predictors.store import CARD_FILE, MODEL_FILE, REGISTRY_FILE, default_model, model_names

_WATCHED = (REGISTRY_FILE, f"*/{CARD_FILE}", f"*/{MODEL_FILE}")

#: What a library's files were at one moment: path, inode, bytes and time of the last change of each.
Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Library:
    """Folders of models; what a later one has takes the place of what an earlier one has by the same name."""

    folders: tuple[Path, ...]

    def __str__(self) -> str:
        """Name the folders, for people."""
        return " and ".join(str(folder) for folder in self.folders)

    @property
    def own(self) -> Path:
        """The folder that models are installed into."""
        return self.folders[-1]

    def models(self) -> dict[str, Path]:
        """Return each model's folder by its name."""
        return {name: folder / name for folder in self.folders for name in model_names(folder)}

    def default(self) -> str:
        """Return the name of the default: the last folder with a registry says it.

        Raises :class:`~edge.core.errors.ModelError` where none does.
        """
        saying = [folder for folder in self.folders if (folder / REGISTRY_FILE).exists()]
        return default_model(saying[-1] if saying else self.folders[0])

    def stamp(self) -> Stamp:
        """Return what changes when a model comes, changes or goes. It reads no file."""
        found = []
        for path in (path for folder in self.folders for pattern in _WATCHED for path in folder.glob(pattern)):
            try:
                status = path.stat()
            except OSError:
                continue  # it went between the two looks, as a file that is replaced does
            found.append((str(path), status.st_ino, status.st_size, status.st_mtime_ns))
        return tuple(sorted(found))
