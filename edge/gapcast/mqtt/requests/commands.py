"""Messages that change a device's plan, limit or month's peak. They carry no readings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gapcast.core.billing.changes import LIMIT_EXAMPLE, PEAK_EXAMPLE, MonthPeak, limit_kw_of, month_peak_of
from gapcast.core.errors import PayloadError
from gapcast.core.plans.plan import LoadPlan
from gapcast.core.readings.reading import Limits
from gapcast.mqtt.payloads import decode_change, decode_plan, raise_if_too_large
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.mqtt.topics import DeviceTopic
from gapcast.service.ports.broker_link import IncomingMessage

#: Executes a message about a device; raises :class:`PayloadError` if it cannot be used.
Command = Callable[[str, ReceivedMessage], None]


class Commands:
    """Executes the messages of each command's topic, in the order in which they arrive between readings."""

    def __init__(self) -> None:
        self._commands: list[tuple[DeviceTopic, Command]] = []

    def add(self, topic: DeviceTopic, command: Command) -> None:
        """Execute messages on ``topic`` with ``command``."""
        self._commands.append((topic, command))

    def handles(self, topic: str) -> bool:
        """Return whether ``topic`` is a command's topic."""
        return any(pattern.matches(topic) for pattern, _ in self._commands)

    def handle(self, received: ReceivedMessage) -> IncomingMessage:
        """Execute a message on a command's topic; return it without a reading, or with its problem."""
        publication = received.publication
        pattern, command = next(one for one in self._commands if one[0].matches(publication.topic))
        try:
            command(pattern.device_in(publication.topic), received)
        except PayloadError as problem:
            return IncomingMessage(None, problem, received.received_s, publication)
        return IncomingMessage(None, None, received.received_s, publication)


def plan_command(limits: Limits, replace_plan: Callable[[str, LoadPlan], None]) -> Command:
    """Return the command that replaces a device's plan with ``replace_plan``; powers must be within ``limits``."""

    def command(device: str, received: ReceivedMessage) -> None:
        publication = received.publication
        replace_plan(device, decode_plan(publication.payload, publication.n_bytes, received.arrival_ms, limits))

    return command


class DemandChanges(Protocol):
    """Makes changes; raises :class:`PayloadError` if the device has no demand, or the value is unusable."""

    def set_demand_limit(self, device: str, limit_kw: float | None) -> None:
        """Use ``limit_kw`` as the limit of ``device``; None: the configured limit."""
        ...

    def correct_month_peak(self, device: str, peak: MonthPeak, *, is_retained: bool) -> None:
        """Use ``peak`` as the highest window of the running month of ``device``, unless it is retained and outdated."""
        ...


def limit_command(limits: Limits, changes: DemandChanges) -> Command:
    """Return the command that sets a device's limit; an empty message restores the configured limit."""

    def command(device: str, received: ReceivedMessage) -> None:
        document = _document_of(received, "limit", LIMIT_EXAMPLE) if received.publication.n_bytes else None
        changes.set_demand_limit(device, limit_kw_of(document, limits))

    return command


def month_peak_command(limits: Limits, changes: DemandChanges) -> Command:
    """Return the command that corrects a device's month's peak."""

    def command(device: str, received: ReceivedMessage) -> None:
        if not received.publication.n_bytes:
            return  # a retained correction was removed; the month's peak stays
        peak = month_peak_of(_document_of(received, "month's peak", PEAK_EXAMPLE), limits)
        if peak.minute is None and received.arrival_ms is None:
            detail = 'a retained or redelivered month\'s peak has an unknown month: send it with "at"'
            raise PayloadError("unknown_age", detail)
        changes.correct_month_peak(device, peak, is_retained=received.publication.retained)

    return command


def _document_of(received: ReceivedMessage, what: str, example: str) -> object:
    publication = received.publication
    raise_if_too_large(publication.n_bytes, what)
    return decode_change(publication.payload, example)
