"""Samples of many meters on their way to minutes, and the clock that closes a minute when no sample does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf

import structlog

from edge.core.counter import Counter
from edge.core.errors import PayloadError
from edge.core.minutes import MinuteMeans, Taken
from edge.core.reading import Limits, Reading
from edge.core.source import PER_UNIT, Source
from edge.core.statistics import Statistics

log = structlog.get_logger(__name__)

#: What a clock may jitter without that its minutes' ends are planned anew.
_JITTER_MS = 1_000
#: Distances of two samples, in a row and longer than this, that make a slow meter.
_SLOW_MS, _SLOW_RUN = 90_000, 3


@dataclass(slots=True)
class Meter:
    """What is known of a device between its messages."""

    name: str
    topic: str
    source: Source
    means: MinuteMeans
    counter: Counter | None
    #: The newest of each term of its value.
    known: dict[str, float] = field(default_factory=dict)
    #: Which of the source's sums it gives: no later one stands in for that.
    best: int = 0
    last_ms: int | None = None
    #: How far its clock is behind the gateway's.
    behind_ms: int = 0
    n_slow: int = 0
    #: By when, gateway's clock, its minute is to be looked at; infinity where it is not.
    awaited_ms: float = inf


class Sampling:
    """Makes readings of samples, of power within ``limits`` and the measured features ``extras``."""

    def __init__(self, limits: Limits, extras: Sequence[str], statistics: Statistics) -> None:
        self._limits = limits
        self._extras = tuple(extras)
        self._statistics = statistics
        self._awaited: list[tuple[float, int, Meter]] = []  # by when, gateway's clock, a minute is to be looked at
        self._n_awaited = 0
        self._told_slow: set[str] = set()  # sources of which a slow meter was told

    def meter(self, name: str, topic: str, source: Source) -> Meter:
        """Return a meter that has not sent anything yet."""
        signs = [term.sign for term in source.value[0]] if source.value else [1]
        counter = Counter(signs, source.holding.hold_ms) if source.is_counter else None
        means = MinuteMeans(source.holding, 1 + len(self._extras))
        return Meter(name, topic, source, means, counter, best=max(0, len(source.value) - 1))

    def add(
        self, meter: Meter, at_ms: int, value: float, measured: Mapping[str, float], *, redelivered: bool = False
    ) -> list[Reading]:
        """Take a sample; return the readings of the minutes that it completes.

        Raises :class:`PayloadError` where its power is outside the limits.
        """
        newest_ms = meter.means.newest_ms
        extras = tuple(measured.get(name) for name in self._extras)
        if meter.counter is None:
            power_kw = meter.source.power_kw(value, self._limits)
            taken = meter.means.add(at_ms, (power_kw, *extras), redelivered=redelivered)
        else:
            taken = self._count(meter, meter.counter, at_ms, extras)
        self._statistics.samples[taken.value] += 1
        if taken is Taken.TAKEN and newest_ms is not None:
            self._look_at_pace(meter, at_ms - newest_ms)
        readings = self._readings(meter)
        self._await_end(meter)
        return readings

    def know_nothing(self, meter: Meter, at_ms: int) -> list[Reading]:
        """Take a meter's word that it knows no value: what it said before holds no longer."""
        if meter.counter is None and meter.means.newest_ms is not None:
            meter.means.add(at_ms, (None,) * (1 + len(self._extras)))
        readings = self._readings(meter)
        self._await_end(meter)
        return readings

    def is_due(self, now_ms: int) -> bool:
        """Tell whether a minute is to be closed at ``now_ms``."""
        return bool(self._awaited) and self._awaited[0][0] <= now_ms

    def close_due(self, now_ms: int, n_at_most: int) -> list[tuple[Meter, Reading]]:
        """Return the minutes that the clock closes, of at most ``n_at_most`` meters."""
        closed: list[tuple[Meter, Reading]] = []
        for _ in range(n_at_most):
            if not self.is_due(now_ms):
                break
            planned_ms, _, meter = heappop(self._awaited)
            if planned_ms != meter.awaited_ms:  # planned anew since
                continue
            meter.awaited_ms = inf
            meter.means.close(now_ms - meter.behind_ms)
            closed += [(meter, reading) for reading in self._readings(meter)]
            self._await_end(meter)
        return closed

    def _count(self, meter: Meter, counter: Counter, at_ms: int, extras: tuple[float | None, ...]) -> Taken:
        source, n_resets = meter.source, counter.n_resets
        counts = [meter.known[term.path] for term in source.value[0]] if source.value else [meter.known[""]]
        taken = counter.add(at_ms, tuple(count * PER_UNIT[source.unit] for count in counts))
        self._statistics.n_counter_resets += counter.n_resets - n_resets
        if taken is not Taken.TAKEN:
            return taken
        mean_kw = None if counter.mean_kw is None else source.sign * counter.mean_kw
        if mean_kw is not None and not self._limits.min_kw <= mean_kw <= self._limits.max_kw:
            meter.means.add_interval(at_ms, (None, *extras))
            within = f"{self._limits.min_kw:g} to {self._limits.max_kw:g} kW"
            detail = f"{mean_kw:g} kW since the counter's last count is outside {within}: check the unit, Wh or kWh"
            raise PayloadError("out_of_range", detail)
        meter.means.add_interval(at_ms, (mean_kw, *extras))
        return taken

    def _readings(self, meter: Meter) -> list[Reading]:
        readings = []
        for minute, power_kw, others in meter.means.take():
            measured = {name: value for name, value in zip(self._extras, others, strict=True) if value is not None}
            readings.append(Reading(meter.name, minute, power_kw, False, measured or None))
        return readings

    def _await_end(self, meter: Meter) -> None:
        """Plan to look at the meter's minute when it is over; one that is planned too late is planned anew."""
        due_ms = meter.means.due_ms + meter.behind_ms
        if due_ms < meter.awaited_ms - _JITTER_MS:
            meter.awaited_ms = due_ms
            self._n_awaited += 1  # of two that are due at once the one that was there first
            heappush(self._awaited, (due_ms, self._n_awaited, meter))

    def _look_at_pace(self, meter: Meter, distance_ms: int) -> None:
        was_slow = meter.n_slow >= _SLOW_RUN
        meter.n_slow = min(meter.n_slow + 1, _SLOW_RUN) if distance_ms > _SLOW_MS else 0
        is_slow = meter.n_slow >= _SLOW_RUN
        self._statistics.n_slow_meters += is_slow - was_slow
        if is_slow and not was_slow and meter.source.name not in self._told_slow:
            self._told_slow.add(meter.source.name)
            every_s = round(distance_ms / 1_000)
            cure = "let it send at least once a minute"
            if distance_ms > meter.source.holding.hold_ms:
                cure = f"{cure}, or set every_s = {every_s}: until then there are gaps between its samples"
            log.warning(
                "meter.slow", source=meter.source.name, device=meter.name, every_s=every_s, cure=cure,
                meanwhile="each minute until the next sample takes the value of the last",
            )  # fmt: skip
