"""Rewrites two installed models so that the second continues from the trunk of the first."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.models.card import ModelCard
from gapcast.predictors.models_folder.files import CARD_FILE, MODEL_FILE
from gapcast.predictors.models_folder.store import load_model, read_card
from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast_trainer.errors import ExportError
from gapcast_trainer.export.exported_folder import install
from gapcast_trainer.tflite import shared_trunk
from gapcast_trainer.tflite.shared_trunk import SharedTrunk


class RewrittenModel(NamedTuple):
    """A model whose files were rewritten."""

    folder: Path
    card: ModelCard


def share(models: Path, first: str, outlook: str) -> tuple[RewrittenModel, RewrittenModel]:
    """Rewrite the models ``first`` and ``outlook`` of the folder ``models``, and return them.

    Raises :class:`ExportError` if the outlook has another trunk, or a forecast of the golden examples changes by a bit;
    nothing is written then.
    """
    before = [load_model(models / name) for name in (first, outlook)]
    shared = shared_trunk.share_trunk(*((models / name / MODEL_FILE).read_bytes() for name in (first, outlook)))
    after = [_with(model.card, content, shared) for model, content in zip(before, shared[:2], strict=True)]
    _check_same(before, after)
    folders = [install(content, model.card, models) for model, content in zip(after, shared[:2], strict=True)]
    cards = [read_card(folder / CARD_FILE) for folder in folders]
    one, other = map(RewrittenModel, folders, cards)
    return one, other


def _with(card: ModelCard, content: bytes, shared: SharedTrunk) -> TflitePredictor:
    changed = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "body": shared.digest}
    return TflitePredictor(content, ModelCard.model_validate(card.model_dump() | changed))


def _check_same(before: list[TflitePredictor], after: list[TflitePredictor]) -> None:
    """Raise :class:`ExportError` if a forecast of the golden examples changes, including the continued outlook's."""
    for old, new in zip(before, after, strict=True):
        windows, history = _golden(old.card)
        for name in old.card.outputs:
            expected = getattr(old.predict(windows, history), name)
            _require_equal(new.name, name, expected, getattr(new.predict(windows, history), name))
    outlook, (first, continued) = before[1], after
    windows, history = _golden(outlook.card)
    _, trunk = first.predict_with_trunk(windows)
    found, whole = continued.predict_from_trunk(trunk, history), outlook.predict(windows, history)
    for name in outlook.card.outputs:
        _require_equal(f"{outlook.name}, continued", name, getattr(whole, name), getattr(found, name))


def _golden(card: ModelCard) -> tuple[F32, F32 | None]:
    golden = card.golden
    history = None if golden.history is None else np.asarray(golden.history, dtype=np.float32)
    return np.asarray(golden.window, dtype=np.float32), history


def _require_equal(model: str, output: str, expected: F32, found: F32) -> None:
    if not np.array_equal(expected, found):
        msg = f"model {model}: {output} of the golden example changes by {np.max(np.abs(expected - found)):.1e} kW"
        raise ExportError(msg)
