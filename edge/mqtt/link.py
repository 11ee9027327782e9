"""The service's link to the broker: topics and payloads over one session."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.core.errors import PayloadError
from edge.core.forecast import Forecasts
from edge.core.grid import MINUTE_MS, minute_label
from edge.core.reading import Limits, Reading
from edge.mqtt.payloads import decode, encode_forecasts, encode_rejection
from edge.mqtt.session import Received, Session
from edge.mqtt.topics import DeviceTopic
from edge.service import Arrival

#: Expiry of a forecast whose reading is itself of the past, as in a replay.
REPLAY_EXPIRY_S = 300
#: Topics whose device is remembered, so that it is checked once and not with every message.
_MAX_CACHED = 131_072


@dataclass(frozen=True, slots=True)
class Topics:
    """Where readings come from and forecasts go."""

    reading: DeviceTopic
    forecast: DeviceTopic
    rejected: str


class MqttLink:
    """Implements :class:`edge.service.Link`."""

    def __init__(
        self,
        session: Session,
        topics: Topics,
        limits: Limits,
        *,
        retain_forecasts: bool,
        extras: Sequence[str] = (),
    ) -> None:
        """Read of each message its power and, where there are any, the measured features ``extras``."""
        self._session = session
        self._topics = topics
        self._limits = limits
        self._retain = retain_forecasts
        self._extras = tuple(extras)
        self._devices: dict[str, str] = {}  # topic -> device: few topics, many messages
        self._before, self._after = topics.forecast.before.encode(), topics.forecast.after.encode()

    @property
    def connected(self) -> bool:
        """Whether the broker is there and readings are subscribed to."""
        return self._session.connected

    @property
    def n_queued(self) -> int:
        """Messages that came and have not been taken."""
        return self._session.n_queued

    @property
    def n_shed(self) -> int:
        """Messages that came faster than they could be taken, and were let go."""
        return self._session.n_shed

    @property
    def problem(self) -> str:
        """Why there is no connection, in a sentence; empty while there is one."""
        return self._session.problem

    def take(self, n_at_most: int, timeout_s: float) -> list[Arrival]:
        """Return what is queued, decoded, waiting up to ``timeout_s`` for the first."""
        return [self._arrival(received) for received in self._session.take(n_at_most, timeout_s)]

    def _arrival(self, received: Received) -> Arrival:
        publication, received_s, received_ms = received
        try:
            device = self._devices.get(publication.topic) or self._device(publication.topic)
            arrival_ms = None if publication.retained or publication.redelivered else received_ms
            n_bytes = publication.n_bytes
            reading = decode(device, publication.payload, n_bytes, arrival_ms, self._limits, self._extras)
        except PayloadError as problem:
            return Arrival(None, problem, received_s, publication)
        if publication.redelivered:
            reading = reading._replace(redelivered=True)
        return Arrival(reading, None, received_s, publication)

    def _device(self, topic: str) -> str:
        device = self._topics.reading.device_in(topic)
        if len(self._devices) >= _MAX_CACHED:
            self._devices.clear()
        self._devices[topic] = device
        return device

    def publish(self, forecasts: Forecasts) -> list[int]:
        """Send each forecast on its device's topic; with MQTT 5 it expires at its target time."""
        if not len(forecasts):
            return []
        horizon_min = forecasts.model.lead_times_min[-1]
        now_min = forecasts.issued_at_ms / MINUTE_MS
        publish, before, after, retain = self._session.publish, self._before, self._after, self._retain
        receipts = []
        for device, minute, payload in zip(
            forecasts.devices, forecasts.observed_minutes, encode_forecasts(forecasts), strict=True
        ):
            topic = b"%b%b%b" % (before, device.encode(), after)
            left_min = minute + horizon_min - now_min
            expiry_s = int(left_min * 60) if 0 < left_min <= horizon_min + 1 else REPLAY_EXPIRY_S
            receipts.append(publish(topic, payload, retain=retain, expiry_s=expiry_s or 1))
        return receipts

    def reject(self, what: Arrival | Reading, problem: PayloadError) -> None:
        """Tell on the rejected topic why a message, or a reading that had been held, could not be used."""
        if isinstance(what, Reading):
            topic = self._topics.reading.of(what.device)
            document = {"ts": minute_label(what.minute), "gap_kw": what.gap_kw, **(what.measured or {})}
            payload = json.dumps(document).encode()
        else:
            topic, payload = what.token.topic, what.token.payload
        text = encode_rejection(topic, payload, problem.reason, problem.detail)
        self._session.publish(self._topics.rejected.encode(), text)

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
