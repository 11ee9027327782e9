"""Prevents a replay at full speed from overtaking the gateway that forecasts it."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from threading import Condition, Event

from gapcast.text.json_input import decode_json

#: Maximum number of readings ahead of the newest forecast. A broker queues about a thousand messages for a slow
#: subscriber, and drops more without a report (mosquitto's ``max_queued_messages``).
MOST_AHEAD = 500
#: Without a forecast for this long, no gateway is assumed to read the replay.
PATIENCE_S = 10.0
_POLL_S = 0.25


class ForecastPace:
    """Tracks the published readings without a forecast. Forecasts may be recorded from another thread."""

    def __init__(self, stopping: Event, most_ahead: int = MOST_AHEAD, patience_s: float = PATIENCE_S) -> None:
        """Waiting ends when ``stopping`` is set."""
        self._stopping = stopping
        self._most_ahead, self._patience_s = most_ahead, patience_s
        self._ahead: deque[int] = deque()
        self._is_alone = False
        self._changed = Condition()

    def wait(self, minute: int) -> None:
        """Wait until the reading of ``minute`` may be published; do not wait without a forecasting gateway."""
        with self._changed:
            silent_s = 0.0
            while len(self._ahead) >= self._most_ahead and not self._stopping.is_set():
                silent_s = 0.0 if self._changed.wait(_POLL_S) else silent_s + _POLL_S
                if silent_s >= self._patience_s:
                    self._is_alone = True
                    self._ahead.clear()
            if not self._is_alone:
                self._ahead.append(minute)

    def record_forecast(self, payload: bytes) -> None:
        """Record the forecast in ``payload``: the readings up to its own have arrived. Ignore other payloads."""
        try:
            observed_at = datetime.fromisoformat(decode_json(payload)["observed_at"])
        except (ValueError, KeyError, TypeError):
            return
        minute = int(observed_at.timestamp()) // 60
        with self._changed:
            self._is_alone = False
            while self._ahead and self._ahead[0] <= minute:
                self._ahead.popleft()
            self._changed.notify_all()
