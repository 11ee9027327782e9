"""Publishes outlooks: their topic and message expiry."""

from __future__ import annotations

from gapcast.core.grid import MINUTE_MS
from gapcast.core.outlook.outlook import Outlooks
from gapcast.mqtt.forecast_publisher import expiry_of
from gapcast.mqtt.outlook_json import OutlookEncoder
from gapcast.mqtt.session import Session
from gapcast.mqtt.topics import DeviceTopic


class OutlookPublisher:
    """Publishes outlooks batch by batch. Nothing waits for their confirmation: the next one follows in a minute."""

    def __init__(self, session: Session, topic: DeviceTopic, *, retain: bool) -> None:
        """Publish over ``session`` on each device's ``topic``."""
        self._session = session
        self._topic = topic
        self._retain = retain
        self._encoder = OutlookEncoder()

    def publish(self, outlooks: Outlooks) -> None:
        """Send each outlook on its device's topic; with MQTT 5 it expires at its last minute.

        None is sent while the broker is disconnected or confirms nothing: outlooks must not take the place of
        forecasts.
        """
        session, now_min = self._session, outlooks.issued_at_ms / MINUTE_MS
        if not session.connected or session.is_backlogged:
            return
        last_min = outlooks.lead_times_min[-1]
        columns = outlooks.devices, outlooks.observed_minutes, self._encoder.encode(outlooks)
        for device, minute, document in zip(*columns, strict=True):
            expiry_s = expiry_of(minute, last_min, now_min)
            session.publish(self._topic.of(device).encode(), document, retain=self._retain, expiry_s=expiry_s)
