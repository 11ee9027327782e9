"""Logs limits that are below what a device always draws, once for each device and limit."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from gapcast.core.demand.device_demands import DeviceDemands

log = structlog.get_logger(__name__)


def log_low_limits(demands: DeviceDemands, devices: Iterable[str]) -> None:
    """Log those of the limits of ``devices`` that are too low since the last call."""
    for device in devices:
        found = demands.new_low_limit(device)
        if found is not None:
            limit_kw, lowest_kw = round(found.limit_kw, 3), round(found.lowest_kw, 3)
            log.warning("demand.limit_too_low", device=device, limit_kw=limit_kw, lowest_kw=lowest_kw, cure=found.fix)
