"""Changes of limits and month's peaks while the stream runs."""

from __future__ import annotations

from collections import deque

from gapcast.core.demand.changes import CorrectedMonthPeak, LimitChange, MonthPeak
from gapcast.service.running_engine import RunningEngine
from gapcast.service.state_changes import StateChange


class DemandChanges:
    """Changes the demand of devices of the running engine, and queues each change for the persistence. Thread-safe."""

    def __init__(self, running: RunningEngine, changes: deque[StateChange]) -> None:
        """Change ``running``; append what was changed to ``changes``."""
        self._running = running
        self._changes = changes

    def set_demand_limit(self, device: str, limit_kw: float | None) -> None:
        """Set the limit of ``device``, kW; None: the configured one.

        Raises :class:`~gapcast.core.errors.PayloadError` as :meth:`~gapcast.core.engine.Engine.set_demand_limit`.
        """
        with self._running.lock:
            self._running.engine.set_demand_limit(device, limit_kw)
            self._changes.append(LimitChange(device, limit_kw))

    def correct_month_peak(self, device: str, peak: MonthPeak) -> None:
        """Correct the highest window of the running month of ``device``.

        Raises :class:`~gapcast.core.errors.PayloadError` as :meth:`~gapcast.core.engine.Engine.correct_month_peak`.
        """
        with self._running.lock:
            self._running.engine.correct_month_peak(device, peak.kw, peak.minute)
            self._changes.append(CorrectedMonthPeak(device, peak))
