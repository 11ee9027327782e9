"""Logs the subscriptions and the arriving messages until the first forecast."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, tzinfo

import structlog

from gapcast.service.ports.intake import IntakeStatus

log = structlog.get_logger(__name__)

#: How often the intake is checked, and when a missing message is reported: a meter sends at least every five minutes.
_EVERY_S, _MISSING_S = 1.0, 360.0


class IntakeLog:
    """Logs each step to the first forecast once: the subscriptions, the first messages, the forecast.

    A warning follows if no message arrives, or if all are rejected. After the first forecast it does nothing, and
    after the first usable message if earlier forecasts were restored: those that exist at the first update.
    """

    def __init__(
        self, status: Callable[[], IntakeStatus], zone: tzinfo, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Log ``status``, with times in ``zone``; ``now_s`` is a monotonic clock."""
        self._status = status
        self._zone = zone
        self._now_s = now_s
        self._next_s = now_s()
        self._listening_s: float | None = None
        self._has_messages = self._is_missing = self._is_rejected = False
        self._is_restored: bool | None = None
        #: Whether :meth:`update` has nothing more to log.
        self.is_done = False

    def update(self) -> None:
        """Log what has changed since the last call. Cheap: checks the intake at most once a second."""
        if self.is_done or (now_s := self._now_s()) < self._next_s:
            return
        self._next_s = now_s + _EVERY_S
        status = self._status()
        if self._is_restored is None:
            self._is_restored = bool(status.n_forecast_devices)
        if status.problem:
            return
        if self._listening_s is None:
            self._listening_s = now_s
            subscriptions = status.subscriptions
            log.info("readings.listening", broker=subscriptions.address, topics=subscriptions.topics)
        if self._is_restored and status.n_usable:
            self.is_done = True
        elif status.n_forecast_devices and not self._is_restored:
            self.is_done = True
            log.info("forecasts.started", n_devices=status.n_forecast_devices)
        elif status.n_rejected and not status.n_usable:
            self._log_rejected(status)
        elif status.has_messages and not self._has_messages and not self._is_restored:
            self._has_messages = True
            at_ms = status.forecast_at_ms
            log.info(
                "readings.arriving",
                received=status.received,
                first_forecast=None if at_ms is None else self._local_minute(at_ms),
            )
        elif not (status.has_messages or self._is_missing) and now_s >= self._listening_s + _MISSING_S:
            self._is_missing = True
            log.warning(
                "readings.missing",
                topics=status.subscriptions.topics,
                fix="check that the meter publishes on these topics: run gapcast check, or gapcast setup to find it",
            )

    def _local_minute(self, at_ms: int) -> str:
        return datetime.fromtimestamp(at_ms / 1_000, self._zone).isoformat(timespec="minutes")

    def _log_rejected(self, status: IntakeStatus) -> None:
        if not self._is_rejected:
            self._is_rejected = True
            log.warning(
                "readings.rejected",
                received=status.received,
                problem=status.last_rejection,
                fix="correct what problem names; gapcast check lists each problem while the meter sends",
            )
