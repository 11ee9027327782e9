"""Says of a meter's clock that it is off, and that it is right again: one line each."""

from __future__ import annotations

import structlog

from edge.core.clocks import Clock, Clocks, cure_of

log = structlog.get_logger(__name__)


def tell(clocks: Clocks, device: str, ahead_min: int, now_s: float) -> None:
    """Look at a reading that is ``ahead_min`` minutes ahead of the gateway, and log what is new of its clock."""
    news = clocks.look(device, ahead_min, now_s)
    if news is Clock.OFF:
        log.warning("clock.off", device=device, ahead_min=ahead_min, cure=cure_of(ahead_min))
    elif news is Clock.RIGHT:
        log.info("clock.right", device=device)
