"""Messages that change something about a device: its plan, its limit, its month's peak. They carry no readings."""

from __future__ import annotations

from collections.abc import Callable

from gapcast.core.errors import PayloadError
from gapcast.core.plans.plan import LoadPlan
from gapcast.core.readings.reading import Limits
from gapcast.mqtt.payloads import decode_plan
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.mqtt.topics import DeviceTopic
from gapcast.service.ports.broker_link import IncomingMessage

#: Carries out the message about a device; raises :class:`PayloadError` if it cannot be used.
Command = Callable[[str, ReceivedMessage], None]


class Commands:
    """Carries out the messages of each command's topic, in the order in which they arrive between readings."""

    def __init__(self) -> None:
        self._commands: list[tuple[DeviceTopic, Command]] = []

    def add(self, topic: DeviceTopic, command: Command) -> None:
        """Carry out messages on ``topic`` by ``command``."""
        self._commands.append((topic, command))

    def handles(self, topic: str) -> bool:
        """Return whether ``topic`` is one of a command."""
        return any(pattern.matches(topic) for pattern, _ in self._commands)

    def handle(self, received: ReceivedMessage) -> IncomingMessage:
        """Carry out a message of a command's topic; return it without a reading, or with its problem."""
        publication = received.publication
        pattern, command = next(one for one in self._commands if one[0].matches(publication.topic))
        try:
            command(pattern.device_in(publication.topic), received)
        except PayloadError as problem:
            return IncomingMessage(None, problem, received.received_s, publication)
        return IncomingMessage(None, None, received.received_s, publication)


def arrival_ms_of(received: ReceivedMessage) -> int | None:
    """Return when a message arrived, epoch ms; None if it was retained or is sent again: it may be of any age."""
    publication = received.publication
    return None if publication.retained or publication.redelivered else received.received_ms


def plan_command(limits: Limits, replace_plan: Callable[[str, LoadPlan], None]) -> Command:
    """Return the command that replaces a device's plan by ``replace_plan``; its powers are within ``limits``."""

    def command(device: str, received: ReceivedMessage) -> None:
        publication = received.publication
        replace_plan(device, decode_plan(publication.payload, publication.n_bytes, arrival_ms_of(received), limits))

    return command
