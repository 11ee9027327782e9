"""The configuration of a back-test's engine: the service's, with everything that is scored and nothing else.

Demands are only scored if there is a limit to compare them with.
"""

from __future__ import annotations

from gapcast.config.sections.demand import MONTH_PEAK, NO_LIMIT, DemandSettings
from gapcast.config.settings import Settings
from gapcast.core.engine import Engine
from gapcast.core.errors import SettingsError


def with_outlooks(settings: Settings, n_houses: int) -> Settings:
    """Return ``settings`` with outlooks for ``n_houses``; if there are any, their model must be there.

    Without outlooks, demands are disabled too.
    """
    section = settings.outlook
    update = {"enabled": n_houses > 0, "max_devices": n_houses} | ({"model": section.model} if n_houses else {})
    demand = {} if n_houses else {"demand": DemandSettings()}
    return settings.model_copy(update={"outlook": section.model_copy(update=update), **demand})


def without_queries(settings: Settings, *, has_path: bool = False) -> Settings:
    """Return ``settings`` without what only a service publishes: the history, and the forecasts' path.

    ``has_path``: forecasts keep their path, because outlooks agree with it.
    """
    history = settings.history.model_copy(update={"max_devices": 0})
    forecast = settings.forecast.model_copy(update={"path": has_path})
    return settings.model_copy(update={"history": history, "forecast": forecast})


def has_limit(demand: DemandSettings) -> bool:
    """Return whether the windows of any device have a limit."""
    return any(keys.limit_kw not in (None, NO_LIMIT) for _, keys in demand.sections())


def require_limit(demand: DemandSettings, option: str) -> None:
    """Raise :class:`SettingsError` if no window has a limit, which ``option`` needs."""
    if not has_limit(demand):
        fix = f"set demand.limit_kw, as in --set demand.limit_kw=2.5 or --set demand.limit_kw={MONTH_PEAK}"
        msg = f"{option}: there is no limit to compare with: {fix}"
        raise SettingsError(msg)


def require_power_alone(engine: Engine, command: str, fix: str = "choose another model") -> None:
    """Raise :class:`SettingsError`, with ``fix``, if a model needs more than the power, all that ``command`` reads."""
    buffers = engine.buffers
    if needed := buffers.channels[1 : buffers.n_required]:
        problem = f"model {engine.model.name} needs {', '.join(needed)} with each reading"
        msg = f"forecast.model: {problem}, and {command} reads the power alone: {fix}"
        raise SettingsError(msg)


def require_scored_features(engine: Engine) -> None:
    """Raise :class:`SettingsError` if a model of a back-test's ``engine`` needs more than the power."""
    fix = f"choose another model, or score {engine.model.name} by gapcast-trainer evaluate"
    require_power_alone(engine, "a back-test", fix)
