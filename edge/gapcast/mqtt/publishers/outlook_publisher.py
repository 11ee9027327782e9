"""Publishes outlooks: their topic and message expiry."""

from __future__ import annotations

import functools

from gapcast.core.outlook.documents.outlook_json import OutlookEncoder
from gapcast.core.outlook.outlook import Outlooks
from gapcast.mqtt.publishers.batch_sender import BatchSender
from gapcast.mqtt.publishers.forecast_publisher import expiries_of
from gapcast.mqtt.session.session import Session
from gapcast.mqtt.topics import DeviceTopic


class OutlookPublisher:
    """Publishes outlooks batch by batch. Nothing waits for a confirmation: the next outlook follows in a minute."""

    def __init__(self, session: Session, topic: DeviceTopic, *, retain: bool) -> None:
        """Publish over ``session`` on each device's ``topic``."""
        self._session = session
        self._retain = retain
        self._sender = BatchSender(session, topic, retain=retain)
        self._encoder = OutlookEncoder(self._sender.packets)

    def publish(self, outlooks: Outlooks) -> None:
        """Send each outlook on its device's topic; with MQTT 5 it expires at its last minute.

        Nothing is sent while the broker is disconnected or confirms no messages: outlooks must not displace forecasts.
        """
        session = self._session
        if not session.is_open or session.is_backlogged:
            return
        devices = outlooks.devices
        expiries_s = expiries_of(outlooks.observed_minutes, outlooks.lead_times_min[-1], outlooks.issued_at_ms)
        ids = session.next_ids(len(outlooks))
        if ids is not None:
            write_packets = functools.partial(self._encoder.write_packets, outlooks)
            if self._sender.send(devices, expiries_s, ids, write_packets):
                return
        for device, expiry_s, document in zip(devices, expiries_s, self._encoder.encode(outlooks), strict=True):
            session.publish(self._sender.topic_of(device), document, retain=self._retain, expiry_s=expiry_s)
