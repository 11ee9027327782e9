"""Attributes a part of each reading to the announced loads that are on, as far as the reading shows them.

Announced and real loads differ: a load starts a minute late, draws less, never starts, or is cancelled. So the part
that is subtracted from a reading is not the planned power, but the part of it that the reading shows:

* Loads have their planned power if that leaves the uncontrolled part about as close to one of its values in the last
  half hour as any alternative does.
* Otherwise each load is attributed separately, the largest first. In the minutes around its planned start or end
  (:data:`EDGE_MIN`) it has the power that leaves the uncontrolled part unchanged. In between it is on, on as in the
  minute before, or off, whichever brings the uncontrolled part closest to those values.
* The uncontrolled part never falls below the lowest value of the window because of a load, and never rises above the
  highest because of planned generation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.core.plans.plan import PlannedLoad
from gapcast.core.time_grid import MINUTE_MS

#: Minutes before and after a planned start or end in which a load may start or end.
EDGE_MIN = 2
#: Minutes, without those near its start and end, for which an invisible load counts with its announced power.
GRACE_MIN = 5
#: Smaller shares of a load's power are changes of the house.
_LEAST_SHARE = 0.01
#: Number of minutes of the uncontrolled part that a reading is compared with.
_RECENT_MIN = 30
#: Part of a load's power by which "on" is preferred: with it the forecast continues the reading.
_PREFERENCE = 0.1
_SHARE_DECIMALS = 4
#: A named load that is announced again is the same one if its power differs by at most this part of it.
_SAME_POWER = 0.2


class SeenLoad(NamedTuple):
    """A load that is on, as seen in readings: its name and power, and shares of the power, 0 to 1.

    ``last`` is the share in the last minute; ``inner`` are the shares in the last minutes away from its start and end.
    """

    name: str
    kw: float
    last: float
    inner: tuple[float, ...] = ()

    def with_power(self, kw: float) -> SeenLoad:
        """Return the load with the power ``kw``, and the same power seen in readings as far as it is possible.

        >>> SeenLoad("car", 7.5, 0.8, (0.8, 1.0)).with_power(6.0)
        SeenLoad(name='car', kw=6.0, last=1.0, inner=(1.0, 1.0))
        """
        last, *inner = (min(round(share * self.kw / kw, _SHARE_DECIMALS), 1.0) for share in (self.last, *self.inner))
        return SeenLoad(self.name, kw, last, tuple(inner))


class ActiveLoad(NamedTuple):
    """A load that may be on in a minute, and whether the minute is near its planned start or end."""

    load: PlannedLoad
    is_edge: bool


def active_loads(loads: Iterable[PlannedLoad], minute: int) -> Iterator[ActiveLoad]:
    """Yield the loads that may be on in ``minute``."""
    first_ms, edge_ms = minute * MINUTE_MS, EDGE_MIN * MINUTE_MS
    last_ms = first_ms + MINUTE_MS
    for load in loads:
        if load.kw and load.start_ms - edge_ms < last_ms and load.end_ms + edge_ms > first_ms:
            is_edge = not load.start_ms + edge_ms <= first_ms <= last_ms <= load.end_ms - edge_ms
            yield ActiveLoad(load, is_edge)


class SeenLoads:
    """The loads that are on, as seen in readings, by name and power."""

    def __init__(self, seen: Iterable[SeenLoad] = ()) -> None:
        self._seen = {(one.name, one.kw): one for one in seen}

    def __contains__(self, load: PlannedLoad) -> bool:
        """Return whether ``load`` was on in the last reading, whether or not it was visible."""
        return (load.name, load.kw) in self._seen

    def __iter__(self) -> Iterator[SeenLoad]:
        """Iterate over the loads in the order in which they were recorded."""
        return iter(self._seen.values())

    def clear(self) -> None:
        """Forget all loads."""
        self._seen.clear()

    def add(self, loads: Iterable[PlannedLoad], share: float) -> None:
        """Add ``loads``; the reading shows about ``share`` of their power."""
        share = min(round(share, _SHARE_DECIMALS), 1.0)
        self._seen |= {(load.name, load.kw): SeenLoad(load.name, load.kw, share) for load in loads}

    def rename(self, announced: Sequence[PlannedLoad]) -> None:
        """Apply what was seen of a named load to the ``announced`` load, which is on, of its name and about its power.

        A plan that is sent again with the measured power of its load has another ``kw`` each time.
        """
        keys = {(load.name, load.kw) for load in announced}
        replaced = [seen for seen in self if seen.name and (seen.name, seen.kw) not in keys]
        for load in announced:
            same = [one for one in replaced if one.name == load.name and _is_same_power(load.kw, one.kw)]
            if same and load not in self:
                seen = min(same, key=lambda one: abs(load.kw - one.kw))
                replaced.remove(seen)
                del self._seen[seen.name, seen.kw]
                self._seen[load.name, load.kw] = seen.with_power(load.kw)

    def counted_share(self, load: PlannedLoad) -> float:
        """Return the share of the power of ``load`` that counts in forecasts."""
        seen = self._seen.get((load.name, load.kw))
        if seen is None or len(seen.inner) < GRACE_MIN:
            return 1.0
        share = max(seen.inner)
        return share if share >= _LEAST_SHARE else 0.0

    def attribute(self, active: Sequence[ActiveLoad], minute: int, total_kw: float, past_kw: F64) -> float:
        """Return the part of the reading ``total_kw`` of ``minute`` that belongs to the ``active`` loads, kW.

        Loads are considered in order. ``past_kw`` ``[T]``, kW, oldest first, is the uncontrolled part before the
        reading. Updates the shares seen of the loads.
        """
        recent, level_kw = past_kw[-_RECENT_MIN:], float(past_kw[-1])
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
            possible_kw = min(part_kw, max(total_kw - float(past_kw.min()), 0.0))
        else:
            possible_kw = max(part_kw, min(total_kw - float(past_kw.max()), 0.0))
        scale = possible_kw / part_kw if part_kw else 0.0
        self._record(active, [part * scale for part in parts_kw])
        return possible_kw

    def _candidates_kw(self, load: PlannedLoad) -> tuple[float, ...]:
        seen = self._seen.get((load.name, load.kw))
        return load.kw, load.kw * (seen.last if seen is not None else 0.0), 0.0

    def _record(self, active: Sequence[ActiveLoad], parts_kw: Sequence[float]) -> None:
        before, self._seen = self._seen, {}
        for (load, is_edge), part_kw in zip(active, parts_kw, strict=True):
            key = load.name, load.kw
            if key in self._seen:  # a load that stopped, or another one with the same name
                continue
            last = min(max(round(part_kw / load.kw, _SHARE_DECIMALS), 0.0), 1.0)
            inner = before[key].inner if key in before else ()
            self._seen[key] = SeenLoad(*key, last, inner if is_edge else (*inner, last)[-GRACE_MIN:])


def _distance(value_kw: float, recent_kw: F64) -> float:
    return float(np.abs(recent_kw - value_kw).min())


def _closest(total_kw: float, candidates_kw: Sequence[float], recent_kw: F64, load_kw: float) -> float:
    """Return the first of ``candidates_kw`` that leaves a value about as close to ``recent_kw`` as any other does."""
    distances = [_distance(total_kw - part_kw, recent_kw) for part_kw in candidates_kw]
    limit_kw = min(distances) + _PREFERENCE * abs(load_kw)
    return next(part for part, distance in zip(candidates_kw, distances, strict=True) if distance <= limit_kw)


def _is_same_power(kw: float, before_kw: float) -> bool:
    return abs(kw - before_kw) <= _SAME_POWER * abs(before_kw)
