"""Publishes forecasts: their topic, message expiry, and the properties forwarded from their readings."""

from __future__ import annotations

from collections.abc import Sequence

from gapcast.core.forecast import Forecasts, HorizonParts
from gapcast.core.forecast_json import ForecastEncoder
from gapcast.core.grid import MINUTE_MS
from gapcast.core.json_rows import Packets, WrittenRows
from gapcast.core.reading import Reading
from gapcast.mqtt.delivery import Outgoing
from gapcast.mqtt.frames import PUBLISH, RETAIN, Publication
from gapcast.mqtt.properties import forwarded_properties
from gapcast.mqtt.session import Session
from gapcast.mqtt.topics import DeviceTopic

#: Expiry of a forecast for an old reading, as in a replay.
REPLAY_EXPIRY_S = 300


class ForecastPublisher:
    """Publishes forecasts batch by batch, with the properties forwarded from their readings."""

    def __init__(self, session: Session, topic: DeviceTopic, *, retain: bool) -> None:
        """Publish over ``session`` on each device's ``topic``."""
        self._session = session
        self._retain = retain
        self._before, self._after = topic.before.encode(), topic.after.encode()
        self._encoder = ForecastEncoder(Packets(self._before, self._after, PUBLISH | (retain and RETAIN)))
        #: Device and minute -> properties of their forecast, encoded.
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

        With MQTT 5 it expires at its target time, and the correlation data and user properties of its reading are
        forwarded with it.
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
        publish, before, after, retain = self._session.publish, self._before, self._after, self._retain
        forecast_ids, forwarded = [], self._forwarded
        for device, minute, payload in zip(
            forecasts.devices, forecasts.observed_minutes, self._encoder.encode(forecasts), strict=True
        ):
            topic = b"%b%b%b" % (before, device.encode(), after)
            extra = forwarded.get((device, minute), b"") if forwarded else b""
            expiry_s = expiry_of(minute, horizon_min, now_min)
            forecast_ids.append(publish(topic, payload, retain=retain, expiry_s=expiry_s, extra=extra))
        return forecast_ids

    def _publish_horizons(self, parts: HorizonParts) -> list[int]:
        """Send the forecasts of each horizon; return the ids of the messages in the order of the batch."""
        ids = [self.publish(forecasts) for _, forecasts in parts.parts]
        return [ids[part][i] for part, i in parts.order]

    def _publish_at_once(self, forecasts: Forecasts, ids: Sequence[int]) -> bool:
        """Send all ``forecasts`` in one piece, as the messages ``ids`` (none: QoS 0); return whether they were sent."""
        session = self._session
        has_properties = session.has_properties
        expiries_s = _expiries_of(forecasts) if ids or has_properties else []
        packets = self._encoder.write_packets(forecasts, expiries_s if has_properties else (), ids)
        if packets is None:
            return False
        session.send_packets(packets.content, self._messages_of(forecasts, ids, packets, expiries_s) if ids else {})
        return True

    def _messages_of(
        self, forecasts: Forecasts, ids: Sequence[int], packets: WrittenRows, expiries_s: Sequence[int]
    ) -> dict[int, Outgoing]:
        """Return the messages ``ids`` of ``packets``, as they are sent again."""
        before, after, retain, now_s = self._before, self._after, self._retain, self._session.expires_s(0)
        content, bounds = packets.content, packets.bounds.tolist()
        return {
            packet_id: Outgoing(
                b"%b%b%b" % (before, device.encode(), after), bytes(content[begin:end]), retain, now_s + expiry_s
            )
            for packet_id, device, (begin, end), expiry_s in zip(
                ids, forecasts.devices, bounds, expiries_s, strict=True
            )
        }


def _expiries_of(forecasts: Forecasts) -> list[int]:
    """Return the message expiry of each of ``forecasts``, s; most are of the same minute."""
    horizon_min, now_min = forecasts.model.lead_times_min[-1], forecasts.issued_at_ms / MINUTE_MS
    expiries_s = {minute: expiry_of(minute, horizon_min, now_min) for minute in set(forecasts.observed_minutes)}
    return [expiries_s[minute] for minute in forecasts.observed_minutes]


def expiry_of(observed_minute: int, horizon_min: int, now_min: float) -> int:
    """Return the message expiry, s, of a forecast made at ``now_min``: its last minute, or a fixed time in a replay.

    >>> expiry_of(100, 5, 101.5), expiry_of(100, 60, 101.5), expiry_of(100, 5, 9_000.0)
    (210, 3510, 300)
    """
    left_min = observed_minute + horizon_min - now_min
    return int(left_min * 60) or 1 if 0 < left_min <= horizon_min + 1 else REPLAY_EXPIRY_S
