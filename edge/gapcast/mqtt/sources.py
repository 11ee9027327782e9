"""The messages of the configuration's sources: what of them is a reading, a sample of one, or neither."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import structlog

from gapcast.core.clocks import Clocks
from gapcast.core.errors import PayloadError
from gapcast.core.features import GAP
from gapcast.core.grid import MINUTE_MS, minute_label, minute_of
from gapcast.core.meters.samples import Sample
from gapcast.core.meters.source import Source, terms_of
from gapcast.core.meters.values import number_of
from gapcast.core.reading import Limits, Reading
from gapcast.core.statistics import Statistics
from gapcast.mqtt.clock_check import check_clock
from gapcast.mqtt.frames import MAX_PAYLOAD, Publication
from gapcast.mqtt.meter import Meter
from gapcast.mqtt.meter_registry import ActiveSource, MeterRegistry, Route
from gapcast.mqtt.payloads import check_own_echo, decode, decode_document
from gapcast.mqtt.routes import SourceTopic
from gapcast.mqtt.sample_aggregator import SampleAggregator
from gapcast.mqtt.session import Received
from gapcast.service.internal_errors import NOT_CONTAINED
from gapcast.service.ports import Arrival

log = structlog.get_logger(__name__)

#: Messages without one reading among them from which a source looks as if it were set wrongly.
_SILENT_AFTER = 50


class SourceReader:
    """Reads what comes on the topics of sources; the first source whose topic matches reads a message."""

    def __init__(
        self,
        sources: Iterable[tuple[SourceTopic, Source]],
        limits: Limits,
        extras: Sequence[str],
        max_devices: int,
        statistics: Statistics,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Read power within ``limits`` and, where a source tells of them, the measured features ``extras``.

        ``now_ms`` is the gateway's clock, by which a minute is closed when no sample does.
        """
        self._now_ms = now_ms
        self._limits = limits
        self._extras = tuple(extras)
        self._statistics = statistics
        self._aggregator = SampleAggregator(limits, extras, statistics)
        self._clocks = Clocks(max_devices)
        needed = (
            (topic, replace(source, features=tuple(one for one in source.features if one.name in extras)))
            for topic, source in sources
        )
        #: The meters that it reads.
        self.meters = MeterRegistry(needed, self._aggregator, max_devices, now_ms)

    def is_due(self) -> bool:
        """Tell whether a minute is to be closed now, by the clock."""
        return self._aggregator.is_due(self._now_ms())

    def topic_of(self, device: str) -> str:
        """Return the topic that the device's readings come on; empty where it is not known."""
        return self.meters.topic_of(device)

    def read(self, received: Received) -> list[Arrival]:
        """Return what a message brings, at least one: a problem, nothing, a reading, or the minutes it completes."""
        publication, received_s, _ = received
        try:
            route = self.meters.route(publication.topic)
            if route is None:  # of a subscription that an earlier configuration left with the broker
                self._statistics.n_not_readings += 1
                readings = []
            else:
                readings = self._readings(route, received)
        except PayloadError as problem:
            return [Arrival(None, problem, received_s, publication)]
        except NOT_CONTAINED:
            raise
        except BaseException:  # what is known of the meter may be damaged; whoever called this contains the error
            self.meters.reset(publication.topic)
            raise
        arrivals = [Arrival(one, None, received_s, _as_message(publication.topic, one)) for one in readings[:-1]]
        # The last waits for the message itself: that is acknowledged when its forecast is confirmed.
        arrivals.append(Arrival(readings[-1] if readings else None, None, received_s, publication))
        return arrivals

    def close_due(self, n_at_most: int) -> list[Arrival]:
        """Return the minutes of at most ``n_at_most`` meters that the clock closes."""
        closed = self._aggregator.close_due(self._now_ms(), n_at_most)
        now_s = time.perf_counter()
        return [Arrival(reading, None, now_s, _as_message(meter.topic, reading)) for meter, reading in closed]

    def _readings(self, route: Route, received: Received) -> list[Reading]:
        publication = received.publication
        active_source, meter = route.active_source, route.meter
        source = active_source.source
        if source.format == "gapcast":
            return [self._native(meter, received)]
        if publication.n_bytes > MAX_PAYLOAD:
            detail = f"the payload has {publication.n_bytes} bytes; at most {MAX_PAYLOAD} are read"
            raise PayloadError("too_large", detail)
        document = _decoded(source, publication.payload)
        if type(document) is dict:
            check_own_echo(document)
        terms = _terms(meter, route.part, document)
        value = meter.learn(terms) if terms else None
        is_empty = document is None
        if is_empty or value is None or (publication.retained and source.time is None):  # that may be of any age
            self._ignore(active_source, document)
            if not terms or source.kind != "samples":
                return []
            if is_empty and not publication.retained:
                at_ms = received.received_ms - meter.behind_ms
                return self._aggregator.clear_value(meter, Sample(publication.topic, at_ms, terms, {}))
            self._aggregator.record(Sample(publication.topic, None, terms, {}))
            return []
        active_source.has_readings = True
        if publication.redelivered and source.time is None:
            detail = "a message without a time of its own that is sent again may be of any age"
            raise PayloadError("unknown_age", detail)
        at_ms = self._time_of(meter, document, received)
        measured = source.measured(document)
        meter.last_ms = at_ms
        if source.kind == "samples":
            sample = Sample(publication.topic, at_ms, terms, measured)
            return self._aggregator.add(meter, at_ms, value, sample, redelivered=publication.redelivered)
        power_kw = source.power_kw(value, self._limits)
        return [Reading(meter.name, minute_of(at_ms), power_kw, publication.redelivered, measured or None)]

    def _native(self, meter: Meter, received: Received) -> Reading:
        publication, _, received_ms = received
        arrival_ms = None if publication.retained or publication.redelivered else received_ms
        reading = decode(meter.name, publication.payload, publication.n_bytes, arrival_ms, self._limits, self._extras)
        self._look_at_clock(meter, reading.minute * MINUTE_MS, received)
        return reading._replace(redelivered=publication.redelivered)

    def _time_of(self, meter: Meter, document: object, received: Received) -> int:
        publication, _, received_ms = received
        at_ms = meter.source.instant_ms(document, received_ms, meter.last_ms)
        if meter.source.time is None:
            return at_ms
        has_waited = publication.retained or publication.redelivered
        if not has_waited:
            self._look_at_clock(meter, at_ms, received)
        if not has_waited or meter.last_ms is None:  # by one that waited it is behind by less: no minute ends too soon
            meter.behind_ms = received_ms - at_ms
        return at_ms

    def _look_at_clock(self, meter: Meter, at_ms: int, received: Received) -> None:
        ahead_min = at_ms // MINUTE_MS - received.received_ms // MINUTE_MS
        if ahead_min or self._clocks:
            check_clock(self._clocks, meter.name, ahead_min, received.received_s)
            self._statistics.n_clocks_off = self._clocks.n_off

    def _ignore(self, active_source: ActiveSource, document: object) -> None:
        self._statistics.n_not_readings += 1
        active_source.n_ignored += not active_source.has_readings
        if active_source.n_ignored == _SILENT_AFTER and not active_source.has_readings:
            keys = ", ".join(list(document)[:8]) if isinstance(document, dict) else ""
            log.warning(
                "source.no_readings", source=active_source.source.name, topic=active_source.topic.pattern,
                n_messages=_SILENT_AFTER, keys=keys, cure="check that value names a field that the meter sends",
            )  # fmt: skip


def _decoded(source: Source, payload: bytes) -> object:
    """Return a payload's JSON, or its number; None where it is empty, as one is that clears a retained topic."""
    if source.format == "number":
        return number_of(payload.decode("utf-8", errors="replace"), "the payload")
    return decode_document(payload) if payload else None


def _terms(meter: Meter, part: str, document: object) -> dict[str, float | None]:
    """Return the terms of its value that a message of the meter tells: none, or one that is known no longer."""
    if document is None:
        return {part: None}
    if isinstance(document, float) and meter.source.format == "number":
        return {part: document}
    return {**terms_of(meter.source, document, meter.best)[1]}


def _as_message(topic: str, reading: Reading) -> Publication:
    """Return a minute that no one message brought as if one had, for whoever is told of it."""
    document = {"ts": minute_label(reading.minute), GAP: reading.gap_kw, **(reading.measured or {})}
    payload = json.dumps(document).encode()
    return Publication(topic, payload, 0, False, False, b"", len(payload))
