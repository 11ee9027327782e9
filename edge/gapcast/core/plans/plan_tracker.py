"""One device's plan, reading by reading: the power of its announced loads so far and in the coming minutes.

:mod:`gapcast.core.plans.load_attribution` determines the part of each reading that belongs to the announced loads. A
load that was on before it was announced is subtracted from the window as far back as it is visible. A load that draws
less than announced, or nothing, for :data:`~gapcast.core.plans.load_attribution.GRACE_MIN` minutes away from its start
and end counts with the observed power from then on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.plans.load_attribution import EDGE_MIN, SeenLoad, SeenLoads, active_loads
from gapcast.core.plans.plan import MAX_LOADS, LoadPlan, PlannedLoad
from gapcast.core.readings.reading import is_device_id
from gapcast.core.readings.state_limits import MOST
from gapcast.core.time_grid import MINUTE_MS
from gapcast.core.windows.window import MAX_FILL_MIN

#: A load is seen in a past minute if at least this part of its power is visible.
_VISIBLE = 0.5
#: A load that is on in the whole window is seen in a minute if at least this part of its power is.
_WHOLE = 0.9
#: Largest number of stopped loads that may still be on for :data:`EDGE_MIN` minutes.
_MAX_STOPPED = 16


class TrackerState(NamedTuple):
    """The state of a :class:`PlanTracker` that a restart needs.

    ``attributed`` are minutes with the power in kW that was subtracted from their readings. ``issued`` are the minutes
    of readings whose forecasts wait for their outcome, each with the subtracted and the added power.
    """

    device: str
    loads: Sequence[PlannedLoad]
    stopped: Sequence[PlannedLoad]
    last_minute: int | None
    attributed: Sequence[tuple[int, float]]
    seen: Sequence[SeenLoad]
    issued: Sequence[tuple[int, float, float]]


class PlanTracker:
    """The plan of one device, and the part of its readings that belongs to the plan."""

    def __init__(self) -> None:
        self.plan = LoadPlan()
        #: The power subtracted from the readings of the window, by minute, kW.
        self.attributed_kw: dict[int, float] = {}
        #: By minute of a reading: the power subtracted from the reading, and the power added to its forecast.
        self.issued: dict[int, tuple[float, float]] = {}
        #: The plan in the newest forecast.
        self.forecast_plan = self.plan
        self._last_minute: int | None = None
        self._stopped: tuple[PlannedLoad, ...] = ()
        self._seen = SeenLoads()

    @property
    def is_idle(self) -> bool:
        """Whether there is no plan, and no trace of one in the window, in the newest or in pending forecasts."""
        has_loads = self.plan.loads or self.forecast_plan.loads or self._stopped
        return not (has_loads or self.attributed_kw or self.issued)

    def replace_plan(self, plan: LoadPlan, minute: int | None, totals_kw: F32 | None) -> bool:
        """Replace the plan; ``totals_kw`` ``[context]`` is the window that ends at ``minute`` (None: no reading yet).

        Return whether a load was subtracted from minutes of the window that earlier forecasts used.
        """
        before, self.plan = self.plan, plan
        if minute is None or totals_kw is None or self._last_minute not in {None, minute}:
            return False  # the next reading begins a history
        self._last_minute = minute
        self.plan = plan.without_ended((minute + 1 - EDGE_MIN) * MINUTE_MS)
        self._seen.rename([load for load in self.plan.loads if load.share_of(minute)])
        kept = {(load.name, load.kw) for load in self.plan.loads if load.share_of(minute)}
        end_ms = (minute + 1) * MINUTE_MS
        stopped = [
            load._replace(end_ms=min(load.end_ms, end_ms))
            for load in before.loads
            if load.share_of(minute) and (load.name, load.kw) not in kept and load in self._seen
        ]
        self._stopped = (*stopped, *self._stopped)[:_MAX_STOPPED]
        return self._subtract_past(minute, totals_kw)

    def observe(self, minute: int, totals_kw: F32) -> float:
        """Record the reading of ``minute``, the newest of the window ``totals_kw`` ``[context]``.

        Return the part of the reading that belongs to planned loads, kW.
        """
        ahead_min = 0 if self._last_minute is None else minute - self._last_minute
        if 0 < ahead_min <= MAX_FILL_MIN + 1:
            before_kw = self.attributed_kw.get(minute - ahead_min, 0.0)
            now_kw = self._attribute(minute, totals_kw, ahead_min)
            for i in range(1, ahead_min + 1):  # minutes without a reading are interpolated
                if part_kw := before_kw + (now_kw - before_kw) * i / ahead_min:
                    self.attributed_kw[minute - ahead_min + i] = part_kw
        else:  # the history starts again
            self.attributed_kw.clear()
            self._seen.clear()
            if ahead_min <= 0:  # time starts again, too
                self.issued.clear()
            self._subtract_past(minute, totals_kw)
        self._last_minute = minute
        self._discard_past(minute, len(totals_kw))
        self.forecast_plan = self.plan
        return self.attributed_kw.get(minute, 0.0)

    def subtract(self, minute: int, window_kw: NDArray[np.floating]) -> None:
        """Subtract the planned loads from the window ``window_kw`` ``[context]`` that ends at ``minute``, in place."""
        parts_kw = self.attributed_kw
        if not parts_kw:
            return
        at = np.fromiter(parts_kw, np.int64, len(parts_kw)) - (minute - len(window_kw) + 1)
        inside = (at >= 0) & (at < len(window_kw))
        window_kw[at[inside]] -= np.fromiter(parts_kw.values(), np.float64, len(parts_kw))[inside]

    def expected_kw(self, minute: int, loads: Iterable[PlannedLoad]) -> float:
        """Return the power of planned ``loads`` in a future ``minute``, kW, reduced for loads that show less."""
        total_kw = 0.0
        for load in loads:
            if share := load.share_of(minute):
                total_kw += load.kw * share * self._counted_share(load)
        return total_kw

    def _counted_share(self, load: PlannedLoad) -> float:
        """Return the share of the power of ``load`` that counts in forecasts."""
        last = self._last_minute
        return 1.0 if last is None or not load.share_of(last) else self._seen.counted_share(load)

    def forecast_minutes(self, minute: int, n_minutes: int) -> F64 | None:
        """Return the planned power ``[n_minutes]`` after ``minute``, kW, in the newest forecast; None without loads."""
        loads = self.forecast_plan.loads_between(minute, minute + n_minutes) if n_minutes else ()
        if not loads:
            return None
        minutes_kw, starts_ms = np.zeros(n_minutes), (minute + np.arange(1, n_minutes + 1)) * MINUTE_MS
        for load in loads:
            covered_ms = np.minimum(load.end_ms, starts_ms + MINUTE_MS) - np.maximum(load.start_ms, starts_ms)
            minutes_kw += load.kw * (np.maximum(covered_ms, 0) / MINUTE_MS) * self._counted_share(load)
        return minutes_kw

    def state(self, device: str) -> TrackerState:
        """Return the state, for :meth:`from_state`."""
        return TrackerState(
            device,
            self.plan.loads,
            self._stopped,
            self._last_minute,
            tuple(self.attributed_kw.items()),
            tuple(self._seen),
            tuple((minute, *parts) for minute, parts in self.issued.items()),
        )

    @classmethod
    def from_state(cls, state: TrackerState) -> PlanTracker:
        """Return a tracker with the ``state`` of an earlier tracker."""
        tracker = cls()
        tracker.plan, tracker._stopped = LoadPlan(tuple(state.loads)), tuple(state.stopped)
        tracker.forecast_plan = tracker.plan
        tracker._last_minute = state.last_minute
        tracker.attributed_kw = dict(state.attributed)
        tracker._seen = SeenLoads(state.seen)
        tracker.issued = {minute: (subtracted, added) for minute, subtracted, added in state.issued}
        return tracker

    def _attribute(self, minute: int, totals_kw: F32, ahead_min: int) -> float:
        """Return the part of the reading of ``minute`` that belongs to planned loads; update their seen shares."""
        planned = sorted(self.plan.loads, key=lambda load: -abs(load.kw))
        active = list(active_loads((*planned, *self._stopped), minute))
        if not active:
            self._seen.clear()
            return 0.0
        before = totals_kw.astype(np.float64)
        self.subtract(minute, before)
        past = before[: max(len(before) - ahead_min, 1)]
        return self._seen.attribute(active, minute, float(totals_kw[-1]), past)

    def _subtract_past(self, minute: int, totals_kw: F32) -> bool:
        """Subtract new loads that are on in ``minute`` from the window as far back as they are visible.

        Where the window repeats its oldest reading, which includes a load, the load is subtracted as in that reading.
        Return whether they are visible.
        """
        new = [load for load in self.plan.loads if load.share_of(minute) and load not in self._seen]
        plan = LoadPlan(tuple(new))
        now_kw = plan.planned_kw(minute)
        if not now_kw or minute in self.attributed_kw:
            return False
        sign = np.sign(now_kw)
        shown_kw = totals_kw.astype(np.float64) * sign
        floor_kw, part = shown_kw.min(), _VISIBLE
        if shown_kw[-1] - floor_kw < part * abs(now_kw):  # on in the whole window, or off
            floor_kw, part = 0.0, _VISIBLE if now_kw < 0 else _WHOLE  # a house draws power also without the load
        parts_kw: dict[int, float] = {}
        for back, above_kw in enumerate((shown_kw - floor_kw)[::-1].tolist()):
            planned_kw = sign * plan.planned_kw(minute - back)
            if planned_kw <= 0 or above_kw < part * planned_kw or minute - back in self.attributed_kw:
                break
            parts_kw[minute - back] = float(sign * min(planned_kw, above_kw))
        if minute not in parts_kw:
            return False
        first = minute - len(totals_kw) + 1
        oldest = first + int(np.append(totals_kw[1:] != totals_kw[0], True).argmax())  # before it the window is padded
        if oldest in parts_kw:
            parts_kw |= dict.fromkeys(range(first, oldest), parts_kw[oldest])
        self.attributed_kw = parts_kw | self.attributed_kw
        self._seen.add(new, self.attributed_kw[minute] / now_kw)
        return True

    def _discard_past(self, minute: int, context: int) -> None:
        """Discard the state that the window that ends at ``minute`` no longer needs."""
        ended_ms = (minute + 1 - EDGE_MIN) * MINUTE_MS
        self.plan = self.plan.without_ended(ended_ms)
        self._stopped = tuple(load for load in self._stopped if load.end_ms > ended_ms)
        for of_minute in [one for one in self.attributed_kw if one <= minute - context]:
            del self.attributed_kw[of_minute]


def is_plausible_load(load: PlannedLoad) -> bool:
    """Return whether a stored load could have been announced; else it comes from a damaged file."""
    return math.isfinite(load.kw) and abs(load.kw) <= MOST and 0 <= load.start_ms < load.end_ms


def is_plausible_tracker(state: TrackerState) -> bool:
    """Return whether a stored state could have been reached."""
    powers = [kw for _, kw in state.attributed] + [kw for _, *both in state.issued for kw in both]
    shares = [share for one in state.seen for share in (one.last, *one.inner)]
    return (
        is_device_id(state.device)
        and len(state.loads) <= MAX_LOADS
        and all(map(is_plausible_load, (*state.loads, *state.stopped)))
        and all(math.isfinite(kw) and abs(kw) <= MOST * MAX_LOADS for kw in powers)
        and all(0.0 <= share <= 1.0 for share in shares)
    )
