"""Says of a meter's clock that it is off, and that it is right again: one line each."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from gapcast.core.clocks import Clock, Clocks, clock_fix
from gapcast.core.grid import MINUTE_MS
from gapcast.core.statistics import Statistics
from gapcast.mqtt.session import Received
from gapcast.service.ports import Arrival

log = structlog.get_logger(__name__)

#: Of a large batch, so many readings' clocks are looked at: one that is off stays so, and its turn comes.
_CLOCKS_A_BATCH = 16


def check_clock(clocks: Clocks, device: str, ahead_min: int, now_s: float) -> None:
    """Look at a reading that is ``ahead_min`` minutes ahead of the gateway, and log what is new of its clock."""
    news = clocks.check(device, ahead_min, now_s)
    if news is Clock.OFF:
        log.warning("clock.off", device=device, ahead_min=ahead_min, cure=clock_fix(ahead_min))
    elif news is Clock.RIGHT:
        log.info("clock.right", device=device)


class ClockCheck:
    """Looks at the clocks of native readings, batch by batch."""

    def __init__(self, max_devices: int, statistics: Statistics) -> None:
        """Remember the clocks of ``max_devices`` that are off, and count them in ``statistics``."""
        self._clocks = Clocks(max_devices)
        self._statistics = statistics
        self._n_batches = 0

    def look(self, received: Sequence[Received], arrivals: Sequence[Arrival]) -> None:
        """Look at some of ``arrivals``, of which the i-th is what came of the i-th message."""
        step = 1 + len(arrivals) // _CLOCKS_A_BATCH
        self._n_batches += 1
        for i in range(self._n_batches % step, len(arrivals), step):
            reading = arrivals[i].reading
            if reading is not None:
                _, received_s, received_ms = received[i]
                check_clock(self._clocks, reading.device, reading.minute - received_ms // MINUTE_MS, received_s)
        self._statistics.n_clocks_off = self._clocks.n_off
