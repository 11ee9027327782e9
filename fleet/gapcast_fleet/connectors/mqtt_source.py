"""Spark source for readings over MQTT; acknowledged to the broker once their micro-batch is in the checkpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import Any, NamedTuple

import pyarrow as pa
from paho.mqtt.client import MQTTMessage
from paho.mqtt.reasoncodes import ReasonCode
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import DataSource, DataSourceStreamReader, InputPartition
from pyspark.sql.types import StructType

from gapcast.commands.options import read_settings
from gapcast.config.settings import Settings
from gapcast.core.errors import BrokerError, StateError
from gapcast.mqtt.packets.frames import MAX_PAYLOAD
from gapcast.mqtt.topics import DeviceTopic
from gapcast_fleet.connectors.mqtt_client import SparkMqttClient
from gapcast_fleet.connectors.mqtt_spool import Message, Spool, read_segment

NAME = "gapcast-mqtt"
_SCHEMA = (
    "device string, payload binary, received_ms long, redelivered boolean, at long, file string, block long, place long"
)
_SEGMENT = "segment"
_SUBSCRIBE_S = 10.0
#: Maximum size of the payloads of a segment, bytes: Spark and Python hold a whole segment in memory.
_SEGMENT_BYTES = 32 * 1_048_576


class DeliveredMessage(NamedTuple):
    """A message, with its packet identifier and delivered QoS for its acknowledgement.

    With QoS 0 a message has no identifier, and the broker does not redeliver it.
    """

    message: Message
    packet_id: int
    qos: int


class SegmentIntake:
    """Receives readings from the broker into segments, and acknowledges them on request."""

    def __init__(self, settings: Settings, folder: Path, client_id: str) -> None:
        """Subscribe to the readings topic of ``settings``; raise :class:`BrokerError` on failure."""
        self._topic = DeviceTopic.parse("topics.reading", settings.topics.reading)
        self._lock = Lock()
        self._received: list[DeliveredMessage] = []
        self._n_bytes = 0  # of the received payloads
        self._is_numbered = False
        self._unacknowledged: dict[int, tuple[int, list[tuple[int, int]]]] = {}  # by segment: connection, ids with QoS
        self._n_connections = 0
        self._connection = SparkMqttClient(
            settings.mqtt, client_id, session_expiry_s=settings.mqtt.session_expiry_s, manual_ack=True
        )
        self._connection.client.on_message = self._on_message
        self._qos = settings.mqtt.qos
        self._connection.client.on_subscribe = self._on_subscribe
        self._connection.on_connected = self._subscribe
        self._subscribed, self._refusal = Event(), ""
        self._connection.open()
        if not self._subscribed.wait(_SUBSCRIBE_S) or self._refusal:
            self._connection.close()
            raise self._subscription_error()
        self.spool = Spool(folder)

    def number_from(self, segment: int) -> None:
        """Number new segments from ``segment`` on; from now on, write many received messages to a segment at once."""
        with self._lock:
            self.spool.start_at(segment)
            self._is_numbered = True

    def roll(self) -> int:
        """Write the received messages to a segment; return the number of the next segment.

        Raises :class:`BrokerError` if no more messages will come.
        """
        self._connection.raise_failure()
        if self._refusal:
            raise self._subscription_error()
        with self._lock:
            self._write_segment()
            return self.spool.next

    def acknowledge_before(self, segment: int) -> None:
        """Acknowledge the messages of earlier segments, and remove these segments.

        Messages of an earlier connection are not acknowledged: the broker has redelivered them on this connection.
        """
        with self._lock:
            earlier = [number for number in self._unacknowledged if number < segment]
            dues = [self._unacknowledged.pop(number) for number in earlier]
        for connection, due in dues:
            if connection == self._n_connections:
                for packet_id, qos in due:
                    self._connection.client.ack(packet_id, qos)
        self.spool.remove_before(segment)

    def close(self) -> None:
        """Disconnect; the broker keeps unacknowledged messages."""
        self._connection.close()

    def _write_segment(self) -> None:
        if self._received:
            self.spool.write([one.message for one in self._received])
            due = [(one.packet_id, one.qos) for one in self._received if one.qos]
            self._unacknowledged[self.spool.next - 1] = self._n_connections, due
            self._received, self._n_bytes = [], 0

    def _subscribe(self, has_session: bool) -> None:
        """Subscribe; drop the messages of the previous connection that are in no segment and will be redelivered.

        QoS 0 messages are not redelivered, and no messages are if the broker has lost the session, as after a restart
        without persistence: it does not know their packet identifiers.
        """
        with self._lock:
            self._n_connections += 1
            if has_session:
                self._received = [one for one in self._received if not one.qos]
            else:
                self._received = [one._replace(qos=0) for one in self._received]
            self._n_bytes = sum(len(one.message.payload) for one in self._received)
        self._connection.client.subscribe(self._topic.filter, self._qos)

    def _subscription_error(self) -> BrokerError:
        reason = self._refusal or "no answer"
        return BrokerError(f"the broker rejects the subscription to {self._topic.filter}: {reason}")

    def _on_subscribe(self, _client: object, _data: object, _mid: int, reasons: list[ReasonCode], _: object) -> None:
        self._refusal = ", ".join(str(reason) for reason in reasons if reason.is_failure)
        self._subscribed.set()

    def _on_message(self, _client: object, _data: object, message: MQTTMessage) -> None:
        topic = message.topic
        device = topic[len(self._topic.before) : len(topic) - len(self._topic.after)]
        known_age = not message.retain and not message.dup
        received_ms = time.time_ns() // 1_000_000 if known_age else None
        # Store no more of an oversized payload than its rejection needs.
        one = Message(device, bytes(message.payload[: MAX_PAYLOAD + 1]), received_ms, message.dup)
        with self._lock:
            self._received.append(DeliveredMessage(one, message.mid, message.qos))
            self._n_bytes += len(one.payload)
            if self._n_bytes >= _SEGMENT_BYTES and self._is_numbered:
                with suppress(StateError):  # roll() raises it
                    self._write_segment()


@dataclass(frozen=True)
class Segment(InputPartition):
    """A segment, read by one Spark task."""

    path: str


class MqttReader(DataSourceStreamReader):
    """Segments as Spark's offsets. Of all its copies, only the one that Spark asks for offsets holds the connection."""

    def __init__(self, options: dict[str, str]) -> None:
        """Use ``options``: ``config``, ``assignments``, ``spool`` and ``client_id``."""
        self._options = options
        self._opened: SegmentIntake | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the connection."""
        return {"_options": self._options, "_opened": None}

    def initialOffset(self) -> dict[str, int]:  # noqa: N802 - Spark's
        """Return the first existing segment."""
        return {_SEGMENT: self._intake.spool.first}

    def latestOffset(self, start: dict[str, int], limit: object) -> dict[str, int]:  # noqa: N802 - Spark's
        """Write the received messages to a segment; return the number of the next segment."""
        self._intake.number_from(start[_SEGMENT])
        return {_SEGMENT: self._intake.roll()}

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> Sequence[InputPartition]:
        """Return the segments of a micro-batch."""
        self._intake.number_from(end[_SEGMENT])
        spool = self._intake.spool
        return [Segment(str(spool.path(number))) for number in range(start[_SEGMENT], end[_SEGMENT])]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Yield the messages of a segment, in any process."""
        assert isinstance(partition, Segment)  # noqa: S101 - Spark returns what partitions() gave
        yield from read_segment(partition.path)

    def commit(self, end: dict[str, int]) -> None:
        """Acknowledge the messages that are now in the checkpoint."""
        self._intake.acknowledge_before(end[_SEGMENT])

    def stop(self) -> None:
        """Disconnect."""
        if self._opened is not None:
            self._opened.close()

    @property
    def _intake(self) -> SegmentIntake:
        if self._opened is None:
            options = self._options
            config = Path(options["config"]) if options["config"] else None
            settings = read_settings(config, tuple(json.loads(options["assignments"])))
            self._opened = SegmentIntake(settings, Path(options["spool"]), options["client_id"])
        return self._opened


class MqttSource(DataSource):
    """Registers the source in Spark."""

    @classmethod
    def name(cls) -> str:
        """Return the name of the source."""
        return NAME

    def schema(self) -> str:
        """Return the columns of every source."""
        return _SCHEMA

    def streamReader(self, schema: StructType) -> MqttReader:  # noqa: N802 - Spark's
        """Return a reader."""
        return MqttReader(dict(self.options))


def from_mqtt(
    spark: SparkSession, config: Path | None, assignments: Sequence[str], checkpoint: Path, client_id: str
) -> DataFrame:
    """Return the readings on ``topics.reading`` of the broker that the configuration names.

    The connecting process reads the configuration itself, so that no password passes through Spark. Messages are stored
    under ``checkpoint`` until they are part of it; all workers must have access to that folder.
    """
    spark.dataSource.register(MqttSource)
    options = {
        "config": str(config.resolve()) if config else "",
        "assignments": json.dumps(list(assignments)),
        "spool": str(checkpoint.resolve() / "spool"),
        "client_id": client_id,
    }
    return spark.readStream.format(NAME).options(**options).load()
