"""Reads the meters' own registers, from separate topics or from the messages of the meters' power."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gapcast.core.billing.registers import Register
from gapcast.core.errors import PayloadError
from gapcast.core.meters.values import look_up, number_of
from gapcast.core.readings.reading import Limits
from gapcast.mqtt.payloads import decode_document, raise_if_too_large
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.mqtt.topics import DeviceTopic, filter_covers
from gapcast.service.ports.broker_link import IncomingMessage


@dataclass(frozen=True, slots=True)
class RegisterSource:
    """The source of a register: a pattern with the device, or the fixed topic of ``device``, and the path in JSON.

    ``path`` is empty for a message that is a number; ``per_unit`` is the factor to kW.
    """

    register: Register
    topic: str | DeviceTopic
    device: str
    path: tuple[str, ...]
    per_unit: float

    @property
    def filter(self) -> str:
        """The subscription that matches the register's topics."""
        return self.topic if isinstance(self.topic, str) else self.topic.filter

    def matches(self, topic: str) -> bool:
        """Return whether the register is read from ``topic``."""
        return topic == self.topic if isinstance(self.topic, str) else self.topic.matches(topic)

    def device_of(self, topic: str) -> str:
        """Return the device of a matching ``topic``; raise :class:`PayloadError` if its name is invalid."""
        return self.device if isinstance(self.topic, str) else self.topic.device_in(topic)


class RegisterChanges(Protocol):
    """Accepts the values of registers; ignores the values of a device without a demand."""

    def record_running_register(self, device: str, kw: float, instant_ms: int) -> None:
        """Use the demand register of ``device``, received at ``instant_ms``, epoch ms."""
        ...

    def record_peak_register(self, device: str, kw: float) -> None:
        """Use the maximum demand register of ``device`` as its month's peak."""
        ...


class RegisterReader:
    """Reads the registers of ``sources``; ``of_readings`` are the filters of the topics that also carry readings."""

    def __init__(
        self,
        sources: Sequence[RegisterSource],
        of_readings: Sequence[str],
        limits: Limits,
        changes: RegisterChanges,
        reject: Callable[[IncomingMessage, PayloadError], None],
    ) -> None:
        self._sources = tuple(sources)
        self._of_readings = list(of_readings)
        self._limits = limits
        self._changes = changes
        self._reject = reject

    def read(self, received: ReceivedMessage) -> IncomingMessage | None:
        """Read the registers in a message; return it, or None if it has no register or is also to be read as a reading.

        A message with an unusable register is returned with its problem; if it is also a reading, ``reject`` gets both.
        """
        publication = received.publication
        sources = [source for source in self._sources if source.matches(publication.topic)]
        if not sources:
            return None
        problem = None
        try:
            self._record(sources, received)
        except PayloadError as error:
            problem = error
        message = IncomingMessage(None, problem, received.received_s, publication)
        if not self._holds_readings(publication.topic):
            return message
        if problem is not None:
            self._reject(message, problem)
        return None

    def _holds_readings(self, topic: str) -> bool:
        return any(filter_covers(one, topic) for one in self._of_readings)

    def _record(self, sources: Sequence[RegisterSource], received: ReceivedMessage) -> None:
        """Record the registers in a message; raise :class:`PayloadError` if one is unusable.

        A message without the value, or that marks it as unknown, changes nothing, and neither does a retained or
        redelivered message: it may be of an earlier window or month.
        """
        publication = received.publication
        raise_if_too_large(publication.n_bytes)
        if publication.retained or publication.redelivered:
            return
        values: list[tuple[RegisterSource, str, float]] = []
        for source in sources:
            device = source.device_of(publication.topic)
            value = _value_in(publication.payload, source)
            if value is None:
                continue
            kw = value * source.per_unit
            if not 0 <= kw <= self._limits.max_kw:
                fix = "check the unit, demand.register_unit; the range is set by limits.max_kw"
                detail = f"a register of {value:g} ({kw:g} kW) is outside 0 to {self._limits.max_kw:g} kW: {fix}"
                raise PayloadError("out_of_range", detail)
            values.append((source, device, kw))
        for source, device, kw in values:
            if source.register is Register.MONTH_PEAK:
                self._changes.record_peak_register(device, kw)
            else:
                self._changes.record_running_register(device, kw, received.received_ms)


def _value_in(payload: bytes, source: RegisterSource) -> float | None:
    if not source.path:
        return number_of(payload.decode("utf-8", errors="replace"), "the register")
    if not payload:
        return None
    return number_of(look_up(decode_document(payload), source.path), ".".join(source.path))
