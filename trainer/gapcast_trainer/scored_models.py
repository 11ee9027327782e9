"""Selects the models that `evaluate` scores: the user's and, to compare with, the shipped ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gapcast.bundled import models_path
from gapcast.predictors.files import CARD_FILE
from gapcast.predictors.store import load_model, model_names, read_card
from gapcast.predictors.tflite import TflitePredictor
from gapcast_trainer.errors import RunError


def load_scored(
    names: Sequence[str], models: Path, note: Callable[[str], object]
) -> tuple[list[TflitePredictor], list[TflitePredictor]]:
    """Return the models of the folder ``models`` and the shipped ones, those of ``names`` only unless it is empty.

    A shipped model is left out, and ``note`` is called with the reason, if one in ``models`` has its name, or has
    another horizon. Raises :class:`RunError` for a name that neither has.
    """
    own, shipped = _folders(models), _folders(models_path())
    if models.resolve() == models_path().resolve():
        own = {}
    unknown = [name for name in names if name not in own and name not in shipped]
    if unknown:
        there = ", ".join([*own, *(name for name in shipped if name not in own)])
        msg = f"no model is called {unknown[0]}, in {models} or shipped with gapcast: there are {there}"
        raise RunError(msg)
    chosen = [load_model(own[name]) for name in names or own if name in own]
    if names:
        return chosen, [load_model(shipped[name]) for name in names if name not in own]
    horizons = {model.card.horizon_min for model in chosen}
    added = []
    for name, folder in shipped.items():
        horizon_min = read_card(folder / CARD_FILE).horizon_min
        if name in own:
            note(f"the shipped {name} is not scored: {own[name]} has its name (train with --set name=... for both)")
        elif horizons and horizon_min not in horizons:
            note(f"the shipped {name} is not scored: it forecasts {horizon_min} min ahead")
        else:
            added.append(load_model(folder))
    return chosen, added


def _folders(models: Path) -> dict[str, Path]:
    return {name: models / name for name in model_names(models)}
