"""A paho connection to the broker that ``[mqtt]`` configures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import click
from paho.mqtt.client import ConnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gapcast.app.broker.broker import transport_of
from gapcast.config.sections.mqtt import MqttSettings
from gapcast.core.errors import BrokerError
from gapcast.mqtt.connection.broker_problem import NOT_AUTHORIZED, broker_reason
from gapcast.mqtt.connection.takeover import TakeoverDetector
from gapcast.mqtt.connection.transport import TransportClient, connection_error

_CONNECT_S = 10.0
#: Number of consecutive refused connections after which no more attempts are made.
_MAX_REFUSALS = 5
#: Maximum number of messages in flight to or from the broker: the number of MQTT packet identifiers.
MAX_IN_FLIGHT = 65_535
#: Maximum packet size that an MQTT 5 broker may send. Payloads longer than :data:`MAX_PAYLOAD` are rejected anyway.
MAX_PACKET_BYTES = 1_048_576


def _show_on_stderr(line: str) -> None:
    click.echo(line, err=True)


def in_flight_remarks(mqtt: MqttSettings) -> Iterator[str]:
    """Yield a line for a terminal if the broker alone limits the readings of a micro-batch."""
    if mqtt.protocol == "3.1.1":
        yield (
            'mqtt.protocol = "3.1.1": the broker limits the readings per micro-batch, mosquitto to 20 by default: '
            f'set max_inflight_messages {MAX_IN_FLIGHT} in its configuration, or mqtt.protocol = "5"'
        )


class SparkMqttClient:
    """A paho client with its own thread; reconnects automatically.

    It does not reconnect if another client has taken over its session, or after several consecutive refusals by the
    broker: :meth:`raise_failure` then raises the reason.
    """

    def __init__(
        self,
        mqtt: MqttSettings,
        client_id: str,
        *,
        session_expiry_s: int = 0,
        manual_ack: bool = False,
        show: Callable[[str], object] = _show_on_stderr,
    ) -> None:
        """Connect as ``client_id``; the session persists if ``session_expiry_s`` is above 0.

        ``show`` gets a line when the connection is lost, refused or restored.
        """
        self._transport = transport_of(mqtt)
        self._client_id, self._show = client_id, show
        self._mqtt, self._session_expiry_s = mqtt, session_expiry_s
        self._mqtt5 = mqtt.protocol != "3.1.1"
        self._answered = Event()
        self._where = f"the broker at {mqtt.host} port {mqtt.port}"
        self._takeover = TakeoverDetector()
        self._is_open = self._is_lost = False
        self._refusal, self._n_refusals, self._failure = "", 0, ""
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
        self.client.on_disconnect = self._on_disconnect
        self.client.on_connect_fail = lambda *_: self._takeover.unreachable()
        #: Called after each connection, including reconnections, with whether the broker still has the session.
        self.on_connected: Callable[[bool], object] = lambda _: None
        if mqtt.username is not None:
            self.client.username_pw_set(mqtt.username, mqtt.password.get_secret_value() if mqtt.password else None)

    def open(self) -> None:
        """Connect; raise :class:`BrokerError` on failure."""
        mqtt = self._mqtt
        try:
            if self._mqtt5:
                properties = Properties(PacketTypes.CONNECT)
                properties.SessionExpiryInterval = self._session_expiry_s
                properties.ReceiveMaximum = MAX_IN_FLIGHT
                properties.MaximumPacketSize = MAX_PACKET_BYTES
                clean_start = not self._session_expiry_s
                self.client.connect(
                    mqtt.host, mqtt.port, mqtt.keepalive_s, clean_start=clean_start, properties=properties
                )
            else:
                self.client.connect(mqtt.host, mqtt.port, mqtt.keepalive_s)
        except (OSError, ValueError) as error:
            why = connection_error(error, mqtt.host, self._transport)
            msg = f"{self._where} cannot be reached ({why}): check that it is running and that the address is correct"
            raise BrokerError(msg) from error
        self.client.loop_start()
        if not self._answered.wait(_CONNECT_S) or self._refusal:
            self.close()
            msg = f"{self._where} rejects the connection: {self._refusal or 'no answer'}"
            raise BrokerError(msg)

    def raise_failure(self) -> None:
        """Raise :class:`BrokerError` if the connection has ended permanently."""
        if self._failure:
            raise BrokerError(self._failure)

    def close(self) -> None:
        """Disconnect."""
        client = self.client
        client.on_disconnect = None
        client.disconnect()
        client.loop_stop()
        # Without these references the client, and two sockets that its thread used, are freed with the last reference.
        client.on_connect = client.on_connect_fail = None
        client.on_message = client.on_subscribe = client.on_publish = None

    def _on_connect(
        self, _client: object, _data: object, flags: ConnectFlags, reason: ReasonCode, _props: object
    ) -> None:
        fix = ": check mqtt.username and mqtt.password" if reason.value in NOT_AUTHORIZED else ""
        self._refusal = broker_reason(reason) + fix if reason.is_failure else ""
        if self._refusal:
            self._refused()
        else:
            self._is_open, self._n_refusals = True, 0
            self._takeover.opened()
            if self._is_lost:
                self._is_lost = False
                self._show(f"{self._where} is connected again")
            self.on_connected(flags.session_present)
        self._answered.set()

    def _refused(self) -> None:
        self._n_refusals += 1
        if not self._is_lost:  # the first connection: open() raises
            return
        msg = f"{self._where} refuses the connection: {self._refusal}"
        if self._n_refusals == 1:
            self._show(msg)
        elif self._n_refusals == _MAX_REFUSALS:
            self._fail(msg)

    def _on_disconnect(
        self, _client: object, _data: object, _flags: object, reason: ReasonCode, _props: object
    ) -> None:
        was_open, self._is_open = self._is_open, False
        if self._takeover.is_taken_over(reason, was_open=was_open, mqtt5=self._mqtt5):
            self._fail(
                f"another client connected to {self._where} with the client id {self._client_id}: "
                "give each gapcast-fleet a --client-id of its own"
            )
        elif was_open:
            self._is_lost = True
            self._show(f"{self._where} closed the connection ({broker_reason(reason)}): connecting again")

    def _fail(self, problem: str) -> None:
        self._failure = problem
        self.client.disconnect()
