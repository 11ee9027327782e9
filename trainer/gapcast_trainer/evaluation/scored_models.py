"""Selects the models that `evaluate` scores: the user's and, for comparison, the shipped ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from gapcast.bundled import models_path
from gapcast.predictors.models_folder.files import CARD_FILE
from gapcast.predictors.models_folder.store import default_model, load_model, model_names, read_card
from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast_trainer.errors import RunError


def load_scored(
    names: Sequence[str], models: Path, show: Callable[[str], object], *, lead_times_min: Sequence[int] = ()
) -> tuple[list[TflitePredictor], list[TflitePredictor]]:
    """Return the models of the folder ``models`` and the shipped models; if ``names`` is not empty, only these.

    A shipped model is left out, and ``show`` is called with the reason, if a model in ``models`` has its name, or if it
    has another horizon. With ``lead_times_min`` any model that lacks one of them is left out, unless it is in
    ``names``. Raises :class:`RunError` for a name of no model.
    """
    own, shipped = _folders(models), _folders(models_path())
    if models.resolve() == models_path().resolve():
        own = {}
    unknown = [name for name in names if name not in own and name not in shipped]
    if unknown:
        there = ", ".join([*own, *(name for name in shipped if name not in own)])
        msg = f"no model is called {unknown[0]}, in {models} or shipped with gapcast: there are {there}"
        raise RunError(msg)
    if names:
        return [load_model(own[name]) for name in names if name in own], [
            load_model(shipped[name]) for name in names if name not in own
        ]
    is_usable = partial(_has_lead_times, lead_times_min, show)
    chosen = [load_model(folder) for folder in own.values() if is_usable(folder)]
    horizons = {model.card.horizon_min for model in chosen}
    if not horizons and not lead_times_min:
        horizons = {read_card(shipped[default_model(models_path())] / CARD_FILE).horizon_min}
    added = []
    for name, folder in shipped.items():
        horizon_min = read_card(folder / CARD_FILE).horizon_min
        if name in own:
            show(f"the shipped {name} is not scored: {own[name]} has its name (train with --set name=... for both)")
        elif not is_usable(folder):
            continue
        elif horizons and horizon_min not in horizons:
            show(f"the shipped {name} is not scored: it forecasts {horizon_min} min ahead")
        else:
            added.append(load_model(folder))
    if not chosen and not added:
        msg = f"no model has all lead times {', '.join(map(str, lead_times_min))}: name one, or use other --horizons"
        raise RunError(msg)
    return chosen, added


def _has_lead_times(lead_times_min: Sequence[int], show: Callable[[str], object], folder: Path) -> bool:
    """Return whether the model in ``folder`` has all of ``lead_times_min``; otherwise call ``show`` with its own."""
    possible = read_card(folder / CARD_FILE).lead_times_min
    if {*lead_times_min} <= {*possible}:
        return True
    show(f"{folder.name} is not scored: it forecasts {', '.join(map(str, possible))} min ahead")
    return False


def _folders(models: Path) -> dict[str, Path]:
    return {name: models / name for name in model_names(models)}
