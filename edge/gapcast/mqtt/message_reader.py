"""Reads received messages: readings, samples, submeters, and the link's own requests and commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gapcast.core.errors import PayloadError
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.readings.reading import Limits, Reading
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.payloads import decode
from gapcast.mqtt.requests.commands import Commands
from gapcast.mqtt.requests.demand_registers import RegisterReader
from gapcast.mqtt.requests.request_topics import RequestTopic
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.mqtt.sources.clock_check import ClockCheck
from gapcast.mqtt.sources.sources import SourceReader
from gapcast.mqtt.sources.submeters import SubmeterReader
from gapcast.mqtt.topics import SHOWN_TOPIC_CHARS, DeviceTopic
from gapcast.service.containment import PROPAGATED_ERRORS, Containment, internal_problem, record_internal_error
from gapcast.service.ports.broker_link import IncomingMessage, RetainedReading
from gapcast.service.ports.intake import Subscriptions

#: Size of the cache from topics to devices.
_MAX_CACHED = 131_072
_new_tuple = tuple.__new__


@dataclass(frozen=True, slots=True)
class IntakeOptions:
    """How incoming messages are read and counted.

    ``sources``, if given, read them instead of the native topic and payload; ``submeters`` read the submeters'
    messages. ``statistics`` are the service's; they count messages that never reach it. ``subscriptions`` describe the
    topics of readings to people.
    """

    sources: SourceReader | None = None
    submeters: SubmeterReader | None = None
    statistics: Statistics = field(default_factory=Statistics)
    rejections_per_s: float = 10.0
    subscriptions: Subscriptions = field(default_factory=Subscriptions)


class MessageReader:
    """Reads the messages of one session: a message that raises an error is rejected, and the others are read."""

    def __init__(
        self,
        topic: DeviceTopic,
        limits: Limits,
        extras: Sequence[str],
        intake: IntakeOptions,
        attach_properties: Callable[[Reading, Publication], None],
    ) -> None:
        """Read native readings on ``topic`` with the features ``extras``; ``attach_properties`` forwards properties."""
        self._topic = topic
        self._limits = limits
        self._extras = tuple(extras)
        self._sources = intake.sources
        self._submeters = intake.submeters
        self._attach_properties = attach_properties
        self._statistics = intake.statistics
        self._containment = Containment(intake.statistics)
        self._attempt = self._containment.attempt
        self._clocks = ClockCheck(_MAX_CACHED, intake.statistics)
        self._devices: dict[str, str] = {}  # topic -> device: few topics, many messages
        #: The topics of requests.
        self.request_topics: dict[str, RequestTopic] = {}
        #: The topics of commands.
        self.commands = Commands()
        #: Reads the meters' own demand registers; None if there are none.
        self.registers: RegisterReader | None = None
        #: The readings in retained messages of the last batch.
        self.retained: list[RetainedReading] = []
        #: Whether requests wait that were not processed with the last batch.
        self.has_pending_requests = False

    @property
    def is_due(self) -> bool:
        """Whether the clock must close a minute."""
        return self._sources is not None and self._sources.is_due()

    def track_connection(self, *, is_connected: bool) -> None:
        """Record whether the broker is connected: without it, the clock closes no minutes of missing samples."""
        for one in (self._sources, self._submeters):
            if one is not None:
                one.track_connection(is_connected=is_connected)

    def read(self, received: Sequence[ReceivedMessage], n_at_most: int = 0) -> list[IncomingMessage]:
        """Return the contents of the ``received`` messages, and up to ``n_at_most`` minutes that the clock closed."""
        sources, submeters = self._sources, self._submeters
        if self.retained:
            self.retained = []
        if submeters is not None:
            self._attempt("message", submeters.close_due)
        if sources is not None:
            messages = [message for one in received for message in self._of_sources(one, sources)]
            messages += self._closed_minutes(sources, n_at_most)
        else:
            if submeters is None:
                messages = [self._native(one) for one in received]
            else:
                messages = [self._native_with_submeters(one, submeters) for one in received]
            if messages:
                self._attempt("message", self._clocks.check, received, messages)
        if self.request_topics:
            self._process_requests()
        return messages

    def is_command(self, topic: str) -> bool:
        """Return whether messages on ``topic`` are commands or requests."""
        return topic in self.request_topics or self.commands.handles(topic)

    def forget_clock(self, device: str) -> None:
        """Discard the state of the clock of ``device``."""
        (self._clocks.forget if self._sources is None else self._sources.forget_clock)(device)

    def _process_requests(self) -> None:
        self.has_pending_requests = False
        for request_topic in self.request_topics.values():
            try:  # not attempt(), whose extra calls would slow down each batch
                self.has_pending_requests |= request_topic.process_pending()
            except PROPAGATED_ERRORS:
                raise
            except BaseException as error:
                self._containment.record("request", error, "process_pending")

    def _closed_minutes(self, sources: SourceReader, n_at_most: int) -> list[IncomingMessage]:
        messages = self._attempt("message", sources.close_due, n_at_most) or []
        submeters = self._submeters
        return messages if submeters is None else [_attached(submeters, message) for message in messages]

    def _native_with_submeters(self, received: ReceivedMessage, submeters: SubmeterReader) -> IncomingMessage:
        """Return a message's content: a reading with its submeters, or a submeter's message without a reading."""
        if not submeters.reads(received.publication.topic):
            return _attached(submeters, self._native(received))
        try:
            other = self._handle_other_message(received)
            return submeters.read(received) if other is None else other
        except PROPAGATED_ERRORS:
            raise
        except BaseException as error:
            return self._failed(received, error)

    def _handle_other_message(self, received: ReceivedMessage) -> IncomingMessage | None:
        """Handle a request, a command or a message with only a register, and return it; None for any other message."""
        topic = received.publication.topic
        request_topic = self.request_topics.get(topic)
        if request_topic is not None:
            return _route_request(request_topic, received)
        if self.commands.handles(topic):
            return self.commands.handle(received)
        return None if self.registers is None else self.registers.read(received)

    def _of_sources(self, received: ReceivedMessage, sources: SourceReader) -> list[IncomingMessage]:
        """Return what ``sources`` read from a message."""
        publication = received.publication
        messages: list[IncomingMessage] = []
        try:
            if (other := self._handle_other_message(received)) is not None:
                return [other]
            submeters = self._submeters
            if submeters is not None and submeters.reads(publication.topic):
                return [submeters.read(received)]
            messages = sources.read(received)
            if submeters is not None:
                messages = [_attached(submeters, message) for message in messages]
            if (reading := messages[-1].reading) is not None:
                self._attach_properties(reading, publication)
                if publication.retained:
                    self.retained.append(RetainedReading(reading.device, reading.minute, received.received_ms))
        except PROPAGATED_ERRORS:
            raise
        except BaseException as error:
            return [*messages[:-1], self._failed(received, error)]
        return messages

    def _native(self, received: ReceivedMessage) -> IncomingMessage:
        """Return the content of a message on the native topics."""
        publication, received_s, received_ms = received
        topic, payload, _, is_resent, is_retained, properties, n_bytes, minute, gap_kw = publication
        try:
            device = self._devices.get(topic)
            if device is None:
                if (other := self._handle_other_message(received)) is not None:
                    return other
                device = self._device(topic)
            if not device:
                self._statistics.n_not_readings += 1
                return IncomingMessage(None, None, received_s, publication)
            if minute and self._limits.min_kw <= gap_kw <= self._limits.max_kw and not self._extras:
                # As Reading(...), in half the time: there is one for each message.
                reading = _new_tuple(Reading, (device, minute, gap_kw, False, None, False))
            else:
                reading = decode(device, payload, n_bytes, received.arrival_ms, self._limits, self._extras)
            if properties:
                self._attach_properties(reading, publication)
        except PayloadError as problem:
            return IncomingMessage(None, problem, received_s, publication)
        except PROPAGATED_ERRORS:
            raise
        except BaseException as error:
            return self._failed(received, error)
        if is_resent:
            reading = reading._replace(redelivered=True)
        if is_retained:
            self.retained.append(RetainedReading(device, reading.minute, received_ms))
        # As IncomingMessage(...), in half the time: there is one for each reading.
        return _new_tuple(IncomingMessage, (reading, None, received_s, publication))

    def _failed(self, received: ReceivedMessage, error: BaseException) -> IncomingMessage:
        """Return a message that raised ``error``, to be acknowledged and rejected so that it is not delivered again."""
        record_internal_error(self._statistics, "message", error, received.publication.topic[:SHOWN_TOPIC_CHARS])
        return IncomingMessage(None, internal_problem(), received.received_s, received.publication)

    def _device(self, topic: str) -> str:
        """Return the device of a topic; empty if only an earlier configuration's subscription matches the topic."""
        if not self._topic.matches(topic):
            return ""
        device = self._topic.device_in(topic)
        if len(self._devices) >= _MAX_CACHED:
            self._devices.clear()
        self._devices[topic] = device
        return device


def _route_request(request_topic: RequestTopic, received: ReceivedMessage) -> IncomingMessage:
    try:
        request_topic.receive(received.publication)
    except PayloadError as problem:
        return IncomingMessage(None, problem, received.received_s, received.publication)
    return IncomingMessage(None, None, received.received_s, received.publication)


def _attached(submeters: SubmeterReader, message: IncomingMessage) -> IncomingMessage:
    """Return ``message`` with the submeters of its reading's device, if it has a reading."""
    return message if message.reading is None else message._replace(reading=submeters.attach(message.reading))
