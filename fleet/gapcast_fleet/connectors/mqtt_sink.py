"""Publishes forecasts and rejections on a gateway's topics; the broker confirms them before a micro-batch is done."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from contextlib import closing
from functools import partial
from itertools import chain
from threading import Semaphore

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as sf

from gapcast.config.settings import Settings
from gapcast.core.errors import BrokerError
from gapcast.mqtt.connection.broker_problem import broker_reason
from gapcast.mqtt.topics import DeviceTopic, gateway_topic
from gapcast_fleet.buckets.bucket import COUNTED, FORECAST
from gapcast_fleet.connectors.mqtt_client import SparkMqttClient
from gapcast_fleet.connectors.sinks import Sink

#: Maximum number of unconfirmed messages per Spark task.
_WINDOW = 1_000
_CONFIRM_S = 30.0
#: Message expiry of a rejection. A forecast expires after its horizon, because a micro-batch may hold old forecasts.
_REJECTION_EXPIRY_S = 300
_MINUTE_S = 60
#: ``{gateway}`` in topics, if ``gateway.id`` is not set.
_GATEWAY = "fleet"


def to_mqtt(settings: Settings) -> Sink:
    """Return a sink that publishes according to ``[mqtt]`` and ``[topics]``.

    An interrupted micro-batch is published again, with the same values: at-least-once delivery, as on the edge.
    """

    def write(batch: DataFrame, _number: int) -> None:
        rows = batch.where(sf.col("kind") != COUNTED).select("kind", "device", "document")
        rows.foreachPartition(partial(publish_rows, settings))

    return write


def publish_rows(settings: Settings, rows: Iterable[Row]) -> None:
    """Publish the forecasts and rejections of a task, and wait until they are confirmed; disconnect in any case."""
    forecast = DeviceTopic.parse("topics.forecast", settings.topics.forecast)
    rejected = gateway_topic("topics.rejected", settings.topics.rejected, settings.gateway.id or _GATEWAY)
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        return
    with closing(TaskPublisher(settings)) as publisher:
        for row in chain((first,), rows):
            if row.kind == FORECAST:
                expiry_s = json.loads(row.document)["horizon_min"] * _MINUTE_S
                publisher.publish(forecast.for_device(row.device), row.document, expiry_s)
            else:
                publisher.publish(rejected, row.document, _REJECTION_EXPIRY_S)
        publisher.wait_for_confirmations()


class TaskPublisher:
    """The connection of one task, with a limited number of messages in flight."""

    def __init__(self, settings: Settings) -> None:
        """Connect; raise :class:`BrokerError` on failure."""
        mqtt = settings.mqtt
        self._connection = SparkMqttClient(mqtt, f"gapcast-fleet-{uuid.uuid4().hex[:12]}")
        self._free = Semaphore(_WINDOW)
        self._topics: dict[int, str] = {}  # by packet identifier, which MQTT reuses
        self._refused: tuple[int, ReasonCode] | None = None
        self._connection.client.on_publish = self._on_publish
        self._qos, self._retain = mqtt.qos, mqtt.retain_forecasts
        self._connection.open()

    def publish(self, topic: str, document: str, expiry_s: int) -> None:
        """Publish, with ``expiry_s`` over MQTT 5; wait while :data:`_WINDOW` messages are unconfirmed.

        Raises :class:`BrokerError` if the broker refused an earlier message.
        """
        properties: Properties | None = None
        if self._connection.mqtt5:
            properties = Properties(PacketTypes.PUBLISH)
            properties.MessageExpiryInterval = expiry_s
        self._wait()
        sent = self._connection.client.publish(topic, document, self._qos, retain=self._retain, properties=properties)
        self._topics[sent.mid] = topic

    def wait_for_confirmations(self) -> None:
        """Wait until all messages are confirmed; raise :class:`BrokerError` on timeout, or if one is refused."""
        for _ in range(_WINDOW):
            self._wait()

    def close(self) -> None:
        """Disconnect. Unconfirmed messages are not sent again: Spark repeats the task."""
        self._connection.close()

    def _on_publish(self, _client: object, _data: object, mid: int, reason: ReasonCode, _props: object) -> None:
        if reason.is_failure and self._refused is None:
            self._refused = mid, reason
        self._free.release()

    def _wait(self) -> None:
        is_confirmed = self._free.acquire(timeout=_CONFIRM_S)
        if self._refused is not None:
            mid, reason = self._refused
            msg = f"the broker refuses the message on {self._topics[mid]}: {broker_reason(reason)}"
            raise BrokerError(msg)
        if not is_confirmed:
            self._connection.raise_failure()
            msg = f"the broker did not confirm a forecast in {_CONFIRM_S:g} s"
            raise BrokerError(msg)
