"""The messages of the configuration's sources: what of them is a reading, a sample of one, or neither."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import structlog
from pydantic_core import from_json

from edge.core.clocks import Clocks
from edge.core.errors import PayloadError
from edge.core.features import GAP
from edge.core.grid import MINUTE_MS, minute_label, minute_of
from edge.core.reading import Limits, Reading
from edge.core.source import Source, add_up, terms_of
from edge.core.statistics import Statistics
from edge.core.values import number_of
from edge.mqtt.clockwatch import tell
from edge.mqtt.frames import MAX_PAYLOAD, Publication
from edge.mqtt.payloads import decode
from edge.mqtt.routes import SourceTopic
from edge.mqtt.sampling import Meter, Sampling
from edge.mqtt.session import Received
from edge.ports import Arrival

log = structlog.get_logger(__name__)

#: Topics that are remembered, so that each is looked up once and not with every message.
_MAX_ROUTES = 131_072
#: Messages without one reading among them from which a source looks as if it were set wrongly.
_SILENT_AFTER = 50


@dataclass(slots=True)
class _Listening:
    """A source, and whether anything was read of it."""

    topic: SourceTopic
    source: Source
    n_ignored: int = 0
    heard: bool = False


@dataclass(frozen=True, slots=True)
class _Route:
    listening: _Listening
    meter: Meter
    part: str


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
        self._listening = [
            _Listening(topic, replace(source, features=tuple(one for one in source.features if one.name in extras)))
            for topic, source in sources
        ]
        self._limits = limits
        self._extras = tuple(extras)
        self._max_devices = max_devices
        self._statistics = statistics
        self._sampling = Sampling(limits, extras, statistics)
        self._clocks = Clocks(max_devices)
        self._routes: dict[str, _Route] = {}
        self._meters: dict[tuple[int, str], Meter] = {}
        self._topics: dict[str, str] = {}  # of a device, the topic that it was first heard on

    def is_due(self) -> bool:
        """Tell whether a minute is to be closed now, by the clock."""
        return self._sampling.is_due(self._now_ms())

    def topic_of(self, device: str) -> str:
        """Return the topic that the device's readings come on; empty where it is not known."""
        return self._topics.get(device, "")

    def read(self, received: Received) -> list[Arrival]:
        """Return what a message brings, at least one: a problem, nothing, a reading, or the minutes it completes."""
        publication, received_s, _ = received
        try:
            route = self._routes.get(publication.topic) or self._route(publication.topic)
            readings = [] if route is None else self._readings(route, received)
        except PayloadError as problem:
            return [Arrival(None, problem, received_s, publication)]
        arrivals = [Arrival(one, None, received_s, _as_message(publication.topic, one)) for one in readings[:-1]]
        # The last waits for the message itself: that is acknowledged when its forecast is confirmed.
        arrivals.append(Arrival(readings[-1] if readings else None, None, received_s, publication))
        return arrivals

    def close_due(self, n_at_most: int) -> list[Arrival]:
        """Return the minutes of at most ``n_at_most`` meters that the clock closes."""
        closed = self._sampling.close_due(self._now_ms(), n_at_most)
        now_s = time.perf_counter()
        return [Arrival(reading, None, now_s, _as_message(meter.topic, reading)) for meter, reading in closed]

    def _readings(self, route: _Route, received: Received) -> list[Reading]:
        publication = received.publication
        listening, meter = route.listening, route.meter
        source = listening.source
        if source.format == "gapcast":
            return [self._native(meter, received)]
        if publication.n_bytes > MAX_PAYLOAD:
            detail = f"the payload has {publication.n_bytes} bytes; at most {MAX_PAYLOAD} are read"
            raise PayloadError("too_large", detail)
        document = _decoded(source, publication.payload)
        value = _value(meter, route.part, document)
        if value is None or (publication.retained and source.time is None):  # what a broker kept may be of any age
            self._ignore(listening, document)
            told_nothing = document is None and source.kind == "samples" and not publication.retained
            return self._sampling.know_nothing(meter, received.received_ms - meter.behind_ms) if told_nothing else []
        listening.heard = True
        if publication.redelivered and source.time is None:
            detail = "a message without a time of its own that is sent again may be of any age"
            raise PayloadError("unknown_age", detail)
        at_ms = self._time_of(meter, document, received)
        measured = source.measured(document)
        meter.last_ms = at_ms
        if source.kind == "samples":
            return self._sampling.add(meter, at_ms, value, measured, redelivered=publication.redelivered)
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
        if meter.source.time is not None and not (publication.retained or publication.redelivered):
            meter.behind_ms = received_ms - at_ms
            self._look_at_clock(meter, at_ms, received)
        return at_ms

    def _look_at_clock(self, meter: Meter, at_ms: int, received: Received) -> None:
        ahead_min = at_ms // MINUTE_MS - received.received_ms // MINUTE_MS
        if ahead_min or self._clocks:
            tell(self._clocks, meter.name, ahead_min, received.received_s)
            self._statistics.n_clocks_off = self._clocks.n_off

    def _ignore(self, listening: _Listening, document: object) -> None:
        self._statistics.n_not_readings += 1
        listening.n_ignored += not listening.heard
        if listening.n_ignored == _SILENT_AFTER and not listening.heard:
            keys = ", ".join(list(document)[:8]) if isinstance(document, dict) else ""
            log.warning(
                "source.no_readings", source=listening.source.name, topic=listening.topic.pattern,
                n_messages=_SILENT_AFTER, keys=keys, cure="see whether value names what the meter sends",
            )  # fmt: skip

    def _route(self, topic: str) -> _Route | None:
        for place, listening in enumerate(self._listening):
            match = listening.topic.match(topic)
            if match is None:
                continue
            meter = self._meters.get((place, match.device)) or self._open(place, match.device, topic)
            if len(self._routes) >= _MAX_ROUTES:
                self._routes.clear()
            self._routes[topic] = route = _Route(listening, meter, match.part)
            return route
        self._statistics.n_not_readings += 1  # of a subscription that an earlier configuration left with the broker
        return None

    def _open(self, place: int, name: str, topic: str) -> Meter:
        if len(self._meters) >= self._max_devices:
            detail = f"{self._max_devices} devices are known, all that devices.max allows"
            raise PayloadError("too_many_devices", detail)
        self._meters[place, name] = meter = self._sampling.meter(name, topic, self._listening[place].source)
        self._topics.setdefault(name, topic)
        return meter


def _decoded(source: Source, payload: bytes) -> object:
    """Return a payload's JSON, or its number; None where it is empty, as one is that clears a retained topic."""
    if source.format == "number":
        return number_of(payload.decode("utf-8", errors="replace"), "the payload")
    try:
        return from_json(payload) if payload else None
    except ValueError as error:
        raise PayloadError("not_json", f"the payload is not JSON: {error}") from error


def _value(meter: Meter, part: str, document: object) -> float | None:
    """Return the value that the meter has with this message; None where the message tells nothing of it.

    What comes in several messages, as phases do, is added up of the newest of each.
    """
    sums = meter.source.value
    if document is None:
        meter.known.pop(part, None)
        return None
    if isinstance(document, float):
        meter.known[part] = document
        return add_up(sums[0], meter.known) if sums else document
    best, found = terms_of(meter.source, document, meter.best)
    if not found:
        return None
    meter.best = best
    meter.known.update(found)
    return add_up(sums[best], meter.known)


def _as_message(topic: str, reading: Reading) -> Publication:
    """Return a minute that no one message brought as if one had, for whoever is told of it."""
    document = {"ts": minute_label(reading.minute), GAP: reading.gap_kw, **(reading.measured or {})}
    payload = json.dumps(document).encode()
    return Publication(topic, payload, 0, False, False, b"", len(payload))
