"""Logs when the minutes of a meter begin to be filled, and when they are measured again."""

from __future__ import annotations

import structlog

from gapcast.core.grid import instant_label, minute_label
from gapcast.mqtt.sources.meter import Meter

log = structlog.get_logger(__name__)

#: Measured minutes in a row after which a stream is no longer filled: a meter that is slower than every_s alternates.
_MEASURED_RUN = 10


def log_filling(meter: Meter, minute: int, *, is_filled: bool) -> None:
    """Log a change of the state of ``meter`` with its next ``minute``, once each."""
    if is_filled:
        if not meter.n_filled:
            newest_ms, every_s = meter.means.newest_ms, meter.source.holding.every_ms / 1_000
            log.warning(
                "source.filling",
                source=meter.source.name,
                device=meter.name,
                minute=minute_label(minute),
                last_sample=None if newest_ms is None else instant_label(newest_ms),
                every_s=every_s,
                cure=(
                    f"check the meter, which is configured to send every {every_s:g} s; if it sends less often, set "
                    "every_s; if it sends only changes, set on_change = true"
                ),
            )
        meter.n_filled += 1
        meter.n_measured = 0
    elif meter.n_filled:
        meter.n_measured += 1
        if meter.n_measured == _MEASURED_RUN:
            log.info("source.filling_ended", source=meter.source.name, device=meter.name, n_minutes=meter.n_filled)
            meter.n_filled = meter.n_measured = 0
