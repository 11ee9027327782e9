"""A connection to the broker that ``[mqtt]`` names, by paho."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gapcast.app.broker import transport_of
from gapcast.config.mqtt import MqttSettings
from gapcast.core.errors import BrokerError
from gapcast.mqtt.transport import TransportClient, connection_error

_CONNECT_S = 10.0
#: Messages under way to or from the broker: as many as MQTT has numbers for.
MOST_UNDER_WAY = 65_535


class SparkMqttClient:
    """A paho client with a thread of its own; connects again by itself where the broker goes away."""

    def __init__(
        self, mqtt: MqttSettings, client_id: str, *, session_expiry_s: int = 0, manual_ack: bool = False
    ) -> None:
        """Be ``client_id``; with a session that outlives the connection where ``session_expiry_s`` is above 0."""
        self._transport = transport_of(mqtt)
        self._mqtt, self._session_expiry_s = mqtt, session_expiry_s
        self._mqtt5 = mqtt.protocol != "3.1.1"
        self._answered = Event()
        self._refused = ""
        options: dict[str, Any] = {} if self._mqtt5 else {"clean_session": not session_expiry_s}
        self.client = TransportClient(
            self._transport,
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if self._mqtt5 else MQTTProtocolVersion.MQTTv311,
            manual_ack=manual_ack,
            **options,
        )
        self.client.max_inflight_messages_set(MOST_UNDER_WAY)
        self.client.on_connect = self._on_connect
        #: Called at each connection, also the later ones.
        self.greet: Callable[[], object] = lambda: None
        if mqtt.username is not None:
            self.client.username_pw_set(mqtt.username, mqtt.password.get_secret_value() if mqtt.password else None)

    def open(self) -> None:
        """Connect; raise :class:`BrokerError` where that fails."""
        mqtt = self._mqtt
        where = f"the broker at {mqtt.host} port {mqtt.port}"
        try:
            if self._mqtt5:
                properties = Properties(PacketTypes.CONNECT)
                properties.SessionExpiryInterval = self._session_expiry_s
                properties.ReceiveMaximum = MOST_UNDER_WAY
                clean_start = not self._session_expiry_s
                self.client.connect(
                    mqtt.host, mqtt.port, mqtt.keepalive_s, clean_start=clean_start, properties=properties
                )
            else:
                self.client.connect(mqtt.host, mqtt.port, mqtt.keepalive_s)
        except (OSError, ValueError) as error:
            why = connection_error(error, mqtt.host, self._transport)
            msg = f"{where} cannot be reached ({why}): is it running, and is that its address?"
            raise BrokerError(msg) from error
        self.client.loop_start()
        if not self._answered.wait(_CONNECT_S) or self._refused:
            self.client.loop_stop()
            msg = f"{where} refuses the connection: {self._refused or 'no answer'}"
            raise BrokerError(msg)

    def close(self) -> None:
        """Disconnect."""
        self.client.disconnect()
        self.client.loop_stop()

    def _on_connect(self, _client: object, _data: object, _flags: object, reason: ReasonCode, _props: object) -> None:
        self._refused = str(reason) if reason.is_failure else ""
        if not self._refused:
            self.greet()
        self._answered.set()
