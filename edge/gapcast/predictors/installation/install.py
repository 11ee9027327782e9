"""Installs models into a library and removes them, atomically; a model must pass its self-test."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from gapcast.core.errors import ModelError
from gapcast.core.models.card import ModelCard
from gapcast.predictors.installation.packed_model import read_packed
from gapcast.predictors.models_folder.files import CARD_FILE, MODEL_FILE, REGISTRY_FILE, ModelFiles, read_registry
from gapcast.predictors.models_folder.library import Library
from gapcast.predictors.models_folder.store import check_files, parse_card
from gapcast.predictors.trials.admission import Admission
from gapcast.private_files import FOLDER_MODE, chown_to_owner_of, make_private_folder, sync_folder, write_private

_NEW, _OLD = "new", "old"


def install(
    file: Path,
    library: Library,
    admission: Admission,
    *,
    default: bool = False,
    taken: tuple[str, ...] = (),
    accept: Callable[[ModelCard], object] = lambda _: None,
) -> ModelCard:
    """Install the model in ``file`` (see :mod:`.packed_model`) into ``library``; return its card.

    The model is self-tested in a child process (:mod:`gapcast.predictors.trials.trial`), written to a staging folder,
    and renamed into place; it replaces a model of the same name. With ``default``, or if the library has no default
    yet, it becomes the default. Raises :class:`ModelError`, with nothing changed, if the model fails the test, its name
    is ``taken``, ``accept``, called with its card, does, or the library cannot be written.
    """
    files = read_packed(file)
    own = library.own
    with _staging(own) as staging:
        card = _check(file, files, admission, taken)
        accept(card)
        staged = staging / _NEW
        staged.mkdir(mode=FOLDER_MODE)
        write_private(staged / CARD_FILE, files.card)
        write_private(staged / MODEL_FILE, files.model)
        _replace_model(staged, own / card.name, staging)
        chown_to_owner_of(own, own / card.name)
        if default or not any((folder / REGISTRY_FILE).exists() for folder in library.folders):
            _write_default(own, card.name, staging)
        sync_folder(own)
    return card


def make_default(name: str, library: Library) -> None:
    """Make the model ``name``, installed or bundled, the default of ``library``; raise :class:`ModelError`."""
    if name not in (models := library.models()):
        raise ModelError(library.describe_missing(name, models))
    own = library.own
    with _staging(own) as staging:
        _write_default(own, name, staging)
        sync_folder(own)


def _write_default(own: Path, name: str, staging: Path) -> None:
    """Make the model ``name`` the default of the folder ``own``, in its registry or in a new one."""
    optional: tuple[str, ...] = ()
    with suppress(ModelError):  # missing, or invalid and replaced
        optional = read_registry(own).optional
    document = {"default": name} | ({"optional": optional} if optional else {})
    write_private(staging / REGISTRY_FILE, f"{json.dumps(document)}\n".encode())
    (staging / REGISTRY_FILE).replace(own / REGISTRY_FILE)
    chown_to_owner_of(own, own / REGISTRY_FILE)


def _check(file: Path, files: ModelFiles, admission: Admission, taken: tuple[str, ...]) -> ModelCard:
    """Check the ``files`` of ``file`` and return their card; raise :class:`ModelError` that names ``file``."""
    folder = Path()
    try:
        card = parse_card(files.card, CARD_FILE)
        if card.name in {*taken, REGISTRY_FILE}:
            msg = f"no model may be named {card.name}, which is a reserved name: rename the model"
            raise ModelError(msg)
        folder = Path(card.name)
        check_files(files, folder)
        admission.prove(files, folder)
    except ModelError as error:
        msg = f"{file}: {str(error).removeprefix(f'{folder}{os.sep}')}"
        raise ModelError(msg) from error
    return card


def remove(name: str, library: Library, named: Mapping[str, str] | None = None) -> bool:
    """Remove the installed model ``name`` from ``library``; return whether a bundled model of that name remains.

    If it was the default and no model of its name remains, the bundled default is the default again. Raises
    :class:`ModelError` if it is not installed, or if no model of its name remains and it is the only default, or one of
    the models ``named`` in the configuration (model -> the key that names it).
    """
    own = library.own
    if not (own / name / CARD_FILE).exists() or name != Path(name).name:
        models = library.models()
        if name in models:
            msg = f"{name!r} comes with gapcast and cannot be removed; forecast.experts selects the models in use"
            raise ModelError(msg)
        msg = f"{name!r} is not installed in {own}; available models: {', '.join(sorted(models)) or 'none'}"
        raise ModelError(msg)
    beneath = Library(library.folders[:-1])
    remains = name in beneath.models()
    is_default = not remains and _default_of(own) == name
    if is_default and not library.has_fallback:
        msg = f"{name} is the default model: make another one the default with gapcast models default, then remove it"
        raise ModelError(msg)
    if named is not None and name in named and not remains:
        msg = f"{name} is required by {named[name]}: remove it from that key first"
        raise ModelError(msg)
    with _staging(own) as staging:
        if is_default:
            _write_default(own, beneath.default(), staging)
        (own / name).rename(staging / _OLD)
        sync_folder(own)
    return remains


def _default_of(own: Path) -> str | None:
    """Return the default of the registry of the folder ``own``; None if it has no registry, or an invalid one."""
    with suppress(ModelError):
        return read_registry(own).default
    return None


@contextmanager
def _staging(own: Path) -> Iterator[Path]:
    """Create a temporary folder next to the models, on their file system; remove it at the end."""
    try:
        make_private_folder(own)
        chown_to_owner_of(own.parent, own)
        with TemporaryDirectory(prefix=".install-", dir=own) as staging:
            yield Path(staging)
    except OSError as error:
        fix = "give this account write permission, or set models.path (or --models) to a folder of its own"
        msg = f"{own}: cannot be written ({error.strerror or error}): {fix}"
        raise ModelError(msg) from error


def _replace_model(staged: Path, target: Path, staging: Path) -> None:
    """Rename ``staged`` to ``target``; restore the previous model if that fails."""
    had_model = target.exists()
    if had_model:
        target.rename(staging / _OLD)
    try:
        staged.rename(target)
    except OSError:
        if had_model:
            (staging / _OLD).rename(target)
        raise
