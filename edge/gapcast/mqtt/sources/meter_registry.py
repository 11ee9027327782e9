"""The meters of the configured sources, by topic and by device, and their state across restarts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from gapcast.core.errors import PayloadError
from gapcast.core.meters.source import Source
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.rejections import too_many_devices
from gapcast.core.readings.samples import MeterState, Sample, SampleCount
from gapcast.mqtt.payloads import OWN_ECHO
from gapcast.mqtt.sources.meter import Meter
from gapcast.mqtt.sources.sample_aggregator import SampleAggregator
from gapcast.mqtt.sources.source_topics import SourceTopic, is_own_entity

log = structlog.get_logger(__name__)

#: The fix for two meters with the name of one device.
SHARED_FIX = (
    'set another device in the source of one topic, such as device = "cellar-{device}"; if one source reads both '
    "topics, add a source for one topic before it, with its own device"
)
#: Size of the cache from topics to routes.
_MAX_ROUTES = 131_072


@dataclass(slots=True)
class ActiveSource:
    """A source, whether any message of it was a reading, and whether a bad feature beside a power was logged."""

    topic: SourceTopic
    source: Source
    n_ignored: int = 0
    has_readings: bool = False
    has_bad_features: bool = False


@dataclass(frozen=True, slots=True)
class MeterRoute:
    """The content of a topic: a meter of a source, and the part of its value (empty: all of it)."""

    active_source: ActiveSource
    meter: Meter
    part: str


class MeterRegistry:
    """Tracks at most ``max_devices`` meters from their first message on. Implements the service's port ``Meters``.

    If there are that many, a new meter takes the place of one that has sent no value, such as a thermometer beside the
    plugs of a bridge.
    """

    def __init__(
        self,
        sources: Iterable[tuple[SourceTopic, Source]],
        aggregator: SampleAggregator,
        max_devices: int,
        now_ms: Callable[[], int],
    ) -> None:
        """Track meters of ``sources``, with minutes by ``aggregator``; ``now_ms`` is the gateway's clock."""
        self._active_sources = [ActiveSource(topic, source) for topic, source in sources]
        self._aggregator = aggregator
        self._max_devices = max_devices
        self._now_ms = now_ms
        self._routes: dict[str, MeterRoute] = {}
        self._meters: dict[tuple[int, str], Meter] = {}
        #: Meters that had sent no value when they were added, an ordered set; some have sent one since.
        self._without_value: dict[tuple[int, str], None] = {}
        self._topics: dict[str, str] = {}  # of each device, the topic of its first message
        #: Devices that are two meters, of one source or two -> the topics of their first messages.
        self.shared: dict[str, tuple[str, str]] = {}

    def topic_of(self, device: str) -> str:
        """Return the topic of the device's readings; empty if it is unknown."""
        return self._topics.get(device, "")

    def route(self, topic: str) -> MeterRoute | None:
        """Return the route of ``topic``, by the first source whose pattern matches; None if no pattern matches.

        Raises :class:`PayloadError` if the device's name is invalid, there are too many devices, or the topic belongs
        to an entity of gapcast that is not configured by name.
        """
        known = self._routes.get(topic)
        if known is not None:
            return known
        bad_device: PayloadError | None = None
        for i, active_source in enumerate(self._active_sources):
            try:
                match = active_source.topic.match(topic)
            except PayloadError as problem:  # a later source may name the device of this topic
                bad_device = bad_device or problem
                continue
            if match is None:
                continue
            if is_own_entity(topic) and topic not in active_source.topic.filters:
                raise _own_entity()
            meter = self._meters.get((i, match.device)) or self._open(i, match.device, topic)
            if len(self._routes) >= _MAX_ROUTES:
                self._routes.clear()
                for one in self._meters.values():
                    one.routed_topics.clear()
            self._routes[topic] = route = MeterRoute(active_source, meter, match.part)
            meter.routed_topics.append(topic)
            return route
        if bad_device is not None:
            fix = "rename it, or give this topic a source of its own with device"
            raise PayloadError(bad_device.reason, f"{bad_device.detail}; {fix}")
        return None

    def _open(self, source_index: int, name: str, topic: str) -> Meter:
        if len(self._meters) >= self._max_devices and not self._evict_meter():
            raise too_many_devices(self._max_devices)
        key, source = (source_index, name), self._active_sources[source_index].source
        self._meters[key] = meter = self._aggregator.meter(name, topic, source)
        self._without_value[key] = None
        first_topic = self._topics.setdefault(name, topic)
        if first_topic != topic:
            self._warn_of_shared(name, first_topic, topic)
        return meter

    def _evict_meter(self) -> bool:
        """Discard the oldest meter that has sent no value; return False if there is none. Examines each meter once."""
        while self._without_value:
            key = next(iter(self._without_value))
            del self._without_value[key]
            if not self._meters[key].has_sent_values:
                self._discard(key)
                if not any((i, key[1]) in self._meters for i in range(len(self._active_sources))):
                    self._forget_topics(key[1])
                return True
        return False

    def _discard(self, key: tuple[int, str]) -> None:
        self._without_value.pop(key, None)
        meter = self._meters.pop(key, None)
        if meter is not None:
            self._aggregator.forget(meter)
            for topic in meter.routed_topics:
                self._routes.pop(topic, None)

    def _forget_topics(self, device: str) -> None:
        self._topics.pop(device, None)
        self.shared.pop(device, None)

    def check_value_topic(self, meter: Meter, topic: str) -> None:
        """Warn once if ``meter``, whose value is on one topic, has already sent it on another one than ``topic``."""
        meter.value_topic = meter.value_topic or topic
        if meter.value_topic != topic:
            self._warn_of_shared(meter.name, meter.value_topic, topic)

    def _warn_of_shared(self, device: str, first_topic: str, topic: str) -> None:
        if device not in self.shared:
            self.shared[device] = first_topic, topic
            log.warning("source.same_device", device=device, topics=[first_topic, topic], fix=SHARED_FIX)

    def sample_counts(self) -> list[SampleCount]:
        """Return, for each meter that has sent one, the number of messages with a usable value. Thread-safe."""
        return [meter.sample_count for meter in list(self._meters.values()) if meter.n_samples]

    def sends_samples(self, device: str) -> bool:
        """Return whether a meter of ``device`` sends samples."""
        return next(self._meters_of(device), None) is not None

    def close_minute(self, device: str, minute: int) -> list[Reading]:
        """Close ``minute`` of the samples of ``device`` if it is over; return the closed minutes."""
        now_ms = self._now_ms()
        meters = self._meters_of(device)
        return [reading for meter in meters for reading in self._aggregator.close_minute(meter, minute, now_ms)]

    # --- over a restart -------------------------------------------------------------------------

    def reset(self, topic: str) -> None:
        """Reset the meter of ``topic``, if there is one, to its initial state."""
        route = self._routes.get(topic)
        if route is not None:
            self._aggregator.reset(route.meter)

    def take_samples(self) -> Sequence[Sample]:
        """Return the samples since the last call that had an effect, in order."""
        return self._aggregator.take_samples()

    def capture_state(self) -> Sequence[MeterState]:
        """Return the state of each meter that has sent samples."""
        return [meter.capture_state() for meter in self._meters.values() if meter.sends_samples and meter.has_samples]

    def restore_state(self, meters: Sequence[MeterState]) -> None:
        """Restore the state of each meter that a source of samples still reads."""
        for state in meters:
            meter = self._meter_of(state.topic)
            if meter is not None:
                self._aggregator.restore_state(meter, state, self._now_ms())

    def replay_samples(self, samples: Sequence[Sample], readings: Sequence[Reading], issued_at_ms: int) -> None:
        """Replay the samples of a batch, which completed the minutes of ``readings``."""
        now_ms = self._now_ms()
        for sample in samples:
            meter = self._meter_of(sample.topic)
            if meter is not None:
                with suppress(PayloadError):  # rejected when the message arrived
                    self._aggregator.replay_sample(meter, sample, issued_at_ms, now_ms)
        for reading in readings:
            for meter in self._meters_of(reading.device):
                self._aggregator.replay_minute(meter, reading.minute, now_ms)

    def forget(self, device: str) -> None:
        """Discard the state of ``device``."""
        for i in range(len(self._active_sources)):
            self._discard((i, device))
        self._forget_topics(device)

    def _meter_of(self, topic: str) -> Meter | None:
        """Return the meter of samples on ``topic``; None if no source matches, or there are too many devices."""
        with suppress(PayloadError):
            route = self.route(topic)
            if route is not None and route.meter.sends_samples:
                return route.meter
        return None

    def _meters_of(self, device: str) -> Iterator[Meter]:
        for i in range(len(self._active_sources)):
            meter = self._meters.get((i, device))
            if meter is not None and meter.sends_samples:
                yield meter


def _own_entity() -> PayloadError:
    detail = (
        "this is an entity of gapcast, which Home Assistant streams: exclude sensor.gapcast_* from mqtt_statestream, "
        "or write the entity of the meter into the source's topic"
    )
    return PayloadError(OWN_ECHO, detail)
