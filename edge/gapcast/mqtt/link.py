"""The service's link to the broker: topics and payloads over one session."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from pydantic_core import to_json

from gapcast.core.demand.demand import Demands
from gapcast.core.errors import PayloadError
from gapcast.core.forecasts.forecast import Forecasts
from gapcast.core.outlook.outlook import Outlooks
from gapcast.core.plans.plan import LoadPlan
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.time_grid import minute_label
from gapcast.mqtt.discovery.discovery import Discovery
from gapcast.mqtt.message_reader import IntakeOptions, MessageReader
from gapcast.mqtt.publishers.demand_publisher import DemandPublisher
from gapcast.mqtt.publishers.forecast_publisher import ForecastPublisher
from gapcast.mqtt.publishers.outlook_publisher import OutlookPublisher
from gapcast.mqtt.rejections import Rejections
from gapcast.mqtt.requests.commands import DemandChanges, limit_command, month_peak_command, plan_command
from gapcast.mqtt.requests.demand_registers import RegisterReader
from gapcast.mqtt.requests.request_topics import RequestTopic
from gapcast.mqtt.session.session import Session
from gapcast.mqtt.topics import Topics
from gapcast.service.ports.broker_link import IncomingMessage, Meters, NoMeters, RetainedReading


class MqttLink:
    """Implements :class:`gapcast.service.ports.broker_link.Link`."""

    def __init__(
        self,
        session: Session,
        topics: Topics,
        limits: Limits,
        *,
        retain_forecasts: bool,
        extras: Sequence[str] = (),
        intake: IntakeOptions,
    ) -> None:
        """Read the power from each message, and the measured features ``extras`` where present."""
        self._session = session
        self._topics = topics
        self._limits = limits
        self._retain = retain_forecasts
        self._sources = intake.sources
        self.meters: Meters = intake.sources.meters if intake.sources is not None else NoMeters()
        self.subscriptions = intake.subscriptions
        self._rejections = Rejections(session, topics.rejected, intake.rejections_per_s, intake.statistics)
        #: Publishes devices to Home Assistant; None if discovery is off.
        self.discovery: Discovery | None = None
        self._forecast_publisher = ForecastPublisher(session, topics.forecast, retain=retain_forecasts)
        self._outlook_publisher = OutlookPublisher(session, topics.outlook, retain=retain_forecasts)
        self._demand_publisher = DemandPublisher(session, topics.demand, retain=retain_forecasts)
        attach_properties = self._forecast_publisher.attach_properties
        self._reader = MessageReader(topics.reading, limits, extras, intake, attach_properties)

    @property
    def retained(self) -> Sequence[RetainedReading]:
        """The readings in retained messages of the last batch."""
        return self._reader.retained

    @property
    def connected(self) -> bool:
        """Whether the broker is connected and has granted the subscriptions of readings."""
        return self._session.connected

    @property
    def is_backlogged(self) -> bool:
        """Whether so much is unconfirmed that nothing more should be sent."""
        return self._session.is_backlogged

    @property
    def n_queued(self) -> int:
        """Received messages that have not been taken."""
        return self._session.n_queued

    @property
    def n_taken(self) -> int:
        """Messages taken since start-up."""
        return self._session.n_taken

    @property
    def n_dropped(self) -> int:
        """Messages dropped because they arrived faster than they were taken."""
        return self._session.n_dropped

    @property
    def problem(self) -> str:
        """Why there is no connection, in a sentence; empty while there is one."""
        return self._session.problem_sentence

    @property
    def n_fresh_sessions(self) -> int:
        """Connections without a resumed session, after which the broker may have lost its retained messages."""
        return self._session.n_fresh_sessions

    @property
    def n_disconnects(self) -> int:
        """Connections that the broker had accepted and that were lost."""
        return self._session.n_disconnects

    def receive_messages(self, n_at_most: int, timeout_s: float) -> list[IncomingMessage]:
        """Return queued messages, decoded, waiting up to ``timeout_s`` for the first."""
        session, reader = self._session, self._reader
        reader.track_connection(is_connected=session.connected)
        is_due = n_at_most > 0 and reader.is_due and not session.is_backlogged
        received = session.receive_messages(n_at_most, 0.0 if is_due or reader.has_pending_requests else timeout_s)
        self._forecast_publisher.begin_batch()
        if self._sources is None:
            return reader.read(received)
        return reader.read(received, 0 if session.is_backlogged else n_at_most)

    def listen(self, topic: str, request_topic: RequestTopic) -> None:
        """Route messages on ``topic``, which the session is subscribed to, to ``request_topic``."""
        self._reader.request_topics[topic] = request_topic

    def listen_for_plans(self, replace_plan: Callable[[str, LoadPlan], None]) -> None:
        """Call ``replace_plan`` with each received device and plan, before the readings of the same batch."""
        self._reader.commands.add(self._topics.plan, plan_command(self._limits, replace_plan))

    def listen_for_limits(self, changes: DemandChanges) -> None:
        """Apply each change of a device's limit and month's peak with ``changes``, before the readings of its batch."""
        topics, commands = self._topics.demand, self._reader.commands
        commands.add(topics.limit, limit_command(self._limits, changes))
        commands.add(topics.month_peak, month_peak_command(self._limits, changes))

    def listen_for_registers(self, registers: RegisterReader) -> None:
        """Let ``registers`` read the meters' own demand registers."""
        self._reader.registers = registers

    def publish(self, forecasts: Forecasts) -> list[int]:
        """Send each forecast on its device's topic immediately, before anything else is done with the batch."""
        forecast_ids = self._forecast_publisher.publish(forecasts)
        self._session.flush()
        return forecast_ids

    def publish_outlooks(self, outlooks: Outlooks) -> None:
        """Send each outlook on its device's topic, if the broker accepts it; nothing waits for a confirmation."""
        self._outlook_publisher.publish(outlooks)

    def publish_demands(self, demands: Demands) -> None:
        """Send each demand and its headroom on its device's topics, if the broker accepts them, unconfirmed."""
        self._demand_publisher.publish(demands)

    def publish_measured(self, readings: Sequence[Reading]) -> None:
        """Publish measured minutes for Home Assistant, if discovery is on."""
        if self.discovery is not None:
            self.discovery.publish_measured(readings)

    def publish_availability(self, device: str, *, online: bool) -> None:
        """Publish, retained, whether a device is online, after its discovery message for Home Assistant if enabled."""
        if self.discovery is not None:
            self.discovery.publish_device(device)
        status = b"online" if online else b"offline"
        self._session.publish(self._topics.availability.for_device(device).encode(), status, retain=True)

    def publish_scores(self, device: str, document: Mapping[str, object]) -> None:
        """Publish, retained, the live scores of a device."""
        self._session.publish(self._topics.scores.for_device(device).encode(), to_json(document), retain=True)

    def publish_event(self, document: Mapping[str, object]) -> None:
        """Publish an event once, not retained."""
        self._session.publish(self._topics.events.encode(), json.dumps(document).encode(), retain=False)

    def forget(self, device: str) -> list[int]:
        """Clear the retained messages about a device, and the state of its clock; return the ids of the messages."""
        self._reader.forget_clock(device)
        topics = [self._topics.availability.for_device(device), self._topics.scores.for_device(device)]
        if self._retain:
            retained = self._topics.forecast, self._topics.outlook, self._topics.demand.demand
            topics += [topic.for_device(device) for topic in retained]
        ids = [self._session.publish(topic.encode(), b"", retain=True) for topic in topics]
        return ids if self.discovery is None else [*ids, self.discovery.forget(device)]

    def reject(self, rejected: IncomingMessage | Reading, problem: PayloadError) -> None:
        """Publish on the rejected topic why a message, or a held-back reading, could not be used."""
        if isinstance(rejected, Reading):
            native = self._topics.reading.for_device(rejected.device)
            topic = native if self._sources is None else self._sources.meters.topic_of(rejected.device)
            document = {"ts": minute_label(rejected.minute), "gap_kw": rejected.gap_kw, **(rejected.measured or {})}
            self._rejections.publish(topic, json.dumps(document).encode(), problem)
        else:
            topic = rejected.token.topic
            is_command = self._reader.is_command(topic)
            self._rejections.publish(topic, rejected.token.payload, problem, is_command=is_command)

    def acknowledge_after(self, message: IncomingMessage, forecast_id: int, batch: int = 0) -> None:
        """Acknowledge ``message`` once ``forecast_id`` is confirmed and ``batch`` is persisted.

        A redelivered message without a forecast may repeat one whose forecast is still unconfirmed, so it waits for all
        unconfirmed messages.
        """
        publication = message.token
        if not publication.packet_id:  # at QoS 0
            return
        if not forecast_id and publication.redelivered:
            forecast_id = self._session.newest_unconfirmed
        self._session.acknowledge_after(publication, forecast_id, batch)

    def has_confirmed(self, message_ids: Sequence[int]) -> bool:
        """Return whether the broker has confirmed all messages with these ``message_ids``."""
        return self._session.has_confirmed(message_ids)

    def mark_persisted(self, batch: int) -> None:
        """Acknowledge the messages that waited for ``batch``, or an earlier one, to be persisted."""
        self._session.mark_persisted(batch)

    def flush(self) -> None:
        """Write all buffered messages to the network."""
        self._session.flush()

    def close(self, timeout_s: float, on_progress: Callable[[], None]) -> bool:
        """Publish ``offline``, wait for confirmations, disconnect; return whether all messages were confirmed."""
        return self._session.close(timeout_s, on_progress)
