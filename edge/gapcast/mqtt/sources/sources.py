"""Reads messages on the topics of configured sources: readings, samples of readings, or neither."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

import structlog

from gapcast.core.errors import PayloadError
from gapcast.core.meters.source import Source
from gapcast.core.meters.values import look_up, parse_path
from gapcast.core.monitoring.clocks import ClockMonitor
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.readings.samples import Sample
from gapcast.core.time_grid import MINUTE_MS, minute_of
from gapcast.mqtt.payloads import decode
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.mqtt.sources.clock_check import check_clock
from gapcast.mqtt.sources.closing_time import ClosingTime
from gapcast.mqtt.sources.meter import Meter
from gapcast.mqtt.sources.meter_messages import MeterMessage, as_publication, parse_message
from gapcast.mqtt.sources.meter_registry import MeterRegistry, MeterRoute
from gapcast.mqtt.sources.sample_aggregator import SampleAggregator
from gapcast.mqtt.sources.source_topics import SourceTopic
from gapcast.service.containment import EXIT_EXCEPTIONS
from gapcast.service.ports.broker_link import IncomingMessage

log = structlog.get_logger(__name__)

#: After this many messages without a reading, a source is probably misconfigured.
_N_BEFORE_WARNING = 50


class SourceReader:
    """Reads messages of sources; the first source whose topic pattern matches reads a message."""

    def __init__(
        self,
        sources: Iterable[tuple[SourceTopic, Source]],
        limits: Limits,
        extras: Sequence[str],
        max_devices: int,
        statistics: Statistics,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Read power within ``limits``, and the measured features ``extras`` that a source has.

        ``now_ms`` is the gateway's clock, by which a minute is closed if no sample closes it.
        """
        self._now_ms = now_ms
        self._limits = limits
        self._extras = tuple(extras)
        self._statistics = statistics
        self._aggregator = SampleAggregator(limits, extras, statistics)
        self._closing = ClosingTime()
        self._clocks = ClockMonitor(max_devices, statistics.clock_offsets_min)
        needed = (
            (topic, replace(source, features=tuple(one for one in source.features if one.name in extras)))
            for topic, source in sources
        )
        #: The meters of the sources.
        self.meters = MeterRegistry(needed, self._aggregator, max_devices, now_ms)

    def is_due(self) -> bool:
        """Return whether the clock must complete a minute now."""
        return self._aggregator.is_due(self._closing.until_ms(self._now_ms()))

    def track_connection(self, *, is_connected: bool) -> None:
        """Record whether the broker is connected: without it, the clock closes no minutes of missing samples."""
        self._closing.track_connection(self._now_ms(), is_connected=is_connected)

    def read(self, received: ReceivedMessage) -> list[IncomingMessage]:
        """Return at least one message: one for each reading, one with the problem, or one with neither."""
        publication, received_s, _ = received
        try:
            route = self.meters.route(publication.topic)
            if route is None:  # a subscription of an earlier configuration
                self._statistics.n_not_readings += 1
                readings = []
            else:
                readings = self._readings(route, received)
        except PayloadError as problem:
            return [IncomingMessage(None, problem, received_s, publication)]
        except EXIT_EXCEPTIONS:
            raise
        except BaseException:  # the meter's state may be damaged; the caller contains the error
            self.meters.reset(publication.topic)
            raise
        messages = [
            IncomingMessage(one, None, received_s, as_publication(publication.topic, one)) for one in readings[:-1]
        ]
        # The last one holds the message itself, which is acknowledged once its forecast is confirmed.
        messages.append(IncomingMessage(readings[-1] if readings else None, None, received_s, publication))
        return messages

    def close_due(self, n_at_most: int) -> list[IncomingMessage]:
        """Return the minutes of at most ``n_at_most`` meters that the clock completes."""
        closed = self._aggregator.close_due(self._closing.until_ms(self._now_ms()), n_at_most)
        now_s = time.perf_counter()
        return [
            IncomingMessage(reading, None, now_s, as_publication(meter.topic, reading)) for meter, reading in closed
        ]

    def forget_clock(self, device: str) -> None:
        """Discard the state of the clock of ``device``; :attr:`meters` forgets its meters."""
        self._clocks.forget(device)

    def _readings(self, route: MeterRoute, received: ReceivedMessage) -> list[Reading]:
        """Return the readings that a message completes: parse it, then determine its value, time and minute."""
        publication, meter = received.publication, route.meter
        source = meter.source
        if source.format == "gapcast":
            reading = self._native(meter, received)
            meter.n_samples += 1
            return [reading]
        message = parse_message(meter, route.part, publication)
        value = meter.update_terms(message.terms) if message.terms else None
        is_of_unknown_age = publication.retained and source.time is None
        if value is None or message.is_empty or is_of_unknown_age or separate_terms(meter, message):
            return self._without_value(route, message, received)
        route.active_source.has_readings = True
        if not route.part and publication.topic != meter.value_topic:
            self.meters.check_value_topic(meter, publication.topic)
        at_ms = self._time_of(meter, message.document, received)
        age_ms = received.received_ms - at_ms
        if publication.retained and source.kind == "samples" and age_ms > source.holding.hold_ms:
            return self._without_value(route, message, received)  # too old for a current power
        measured, bad_features = source.measured(message.document)
        if bad_features and not route.active_source.has_bad_features:
            route.active_source.has_bad_features = True
            log.warning(
                "source.bad_features", source=source.name, topic=publication.topic, problem=bad_features,
                meanwhile="the power is used, the others are missing",
            )  # fmt: skip
        meter.last_ms = at_ms
        if source.kind == "samples":
            sample = Sample(publication.topic, at_ms, message.terms, measured)
            readings = self._aggregator.add(meter, at_ms, value, sample, redelivered=publication.redelivered)
        else:
            power_kw = source.power_kw(value, self._limits)
            readings = [Reading(meter.name, minute_of(at_ms), power_kw, publication.redelivered, measured or None)]
        meter.n_samples += 1
        return readings

    def _without_value(self, route: MeterRoute, message: MeterMessage, received: ReceivedMessage) -> list[Reading]:
        """Record a message without a power: not all terms are known, or it is empty, or of unknown age."""
        publication, meter = received.publication, route.meter
        self._count_ignored(route, message)
        if not message.terms or meter.source.kind != "samples":
            return []
        if message.nulls and not publication.retained and (message.is_empty or not publication.redelivered):
            at_ms = received.received_ms - meter.behind_ms
            if not message.is_empty:
                with suppress(PayloadError):  # without a usable time, it counts when it arrives
                    at_ms = self._time_of(meter, message.document, received)
            return self._aggregator.clear_value(meter, Sample(publication.topic, at_ms, message.terms, {}))
        self._aggregator.record(Sample(publication.topic, None, message.terms, {}))
        return []

    def _native(self, meter: Meter, received: ReceivedMessage) -> Reading:
        publication = received.publication
        reading = decode(
            meter.name, publication.payload, publication.n_bytes, received.arrival_ms, self._limits, self._extras
        )
        self._check_clock(meter, reading.minute * MINUTE_MS, received, None)
        return reading._replace(redelivered=publication.redelivered)

    def _time_of(self, meter: Meter, document: object, received: ReceivedMessage) -> int:
        publication, _, received_ms = received
        if publication.redelivered and meter.source.time is None:
            detail = "a redelivered message without its own time has an unknown age: set time, if the meter sends it"
            raise PayloadError("unknown_age", detail)
        at_ms = meter.source.instant_ms(document, received_ms, meter.last_ms)
        if meter.source.time is None:
            return at_ms
        has_waited = publication.retained or publication.redelivered
        if not has_waited:
            self._check_clock(meter, at_ms, received, document)
        if not has_waited or meter.last_ms is None:  # a delayed message would make the meter's clock look late
            meter.behind_ms = received_ms - at_ms
        return at_ms

    def _check_clock(self, meter: Meter, at_ms: int, received: ReceivedMessage, document: object) -> None:
        ahead_min = at_ms // MINUTE_MS - received.received_ms // MINUTE_MS
        if ahead_min or self._clocks:
            check_clock(self._clocks, meter.name, ahead_min, received, meter.source.zone_of_time(document))

    def _count_ignored(self, route: MeterRoute, message: MeterMessage) -> None:
        active_source, missing, document = route.active_source, route.meter.missing_terms, message.document
        self._statistics.n_not_readings += 1
        active_source.n_ignored += not active_source.has_readings
        if active_source.n_ignored == _N_BEFORE_WARNING and not active_source.has_readings:
            fix = "check that value names a field that the meter sends"
            if nulls := null_terms(route.meter, message):
                fix = nulls
            elif missing:
                fix = f"{missing}: check that the meter sends it, or remove it from value"
            elif separate := separate_terms(route.meter, message):
                fix = separate
            keys = ", ".join(list(document)[:8]) if isinstance(document, dict) else ""
            log.warning(
                "source.no_readings", source=active_source.source.name, topic=active_source.topic.pattern,
                n_messages=_N_BEFORE_WARNING, keys=keys, fix=fix,
            )  # fmt: skip


def separate_terms(meter: Meter, message: MeterMessage) -> str:
    """Return the problem and its fix if a message lacks terms that those of other messages must not complete, or "".

    Other energy counters would have counted until another time.
    """
    source = meter.source
    if not (source.is_counter or source.in_one_message) or not source.value:
        return ""
    terms = source.value[meter.best]
    if len(message.terms) >= len(terms):
        return ""
    fix = "read powers (W, kW) instead" if source.is_counter else "set in_one_message = false"
    return f"{' and '.join(term.path for term in terms)} never arrive in one message: {fix}"


def null_terms(meter: Meter, message: MeterMessage) -> str:
    """Return which terms are null in a JSON message with a number for another term, and the likely fix, or ""."""
    source = meter.source
    if source.null_is_zero or source.part_value or source.is_counter or len(message.nulls) == len(message.terms):
        return ""
    nulls = [path for path in message.nulls if look_up(message.document, parse_path(path)) is None]
    return f"null for {' and '.join(nulls)}: if that means no power, set null_is_zero = true" if nulls else ""
