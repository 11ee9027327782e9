"""The service's link to the broker: topics and payloads over one session."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic_core import to_json

from gapcast.core.errors import PayloadError
from gapcast.core.forecast import Forecasts
from gapcast.core.grid import minute_label
from gapcast.core.reading import Limits, Reading
from gapcast.core.statistics import Statistics
from gapcast.mqtt.clock_check import ClockCheck
from gapcast.mqtt.discovery import Discovery
from gapcast.mqtt.forecast_publisher import ForecastPublisher
from gapcast.mqtt.payloads import decode
from gapcast.mqtt.rejections import Rejections
from gapcast.mqtt.request_topics import RequestTopic
from gapcast.mqtt.session import Received, Session
from gapcast.mqtt.sources import SourceReader
from gapcast.mqtt.topics import Topics
from gapcast.service.containment import PASSED, Containment
from gapcast.service.internal_errors import internal_problem, record_internal_error
from gapcast.service.ports import Arrival, Meters, NoMeters

#: Topics whose device is remembered, so that it is checked once and not with every message.
_MAX_CACHED = 131_072
#: Characters of a topic in the log.
_SHOWN = 120


@dataclass(frozen=True, slots=True)
class IntakeCounters:
    """What becomes of messages on their way in.

    With ``sources`` it is they who read them, instead of the native topic and payload. ``statistics`` are the
    service's, where what does not come that far is counted.
    """

    sources: SourceReader | None = None
    statistics: Statistics = field(default_factory=Statistics)
    rejections_per_s: float = 10.0


class MqttLink:
    """Implements :class:`gapcast.service.ports.Link`."""

    def __init__(
        self,
        session: Session,
        topics: Topics,
        limits: Limits,
        *,
        retain_forecasts: bool,
        extras: Sequence[str] = (),
        intake: IntakeCounters | None = None,
    ) -> None:
        """Read of each message its power and, where there are any, the measured features ``extras``."""
        intake = intake or IntakeCounters()
        self._session = session
        self._topics = topics
        self._limits = limits
        self._retain = retain_forecasts
        self._extras = tuple(extras)
        self._sources = intake.sources
        self.meters: Meters = intake.sources.meters if intake.sources is not None else NoMeters()
        self._statistics = intake.statistics
        self._attempt = Containment(intake.statistics).attempt
        self._clocks = ClockCheck(_MAX_CACHED, intake.statistics)
        self._rejections = Rejections(session, topics.rejected, intake.rejections_per_s, intake.statistics)
        #: Who tells Home Assistant of devices; None where no one does.
        self.discovery: Discovery | None = None
        self._request_topics: dict[str, RequestTopic] = {}
        self._busy = False  # whether an aside has more to do
        self._devices: dict[str, str] = {}  # topic -> device: few topics, many messages
        self._outlet = ForecastPublisher(session, topics.forecast, retain=retain_forecasts)
        self._carry = self._outlet.carry

    @property
    def connected(self) -> bool:
        """Whether the broker is there and readings are subscribed to."""
        return self._session.connected

    @property
    def held_up(self) -> bool:
        """Whether so much is unconfirmed that nothing more should be sent."""
        return self._session.held_up

    @property
    def n_queued(self) -> int:
        """Messages that came and have not been taken."""
        return self._session.n_queued

    @property
    def n_taken(self) -> int:
        """Messages that were taken since the start."""
        return self._session.n_taken

    @property
    def n_dropped(self) -> int:
        """Messages that came faster than they could be taken, and were let go."""
        return self._session.n_dropped

    @property
    def problem(self) -> str:
        """Why there is no connection, in a sentence; empty while there is one."""
        return self._session.problem

    @property
    def n_fresh_sessions(self) -> int:
        """Connections on which the broker remembered nothing of us, and may have lost what it retained."""
        return self._session.n_fresh_sessions

    def take(self, n_at_most: int, timeout_s: float) -> list[Arrival]:
        """Return what is queued, decoded, waiting up to ``timeout_s`` for the first."""
        session, sources = self._session, self._sources
        is_due = sources is not None and n_at_most > 0 and sources.is_due() and not session.held_up
        received = session.take(n_at_most, 0.0 if is_due or self._busy else timeout_s)
        self._outlet.begin()
        if sources is None:
            arrivals = [self._arrival(one) for one in received]
            self._attempt("message", self._clocks.look, received, arrivals)
        else:
            arrivals = [arrival for one in received for arrival in self._arrivals(one, sources)]
            arrivals += self._attempt("message", sources.close_due, 0 if session.held_up else n_at_most) or []
        self._busy = any(
            [self._attempt("request", request_topic.work) for request_topic in self._request_topics.values()]
        )
        return arrivals

    def listen(self, topic: str, request_topic: RequestTopic) -> None:
        """Hand what comes on ``topic``, which the session is subscribed to, to ``request_topic``."""
        self._request_topics[topic] = request_topic

    def _arrivals(self, received: Received, sources: SourceReader) -> list[Arrival]:
        """Return what a message brings where sources read the meters' messages."""
        publication = received.publication
        arrivals: list[Arrival] = []
        try:
            request_topic = self._request_topics.get(publication.topic)
            if request_topic is not None:
                return [_heard(request_topic, received)]
            arrivals = sources.read(received)
            if (reading := arrivals[-1].reading) is not None:
                self._carry(reading, publication)
        except PASSED:
            raise
        except BaseException as error:
            return [*arrivals[:-1], self._failed(received, error)]
        return arrivals

    def _arrival(self, received: Received) -> Arrival:
        publication, received_s, received_ms = received
        try:
            device = self._devices.get(publication.topic)
            if device is None:
                request_topic = self._request_topics.get(publication.topic)
                if request_topic is not None:
                    return _heard(request_topic, received)
                device = self._device(publication.topic)
            if not device:
                self._statistics.n_not_readings += 1
                return Arrival(None, None, received_s, publication)
            arrival_ms = None if publication.retained or publication.redelivered else received_ms
            n_bytes = publication.n_bytes
            reading = decode(device, publication.payload, n_bytes, arrival_ms, self._limits, self._extras)
            self._carry(reading, publication)
        except PayloadError as problem:
            return Arrival(None, problem, received_s, publication)
        except PASSED:
            raise
        except BaseException as error:
            return self._failed(received, error)
        if publication.redelivered:
            reading = reading._replace(redelivered=True)
        return Arrival(reading, None, received_s, publication)

    def _failed(self, received: Received, error: BaseException) -> Arrival:
        """Return a message that raised ``error``: it is acknowledged and rejected, so that it does not come again."""
        record_internal_error(self._statistics, "message", error, received.publication.topic[:_SHOWN])
        return Arrival(None, internal_problem(), received.received_s, received.publication)

    def _device(self, topic: str) -> str:
        """Return the device that a topic names; none for one that an earlier configuration's subscription brings."""
        pattern = self._topics.reading
        if not pattern.lets_in(topic):
            return ""
        device = pattern.device_in(topic)
        if len(self._devices) >= _MAX_CACHED:
            self._devices.clear()
        self._devices[topic] = device
        return device

    def publish(self, forecasts: Forecasts) -> list[int]:
        """Send each forecast on its device's topic, at once: what else is done with the batch is not to delay them."""
        receipts = self._outlet.publish(forecasts)
        self._session.flush()
        return receipts

    def announce(self, device: str, *, online: bool) -> None:
        """Say, retained, whether a device is there; Home Assistant, where it is told at all, is told of it first."""
        if self.discovery is not None:
            self.discovery.introduce(device)
        status = b"online" if online else b"offline"
        self._session.publish(self._topics.availability.of(device).encode(), status, retain=True)

    def report_scores(self, device: str, document: Mapping[str, object]) -> None:
        """Tell, retained, how good a device's forecasts are."""
        self._session.publish(self._topics.scores.of(device).encode(), to_json(document), retain=True)

    def report_event(self, document: Mapping[str, object]) -> None:
        """Tell of something that happened."""
        self._session.publish(self._topics.events.encode(), json.dumps(document).encode(), retain=False)

    def forget(self, device: str) -> None:
        """Take back what is retained of a device."""
        topics = [self._topics.availability.of(device), self._topics.scores.of(device)]
        if self._retain:
            topics.append(self._topics.forecast.of(device))
        for topic in topics:
            self._session.publish(topic.encode(), b"", retain=True)
        if self.discovery is not None:
            self.discovery.forget(device)

    def reject(self, what: Arrival | Reading, problem: PayloadError) -> None:
        """Tell on the rejected topic why a message, or a reading that had been held, could not be used."""
        if isinstance(what, Reading):
            native = self._topics.reading.of(what.device)
            topic = native if self._sources is None else self._sources.topic_of(what.device)
            document = {"ts": minute_label(what.minute), "gap_kw": what.gap_kw, **(what.measured or {})}
            self._rejections.publish(topic, json.dumps(document).encode(), problem)
        else:
            self._rejections.publish(what.token.topic, what.token.payload, problem)

    def settle(self, arrival: Arrival, receipt: int, batch: int = 0) -> None:
        """Acknowledge a message once the forecast with ``receipt`` is confirmed and ``batch`` kept.

        One that was sent again and is no news may be the echo of one whose forecast is still under way:
        it waits for all that is.
        """
        publication = arrival.token
        if not receipt and publication.redelivered:
            receipt = self._session.newest_unconfirmed
        self._session.settle(publication, receipt, batch)

    def confirmed(self, receipts: Sequence[int]) -> bool:
        """Tell whether the broker has confirmed all forecasts with these ``receipts``."""
        return self._session.confirmed(receipts)

    def keep(self, batch: int) -> None:
        """Acknowledge what waited for ``batch``, or one before it, to be kept."""
        self._session.keep(batch)

    def flush(self) -> None:
        """Hand all that was written to the network."""
        self._session.flush()

    def close(self, timeout_s: float, meanwhile: Callable[[], None]) -> bool:
        """Say ``offline``, wait for what is unconfirmed, disconnect; tell whether all was confirmed."""
        return self._session.close(timeout_s, meanwhile)


def _heard(request_topic: RequestTopic, received: Received) -> Arrival:
    try:
        request_topic.hear(received.publication)
    except PayloadError as problem:
        return Arrival(None, problem, received.received_s, received.publication)
    return Arrival(None, None, received.received_s, received.publication)
