"""Does what the settings allow fit into the memory that the service may use?"""

from __future__ import annotations

from collections.abc import Iterator

from gapcast.app.device_limit import CURE, device_cost
from gapcast.app.models import engine_of
from gapcast.check.finding import Finding, Situation, ok, warn
from gapcast.config.memory_limit import devices_that_fit, read_memory_limit


def check_memory(situation: Situation) -> Iterator[Finding]:
    """Compare ``devices.max`` with the memory that this process may use; the service's own limits may be others."""
    limit = read_memory_limit()
    if situation.models is None or limit is None:
        return
    configured = situation.settings.devices.max
    cost = device_cost(engine_of(situation.settings, situation.models))
    effective = devices_that_fit(cost, limit.n_bytes, configured)
    if effective < configured:
        text = f"devices.max is {configured}, but only {effective} devices fit into {limit}"
        yield warn("memory", text, CURE)
    else:
        yield ok("memory", f"{configured} devices fit into {limit}")
