"""The models folder: ``registry.json`` and one folder per model, checked before use."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from gapcast.core.documents.field_problem import field_problem
from gapcast.core.errors import ModelError
from gapcast.core.models.card import ModelCard
from gapcast.core.models.card_types import NAME_PATTERN
from gapcast.predictors.models_folder.files import (
    CARD_FILE,
    MAX_CARD_BYTES,
    MODEL_FILE,
    REGISTRY_FILE,
    ModelFiles,
    read_bytes,
    read_model_files,
    read_registry,
)
from gapcast.predictors.tflite.tflite import TflitePredictor


def read_card(path: Path) -> ModelCard:
    """Return the card at ``path``; raise :class:`ModelError` that names the first invalid field."""
    return parse_card(read_bytes(path, MAX_CARD_BYTES), path)


def parse_card(content: bytes, path: object) -> ModelCard:
    """Parse the card in ``content``; raise :class:`ModelError` that names ``path`` and the first invalid field."""
    try:
        return ModelCard.model_validate_json(content)  # the decoder of decode_json; its error names the field of a NaN
    except ValidationError as error:
        # An unknown key comes first, since another error may follow from it: the intended key is missing.
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        msg = f"{path}: {field_problem(first)}"
        raise ModelError(msg) from error


def default_model(models: Path) -> str:
    """Return the name of the default model from ``registry.json`` under ``models``."""
    return read_registry(models).default


def model_names(models: Path) -> list[str]:
    """Return the names of the folders under ``models`` that are models; raise :class:`ModelError` on failure."""
    try:
        return sorted(folder.name for folder in models.iterdir() if _is_model(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _unreadable(models, error) from error


def has_registry(models: Path) -> bool:
    """Return whether the folder ``models`` has a registry; raise :class:`ModelError` if it cannot be read."""
    try:
        return _exists(models / REGISTRY_FILE)
    except OSError as error:
        raise _unreadable(models, error) from error


def _is_model(folder: Path) -> bool:
    """Return whether ``folder`` contains a card, or this account cannot enter it and its name can be a model's."""
    try:
        return _exists(folder / CARD_FILE)
    except PermissionError:
        # Raises PermissionError if it is the models folder that this account cannot enter.
        return _exists(folder) and re.fullmatch(NAME_PATTERN, folder.name) is not None


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _unreadable(models: Path, error: OSError) -> ModelError:
    is_forbidden = isinstance(error, PermissionError)
    fix = "run this as root, or as the account of the service" if is_forbidden else "check the path and the disk"
    return ModelError(f"{error.filename or models}: cannot be read ({error.strerror}): {fix}")


def load_model(folder: Path) -> TflitePredictor:
    """Load, check and self-test the model in ``folder``, in this process.

    Only for models that are trusted like the code; use :class:`gapcast.predictors.trials.admission.Admission` for
    others. Raises :class:`ModelError`, in one sentence, if a file is missing, truncated or does not match its card,
    needs a feature that this version lacks, or does not reproduce the card's golden example.
    """
    files = read_model_files(folder)
    return build_model(files, check_files(files, folder))


def check_files(files: ModelFiles, folder: Path) -> ModelCard:
    """Return the card of the ``files`` read from ``folder``.

    Raises :class:`ModelError` if the card is invalid, or describes another file or folder.
    """
    card = parse_card(files.card, folder / CARD_FILE)
    if card.name != folder.name:
        msg = f"{folder / CARD_FILE}: describes model {card.name}, but the folder is named {folder.name}"
        raise ModelError(msg)
    digest = hashlib.sha256(files.model).hexdigest()
    if digest != card.sha256 or len(files.model) != card.bytes:
        msg = (
            f"{folder / MODEL_FILE}: is not the file that its card describes "
            f"({len(files.model)} bytes, sha256 {digest[:12]}…; the card says {card.bytes}, {card.sha256[:12]}…): "
            "install the model again"
        )
        raise ModelError(msg)
    return card


def build_model(files: ModelFiles, card: ModelCard) -> TflitePredictor:
    """Return the predictor of checked ``files`` after it has reproduced the golden example of its ``card``.

    Raises :class:`ModelError` if the runtime cannot load the file, or computes other values.
    """
    predictor = TflitePredictor(files.model, card)
    _replay_golden(predictor)
    return predictor


def _replay_golden(predictor: TflitePredictor) -> None:
    """Predict window by window, so that no interpreter for batches is created before the first batch."""
    golden = predictor.card.golden
    windows = np.asarray(golden.window, dtype=np.float32)
    history = None if golden.history is None else np.asarray(golden.history, dtype=np.float32)
    predictions = [
        predictor.predict(windows[i : i + 1], None if history is None else history[i : i + 1])
        for i in range(len(windows))
    ]
    for what in predictor.card.outputs:
        expected_kw = np.asarray(getattr(golden, what), dtype=np.float32)
        actual = np.concatenate([getattr(prediction, what) for prediction in predictions])
        error_kw = np.inf if expected_kw.shape != actual.shape else float(np.max(np.abs(expected_kw - actual)))
        if not error_kw <= golden.tolerance_kw:
            msg = (
                f"model {predictor.name}: {what} of the golden example differs by {error_kw:.3g} kW "
                f"(at most {golden.tolerance_kw:g} is allowed): the example "
                "was not made with this file, or this runtime computes it wrongly; export the model again"
            )
            raise ModelError(msg)
