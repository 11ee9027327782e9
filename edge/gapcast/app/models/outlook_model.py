"""The model that makes outlooks: chosen by the configuration, and checked against the primary model."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from gapcast.config.sections.forecast import OutlookSettings
from gapcast.core.errors import ModelChoiceError, UnknownModelError
from gapcast.core.forecasts.forecast import LOWER, MEDIAN, UPPER
from gapcast.core.windows.features import measured_in
from gapcast.predictors.models_folder.library import Library
from gapcast.predictors.tflite.tflite import TflitePredictor

log = structlog.get_logger(__name__)


def require_outlook_model(settings: OutlookSettings, folders: Mapping[str, object], library: Library) -> None:
    """Raise :class:`UnknownModelError` if the configuration names an outlook model that ``library`` does not have."""
    if settings.is_model_required and settings.model not in folders:
        raise UnknownModelError(f"outlook.model: {library.describe_missing(settings.model, folders)}")


def outlook_model_of(
    settings: OutlookSettings,
    by_name: Mapping[str, TflitePredictor],
    primary: TflitePredictor,
    horizon_min: int,
    *,
    is_limited: bool,
) -> TflitePredictor | None:
    """Return the model that makes outlooks beside forecasts of ``primary`` at ``horizon_min``; None without outlooks.

    Raises :class:`ModelChoiceError` if the configured model cannot make outlooks, or if none can and ``is_limited``: a
    device has a limit, and the demand is made from outlooks. If no model is configured and none can, the reason is
    logged.
    """
    model = by_name.get(settings.model)
    problem = "it is not installed" if model is None else _problem(model, primary, horizon_min)
    if settings.is_wanted:
        if not problem:
            return model
        if settings.is_model_required:
            msg = f"outlook.model: {settings.model} cannot make outlooks: {problem}"
            raise ModelChoiceError(msg)
        if not is_limited:
            log.info("outlook.disabled", model=settings.model, why=problem)
    if is_limited:
        msg = (
            f"demand: a limit needs outlooks, and {settings.model} cannot make them: {problem}; set outlook.model, or "
            "remove the limits in demand"
        )
        raise ModelChoiceError(msg)
    return None


def _problem(model: TflitePredictor, primary: TflitePredictor, horizon_min: int) -> str:
    """Return why ``model`` cannot make outlooks beside forecasts of ``primary``; empty if it can."""
    if not model.forecasts_means:
        return "it does not forecast the mean of all minutes until each lead time"
    if not {LOWER, MEDIAN, UPPER} <= {*(model.quantile_levels or ())}:
        return f"it does not have the quantiles {LOWER}, {MEDIAN} and {UPPER}"
    if horizon_min not in model.lead_times_min:
        leads = ", ".join(map(str, model.lead_times_min))
        return f"its lead times ({leads} min) do not contain the main forecast's, {horizon_min} min"
    if model.spec.padding != primary.spec.padding:
        return f"it pads short windows by {model.spec.padding}, {primary.name} by {primary.spec.padding}"
    channels, own = measured_in(primary.features), measured_in(model.features)
    return "" if own == channels[: len(own)] else f"it takes {', '.join(own)}, and readings have {', '.join(channels)}"
