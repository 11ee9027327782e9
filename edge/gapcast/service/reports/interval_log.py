"""Logs meters whose readings do not come once a minute: too often, or too rarely for a forecast."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import structlog

from gapcast.core.meters.minutes import MAX_EVERY_S
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.core.streams.buffer import Buffers, ReadingStatus
from gapcast.core.streams.stream_windows import RestartedStream, SlowStream
from gapcast.core.time_grid import minute_label
from gapcast.core.windows.window import MAX_FILL_MIN
from gapcast.service.ports.broker_link import Link

log = structlog.get_logger(__name__)

#: What a device needs for its first forecast, or its next one after a gap.
FORECAST_NEEDS = f"forecasts need two readings at most {MAX_FILL_MIN + 1} minutes apart"
#: What becomes of several readings of a minute.
FAST_PROBLEM = (
    "each minute has the value of its first reading, not the mean; later readings of the minute are duplicates"
)
#: The fix of a meter that sends several readings a minute; how to read samples follows.
FAST_FIX = "configure it to send the mean of each minute once, or "
#: Minutes in a row with another value than that of the first reading, after which a meter is too fast.
_FAST_RUN = 3


class IntervalLog:
    """Logs devices whose readings are minutes, not samples, and that send several a minute, or too few; each once."""

    def __init__(self, link: Link) -> None:
        """Log devices whose readings ``link`` receives."""
        self._link = link
        self._fast_runs: dict[str, tuple[int, int]] = {}  # newest minute with several values, and such minutes in a row
        self._fast: set[str] = set()  # logged
        self._slow: set[str] = set()  # logged

    def log_fast(self, readings: Sequence[Reading], accepted: AcceptedBatch, buffers: Buffers) -> None:
        """Log which devices have several values in each minute, of the ``accepted`` duplicates among ``readings``."""
        duplicates = [
            reading
            for reading, status in zip(readings, accepted.statuses, strict=True)
            if status is ReadingStatus.DUPLICATE and not reading.redelivered and reading.device not in self._fast
        ]
        if not duplicates:
            return
        devices = {one.device for one in duplicates}
        accepted_readings = (one for one in accepted.window_readings(readings) if one.device in devices)
        first_kw = {(one.device, one.minute): np.float32(one.gap_kw) for one in accepted_readings}
        for device, minute, gap_kw, *_ in duplicates:
            newest, newest_kw = buffers.newest(device)
            known_kw = first_kw.get((device, minute), np.float32(newest_kw) if minute == newest else None)
            if known_kw is not None and known_kw != np.float32(gap_kw):
                self._count_fast_minute(device, minute)

    def _count_fast_minute(self, device: str, minute: int) -> None:
        last_minute, n_minutes = self._fast_runs.get(device, (minute, 1))
        if minute != last_minute:
            n_minutes = n_minutes + 1 if minute == last_minute + 1 else 1
        self._fast_runs[device] = minute, n_minutes
        if n_minutes == _FAST_RUN and device not in self._fast:
            self._fast.add(device)
            fix = f"{FAST_FIX}{self._link.subscriptions.samples_fix}"
            log.warning("meter.fast", device=device, minute=minute_label(minute), fix=fix, meanwhile=FAST_PROBLEM)

    def log_slow(self, streams: Iterable[RestartedStream]) -> None:
        """Log which devices send too rarely for a forecast, of the restarted ``streams``."""
        for device, gap_min in (one for one in streams if isinstance(one, SlowStream)):
            if device in self._slow or self._link.meters.sends_samples(device):
                continue
            self._slow.add(device)
            every_s = gap_min * 60
            samples = f"; or {self._link.subscriptions.samples_fix}, and every_s = {every_s}"
            log.warning(
                "meter.slow",
                device=device,
                every_s=every_s,
                fix=f"configure it to send once a minute{samples if every_s <= MAX_EVERY_S else ''}",
                meanwhile=f"the device has no forecast: {FORECAST_NEEDS}",
            )

    def forget(self, device: str) -> None:
        """Discard ``device``."""
        self._fast_runs.pop(device, None)
        self._fast.discard(device)
        self._slow.discard(device)
