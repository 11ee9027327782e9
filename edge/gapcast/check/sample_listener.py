"""Hears what meters send, as the service would read it, and remembers what a check asks about."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import structlog

from gapcast.app.broker import sources_of
from gapcast.config.settings import Settings
from gapcast.core.errors import PayloadError
from gapcast.core.grid import MINUTE_MS
from gapcast.core.reading import Limits
from gapcast.core.statistics import Statistics
from gapcast.mqtt.payloads import decode
from gapcast.mqtt.session import Received
from gapcast.mqtt.sources import SourceReader
from gapcast.mqtt.topics import DeviceTopic
from gapcast.service.internal_errors import NOT_CONTAINED, internal_problem

log = structlog.get_logger(__name__)

#: Characters of a topic that are shown.
_SHOWN = 120


@dataclass(slots=True)
class ReceivedSamples:
    """What was heard of one device: powers (kW), and how many minutes its clock is ahead of this machine's."""

    powers_kw: list[float] = field(default_factory=list)
    ahead_min: list[int] = field(default_factory=list)


class SampleListener:
    """Reads messages by the configuration, natively or by its sources; counts those that cannot be used."""

    def __init__(self, settings: Settings) -> None:
        self._limits = Limits(settings.limits.min_kw, settings.limits.max_kw)
        sources = sources_of(settings)
        self._topic = DeviceTopic.parse("topics.reading", settings.topics.reading)
        self._reader = SourceReader(sources, self._limits, (), settings.devices.max, Statistics()) if sources else None
        self.devices: dict[str, ReceivedSamples] = {}
        #: In a sentence -> how often.
        self.refused: Counter[str] = Counter()
        self.n_messages = 0

    def reads(self, topic: str) -> bool:
        """Tell whether a topic is that of a source, and its device can be named."""
        try:
            return self._reader is not None and self._reader.meters.route(topic) is not None
        except PayloadError:
            return False

    def hear(self, received: Received) -> None:
        """Read one message."""
        self.n_messages += 1
        publication = received.publication
        try:
            read = self._native(received) if self._reader is None else self._of_source(self._reader, received)
        except PayloadError as problem:
            self._refuse(publication.topic, problem)
            return
        except NOT_CONTAINED:
            raise
        except BaseException as error:  # whatever is on the broker is not to end the command
            log.debug("message.failed", topic=publication.topic, exc_info=error)
            self._refuse(publication.topic, internal_problem())
            return
        device, power_kw, ahead_min = read
        heard = self.devices.setdefault(device, ReceivedSamples())
        if power_kw is not None:
            heard.powers_kw.append(power_kw)
        if not (publication.retained or publication.redelivered):
            heard.ahead_min.append(ahead_min)

    def _refuse(self, topic: str, problem: PayloadError) -> None:
        self.refused[f"{topic[:_SHOWN]}: {problem.reason}: {problem.detail}"] += 1

    def _native(self, received: Received) -> tuple[str, float | None, int]:
        publication, _, received_ms = received
        device = self._topic.device_in(publication.topic)
        reading = decode(device, publication.payload, publication.n_bytes, received_ms, self._limits)
        return device, reading.gap_kw, reading.minute - received_ms // MINUTE_MS

    def _of_source(self, reader: SourceReader, received: Received) -> tuple[str, float | None, int]:
        """Return what a source's message brings; its power now, where its minute is still open."""
        arrivals = reader.read(received)
        for arrival in arrivals:
            if arrival.problem is not None:
                raise arrival.problem
        route = reader.meters.route(received.publication.topic)
        if route is None:
            raise PayloadError("bad_topic", "no source reads this topic")
        meter = route.meter
        readings = [arrival.reading for arrival in arrivals if arrival.reading is not None]
        if readings:
            return meter.name, readings[-1].gap_kw, -meter.behind_ms // MINUTE_MS
        value = None if meter.source.is_counter else meter.learn({})
        power_kw = None if value is None else meter.source.power_kw(value, self._limits)
        return meter.name, power_kw, -meter.behind_ms // MINUTE_MS
