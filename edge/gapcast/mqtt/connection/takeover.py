"""Detects another client that uses this one's client id, and decides whether this one yields."""

from __future__ import annotations

import time

from paho.mqtt.reasoncodes import ReasonCode

from gapcast.core.errors import ShardError
from gapcast.mqtt.connection.client import SessionOptions

_TAKEN_OVER = 0x8E
#: Number of consecutive connections that the broker ended soon after accepting them, without being unreachable in
#: between, from which on another client is assumed to have the same client id. MQTT 3.1.1 has no reason code for it.
_N_CUT_SHORT, _CUT_SHORT_S = 3, 60.0


class TakeoverDetector:
    """Detects that another client took over the session: by MQTT 5's reason code, or repeated short connections."""

    def __init__(self) -> None:
        self._opened_s = 0.0
        #: Number of short connections in a row.
        self.n_cut_short = 0

    def opened(self) -> None:
        """Record that the broker accepted the connection."""
        self._opened_s = time.monotonic()

    def unreachable(self) -> None:
        """Record that the broker could not be reached: it may have restarted. Reset the count of short connections."""
        self.n_cut_short = 0

    def is_taken_over(self, reason: ReasonCode, *, was_open: bool, mqtt5: bool) -> bool:
        """Return whether a connection that ended with ``reason`` was taken over by another client with the same id."""
        if was_open and time.monotonic() - self._opened_s < _CUT_SHORT_S:
            self.n_cut_short += 1
        else:
            self.n_cut_short = 0
        return self.n_cut_short >= _N_CUT_SHORT if not mqtt5 else bool(reason.value == _TAKEN_OVER)


def raise_if_taken_over(options: SessionOptions) -> None:
    """Raise :class:`ShardError` if this client stops when it is taken over: reconnecting would never end."""
    if options.yields:
        msg = (
            f"another worker took over the session of {options.gateway}: a shard has one worker. "
            "If this is unintended, stop that worker and start this one again"
        )
        raise ShardError(msg)
