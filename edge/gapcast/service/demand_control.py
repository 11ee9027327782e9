"""Changes of limits and month's peaks while the stream runs."""

from __future__ import annotations

from collections import deque
from contextlib import suppress

from gapcast.core.billing.changes import CorrectedMonthPeak, LimitChange, MonthPeak
from gapcast.core.billing.registers import RunningRegister
from gapcast.core.errors import PayloadError
from gapcast.core.snapshots.state_changes import StateChange
from gapcast.core.time_grid import minute_label
from gapcast.service.reports.reports import log_infeasible_limits
from gapcast.service.running_engine import RunningEngine

#: Registers are in whole W: the same peak differs by less than this.
_REGISTER_STEP_KW = 0.001
_MOST_DAYS = 31


class DemandControl:
    """Changes the demand of devices of the running engine, and queues each change for persistence. Thread-safe."""

    def __init__(self, running: RunningEngine, changes: deque[StateChange]) -> None:
        """Change ``running``; append each change to ``changes``."""
        self._running = running
        self._changes = changes

    def set_demand_limit(self, device: str, limit_kw: float | None) -> None:
        """Set the limit of ``device``, kW; None: the configured limit. A limit that is too low is logged.

        Raises :class:`~gapcast.core.errors.PayloadError` like :meth:`.DeviceDemands.set_limit`.
        """
        with self._running.lock:
            self._running.engine.demands.set_limit(device, limit_kw)
            self._changes.append(LimitChange(device, limit_kw))
            log_infeasible_limits(self._running.engine.demands, (device,))

    def correct_month_peak(self, device: str, peak: MonthPeak, *, is_retained: bool = False) -> None:
        """Correct the highest window of the running month of ``device``.

        ``is_retained``: the broker sends it at each connection, however old it is. Raises
        :class:`~gapcast.core.errors.PayloadError` like :meth:`.DeviceDemands.correct_month_peak`, and for a retained
        peak if a later window is higher.
        """
        with self._running.lock:
            if is_retained:
                self._require_no_later(device, peak)
            self._running.engine.demands.correct_month_peak(device, peak.kw, peak.minute)
            self._changes.append(CorrectedMonthPeak(device, peak))

    def record_running_register(self, device: str, kw: float, instant_ms: int) -> None:
        """Use the demand register of the meter of ``device``, received at ``instant_ms``, for its next demand."""
        with self._running.lock:
            self._running.engine.demands.record_running_register(device, RunningRegister(kw, instant_ms))

    def record_peak_register(self, device: str, kw: float) -> None:
        """Use the maximum demand register of the meter of ``device`` as its month's peak, if it differs.

        It is ignored for a device without a demand, before the month's first window is over, and if it is implausibly
        low.
        """
        with self._running.lock:
            demands = self._running.engine.demands
            highest = next(iter(demands.month_peaks(device, 1)), None)
            is_plausible = demands.accepts_peak_register(device, kw)
        if not is_plausible:
            return
        if highest is not None and abs(highest.kw - kw) <= _REGISTER_STEP_KW:
            return
        # A lower value corrects the highest window; a higher one belongs to an unknown window, at the latest the last
        # one.
        minute = highest.start_minute if highest is not None and kw < highest.kw else None
        with suppress(PayloadError):
            self.correct_month_peak(device, MonthPeak(kw, minute))

    def _require_no_later(self, device: str, peak: MonthPeak) -> None:
        """Raise :class:`~gapcast.core.errors.PayloadError` if a window after the peak's is higher."""
        for one in self._running.engine.demands.month_peaks(device, _MOST_DAYS):
            if peak.minute is not None and one.start_minute > peak.minute and one.kw > peak.kw:
                later = f"the window from {minute_label(one.start_minute)} is later, and higher ({one.kw:.3f} kW)"
                fix = "remove the retained message; if that window is wrong too, send the correction not retained"
                raise PayloadError("bad_time", f"the month's peak was retained, and {later}: {fix}")
