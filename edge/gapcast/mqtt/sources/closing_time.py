"""The time until which the clock may close minutes of samples: without a connection, samples are missing."""

from __future__ import annotations

import time

from gapcast.core.time_grid import MINUTE_MS

#: The clock closes the minute in which the connection was lost if half of it was over: a mean needs as much.
_LONGEST_MISSED_MS = MINUTE_MS // 2
#: How long after a connection the broker may still send the samples that it has queued.
BACKLOG_MS = 10_000


class ClosingTime:
    """Delays the clock's minutes while the broker may hold samples of them.

    >>> closing = ClosingTime()
    >>> closing.track_connection(0, is_connected=True)
    >>> closing.until_ms(60_000)
    60000
    >>> closing.track_connection(60_000, is_connected=False)
    >>> closing.until_ms(300_000)
    90000
    """

    def __init__(self) -> None:
        self._lost_ms: int | None = None  # by the gateway's clock; None if no sample may be missing
        self._connected_s: float | None = None  # monotonic; None without a connection

    def track_connection(self, now_ms: int, *, is_connected: bool) -> None:
        """Record whether the broker is connected at ``now_ms``, by the gateway's clock."""
        if not is_connected:
            self._connected_s = None
            if self._lost_ms is None:
                self._lost_ms = now_ms
        elif self._lost_ms is not None:
            if self._connected_s is None:
                self._connected_s = time.monotonic()
            elif time.monotonic() - self._connected_s >= BACKLOG_MS / 1_000:
                self._lost_ms = None

    def until_ms(self, now_ms: int) -> int:
        """Return the time until which minutes may be closed at ``now_ms``."""
        return now_ms if self._lost_ms is None else min(now_ms, self._lost_ms + _LONGEST_MISSED_MS)
