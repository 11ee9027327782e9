"""gapcast forecasts the power of a household.

``gapcast.forecast`` and ``gapcast.Forecaster`` are the library, ``gapcast run`` is the service.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gapcast.core.engine import Engine as Engine
    from gapcast.core.forecasts.forecast import Forecast as Forecast
    from gapcast.core.readings.reading import Reading as Reading
    from gapcast.python_api.forecaster import Forecaster as Forecaster
    from gapcast.python_api.single_forecast import forecast as forecast

#: Names of the library, with the modules that define them, imported at first use: a command loads only what it needs.
_NAMES = {
    "Engine": "gapcast.core.engine",
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
    return getattr(import_module(_NAMES[name]), name)
