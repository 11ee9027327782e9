"""Publishes forecasts: their topic, message expiry, and the properties forwarded from their readings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from gapcast.core.forecasts.forecast import Forecasts, HorizonParts
from gapcast.core.forecasts.forecast_json import ForecastEncoder
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import MINUTE_MS
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.packets.properties import forwarded_properties
from gapcast.mqtt.publishers.batch_sender import BatchSender
from gapcast.mqtt.session.session import Session
from gapcast.mqtt.topics import DeviceTopic

#: Expiry of a forecast for an old reading, as in a replay.
REPLAY_EXPIRY_S = 300


class ForecastPublisher:
    """Publishes forecasts batch by batch, with the properties forwarded from their readings."""

    def __init__(self, session: Session, topic: DeviceTopic, *, retain: bool) -> None:
        """Publish over ``session`` on each device's ``topic``."""
        self._session = session
        self._retain = retain
        self._sender = BatchSender(session, topic, retain=retain)
        self._encoder = ForecastEncoder(self._sender.packets)
        #: Device and minute -> encoded properties of the forecast.
        self._forwarded: dict[tuple[str, int], bytes] = {}

    def begin_batch(self) -> None:
        """Begin a batch: clear the properties of the last one."""
        self._forwarded.clear()

    def attach_properties(self, reading: Reading, publication: Publication) -> None:
        """Forward the properties of the message of ``reading`` to its forecast."""
        if publication.properties and (forwarded := forwarded_properties(publication.properties)):
            self._forwarded.setdefault((reading.device, reading.minute), forwarded)

    def publish(self, forecasts: Forecasts) -> list[int]:
        """Send each forecast on its device's topic; return the ids of the messages.

        With MQTT 5 a forecast expires at its target time, and carries the correlation data and user properties of its
        reading.
        """
        if not len(forecasts):
            return []
        if forecasts.parts is not None:
            return self._publish_horizons(forecasts.parts)
        ids = None if self._forwarded else self._session.next_ids(len(forecasts))
        if ids is not None and self._publish_at_once(forecasts, ids):
            return ids or [0] * len(forecasts)
        horizon_min = forecasts.model.lead_times_min[-1]
        now_min = forecasts.issued_at_ms / MINUTE_MS
        publish, topic_of, retain = self._session.publish, self._sender.topic_of, self._retain
        forecast_ids, forwarded = [], self._forwarded
        for device, minute, payload in zip(
            forecasts.devices, forecasts.observed_minutes, self._encoder.encode(forecasts), strict=True
        ):
            extra = forwarded.get((device, minute), b"") if forwarded else b""
            expiry_s = expiry_of(minute, horizon_min, now_min)
            forecast_ids.append(publish(topic_of(device), payload, retain=retain, expiry_s=expiry_s, extra=extra))
        return forecast_ids

    def _publish_horizons(self, parts: HorizonParts) -> list[int]:
        """Send the forecasts of each horizon; return the ids of the messages in the order of the batch."""
        ids = [self.publish(forecasts) for _, forecasts in parts.parts]
        return [ids[part][i] for part, i in parts.order]

    def _publish_at_once(self, forecasts: Forecasts, ids: Sequence[int]) -> bool:
        """Send all ``forecasts`` in one piece, as the messages ``ids`` (none: QoS 0); return whether they were sent."""
        expiries_s: list[int] = []
        if ids or self._session.has_properties:
            last_min = forecasts.model.lead_times_min[-1]
            expiries_s = expiries_of(forecasts.observed_minutes, last_min, forecasts.issued_at_ms)
        write_packets = partial(self._encoder.write_packets, forecasts)
        return self._sender.send(forecasts.devices, expiries_s, ids, write_packets)


def expiries_of(observed_minutes: Sequence[int], last_min: int, issued_at_ms: int) -> list[int]:
    """Return the message expiry, s, of messages about the minutes until ``last_min``; most have the same expiry."""
    now_min = issued_at_ms / MINUTE_MS
    if len(observed_minutes) == 1:
        return [expiry_of(observed_minutes[0], last_min, now_min)]
    expiries_s = {minute: expiry_of(minute, last_min, now_min) for minute in set(observed_minutes)}
    return [expiries_s[minute] for minute in observed_minutes]


def expiry_of(observed_minute: int, horizon_min: int, now_min: float) -> int:
    """Return the message expiry, s, of a forecast made at ``now_min``: its last minute, or a fixed time in a replay.

    >>> expiry_of(100, 5, 101.5), expiry_of(100, 60, 101.5), expiry_of(100, 5, 9_000.0)
    (210, 3510, 300)
    """
    left_min = observed_minute + horizon_min - now_min
    return int(left_min * 60) or 1 if 0 < left_min <= horizon_min + 1 else REPLAY_EXPIRY_S
