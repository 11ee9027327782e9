"""One device's plan against its readings: which part of each reading is of the announced loads.

Announced and real loads differ: a load starts a minute late, draws less, never starts, or is cancelled. So a reading is
not reduced by the planned power, but by what of it the reading shows:

* Loads are taken as planned if that leaves the uncontrolled part about as close to a value that it had in the last half
  hour as anything else does.
* Else each load by itself, the largest first: in the minutes around its planned start or end (:data:`EDGE_MIN`) with
  the power that leaves the uncontrolled part as it was; in between on, on as in the minute before, or off, whichever
  brings the uncontrolled part closest to those values.
* The uncontrolled part never falls below the lowest value of the window because of a load, and never rises above the
  highest because of a planned generation.

A load that was on before it was announced is subtracted from the window as far back as it shows. A load that draws less
than announced, or none, for :data:`GRACE_MIN` minutes counts with the power that it shows from then on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.grid import MINUTE_MS
from gapcast.core.plan import LoadPlan, PlannedLoad
from gapcast.core.window import F32, MAX_FILL_MIN

#: Minutes before and after a planned start or end in which a load may start or end.
EDGE_MIN = 2
#: Minutes for which a load that does not show counts with its announced power.
GRACE_MIN = 5
#: Minutes of the uncontrolled part that a reading is compared with.
_RECENT_MIN = 30
#: Part of a load's power by which "on" is preferred: then the forecast continues the reading.
_PREFERENCE = 0.1
#: A load is seen in a past minute if at least this part of its power shows.
_VISIBLE = 0.5
#: Stopped loads that may still be on for :data:`EDGE_MIN` minutes.
_MAX_STOPPED = 16
_SHARE_DECIMALS = 4
F64 = NDArray[np.float64]


class SeenLoad(NamedTuple):
    """What readings show of a load that is on: its name and power, and shares of the power, 0 to 1.

    ``last`` is that of the last minute; ``inner`` are those of the last minutes away from its start and end.
    """

    name: str
    kw: float
    last: float
    inner: tuple[float, ...] = ()


class TrackerState(NamedTuple):
    """The state of a :class:`PlanTracker`: what a restart needs.

    ``attributed`` are minutes with the power in kW that was subtracted from their readings; ``issued`` the minutes of
    readings whose forecasts wait for their outcome, each with the power that was subtracted and the power added.
    """

    device: str
    loads: Sequence[PlannedLoad]
    stopped: Sequence[PlannedLoad]
    last_minute: int | None
    attributed: Sequence[tuple[int, float]]
    seen: Sequence[SeenLoad]
    issued: Sequence[tuple[int, float, float]]


class PlanTracker:
    """The plan of one device, and the part of its readings that belongs to it."""

    def __init__(self) -> None:
        self.plan = LoadPlan()
        #: The power subtracted from the readings of the window, by minute, kW.
        self.attributed_kw: dict[int, float] = {}
        #: By minute of a reading: the power subtracted from it, and that added to its forecast.
        self.issued: dict[int, tuple[float, float]] = {}
        self._last_minute: int | None = None
        self._stopped: tuple[PlannedLoad, ...] = ()
        self._seen: dict[tuple[str, float], SeenLoad] = {}

    @property
    def is_idle(self) -> bool:
        """Whether there is neither a plan nor a trace of one in the window or in pending forecasts."""
        return not (self.plan.loads or self._stopped or self.attributed_kw or self.issued)

    def replace_plan(self, plan: LoadPlan, minute: int | None, totals_kw: F32 | None) -> bool:
        """Replace the plan; ``totals_kw`` ``[context]`` is the window that ends at ``minute`` (None: no reading yet).

        Return whether a load was subtracted from minutes of the window that earlier forecasts were made from.
        """
        before, self.plan = self.plan, plan
        if minute is None or totals_kw is None or self._last_minute not in {None, minute}:
            return False  # its next reading begins a history
        self._last_minute = minute
        self.plan = plan.without_ended((minute + 1 - EDGE_MIN) * MINUTE_MS)
        kept = {(load.name, load.kw) for load in self.plan.loads if load.share_of(minute)}
        end_ms = (minute + 1) * MINUTE_MS
        stopped = [
            load._replace(end_ms=min(load.end_ms, end_ms))
            for load in before.loads
            if load.share_of(minute) and (load.name, load.kw) not in kept and (load.name, load.kw) in self._seen
        ]
        self._stopped = (*stopped, *self._stopped)[:_MAX_STOPPED]
        return self._subtract_past(minute, totals_kw)

    def observe(self, minute: int, totals_kw: F32) -> float:
        """Record the reading of ``minute``, the newest of the window ``totals_kw`` ``[context]``.

        Return the part of it that belongs to planned loads, kW.
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
            if ahead_min <= 0:  # and so does time
                self.issued.clear()
            self._subtract_past(minute, totals_kw)
        self._last_minute = minute
        self._discard_past(minute, len(totals_kw))
        return self.attributed_kw.get(minute, 0.0)

    def subtract(self, minute: int, window_kw: NDArray[np.floating]) -> None:
        """Subtract the planned loads from the window ``window_kw`` ``[context]`` that ends at ``minute``, in place."""
        parts_kw = self.attributed_kw
        if not parts_kw:
            return
        at = np.fromiter(parts_kw, np.int64, len(parts_kw)) - (minute - len(window_kw) + 1)
        inside = (at >= 0) & (at < len(window_kw))
        window_kw[at[inside]] -= np.fromiter(parts_kw.values(), np.float64, len(parts_kw))[inside]

    def expected_kw(self, minute: int) -> float:
        """Return the planned power of a ``minute`` to come, kW; loads that show less count with what they show."""
        total_kw = 0.0
        for load in self.plan.loads:
            if share := load.share_of(minute):
                total_kw += load.kw * share * self._counted_share(load)
        return total_kw

    def state(self, device: str) -> TrackerState:
        """Return the state, for :meth:`of_state`."""
        return TrackerState(
            device,
            self.plan.loads,
            self._stopped,
            self._last_minute,
            tuple(self.attributed_kw.items()),
            tuple(self._seen.values()),
            tuple((minute, *parts) for minute, parts in self.issued.items()),
        )

    @classmethod
    def of_state(cls, state: TrackerState) -> PlanTracker:
        """Return a tracker with the ``state`` of an earlier one."""
        tracker = cls()
        tracker.plan, tracker._stopped = LoadPlan(tuple(state.loads)), tuple(state.stopped)
        tracker._last_minute = state.last_minute
        tracker.attributed_kw = dict(state.attributed)
        tracker._seen = {(one.name, one.kw): one for one in state.seen}
        tracker.issued = {minute: (subtracted, added) for minute, subtracted, added in state.issued}
        return tracker

    def _counted_share(self, load: PlannedLoad) -> float:
        """Return the share of a load's power that its forecast counts with."""
        last = self._last_minute
        seen = self._seen.get((load.name, load.kw)) if last is not None and load.share_of(last) else None
        return 1.0 if seen is None or len(seen.inner) < GRACE_MIN else max(seen.inner)

    def _attribute(self, minute: int, totals_kw: F32, ahead_min: int) -> float:
        """Return which part of the reading of ``minute`` belongs to planned loads; update what is seen of them."""
        active = list(self._active(minute))
        if not active:
            self._seen.clear()
            return 0.0
        before = totals_kw.astype(np.float64)
        self.subtract(minute, before)
        past = before[: max(len(before) - ahead_min, 1)]
        recent = past[-_RECENT_MIN:]
        total_kw, level_kw = float(totals_kw[-1]), float(past[-1])
        parts_kw = [0.0] * len(active)
        for i, (load, is_edge) in enumerate(active):
            rest_kw = total_kw - sum(parts_kw)
            if is_edge:
                low_kw, high_kw = min(load.kw, 0.0), max(load.kw, 0.0)
                parts_kw[i] = min(max(rest_kw - level_kw, low_kw), high_kw)
            else:
                parts_kw[i] = _closest(rest_kw, self._candidates_kw(load), recent, load.kw)
        planned_kw = [load.kw * load.share_of(minute) for load, _ in active]
        slack_kw = _PREFERENCE * max(abs(load.kw) for load, _ in active)
        if _distance(total_kw - sum(planned_kw), recent) <= _distance(total_kw - sum(parts_kw), recent) + slack_kw:
            parts_kw = planned_kw
        part_kw = sum(parts_kw)
        if part_kw > 0:
            possible_kw = min(part_kw, max(total_kw - float(past.min()), 0.0))
        else:
            possible_kw = max(part_kw, min(total_kw - float(past.max()), 0.0))
        scale = possible_kw / part_kw if part_kw else 0.0
        self._record_seen(
            [(load, is_edge, part * scale) for (load, is_edge), part in zip(active, parts_kw, strict=True)]
        )
        return possible_kw

    def _active(self, minute: int) -> Iterator[tuple[PlannedLoad, bool]]:
        """Yield the loads that may be on in ``minute``, the largest first, and whether near their start or end."""
        first_ms, edge_ms = minute * MINUTE_MS, EDGE_MIN * MINUTE_MS
        last_ms = first_ms + MINUTE_MS
        planned = sorted(self.plan.loads, key=lambda load: -abs(load.kw))
        for load in (*planned, *self._stopped):
            if load.kw and load.start_ms - edge_ms < last_ms and load.end_ms + edge_ms > first_ms:
                yield load, not load.start_ms + edge_ms <= first_ms <= last_ms <= load.end_ms - edge_ms

    def _candidates_kw(self, load: PlannedLoad) -> tuple[float, ...]:
        seen = self._seen.get((load.name, load.kw))
        return load.kw, load.kw * (seen.last if seen is not None else 0.0), 0.0

    def _record_seen(self, parts: Sequence[tuple[PlannedLoad, bool, float]]) -> None:
        before, self._seen = self._seen, {}
        for load, is_edge, part_kw in parts:
            key = load.name, load.kw
            if key in self._seen:  # one that stopped, or another of the same name
                continue
            last = min(max(round(part_kw / load.kw, _SHARE_DECIMALS), 0.0), 1.0)
            inner = before[key].inner if key in before else ()
            self._seen[key] = SeenLoad(*key, last, inner if is_edge else (*inner, last)[-GRACE_MIN:])

    def _subtract_past(self, minute: int, totals_kw: F32) -> bool:
        """Subtract loads that are on in ``minute``, and new, from the window as far back as they show.

        Return whether they show.
        """
        new = [load for load in self.plan.loads if load.share_of(minute) and (load.name, load.kw) not in self._seen]
        plan = LoadPlan(tuple(new))
        now_kw = plan.planned_kw(minute)
        if not now_kw or minute in self.attributed_kw:
            return False
        sign = np.sign(now_kw)
        shown_kw = totals_kw.astype(np.float64) * sign
        floor_kw, wanted_kw = shown_kw.min(), _VISIBLE * abs(now_kw)
        if shown_kw[-1] - floor_kw < wanted_kw:  # on in the whole window, or off
            floor_kw = 0.0
        for back, above_kw in enumerate((shown_kw - floor_kw)[::-1].tolist()):
            planned_kw = sign * plan.planned_kw(minute - back)
            if planned_kw <= 0 or above_kw < _VISIBLE * planned_kw or minute - back in self.attributed_kw:
                break
            self.attributed_kw[minute - back] = float(sign * min(planned_kw, above_kw))
        if minute not in self.attributed_kw:
            return False
        share = min(round(self.attributed_kw[minute] / now_kw, _SHARE_DECIMALS), 1.0)
        self._seen |= {(load.name, load.kw): SeenLoad(load.name, load.kw, share) for load in new}
        return True

    def _discard_past(self, minute: int, context: int) -> None:
        """Discard what the window that ends at ``minute`` does not need any more."""
        ended_ms = (minute + 1 - EDGE_MIN) * MINUTE_MS
        self.plan = self.plan.without_ended(ended_ms)
        self._stopped = tuple(load for load in self._stopped if load.end_ms > ended_ms)
        for of_minute in [one for one in self.attributed_kw if one <= minute - context]:
            del self.attributed_kw[of_minute]


def _distance(value_kw: float, recent_kw: F64) -> float:
    return float(np.abs(recent_kw - value_kw).min())


def _closest(total_kw: float, candidates_kw: Sequence[float], recent_kw: F64, load_kw: float) -> float:
    """Return the first of ``candidates_kw`` that leaves a value about as close to ``recent_kw`` as any does."""
    distances = [_distance(total_kw - part_kw, recent_kw) for part_kw in candidates_kw]
    limit_kw = min(distances) + _PREFERENCE * abs(load_kw)
    return next(part for part, distance in zip(candidates_kw, distances, strict=True) if distance <= limit_kw)
