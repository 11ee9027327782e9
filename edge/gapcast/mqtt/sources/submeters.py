"""Reads the messages of submeters, and adds their newest minutes to the readings of their devices."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gapcast.core.meters.source import Source
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.readings.submeters import MAX_AGE_MIN, measured_name
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.mqtt.sources.source_topics import SourceTopic
from gapcast.mqtt.sources.sources import SourceReader
from gapcast.service.ports.broker_link import IncomingMessage

#: Number of stored minutes per submeter: a reading may be late, and must not get a later minute.
_N_MINUTES = 16
_MOST_CLOSED = 256


@dataclass(frozen=True, slots=True)
class SubmeterSource:
    """A submeter: its topic, which names it as a meter, the format of its messages, its device and its name."""

    topic: SourceTopic
    source: Source
    device: str
    name: str


class SubmeterReader:
    """Reads submeters. Their minutes are stored until a reading of the device arrives.

    A message that cannot be used is rejected like a meter's message.
    """

    def __init__(
        self,
        submeters: Iterable[SubmeterSource],
        limits: Limits,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Read ``submeters``, with power within ``limits``; ``now_ms`` is the gateway's clock."""
        submeters = tuple(submeters)
        sources = [(one.topic, one.source) for one in submeters]
        self._reader = SourceReader(sources, limits, (), len(sources), Statistics(), now_ms)
        self._topics = frozenset(topic for one in submeters for topic in one.topic.filters)
        self._minutes: dict[str, dict[int, float]] = {one.topic.device: {} for one in submeters}
        self._of_device: dict[str, list[tuple[str, str]]] = {}  # name of the meter, key in the reading
        for one in submeters:
            self._of_device.setdefault(one.device, []).append((one.topic.device, measured_name(one.name)))

    def reads(self, topic: str) -> bool:
        """Return whether ``topic`` is a submeter's topic."""
        return topic in self._topics

    def read(self, received: ReceivedMessage) -> IncomingMessage:
        """Store the minutes that a message completes; return the message without a reading, or with its problem."""
        messages = self._reader.read(received)
        self._store(messages)
        return messages[-1]._replace(reading=None)

    def track_connection(self, *, is_connected: bool) -> None:
        """Record whether the broker is connected, as :meth:`.SourceReader.track_connection` does."""
        self._reader.track_connection(is_connected=is_connected)

    def close_due(self) -> None:
        """Store the minutes that the clock completes."""
        self._store(self._reader.close_due(_MOST_CLOSED))
        self._reader.meters.take_samples()  # not persisted: a restart loses an open minute

    def attach(self, reading: Reading) -> Reading:
        """Return ``reading`` with the newest minute of each submeter of its device that is not after its own.

        The reading proves that its minute is over, or, if its time is its arrival, that the previous minute is: samples
        of a submeter in that minute are averaged now.
        """
        of_device = self._of_device.get(reading.device)
        if of_device is None:
            return reading
        measured = dict(reading.measured or {})
        for meter, key in of_device:
            minutes = self._minutes[meter]
            if reading.minute not in minutes:
                close_minute = self._reader.meters.close_minute
                self._add(close_minute(meter, reading.minute) or close_minute(meter, reading.minute - 1))
            known = [minute for minute in minutes if reading.minute - MAX_AGE_MIN <= minute <= reading.minute]
            if known:
                measured[key] = minutes[max(known)]
        return reading._replace(measured=measured or None)

    def _store(self, messages: Sequence[IncomingMessage]) -> None:
        self._add([message.reading for message in messages if message.reading is not None])

    def _add(self, readings: Sequence[Reading]) -> None:
        for reading in readings:
            minutes = self._minutes[reading.device]
            minutes[reading.minute] = reading.gap_kw
            while len(minutes) > _N_MINUTES:
                del minutes[next(iter(minutes))]  # the first to be received, whatever its time
