"""Aggregates the samples of many meters to minutes, which the next sample or the clock completes."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from math import inf

from gapcast.core.errors import PayloadError
from gapcast.core.meters.energy_counter import EnergyCounter
from gapcast.core.meters.minutes import MinuteMeans, SampleResult
from gapcast.core.meters.source import PER_UNIT, Source
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.readings.samples import MeterState, Sample
from gapcast.core.time_grid import MINUTE_MS
from gapcast.mqtt.sources.closing_time import BACKLOG_MS
from gapcast.mqtt.sources.meter import Meter
from gapcast.mqtt.sources.slow_meters import SlowMeters, log_filling
from gapcast.service.containment import EXIT_EXCEPTIONS, record_internal_error

#: Clock jitter that does not reschedule the end of a meter's minute.
_JITTER_MS = 1_000


class SampleAggregator:
    """Makes readings from samples of power within ``limits`` and of the measured features ``extras``."""

    def __init__(self, limits: Limits, extras: Sequence[str], statistics: Statistics) -> None:
        self._limits = limits
        self._extras = tuple(extras)
        self._statistics = statistics
        self._awaited: list[tuple[float, int, Meter]] = []  # when to complete a minute, by the gateway's clock
        self._n_awaited = 0
        self._new_samples: list[Sample] = []
        self._slow_meters = SlowMeters(statistics)

    def meter(self, name: str, topic: str, source: Source) -> Meter:
        """Return a meter in its initial state."""
        signs = [term.sign for term in source.value[0]] if source.value else [1]
        counter = EnergyCounter(signs, source.holding.hold_ms) if source.is_counter else None
        means = MinuteMeans(source.holding, 1 + len(self._extras))
        return Meter(name, topic, source, means, counter, best=max(0, len(source.value) - 1))

    def reset(self, meter: Meter) -> None:
        """Reset a meter, whose state may be damaged, to its initial state."""
        blank = self.meter(meter.name, meter.topic, meter.source)
        meter.means, meter.counter, meter.known, meter.best = blank.means, blank.counter, blank.known, blank.best
        meter.last_ms, meter.newest_terms, meter.behind_ms, meter.awaited_ms = None, blank.newest_terms, 0, inf

    def take_samples(self) -> list[Sample]:
        """Return the samples since the last call that had an effect."""
        samples, self._new_samples = self._new_samples, []
        return samples

    def record(self, sample: Sample) -> None:
        """Record a message that changes a meter's terms without resulting in a value."""
        self._new_samples.append(sample)

    def add(
        self, meter: Meter, at_ms: int, value: float, sample: Sample, *, redelivered: bool = False
    ) -> list[Reading]:
        """Add a sample; return the readings of the minutes that it completes.

        Raises :class:`PayloadError` if its power is outside the limits.
        """
        newest_ms, n_resets = meter.means.newest_ms, meter.counter.n_resets if meter.counter is not None else 0
        taken = self._enter(meter, at_ms, value, sample, redelivered=redelivered)
        if meter.counter is not None:
            self._statistics.n_counter_resets += meter.counter.n_resets - n_resets
        self._statistics.samples[taken.value] += 1
        if taken is SampleResult.TAKEN and newest_ms is not None and newest_ms != at_ms:
            self._slow_meters.check(meter, at_ms - newest_ms)
        readings = self._readings(meter)
        self._schedule_end(meter)
        return readings

    def clear_value(self, meter: Meter, sample: Sample) -> list[Reading]:
        """End the validity of the meter's last value; return the readings of the minutes that this completes."""
        self._new_samples.append(sample)
        self._end_validity(meter, sample)
        readings = self._readings(meter)
        self._schedule_end(meter)
        return readings

    def restore_state(self, meter: Meter, state: MeterState, now_ms: int) -> None:
        """Restore ``state`` to a meter in its initial state."""
        meter.known = {path: value for path, value in state.known.items() if value is not None}
        meter.last_ms, meter.behind_ms = state.last_ms, state.behind_ms
        best = min(state.best, meter.best)
        if any(term.path in state.known for terms in meter.source.value[best : best + 1] for term in terms):
            meter.best = best  # else the state belongs to a configuration with other sums
        meter.means.restore_state(state.open_minute)
        if meter.counter is not None and state.counted is not None:
            meter.counter.restore_state(*state.counted)
        self._schedule_end(meter, now_ms + BACKLOG_MS)

    def forget(self, meter: Meter) -> None:
        """Stop completing this meter's minutes by the clock, and do not count it as slow."""
        meter.awaited_ms = inf
        self._slow_meters.forget(meter)

    def replay_sample(self, meter: Meter, sample: Sample, received_ms: int, now_ms: int) -> None:
        """Replay a sample that an earlier process received at ``received_ms`` and whose completed minutes are known.

        Raises :class:`PayloadError` if :meth:`add` did. Any other error is recorded and resets the meter, so that a
        sample in the journal cannot prevent every start.
        """
        try:
            self._replay(meter, sample, received_ms, now_ms)
        except (PayloadError, *EXIT_EXCEPTIONS):
            raise
        except BaseException as error:
            record_internal_error(self._statistics, "message", error, meter.topic)
            self.reset(meter)

    def _replay(self, meter: Meter, sample: Sample, received_ms: int, now_ms: int) -> None:
        value = meter.update_terms(sample.terms)
        if sample.at_ms is not None and sample.terms and meter.source.time is not None:
            meter.behind_ms = received_ms - sample.at_ms
        if sample.at_ms is not None and not sample.terms:
            meter.means.close(sample.at_ms)
        elif sample.at_ms is not None and None in sample.terms.values():
            self._end_validity(meter, sample)
        elif sample.at_ms is not None and value is not None:
            meter.last_ms = sample.at_ms
            self._enter(meter, sample.at_ms, value, sample, redelivered=False)
        self._discard_minutes(meter, now_ms)

    def replay_minute(self, meter: Meter, minute: int, now_ms: int) -> None:
        """Complete a minute that the clock completed in an earlier process."""
        meter.means.close_minute(minute)
        self._discard_minutes(meter, now_ms)

    def _discard_minutes(self, meter: Meter, now_ms: int) -> None:
        meter.means.take_closed()
        self._new_samples.clear()
        self._schedule_end(meter, now_ms + BACKLOG_MS)

    def is_due(self, now_ms: int) -> bool:
        """Return whether the clock must complete a minute at ``now_ms``."""
        return bool(self._awaited) and self._awaited[0][0] <= now_ms

    def close_due(self, now_ms: int, n_at_most: int) -> list[tuple[Meter, Reading]]:
        """Return the minutes that the clock completes, of at most ``n_at_most`` meters."""
        closed: list[tuple[Meter, Reading]] = []
        for _ in range(n_at_most):
            if not self.is_due(now_ms):
                break
            planned_ms, _, meter = heappop(self._awaited)
            if planned_ms != meter.awaited_ms:  # rescheduled since
                continue
            meter.awaited_ms = inf
            try:
                closed_ms = now_ms - meter.behind_ms
                if meter.means.close(closed_ms):
                    self._new_samples.append(Sample(meter.topic, closed_ms, {}, {}))
                closed += [(meter, reading) for reading in self._readings(meter)]
                self._schedule_end(meter)
            except EXIT_EXCEPTIONS:
                raise
            except BaseException as error:
                record_internal_error(self._statistics, "message", error, meter.topic)
                self.reset(meter)
        return closed

    def close_minute(self, meter: Meter, minute: int, now_ms: int) -> list[Reading]:
        """Close ``minute`` if it is over by the meter's clock, without the usual wait; return the closed minutes.

        Does not close minutes of a counter, whose next count covers them, or of a meter whose samples may be out of
        order.
        """
        is_over = now_ms - meter.behind_ms + _JITTER_MS >= (minute + 1) * MINUTE_MS
        if meter.counter is not None or meter.source.holding.lateness_ms or not is_over:
            return []
        meter.means.close_minute(minute)
        readings = self._readings(meter)
        self._schedule_end(meter)
        return readings

    def _enter(self, meter: Meter, at_ms: int, value: float, sample: Sample, *, redelivered: bool) -> SampleResult:
        extras = tuple(sample.measured.get(name) for name in self._extras)
        if meter.counter is not None:
            self._new_samples.append(sample)
            return self._count(meter, meter.counter, at_ms, extras)
        power_kw = meter.source.power_kw(value, self._limits)
        taken = meter.means.add(at_ms, (power_kw, *extras), redelivered=redelivered)
        if taken is SampleResult.DUPLICATE and _may_update(meter, sample, redelivered=redelivered):
            taken = meter.means.replace_newest(at_ms, (power_kw, *extras))
        meter.record_terms(sample)
        is_echo = redelivered and taken is SampleResult.DUPLICATE
        # An echo is recorded only for its terms: replayed with its time, it might restart the meter's stream.
        self._new_samples.append(sample._replace(at_ms=None) if is_echo else sample)
        return taken

    def _end_validity(self, meter: Meter, sample: Sample) -> None:
        if meter.counter is None and meter.means.newest_ms is not None and sample.at_ms is not None:
            unknown = (None,) * (1 + len(self._extras))
            meter.record_terms(sample)
            if meter.means.add(sample.at_ms, unknown) is SampleResult.DUPLICATE:
                meter.means.replace_newest(sample.at_ms, unknown)

    def _count(
        self, meter: Meter, counter: EnergyCounter, at_ms: int, extras: tuple[float | None, ...]
    ) -> SampleResult:
        source = meter.source
        counts = [meter.known[term.path] for term in source.value[0]] if source.value else [meter.known[""]]
        taken = counter.add(at_ms, tuple(count * PER_UNIT[source.unit] for count in counts))
        if taken is not SampleResult.TAKEN:
            return taken
        mean_kw = None if counter.mean_kw is None else source.sign * counter.mean_kw
        if mean_kw is not None and not self._limits.min_kw <= mean_kw <= self._limits.max_kw:
            meter.means.add_interval(at_ms, (None, *extras))
            limits = f"{self._limits.min_kw:g} to {self._limits.max_kw:g} kW"
            fix = "check the unit, Wh or kWh; if the counter's steps are large, send it less often"
            fix += "; if counts arrive late, set time" if source.time is None else ""
            detail = f"{mean_kw:g} kW since the counter's last count is outside {limits}, and left out: {fix}"
            raise PayloadError("out_of_range", detail)
        meter.means.add_interval(at_ms, (mean_kw, *extras))
        return taken

    def _readings(self, meter: Meter) -> list[Reading]:
        readings = []
        for minute, power_kw, others, is_filled in meter.means.take_closed():
            measured = {name: value for name, value in zip(self._extras, others, strict=True) if value is not None}
            readings.append(Reading(meter.name, minute, power_kw, False, measured or None, is_filled))
            self._statistics.n_filled_minutes += is_filled
            log_filling(meter, minute, is_filled=is_filled)
        return readings

    def _schedule_end(self, meter: Meter, not_before_ms: float = 0.0) -> None:
        """Schedule the end of the meter's minute; reschedule it if it is earlier than planned."""
        due_ms = max(meter.means.due_ms + meter.behind_ms, not_before_ms)
        if due_ms < meter.awaited_ms - _JITTER_MS:
            meter.awaited_ms = due_ms
            self._n_awaited += 1  # ties: first in, first out
            heappush(self._awaited, (due_ms, self._n_awaited, meter))


def _may_update(meter: Meter, sample: Sample, *, redelivered: bool) -> bool:
    """Return whether a sample with the time of another may be news: it has other terms, or its time is its arrival.

    A redelivered sample is news only if no message of its time had its terms.
    """
    return meter.has_new_terms(sample) if redelivered else meter.source.time is None or meter.is_partial(sample)
