"""Reads a packed model: a folder, a .zip or .tar archive, or the .tflite with its card next to it.

An archive is read in a child process (:mod:`gapcast.predictors.trials.confinement`), so that a crafted archive can only
harm that process.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

from gapcast.core.errors import ModelError
from gapcast.core.models.card_types import MAX_MODEL_BYTES
from gapcast.predictors.installation.archive import read_archive
from gapcast.predictors.models_folder.files import (
    CARD_FILE,
    MAX_CARD_BYTES,
    MODEL_FILE,
    ModelFiles,
    read_bytes,
)
from gapcast.predictors.trials.confinement import ChildLimits, run_confined

_LENGTH = struct.Struct(">I")
#: Placeholder for the name of the archive, which the child receives as an open file.
_NAME = "<archive>"
#: Unpacking an archive of the largest model and card takes three times their size.
_LIMITS = ChildLimits(256 << 20, cpu_s=20, answer_bytes=_LENGTH.size + MAX_MODEL_BYTES + MAX_CARD_BYTES)


def read_packed(file: Path) -> ModelFiles:
    """Return the model in ``file``; raise :class:`ModelError` that names it if it is not a model."""
    if file.is_dir():
        model = read_bytes(file / MODEL_FILE, MAX_MODEL_BYTES)  # first, so that an error names it first
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
        fix = f"give a folder, a .zip or a .tar.gz with {MODEL_FILE} and {CARD_FILE}, or the .tflite itself"
        msg = f"{file}: is not a model: {fix}"
        raise ModelError(msg)
    (n_card,) = _LENGTH.unpack_from(answer)
    return ModelFiles(answer[_LENGTH.size : _LENGTH.size + n_card], answer[_LENGTH.size + n_card :])


def unpack(given: IO[bytes]) -> bytes:
    """Return the card's length, the card and the model of the archive ``given``; empty if it is not an archive.

    Runs in the child. Raises :class:`ModelError` if it does not contain a model.
    """
    files = read_archive(given, _NAME)
    return b"" if files is None else _LENGTH.pack(len(files.card)) + files.card + files.model


def _card_beside(file: Path) -> Path:
    """Return the path of a .tflite file's card: the .json of the same name, else the card in its folder."""
    same_name = file.with_suffix(".json")
    return same_name if same_name.exists() else file.with_name(CARD_FILE)
