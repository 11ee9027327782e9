"""Keeps a change of the default model from discarding what the gateway has learned at another horizon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from gapcast.app.models.primary_model import SETTING
from gapcast.config.files.state_dir import state_path
from gapcast.config.settings import Settings
from gapcast.core.errors import ModelChoiceError, ModelError
from gapcast.core.models.card import ModelCard
from gapcast.predictors.models_folder.files import CARD_FILE
from gapcast.predictors.models_folder.library import Library
from gapcast.predictors.models_folder.store import read_card
from gapcast.storage.generations import files_of


def check_horizon_change(
    settings: Settings, environment: Mapping[str, str], library: Library, name: str, leads_min: Sequence[int]
) -> None:
    """Raise :class:`ModelChoiceError` if the new default ``name`` would discard persisted learning state.

    Learning state and scores are of one horizon: the longest of the lead times ``leads_min`` of the default model,
    unless ``settings`` select a model or a horizon.
    """
    if settings.forecast.horizon_min is not None or settings.forecast.model is not None:
        return
    present = present_default(library)
    present_min = leads_min[-1] if present is None else present.lead_times_min[-1]
    if present_min == leads_min[-1] or not _has_state(settings, environment):
        return
    keep = f"set {SETTING} = {present_min} to keep them, or " if present_min in leads_min else ""
    msg = (
        f"{name} forecasts {leads_min[-1]} min ahead, the present default model {present_min}: learning state and "
        f"scores of all devices would start again; {keep}repeat the command with --yes to discard them"
    )
    raise ModelChoiceError(msg)


def present_default(library: Library) -> ModelCard | None:
    """Return the card of the default model of ``library``; None if there is no usable one."""
    with suppress(ModelError):
        path = library.models().get(library.default())
        if path is not None:
            return read_card(path / CARD_FILE)
    return None


def _has_state(settings: Settings, environment: Mapping[str, str]) -> bool:
    state = state_path(settings.state.path, environment)
    return any(files_of(folder) for folder in (state / "stream", *state.glob("shard-*/stream")) if folder.is_dir())
