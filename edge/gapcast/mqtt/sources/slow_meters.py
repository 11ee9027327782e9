"""Meters that send too rarely: logs meters whose minutes are filled, counts slow ones, and logs one per source."""

from __future__ import annotations

import structlog

from gapcast.core.meters.minutes import MAX_EVERY_S, HeldValue
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.time_grid import instant_label, minute_label
from gapcast.mqtt.sources.meter import Meter

log = structlog.get_logger(__name__)

#: Measured minutes in a row after which a stream is no longer filled. With a meter that is slower than every_s,
#: measured and filled minutes alternate.
_MEASURED_RUN = 10
#: A meter is slow after this many consecutive intervals that are longer than this.
_SLOW_MS, _SLOW_RUN = 90_000, 3


def log_filling(meter: Meter, minute: int, *, is_filled: bool) -> None:
    """Log when the minutes of ``meter`` begin to be filled, or are measured again, with its next ``minute``."""
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
                fix=(
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


class SlowMeters:
    """Counts slow meters.

    The value of a meter that sends on every change is known between its samples: such a meter is slow only if its
    samples are further apart than a value is valid.
    """

    def __init__(self, statistics: Statistics) -> None:
        """Count in ``statistics``."""
        self._statistics = statistics
        self._logged: set[str] = set()  # sources with a logged slow meter

    def check(self, meter: Meter, distance_ms: int) -> None:
        """Check a sample that is ``distance_ms`` after the previous one."""
        was_slow, holding = _is_slow(meter), meter.source.holding
        slow_ms = max(_SLOW_MS, holding.hold_ms) if holding.on_change else _SLOW_MS
        meter.n_slow = min(meter.n_slow + 1, _SLOW_RUN) if distance_ms > slow_ms else 0
        self._statistics.n_slow_meters += _is_slow(meter) - was_slow
        if was_slow or not _is_slow(meter) or meter.source.name in self._logged:
            return
        self._logged.add(meter.source.name)
        log.warning(
            "meter.slow",
            source=meter.source.name,
            device=meter.name,
            every_s=round(distance_ms / 1_000),
            fix=_fix(holding, distance_ms),
            meanwhile=_meanwhile(meter, distance_ms),
        )

    def forget(self, meter: Meter) -> None:
        """Stop counting this meter."""
        self._statistics.n_slow_meters -= _is_slow(meter)
        meter.n_slow = 0


def _is_slow(meter: Meter) -> bool:
    return meter.n_slow >= _SLOW_RUN


def _fix(holding: HeldValue, distance_ms: int) -> str:
    if holding.on_change:
        return f"configure it to repeat its value at least every {holding.hold_ms / 1_000:g} s (hold_s)"
    fix, every_s = "configure it to send at least once a minute", round(distance_ms / 1_000)
    is_gap = distance_ms > holding.hold_ms
    return f"{fix}, or set every_s = {every_s}" if is_gap and every_s <= MAX_EVERY_S else fix


def _meanwhile(meter: Meter, distance_ms: int) -> str:
    """Return, as text, what happens to the minutes between two samples that are ``distance_ms`` apart."""
    holding = meter.source.holding
    hold_s, every_s = holding.hold_ms / 1_000, holding.every_ms / 1_000
    if distance_ms > holding.hold_ms:
        if meter.counter is not None:
            return f"it has no readings: the difference of two counts is used if they are at most {hold_s:g} s apart"
        return (
            f"there are gaps: if the next sample arrives more than {hold_s:g} s (hold_s) later, a sample is valid for "
            f"{every_s:g} s only"
        )
    if meter.counter is not None:
        return "each minute between two counts has their mean power"
    return "each minute until the next sample repeats the last value"
