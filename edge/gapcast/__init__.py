"""gapcast forecasts the power of a household.

``gapcast.forecast`` and ``gapcast.Forecaster`` are the library, ``gapcast run`` is the service.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gapcast.core.forecasts.forecast import Forecast as Forecast
    from gapcast.core.readings.reading import Reading as Reading
    from gapcast.python_api.checked_engine import CheckedEngine as Engine
    from gapcast.python_api.forecaster import Forecaster as Forecaster
    from gapcast.python_api.single_forecast import forecast as forecast

#: Names of the library, with the modules that define them (and their names there, if they have others), imported at
#: first use: a command loads only what it needs.
_NAMES = {
    "Engine": "gapcast.python_api.checked_engine:CheckedEngine",
    "Forecast": "gapcast.core.forecasts.forecast",
    "Forecaster": "gapcast.python_api.forecaster",
    "Reading": "gapcast.core.readings.reading",
    "forecast": "gapcast.python_api.single_forecast",
}
__all__ = ["Engine", "Forecast", "Forecaster", "Reading", "forecast"]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    module, _, name_there = _NAMES[name].partition(":")
    return getattr(import_module(module), name_there or name)
