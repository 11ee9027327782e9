"""The configuration of a back-test's engine: that of the service, with what is scored and without what is not."""

from __future__ import annotations

from gapcast.config.sections.demand import DemandSettings
from gapcast.config.settings import Settings


def with_outlooks(settings: Settings, n_houses: int) -> Settings:
    """Return ``settings`` with outlooks for ``n_houses``; if there are any, their model must be there.

    Without outlooks there are no demands either.
    """
    section = settings.outlook
    update = {"enabled": n_houses > 0, "max_devices": n_houses} | ({"model": section.model} if n_houses else {})
    demand = {} if n_houses else {"demand": DemandSettings()}
    return settings.model_copy(update={"outlook": section.model_copy(update=update), **demand})


def without_queries(settings: Settings, *, has_path: bool = False) -> Settings:
    """Return ``settings`` without what only a service publishes: the history, and the path of forecasts.

    ``has_path``: forecasts have a path, because outlooks agree with it.
    """
    history = settings.history.model_copy(update={"max_devices": 0})
    forecast = settings.forecast.model_copy(update={"path": has_path})
    return settings.model_copy(update={"history": history, "forecast": forecast})
