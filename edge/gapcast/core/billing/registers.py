"""The meter's own registers: the demand of its running window, and the highest window of its month.

The demand register (OBIS 1-0:1.4.0 of DSMR meters, the "current average value" of a DLMS demand register) holds the
energy drawn since the window began divided by the length of the whole window: it starts at 0 and ends at the mean of
the window. The maximum demand register (1-0:1.6.0) holds the month's highest window.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from gapcast.core.time_grid import MINUTE_MS

#: How long before and after the end of a reading's minute the register may have been received, minutes.
_MAX_EARLY_MIN, _MAX_LATE_MIN = 0.5, 1.0


class Register(Enum):
    """The kinds of register."""

    RUNNING = "running"
    MONTH_PEAK = "month_peak"


class RunningRegister(NamedTuple):
    """The demand register of a device, kW, received at ``instant_ms`` (epoch ms)."""

    kw: float
    instant_ms: int

    def so_far_kw(self, start_minute: int, end_minute: int, observed_minute: int) -> float | None:
        """Return the mean of the window from its start until the register was received, kW; None if it is unusable.

        ``observed_minute`` is the minute of the newest reading of the window. The register is usable if it was received
        in this window, at least a minute after its start, and around the end of that minute: an earlier value lacks the
        energy drawn since, and a value received during a replay does not belong to the time of the readings.

        >>> RunningRegister(0.5, 335 * 60_000).so_far_kw(330, 345, 334)
        1.5
        """
        received_min = self.instant_ms / MINUTE_MS
        elapsed_min, late_min = received_min - start_minute, received_min - (observed_minute + 1)
        if elapsed_min < 1 or received_min >= end_minute or not -_MAX_EARLY_MIN <= late_min <= _MAX_LATE_MIN:
            return None
        return self.kw * (end_minute - start_minute) / elapsed_min
