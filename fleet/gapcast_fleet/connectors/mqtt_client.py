"""A paho connection to the broker that ``[mqtt]`` configures."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

from paho.mqtt.client import ConnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gapcast.app.broker.broker import transport_of
from gapcast.config.sections.mqtt import MqttSettings
from gapcast.core.errors import BrokerError
from gapcast.mqtt.connection.transport import TransportClient, connection_error

_CONNECT_S = 10.0
#: Messages in flight to or from the broker: the number of MQTT packet identifiers.
MAX_IN_FLIGHT = 65_535


class SparkMqttClient:
    """A paho client with its own thread; reconnects automatically."""

    def __init__(
        self, mqtt: MqttSettings, client_id: str, *, session_expiry_s: int = 0, manual_ack: bool = False
    ) -> None:
        """Connect as ``client_id``; the session persists if ``session_expiry_s`` is above 0."""
        self._transport = transport_of(mqtt)
        self._mqtt, self._session_expiry_s = mqtt, session_expiry_s
        self._mqtt5 = mqtt.protocol != "3.1.1"
        self._answered = Event()
        self._refusal = ""
        options: dict[str, Any] = {} if self._mqtt5 else {"clean_session": not session_expiry_s}
        self.client = TransportClient(
            self._transport,
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if self._mqtt5 else MQTTProtocolVersion.MQTTv311,
            manual_ack=manual_ack,
            **options,
        )
        self.client.max_inflight_messages_set(MAX_IN_FLIGHT)
        self.client.on_connect = self._on_connect
        #: Called after each connection, also reconnections, with whether the broker still has the session.
        self.on_connected: Callable[[bool], object] = lambda _: None
        if mqtt.username is not None:
            self.client.username_pw_set(mqtt.username, mqtt.password.get_secret_value() if mqtt.password else None)

    def open(self) -> None:
        """Connect; raise :class:`BrokerError` on failure."""
        mqtt = self._mqtt
        where = f"the broker at {mqtt.host} port {mqtt.port}"
        try:
            if self._mqtt5:
                properties = Properties(PacketTypes.CONNECT)
                properties.SessionExpiryInterval = self._session_expiry_s
                properties.ReceiveMaximum = MAX_IN_FLIGHT
                clean_start = not self._session_expiry_s
                self.client.connect(
                    mqtt.host, mqtt.port, mqtt.keepalive_s, clean_start=clean_start, properties=properties
                )
            else:
                self.client.connect(mqtt.host, mqtt.port, mqtt.keepalive_s)
        except (OSError, ValueError) as error:
            why = connection_error(error, mqtt.host, self._transport)
            msg = f"{where} cannot be reached ({why}): check that it is running and that the address is correct"
            raise BrokerError(msg) from error
        self.client.loop_start()
        if not self._answered.wait(_CONNECT_S) or self._refusal:
            self.close()
            msg = f"{where} rejects the connection: {self._refusal or 'no answer'}"
            raise BrokerError(msg)

    def close(self) -> None:
        """Disconnect."""
        client = self.client
        client.disconnect()
        client.loop_stop()
        # Without these references the client, and two sockets that its thread used, are freed with the last reference.
        client.on_connect = client.on_message = client.on_subscribe = client.on_publish = None

    def _on_connect(
        self, _client: object, _data: object, flags: ConnectFlags, reason: ReasonCode, _props: object
    ) -> None:
        self._refusal = str(reason) if reason.is_failure else ""
        if not self._refusal:
            self.on_connected(flags.session_present)
        self._answered.set()
