"""Publishes outlooks: their topic and message expiry."""

from __future__ import annotations

from pydantic_core import to_json

from gapcast.core.grid import MINUTE_MS
from gapcast.core.outlook.document import outlook_document
from gapcast.core.outlook.outlook import Outlooks
from gapcast.mqtt.forecast_publisher import expiry_of
from gapcast.mqtt.session import Session
from gapcast.mqtt.topics import DeviceTopic


class OutlookPublisher:
    """Publishes outlooks batch by batch. Nothing waits for their confirmation: the next one follows in a minute."""

    def __init__(self, session: Session, topic: DeviceTopic, *, retain: bool) -> None:
        """Publish over ``session`` on each device's ``topic``."""
        self._session = session
        self._topic = topic
        self._retain = retain

    def publish(self, outlooks: Outlooks) -> None:
        """Send each outlook on its device's topic; with MQTT 5 it expires at its last minute.

        None is sent while the broker is disconnected or confirms nothing: outlooks must not take the place of
        forecasts.
        """
        session, now_min = self._session, outlooks.issued_at_ms / MINUTE_MS
        if not session.connected or session.is_backlogged:
            return
        for outlook in outlooks:
            topic = self._topic.of(outlook.device or "").encode()
            expiry_s = expiry_of(outlook.observed_minute, outlook.lead_times_min[-1], now_min)
            session.publish(topic, to_json(outlook_document(outlook)), retain=self._retain, expiry_s=expiry_s)
