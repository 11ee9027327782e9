"""Puts models into a library, and takes them out: whole or not at all, and only what passes the self-test."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from gapcast.core.card import ModelCard
from gapcast.core.errors import ModelError
from gapcast.predictors.admission import Admission
from gapcast.predictors.files import CARD_FILE, MODEL_FILE, REGISTRY_FILE, ModelFiles
from gapcast.predictors.library import Library
from gapcast.predictors.packed import read_packed
from gapcast.predictors.store import check_files, parse_card
from gapcast.private_files import FOLDER_MODE, chown_to_owner_of, create_private, make_private_folder

_NEW, _OLD = "new", "old"


def install(
    file: Path, library: Library, admission: Admission, *, default: bool = False, taken: tuple[str, ...] = ()
) -> ModelCard:
    """Put the model in ``file`` (see :mod:`gapcast.predictors.packed`) into ``library``; return its card.

    It is self-tested in a child process (:mod:`.trial`), written to a folder beside its place, and takes
    that by a rename, also of one of the same name. With ``default``, or where nothing else is, it becomes the default.
    Raises :class:`ModelError`, with nothing changed, where the model is no good, has a name that is ``taken``, or the
    library cannot be written.
    """
    files = read_packed(file)
    own = library.own
    with _staging(own) as staging:
        card = _check(file, files, admission, taken)
        staged = staging / _NEW
        staged.mkdir(mode=FOLDER_MODE)
        _write(staged / CARD_FILE, files.card)
        _write(staged / MODEL_FILE, files.model)
        _put_in_place(staged, own / card.name, staging)
        chown_to_owner_of(own, own / card.name)
        if default or not any((folder / REGISTRY_FILE).exists() for folder in library.folders):
            _write(staging / REGISTRY_FILE, f"{json.dumps({'default': card.name})}\n".encode())
            (staging / REGISTRY_FILE).replace(own / REGISTRY_FILE)
            chown_to_owner_of(own, own / REGISTRY_FILE)
        _sync(own)
    return card


def _check(file: Path, files: ModelFiles, admission: Admission, taken: tuple[str, ...]) -> ModelCard:
    """Return the card of the ``files`` of ``file``, once they have passed; raise :class:`ModelError` that names it."""
    place = Path()
    try:
        card = parse_card(files.card, CARD_FILE)
        if card.name in {*taken, REGISTRY_FILE}:
            msg = f"no model may be named {card.name}: gapcast calls something else so; rename it"
            raise ModelError(msg)
        place = Path(card.name)
        check_files(files, place)
        admission.prove(files, place)
    except ModelError as error:
        msg = f"{file}: {str(error).removeprefix(f'{place}{os.sep}')}"
        raise ModelError(msg) from error
    return card


def remove(name: str, library: Library, published: str) -> bool:
    """Take the installed model ``name`` out of ``library``; tell whether one that came with gapcast is there again.

    Raises :class:`ModelError` where it was not installed, or none of its name were left for the one ``published``.
    """
    own = library.own
    if not (own / name / CARD_FILE).exists() or name != Path(name).name:
        there = ", ".join(sorted(library.models())) or "none"
        msg = f"{name!r} is no model in {own}, where models are installed; there are: {there}"
        raise ModelError(msg)
    remains = name in Library(library.folders[:-1]).models()
    if name == published and not remains:
        msg = f"{name} is the published model: make another the default or set forecast.model, then remove it"
        raise ModelError(msg)
    with _staging(own) as staging:
        (own / name).rename(staging / _OLD)
        _sync(own)
    return remains


@contextmanager
def _staging(own: Path) -> Iterator[Path]:
    """Give a folder beside the models, on their file system; what is left in it goes."""
    try:
        make_private_folder(own)
        chown_to_owner_of(own.parent, own)
        with TemporaryDirectory(prefix=".install-", dir=own) as staging:
            yield Path(staging)
    except OSError as error:
        cure = "let this account write there, or set models.path (or --models) to a folder of its own"
        msg = f"{own}: cannot be written ({error.strerror or error}): {cure}"
        raise ModelError(msg) from error


def _put_in_place(staged: Path, place: Path, staging: Path) -> None:
    """Rename ``staged`` to ``place``; what was there before is back where that fails."""
    was_there = place.exists()
    if was_there:
        place.rename(staging / _OLD)
    try:
        staged.rename(place)
    except OSError:
        if was_there:
            (staging / _OLD).rename(place)
        raise


def _write(path: Path, content: bytes) -> None:
    """Write a file that a power cut after its rename does not empty."""
    with create_private(path) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    names = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(names)
    finally:
        os.close(names)
