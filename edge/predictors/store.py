"""The models folder: ``registry.json`` and one folder a model, checked before use."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from edge.core.card import ModelCard
from edge.core.errors import ModelError
from edge.predictors.tflite import TflitePredictor

MODEL_FILE, CARD_FILE, REGISTRY_FILE = "model.tflite", "card.json", "registry.json"


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes; raise :class:`ModelError` that names the path where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror})"
        raise ModelError(msg) from error


def read_card(path: Path) -> ModelCard:
    """Return the card at ``path``; raise :class:`ModelError` that names the first field that is wrong."""
    try:
        return ModelCard.model_validate_json(read_bytes(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        msg = f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}"
        raise ModelError(msg) from error


def default_model(models: Path) -> str:
    """Return the name of the model that ``registry.json`` under ``models`` calls the default."""
    path = models / REGISTRY_FILE
    try:
        name = json.loads(read_bytes(path))["default"]
    except (ValueError, KeyError, TypeError) as error:
        msg = f'{path}: must read {{"default": "<name of a model>"}}'
        raise ModelError(msg) from error
    if not isinstance(name, str):
        msg = f'{path}: "default" must be the name of a model, not {name!r}'
        raise ModelError(msg)
    return name


def model_names(models: Path) -> list[str]:
    """Return the names of the folders under ``models`` that hold a card."""
    return sorted(path.parent.name for path in models.glob(f"*/{CARD_FILE}"))


def load_model(folder: Path) -> TflitePredictor:
    """Load, check and self-test the model in ``folder``.

    Raises :class:`ModelError`, in one sentence, where a file is missing or cut short, is not the one
    that the card describes, asks for a feature that this version does not know, or does not reproduce the
    card's golden example.
    """
    card = read_card(folder / CARD_FILE)
    content = read_bytes(folder / MODEL_FILE)
    if card.name != folder.name:
        msg = f"{folder / CARD_FILE}: describes model {card.name}, but the folder is named {folder.name}"
        raise ModelError(msg)
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.sha256 or len(content) != card.bytes:
        msg = (
            f"{folder / MODEL_FILE}: is not the file that its card describes "
            f"({len(content)} bytes, sha256 {digest[:12]}…; the card says {card.bytes}, {card.sha256[:12]}…): "
            "install the model again"
        )
        raise ModelError(msg)
    predictor = TflitePredictor(content, card)
    _replay_golden(predictor)
    return predictor


def _replay_golden(predictor: TflitePredictor) -> None:
    """Ask window by window: the interpreter for batches is then not made before the first batch comes."""
    golden = predictor.card.golden
    windows = np.asarray(golden.window, dtype=np.float32)
    found = [predictor.predict(windows[i : i + 1]) for i in range(len(windows))]
    mean = np.concatenate([each.mean for each in found])
    quantiles = [each.quantiles for each in found if each.quantiles is not None]
    for what, expected, got in (
        ("mean", golden.mean, mean),
        ("quantiles", golden.quantiles, np.concatenate(quantiles) if quantiles else None),
    ):
        if expected is None or got is None:
            continue
        wanted = np.asarray(expected, dtype=np.float32)
        off = np.inf if wanted.shape != got.shape else float(np.max(np.abs(wanted - got)))
        if not off <= golden.tolerance_kw:
            msg = (
                f"model {predictor.name}: the golden example gives {what} off by {off:.3g} kW "
                f"(at most {golden.tolerance_kw:g} is allowed): this runtime computes it wrongly"
            )
            raise ModelError(msg)
