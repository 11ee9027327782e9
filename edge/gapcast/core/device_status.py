"""The status of one device: its newest reading, its newest forecast, and its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gapcast.core.engine import Engine
from gapcast.core.forecasts.forecast import Forecast
from gapcast.core.learning.scores.summary import Period, Summary


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """The newest reading (kW), newest forecast (None: none yet) and live scores by period of a device."""

    device: str
    minute: int
    gap_kw: float
    forecast: Forecast | None
    scores: Mapping[Period, Summary]


def status_of(engine: Engine, device: str) -> DeviceStatus | None:
    """Return the status of ``device``; None if it is unknown."""
    if device not in engine.buffers:
        return None
    minute, gap_kw = engine.buffers.newest(device)
    return DeviceStatus(device, minute, gap_kw, engine.latest_of(device), engine.scores_of(device))
