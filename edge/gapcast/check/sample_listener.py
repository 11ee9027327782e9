"""Decodes the messages of meters as the service does, and collects the figures that checks need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from statistics import median_low
from typing import NamedTuple

import structlog

from gapcast.app.broker.broker import sources_of, submeters_of
from gapcast.config.settings import Settings
from gapcast.core.errors import PayloadError
from gapcast.core.monitoring.clocks import MAX_AHEAD_MIN, MAX_BEHIND_MIN, clock_fix
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.time_grid import MINUTE_MS
from gapcast.mqtt.payloads import decode
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.mqtt.sources.meter_messages import parse_message
from gapcast.mqtt.sources.meter_registry import ActiveSource
from gapcast.mqtt.sources.sources import SourceReader, null_terms, separate_terms
from gapcast.mqtt.topics import SHOWN_TOPIC_CHARS, DeviceTopic
from gapcast.service.containment import EXIT_EXCEPTIONS, internal_problem

log = structlog.get_logger(__name__)

#: Two readings for one minute that arrive closer than this are not of a meter that sends about once a minute.
_FAST_MS = 45_000
#: Bytes of a message without a power that are shown.
_SHOWN_BYTES = 160
#: Why a device's messages give no power yet, if it ``needs_several``.
NEEDS_SEVERAL = "an energy counter needs two messages, a sum needs all of its values"


@dataclass(slots=True)
class ReceivedSamples:
    """The samples of one device: powers (kW), and by how many minutes its clock is ahead of this machine's.

    ``local_zone`` is the zone of its local times, if it sends local times. ``pattern`` is the topic of its source;
    ``needs_several``: one message may have no power of its own, because it is from a counter or a term of a sum.
    ``missing``: the terms of the sum that have arrived and those that have not, or why they give no power, as text.
    ``newest`` is the newest reading of a minute: the minute, its power and when it arrived; ``is_fast``: two readings
    for one minute had different powers. ``without_value`` is the start of the newest message without a value.
    """

    pattern: str = ""
    needs_several: bool = False
    powers_kw: list[float] = field(default_factory=list)
    ahead_min: list[int] = field(default_factory=list)
    n_messages: int = 0
    local_zone: tzinfo | None = None
    missing: str = ""
    newest: tuple[int, float, int] | None = None
    is_fast: bool = False
    without_value: str = ""

    def add_minute(self, minute: int, power_kw: float, received_ms: int) -> None:
        """Add a reading of a minute."""
        if self.newest is not None:
            last_minute, last_kw, last_ms = self.newest
            self.is_fast |= minute == last_minute and power_kw != last_kw and received_ms - last_ms < _FAST_MS
        self.newest = minute, power_kw, received_ms

    def clock_problem(self, now_ms: int) -> tuple[str, str] | None:
        """Return by how much the device's clock is wrong at ``now_ms``, and the fix; None if it is not."""
        ahead_min = median_low(self.ahead_min) if self.ahead_min else 0
        if -MAX_BEHIND_MIN <= ahead_min <= MAX_AHEAD_MIN:
            return None
        side = "ahead of" if ahead_min > 0 else "behind"
        problem = f"timestamps are {abs(ahead_min)} minutes {side} this machine's clock"
        return problem, clock_fix(ahead_min, self.local_zone, now_ms)


class _ReadMessage(NamedTuple):
    """The content of a message: device or submeter, power, kW, if any, and the time to compare its time with.

    ``has_value``: the message has the source's value, or a term of it. ``minute`` is that of a reading; None for a
    sample. ``local_zone`` is the zone in which its time is read, None if that has an offset.
    """

    device: str
    power_kw: float | None
    ahead_min: int
    active_source: ActiveSource | None = None
    local_zone: tzinfo | None = None
    missing: str = ""
    has_value: bool = True
    minute: int | None = None


class SampleListener:
    """Decodes messages by the configuration, natively or by its sources; counts rejected ones."""

    def __init__(self, settings: Settings) -> None:
        self._limits = settings.reading_limits
        sources = sources_of(settings)
        self._topic = DeviceTopic.parse("topics.reading", settings.topics.reading)
        self._statistics = Statistics()
        self._reader = (
            SourceReader(sources, self._limits, (), settings.devices.max, self._statistics) if sources else None
        )
        submeters = submeters_of(settings)
        self._submeter_topics = {topic for one in submeters for topic in one.topic.filters}
        self._submeter_reader = SourceReader(
            [(one.topic, one.source) for one in submeters], self._limits, (), len(submeters), self._statistics
        )
        #: Submeter as text -> its topic; and by the name of its meter.
        self.submeters = {f"{one.device} (submeter {one.name})": one.topic.pattern for one in submeters}
        self._submeter_names = dict(zip((one.topic.device for one in submeters), self.submeters, strict=True))
        self.devices: dict[str, ReceivedSamples] = {}
        #: Problem as a sentence -> count.
        self.rejected: Counter[str] = Counter()
        #: All messages, and those of submeters among them.
        self.n_messages = self.n_submeter_messages = 0

    @property
    def n_without_power(self) -> int:
        """Messages of sources that contained no power, or were rejected."""
        return self._statistics.n_not_readings + self.rejected.total()

    @property
    def shared_devices(self) -> Mapping[str, tuple[str, str]]:
        """Devices that are two meters, and the topics of their first messages."""
        return {} if self._reader is None else self._reader.meters.shared

    def reads(self, topic: str) -> bool:
        """Return whether a topic belongs to a source and has a valid device name."""
        try:
            return self._reader is not None and self._reader.meters.route(topic) is not None
        except PayloadError:
            return False

    def receive(self, received: ReceivedMessage) -> bool:
        """Decode one message; return whether it has the value of its source, or a term of it."""
        self.n_messages += 1
        publication = received.publication
        is_of_submeter = publication.topic in self._submeter_topics
        self.n_submeter_messages += is_of_submeter
        reader = self._submeter_reader if is_of_submeter else self._reader
        try:
            read = self._native(received) if reader is None else self._of_source(reader, received)
        except PayloadError as problem:
            self._reject(publication.topic, problem)
            return False
        except EXIT_EXCEPTIONS:
            raise
        except BaseException as error:  # no message on the broker may end the command
            log.debug("message.failed", topic=publication.topic, exc_info=error)
            self._reject(publication.topic, internal_problem())
            return False
        device = self._submeter_names.get(read.device, read.device)
        samples = self.devices.setdefault(device, _samples_of(read.active_source))
        samples.n_messages += 1
        samples.missing = read.missing
        samples.local_zone = read.local_zone
        if not read.has_value:
            shown, rest = publication.payload[:_SHOWN_BYTES], publication.payload[_SHOWN_BYTES:]
            samples.without_value = shown.decode("utf-8", "replace") + ("…" if rest else "")
        if read.power_kw is not None:
            samples.powers_kw.append(read.power_kw)
        if not (publication.retained or publication.redelivered):
            samples.ahead_min.append(read.ahead_min)
            if read.minute is not None and read.power_kw is not None:
                samples.add_minute(read.minute, read.power_kw, received.received_ms)
        return read.has_value

    def _reject(self, topic: str, problem: PayloadError) -> None:
        self.rejected[f"{topic[:SHOWN_TOPIC_CHARS]}: {problem.reason}: {problem.detail}"] += 1

    def _native(self, received: ReceivedMessage) -> _ReadMessage:
        publication = received.publication
        device = self._topic.device_in(publication.topic)
        reading = decode(device, publication.payload, publication.n_bytes, received.arrival_ms, self._limits)
        ahead_min = reading.minute - received.received_ms // MINUTE_MS
        return _ReadMessage(device, reading.gap_kw, ahead_min, minute=reading.minute)

    def _of_source(self, reader: SourceReader, received: ReceivedMessage) -> _ReadMessage:
        """Return the content of a message of ``reader``; the current power if its minute is open."""
        messages = reader.read(received)
        for message in messages:
            if message.problem is not None:
                raise message.problem
        route = reader.meters.route(received.publication.topic)
        if route is None:
            raise PayloadError("bad_topic", "no source reads this topic")
        meter, source = route.meter, route.meter.source
        readings = [message.reading for message in messages if message.reading is not None]
        ahead_min = round(-meter.behind_ms / MINUTE_MS)  # a message takes a part of a second
        zone = None
        if source.time is not None:
            zone = source.zone_of_time(parse_message(meter, route.part, received.publication).document)
        if readings:
            if source.format == "gapcast":  # its own time is the minute
                ahead_min = readings[-1].minute - received.received_ms // MINUTE_MS
            minute = None if meter.sends_samples else readings[-1].minute
            return _ReadMessage(meter.name, readings[-1].gap_kw, ahead_min, route.active_source, zone, minute=minute)
        parsed = parse_message(meter, route.part, received.publication)
        separate = separate_terms(meter, parsed)
        value = None if source.is_counter or separate else meter.update_terms({})
        power_kw = None if value is None else source.power_kw(value, self._limits)
        has_value = any(term is not None for term in parsed.terms.values())
        missing = null_terms(meter, parsed) or meter.missing_terms or (separate if has_value else "")
        return _ReadMessage(meter.name, power_kw, ahead_min, route.active_source, zone, missing, has_value)


def _samples_of(active_source: ActiveSource | None) -> ReceivedSamples:
    """Return empty samples of a device of a source; ``active_source`` None: of a native device."""
    if active_source is None:
        return ReceivedSamples()
    source = active_source.source
    needs_several = source.is_counter or any(len(terms) > 1 for terms in source.value)
    return ReceivedSamples(active_source.topic.pattern, needs_several)
