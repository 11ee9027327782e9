"""Logs when a meter's clock is wrong and when it is correct again, once each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

import structlog

from gapcast.core.monitoring.clocks import ClockChange, ClockMonitor, clock_fix
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.time_grid import MINUTE_MS
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.service.ports.broker_link import IncomingMessage

log = structlog.get_logger(__name__)

#: Number of readings checked per large batch: a wrong clock stays wrong, and is detected in a later batch.
_CLOCKS_PER_BATCH = 16


def check_clock(
    clocks: ClockMonitor, device: str, ahead_min: int, received: ReceivedMessage, local_zone: tzinfo | None = None
) -> None:
    """Check a reading that is ``ahead_min`` minutes ahead of the gateway, and log a change of its clock's state.

    ``local_zone`` is the zone of the meter's local times, if it sends local times.
    """
    change = clocks.check(device, ahead_min, received.received_s)
    if change is ClockChange.OFF:
        fix = clock_fix(ahead_min, local_zone, received.received_ms)
        log.warning("clock.wrong", device=device, ahead_min=ahead_min, fix=fix)
    elif change is ClockChange.RIGHT:
        log.info("clock.right", device=device)


class ClockCheck:
    """Checks the clocks of native readings, batch by batch."""

    def __init__(self, max_devices: int, statistics: Statistics) -> None:
        """Track up to ``max_devices`` wrong clocks, and report them in ``statistics``."""
        self._clocks = ClockMonitor(max_devices, statistics.clock_offsets_min)
        self._n_batches = 0

    def check(self, received: Sequence[ReceivedMessage], messages: Sequence[IncomingMessage]) -> None:
        """Check some of ``messages``; the i-th belongs to the i-th of ``received``."""
        step = 1 + len(messages) // _CLOCKS_PER_BATCH
        self._n_batches += 1
        for i in range(self._n_batches % step, len(messages), step):
            reading = messages[i].reading
            if reading is not None:
                ahead_min = reading.minute - received[i].received_ms // MINUTE_MS
                check_clock(self._clocks, reading.device, ahead_min, received[i])

    def forget(self, device: str) -> None:
        """Discard the state of the clock of ``device``."""
        self._clocks.forget(device)
