"""Chooses the models that are members of the ensemble at a horizon."""

from __future__ import annotations

from collections.abc import Set

import structlog

from gapcast.app.models.primary_model import incompatibility
from gapcast.config.settings import Settings
from gapcast.core.errors import ModelChoiceError
from gapcast.predictors.tflite.tflite import TflitePredictor

log = structlog.get_logger(__name__)


def member_names(
    settings: Settings,
    by_name: dict[str, TflitePredictor],
    primary: TflitePredictor,
    optional: Set[str],
    horizon_min: int,
    *,
    of_devices: bool = False,
) -> list[str]:
    """Return the names of the models that are ensemble members beside ``primary`` at ``horizon_min``.

    Two kinds are members only if the settings name them: the registry's ``optional`` models, and models with a history,
    which are made for the outlook and mostly repeat the primary model at the main horizon. Raises
    :class:`ModelChoiceError` if a configured member cannot be combined with ``primary``; with ``of_devices`` (a horizon
    of single devices), such members are left out.
    """
    wanted = settings.forecast.experts
    if wanted is None and not settings.forecast.blend:
        return []
    members = []
    for name in sorted(by_name if wanted is None else {*wanted}):
        if by_name[name] is primary or (wanted is None and (by_name[name].history_steps or name in optional)):
            continue
        problem = incompatibility(by_name[name], primary, horizon_min)
        if problem and wanted is not None and not of_devices:
            msg = f"forecast.experts: {name} cannot be combined with {primary.name}: {problem}"
            raise ModelChoiceError(msg)
        if problem and name != settings.outlook.model and not of_devices:
            log.info("model.not_combined", model=name, beside=primary.name, why=problem)
        if problem:
            continue
        members.append(name)
    return members
