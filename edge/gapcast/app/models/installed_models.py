"""Reads the registries of a models folder, and detects whether an installed file causes an error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gapcast.core.errors import ModelChoiceError, ModelError
from gapcast.predictors.models_folder.files import REGISTRY_FILE
from gapcast.predictors.models_folder.library import Library


class InstalledModelError(ModelError):
    """An installed model or registry that cannot be used, or all of them.

    ``fix`` replaces the usual fix; empty: there is none.
    """

    def __init__(self, problem: object, path: Path, fix: str | None = None) -> None:
        super().__init__(str(problem))
        self.path, self.fix = path, fix

    def describe_fix(self, usual: str, meanwhile: str) -> str:
        """Return the fix, which is ``usual`` unless this error has its own, and what happens ``meanwhile``."""
        fix = usual if self.fix is None else self.fix
        return f"{fix}; {meanwhile}" if fix else meanwhile


def error_of(error: ModelError, path: Path, library: Library) -> ModelError:
    """Return ``error`` with its ``path`` if the path is an installed model or registry, which can be left out.

    An error in a setting that the models cannot meet remains an error of the setting.
    """
    is_used = path.exists() and path not in library.left_out
    is_installed = library.has_fallback and library.own in path.parents and is_used
    is_cause = is_installed and not isinstance(error, ModelChoiceError)
    return InstalledModelError(error, path) if is_cause else error


def model_folders(library: Library) -> dict[str, Path]:
    """Return each model's folder by its name; raise :class:`ModelError` if one of the library's cannot be read."""
    try:
        return library.models()
    except ModelError as error:
        if not library.has_fallback or library.own in library.left_out:
            raise
        fix = "correct the owner and the mode of this folder" if isinstance(error.__cause__, PermissionError) else ""
        raise InstalledModelError(error, library.own, fix) from error


def default_model(library: Library, folders: Mapping[str, Path]) -> str:
    """Return the default model's name; raise :class:`ModelError` if the registry is invalid or names no default."""
    try:
        name = library.default()
    except ModelError as error:
        raise error_of(error, library.own / REGISTRY_FILE, library) from error
    if name not in folders and library.own / REGISTRY_FILE not in library.left_out:
        raise error_of(ModelError(library.describe_missing(name, folders)), library.own / REGISTRY_FILE, library)
    return name


def optional_models(library: Library) -> frozenset[str]:
    """Return the names of the optional ensemble members; raise :class:`ModelError` if a registry is invalid."""
    try:
        return library.optional()
    except ModelError as error:
        raise error_of(error, library.own / REGISTRY_FILE, library) from error
