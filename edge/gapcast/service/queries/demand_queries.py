"""Thread-safe read access to the newest demands, and answers to headroom requests."""

from __future__ import annotations

import time

from gapcast.core.billing.infeasible_limit import InfeasibleLimit
from gapcast.core.billing.limit_changes import beyond_max_devices
from gapcast.core.billing.month_peaks import DayPeak
from gapcast.core.demand.demand import VALID_MIN, Demand, is_late
from gapcast.core.demand.documents.document import N_MONTH_PEAKS
from gapcast.core.demand.headroom.headroom import Headroom
from gapcast.core.demand.headroom.headroom_request import headroom_request
from gapcast.core.demand.scores.scores import DemandScores, join_sums, scores_of
from gapcast.core.errors import NoDemandError
from gapcast.core.time_grid import MINUTE_MS, instant_label, minute_label
from gapcast.service.queries.name_page import name_page
from gapcast.service.queries.unknown_device import unknown_device
from gapcast.service.running_engine import RunningEngine

_QUARTER_MIN = 15
#: How long after the end of a demand's validity the next reading may arrive, minutes; needed at the end of each window.
_OVERDUE_MIN = 1
#: Why no device of this gateway has a demand.
NO_DEMANDS = "this gateway computes no demands: set demand.limit_kw (docs/demand.md), and outlook.enabled = true"


class DemandQueries:
    """Reads the demands of the running engine, from any thread; the stream waits for one device at a time."""

    def __init__(self, running: RunningEngine) -> None:
        self._running = running

    def for_device(self, device: str) -> Demand:
        """Return the newest demand of ``device``; raise :class:`NoDemandError` if there is none."""
        demand = self._newest(device)
        if demand is None:
            raise NoDemandError(self.explain_absence(device))
        return demand

    def _newest(self, device: str) -> Demand | None:
        with self._running.lock:
            return self._running.engine.demands.newest(device)

    def month_peaks(self, device: str) -> list[DayPeak]:
        """Return the highest windows of the running month of ``device``, one a day; empty without a demand."""
        with self._running.lock:
            return self._running.engine.demands.month_peaks(device, N_MONTH_PEAKS)

    @property
    def timezone(self) -> str:
        """IANA name of the time zone of windows and months."""
        with self._running.lock:
            return self._running.engine.demands.timezone

    def infeasible_limit(self, device: str) -> InfeasibleLimit | None:
        """Return the fixed limit of ``device`` if it is below what the device always draws."""
        with self._running.lock:
            return self._running.engine.demands.infeasible_limit(device)

    def page(self, limit: int, after: str = "") -> tuple[list[Demand], int, str | None]:
        """Return the newest demands of ``limit`` devices by name, and the last name if more follow.

        Starts with the first name after ``after``. The number is that of all devices that have a demand.
        """
        with self._running.lock:
            engine = self._running.engine
            demands = engine.demands.forecaster
            devices = [] if demands is None else demands.devices(engine.buffers.names())
        page, next_ = name_page(devices, limit, after)
        found = map(self._newest, page)
        return [demand for demand in found if demand is not None], len(devices), next_

    def headroom(self, device: str, kw: object, minutes: object) -> Headroom:
        """Return whether ``device`` may draw ``kw`` for ``minutes``, and how much it may draw.

        Raises :class:`RequestError` for an unusable value, and :class:`NoDemandError` if there is no demand; if the
        newest reading was processed more than :data:`~gapcast.core.demand.demand.VALID_MIN` minutes ago, or after the
        present time because the clock was set back since, as at the start of a machine without a battery-backed clock;
        if its demand expired more than a minute ago; or if it arrived so late that its demand had already expired.
        """
        limits = self._running.engine.limits
        request = headroom_request(kw, minutes, limits.max_kw)
        with self._running.lock:
            engine = self._running.engine
            risks = engine.demands.load_risks(device, engine.outlook_of(device), request)
        if risks is None:
            raise NoDemandError(self.explain_absence(device))
        headroom = risks.answer(limits.max_kw)  # without the lock, so that the stream does not wait
        if problem := _problem_with(headroom.demand):
            raise NoDemandError(f"the newest reading of {device!r} {problem}", is_stale=True)
        return headroom

    def live_scores(self) -> DemandScores:
        """Return the live scores over all devices; elapsed minutes refer to quarter-hours."""
        with self._running.lock:
            demands = self._running.engine.demands.forecaster
            return scores_of(join_sums([] if demands is None else demands.live.all_sums()), _QUARTER_MIN)

    def explain_absence(self, device: str) -> str:
        """Return why ``device`` has no demand, in a sentence that names the key to change, if there is one."""
        with self._running.lock:
            engine = self._running.engine
            demands, is_known = engine.demands.forecaster, device in engine.buffers
            is_tracked = is_known and demands is not None and engine.buffers.row(device) < demands.windows.max_rows
        if demands is None:
            return NO_DEMANDS
        if not is_known:
            return unknown_device(device)
        if not demands.windows.site_options.for_device(device).is_limited:
            fix = "set demand.limit_kw, or that of its [[demand.devices]]"
            return f"device {device!r} has no limit, so no demand is computed: {fix} (docs/demand.md)"
        if not is_tracked:
            return beyond_max_devices(device, demands.windows.max_rows)
        return f"device {device!r} has no demand for its newest reading yet: it is computed with the next outlook"


def _problem_with(demand: Demand) -> str:
    """Return why the newest ``demand`` of a device cannot answer requests, as a predicate; empty if it can."""
    until = "use your own safe value until the next reading"
    issued_min, of = demand.issued_at_ms / MINUTE_MS, minute_label(demand.observed_minute)
    left_min = demand.valid_until_minute - issued_min
    if is_late(left_min):
        arrived = instant_label(demand.issued_at_ms)
        clock = "if this repeats, check the meter's clock and time zone with gapcast check"
        return f"was measured at {of} but received at {arrived}, too late for a valid demand: {until}; {clock}"
    age_min = (time.time_ns() // 1_000_000) / MINUTE_MS - issued_min
    if age_min < -_OVERDUE_MIN:
        made = instant_label(demand.issued_at_ms)
        return f"was received at {made} by a clock that was ahead of the current time: {until}"
    if age_min > VALID_MIN:
        age = f"more than {int(age_min)} minutes ago"
        return f"was received {age}, but a demand is valid for {VALID_MIN} minutes: {until}"
    if left_min < age_min - _OVERDUE_MIN:
        return f"was measured at {of}; its demand was valid until {minute_label(demand.valid_until_minute)}: {until}"
    return ""
