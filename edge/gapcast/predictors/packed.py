"""A model as it travels: a folder, a .zip or .tar archive, or the .tflite with its card beside it.

An archive is read in a child process (:mod:`.confinement`): what a crafted one does to the modules that
read it, it does there.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

from gapcast.core.card import MAX_MODEL_BYTES
from gapcast.core.errors import ModelError
from gapcast.predictors.archive import read_archive
from gapcast.predictors.confinement import ChildLimits, run_confined
from gapcast.predictors.files import (
    CARD_FILE,
    MAX_CARD_BYTES,
    MODEL_FILE,
    ModelFiles,
    read_bytes,
)

_LENGTH = struct.Struct(">I")
#: The child knows no name of the archive, which it is given open.
_NAME = "<archive>"
#: An archive of the largest model and card is unpacked in three times their size.
_LIMITS = ChildLimits(256 << 20, cpu_s=20, answer_bytes=_LENGTH.size + MAX_MODEL_BYTES + MAX_CARD_BYTES)


def read_packed(file: Path) -> ModelFiles:
    """Return what ``file`` holds; raise :class:`ModelError`, in a sentence that names it, where that is no model."""
    if file.is_dir():
        model = read_bytes(file / MODEL_FILE, MAX_MODEL_BYTES)  # what a user gives is named first where it is missing
        return ModelFiles(read_bytes(file / CARD_FILE, MAX_CARD_BYTES), model)
    if file.suffix == ".tflite":
        return ModelFiles(read_bytes(_card_beside(file), MAX_CARD_BYTES), read_bytes(file, MAX_MODEL_BYTES))
    try:
        with file.open("rb") as archive:
            if not file.is_file():
                msg = f"{file}: is not a regular file"
                raise ModelError(msg)
            answer = run_confined(f"{__name__}:unpack", archive, _LIMITS, f"{file}: unpacking it")
    except OSError as error:
        msg = f"{error.filename or file}: cannot be read ({error.strerror or error})"
        raise ModelError(msg) from error
    except ModelError as error:
        raise ModelError(str(error).replace(_NAME, str(file), 1)) from error
    if not answer:
        what = f"give a folder, a .zip or a .tar.gz with {MODEL_FILE} and {CARD_FILE}, or the .tflite itself"
        msg = f"{file}: is no model: {what}"
        raise ModelError(msg)
    (n_card,) = _LENGTH.unpack_from(answer)
    return ModelFiles(answer[_LENGTH.size : _LENGTH.size + n_card], answer[_LENGTH.size + n_card :])


def unpack(given: IO[bytes]) -> bytes:
    """Return the card's length, the card and the model of the archive ``given``: the child's part.

    Empty where it is no archive. Raises :class:`ModelError` where it holds no model.
    """
    files = read_archive(given, _NAME)
    return b"" if files is None else _LENGTH.pack(len(files.card)) + files.card + files.model


def _card_beside(file: Path) -> Path:
    """Return the card of a .tflite: the .json that bears its name, else the card in its folder."""
    namesake = file.with_suffix(".json")
    return namesake if namesake.exists() else file.with_name(CARD_FILE)
