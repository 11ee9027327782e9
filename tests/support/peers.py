"""Plain paho clients of the gateway's broker, in the role of a meter or a home automation."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Queue
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gapcast.mqtt.connection.client import disconnect
from tests.support.waiting import GUARD_S, wait_until


@dataclass(frozen=True, slots=True)
class PeerMessage:
    topic: str
    payload: bytes
    qos: int
    retained: bool
    expiry_s: int | None
    correlation: bytes | None = None
    user_properties: tuple[tuple[str, str], ...] = ()
    content_type: str | None = None

    @property
    def document(self) -> Any:
        return json.loads(self.payload)


class Peer:
    """A client that keeps all messages that it receives."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        client_id: str = "",
        mqtt5: bool = False,
        persistent: bool = False,
        username: str | None = None,
        password: str | None = None,
    ) -> None:
        self.messages: list[PeerMessage] = []
        self._subscribed: Queue[int] = Queue()
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if mqtt5 else MQTTProtocolVersion.MQTTv311,
            clean_session=None if mqtt5 else not persistent,
        )
        if username is not None:
            self.client.username_pw_set(username, password)
        self.client.on_message = self._on_message
        self._answers: Queue[tuple[int, int]] = Queue()
        self.client.on_publish = self._on_publish
        self.client.on_subscribe = lambda _client, _data, mid, _codes, _properties: self._subscribed.put(mid)
        self.client.reconnect_delay_set(1, 1)
        self.client.max_queued_messages_set(0)
        self.client.connect(host, port)
        self.client.loop_start()
        wait_until(self.client.is_connected, "a peer's connection")

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        mqtt_properties = message.properties
        self.messages.append(
            PeerMessage(
                message.topic,
                bytes(message.payload),
                message.qos,
                message.retain,
                getattr(mqtt_properties, "MessageExpiryInterval", None),
                getattr(mqtt_properties, "CorrelationData", None),
                tuple(getattr(mqtt_properties, "UserProperty", ())),
                getattr(mqtt_properties, "ContentType", None),
            )
        )

    def subscribe(self, topic: str, qos: int = 1) -> None:
        self.client.subscribe(topic, qos)
        self._subscribed.get(timeout=GUARD_S)

    def publish(
        self, topic: str, payload: str | bytes | None, qos: int = 1, *, retain: bool = False, **properties: Any
    ) -> None:
        """Publish, and wait until the message has left (QoS 0) or is confirmed (QoS 1).

        ``properties`` are those of MQTT 5, by paho's names for them.
        """
        mqtt_properties = Properties(PacketTypes.PUBLISH) if properties else None
        for name, value in properties.items():
            setattr(mqtt_properties, name, value)
        sent = self.client.publish(topic, payload, qos, retain, mqtt_properties)
        sent.wait_for_publish(GUARD_S)
        assert sent.is_published()

    def refusal(self, topic: str, payload: str) -> int:
        """Publish at QoS 1; return the reason that the broker gives for refusing it (MQTT 5), or 0."""
        mid = self.client.publish(topic, payload, 1).mid
        while True:
            answered, reason = self._answers.get(timeout=GUARD_S)
            if answered == mid:
                return reason if reason >= 0x80 else 0

    def _on_publish(self, _client: object, _data: object, mid: int, reason: ReasonCode, _properties: object) -> None:
        self._answers.put((mid, reason.value))

    def send(self, topic: str, payload: str | bytes, qos: int = 1) -> None:
        """Publish without waiting."""
        self.client.publish(topic, payload, qos)

    def on(self, topic: str) -> list[PeerMessage]:
        return [message for message in self.messages if message.topic == topic]

    def wait_for(self, topic: str, n: int = 1, timeout_s: float = GUARD_S) -> list[PeerMessage]:
        """Return the messages on ``topic`` once there are at least ``n``."""
        wait_until(
            lambda: len(self.on(topic)) >= n, lambda: f"{n} messages on {topic}, {len(self.on(topic))} came", timeout_s
        )
        return self.on(topic)

    def wait_that(self, found: Callable[[list[PeerMessage]], object], what: str, timeout_s: float = GUARD_S) -> None:
        wait_until(lambda: found(list(self.messages)), what, timeout_s)

    def close(self) -> None:
        """Disconnect; no effect the second time."""
        if hasattr(self, "client"):
            disconnect(self.client)
            del self.client  # the last there was of it: paho closes the sockets that wake its loop


@contextmanager
def peer_of(host: str, port: int, **options: Any) -> Iterator[Peer]:
    peer = Peer(host, port, **options)
    try:
        yield peer
    finally:
        peer.close()
