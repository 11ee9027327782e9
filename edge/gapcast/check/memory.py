"""Checks that the configured number of devices fits into memory."""

from __future__ import annotations

from collections.abc import Iterator

from gapcast.app.engines.device_limit import FIX, device_cost
from gapcast.app.engines.engine import engine_of
from gapcast.check.finding import CheckInput, Finding, ok, warn
from gapcast.config.memory_limit import fitting_devices, read_memory_limit


def check_memory(inputs: CheckInput) -> Iterator[Finding]:
    """Compare ``devices.max`` with the memory limit of this process; the service's own limit may differ."""
    limit = read_memory_limit()
    if inputs.models is None or limit is None:
        return
    configured = inputs.settings.devices.max
    cost = device_cost(engine_of(inputs.settings, inputs.models))
    effective = fitting_devices(cost, limit.n_bytes, configured).n_devices
    if effective < configured:
        text = f"devices.max is {configured}, but only {effective} devices fit into {limit}"
        yield warn("memory", text, FIX)
    else:
        yield ok("memory", f"{configured} devices fit into {limit}")
