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
from gapcast.mqtt.connection.broker_problem import NOT_AUTHORIZED, UNSUPPORTED_PROTOCOL, broker_reason
from gapcast.mqtt.connection.client import disconnect
from gapcast.mqtt.connection.takeover import TakeoverDetector
from gapcast.mqtt.connection.transport import TransportClient, connection_error

_CONNECT_S = 10.0
#: Maximum time that a broker may take to answer MQTT 5, if ``mqtt.protocol`` is ``auto``.
_MQTT5_S = 10.0
#: Number of consecutive refused connections after which no more attempts are made.
_MAX_REFUSALS = 5
#: Maximum number of messages in flight to or from the broker: the number of MQTT packet identifiers.
MAX_IN_FLIGHT = 65_535
_IN_FLIGHT_LIMIT = (
    "the broker limits the readings per micro-batch, mosquitto to 20 by default: "
    f"set max_inflight_messages {MAX_IN_FLIGHT} in its configuration"
)
#: Maximum packet size that an MQTT 5 broker may send. Payloads longer than :data:`MAX_PAYLOAD` are rejected anyway.
MAX_PACKET_BYTES = 1_048_576


#: Host and port of brokers that refused MQTT 5 or did not answer it, and accepted 3.1.1: used until the process ends.
_brokers_without_mqtt5: set[tuple[str, int]] = set()


def _show_on_stderr(line: str) -> None:
    click.echo(line, err=True)


def in_flight_remarks(mqtt: MqttSettings) -> Iterator[str]:
    """Yield a line for a terminal if the broker alone limits the readings of a micro-batch."""
    if mqtt.protocol == "3.1.1":
        yield f'mqtt.protocol = "3.1.1": {_IN_FLIGHT_LIMIT}, or mqtt.protocol = "5"'


class SparkMqttClient:
    """A paho client with its own thread; reconnects automatically.

    If ``mqtt.protocol`` is ``auto`` and the broker refuses MQTT 5 or does not answer it, it uses 3.1.1: :meth:`open`
    then replaces :attr:`client`, with the same callbacks.

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
        self._manual_ack = manual_ack
        #: Whether MQTT 5 is in use, rather than 3.1.1.
        self.mqtt5 = mqtt.protocol == "5" or (
            mqtt.protocol == "auto" and (mqtt.host, mqtt.port) not in _brokers_without_mqtt5
        )
        self._answered = Event()
        self._where = f"the broker at {mqtt.host} port {mqtt.port}"
        self._takeover = TakeoverDetector()
        self._is_open = self._is_lost = self._is_unsupported = False
        self._refusal, self._n_refusals, self._failure = "", 0, ""
        self.client = self._new_client()
        #: Called after each connection, including reconnections, with whether the broker still has the session.
        self.on_connected: Callable[[bool], object] = lambda _: None

    def open(self) -> None:
        """Connect; raise :class:`BrokerError` on failure."""
        self._connect()
        detects = self._mqtt.protocol == "auto" and self.mqtt5
        is_answered = self._answered.wait(_MQTT5_S if detects else _CONNECT_S)
        found = "supports MQTT 3.1.1 only" if is_answered else f"does not answer MQTT 5 in {_MQTT5_S:g} s"
        if detects and (not is_answered or self._is_unsupported):
            self._fall_back()
            is_answered = self._answered.wait(_CONNECT_S)
        address = self._mqtt.host, self._mqtt.port
        if not is_answered or self._refusal:
            _brokers_without_mqtt5.discard(address)
            self.close()
            msg = f"{self._where} rejects the connection: {self._refusal or 'no answer'}"
            raise BrokerError(msg)
        if detects and not self.mqtt5:
            _brokers_without_mqtt5.add(address)
            limit = f"{_IN_FLIGHT_LIMIT}; " if self._manual_ack else ""
            fix = 'with mqtt.protocol = "3.1.1" no worker tries MQTT 5 first'
            self._show(f"{self._where} {found}, so this process uses 3.1.1 from now on: {limit}{fix}")

    def _new_client(self) -> TransportClient:
        mqtt = self._mqtt
        options: dict[str, Any] = {} if self.mqtt5 else {"clean_session": not self._session_expiry_s}
        client = TransportClient(
            self._transport,
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if self.mqtt5 else MQTTProtocolVersion.MQTTv311,
            manual_ack=self._manual_ack,
            **options,
        )
        client.max_inflight_messages_set(MAX_IN_FLIGHT)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_connect_fail = lambda *_: self._takeover.unreachable()
        if mqtt.username is not None:
            client.username_pw_set(mqtt.username, mqtt.password.get_secret_value() if mqtt.password else None)
        return client

    def _fall_back(self) -> None:
        """Connect by MQTT 3.1.1, with the same callbacks."""
        before = self.client
        callbacks = before.on_message, before.on_subscribe, before.on_publish
        self.close()
        self.mqtt5 = self._is_open = self._is_unsupported = False
        self._refusal, self._n_refusals = "", 0
        self._answered.clear()
        self.client = self._new_client()
        self.client.on_message, self.client.on_subscribe, self.client.on_publish = callbacks
        self._connect()

    def _connect(self) -> None:
        """Connect to the broker and start the client's thread; raise :class:`BrokerError` if it is not reachable."""
        mqtt = self._mqtt
        try:
            if self.mqtt5:
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

    def raise_failure(self) -> None:
        """Raise :class:`BrokerError` if the connection has ended permanently."""
        if self._failure:
            raise BrokerError(self._failure)

    def close(self) -> None:
        """Disconnect."""
        client = self.client
        client.on_connect = client.on_disconnect = None
        disconnect(client)
        # Without these references the client, and two sockets that its thread used, are freed with the last reference.
        client.on_connect_fail = None
        client.on_message = client.on_subscribe = client.on_publish = None

    def _on_connect(
        self, _client: object, _data: object, flags: ConnectFlags, reason: ReasonCode, _props: object
    ) -> None:
        fix = ": check mqtt.username and mqtt.password" if reason.value in NOT_AUTHORIZED else ""
        self._refusal = broker_reason(reason) + fix if reason.is_failure else ""
        self._is_unsupported = reason.value == UNSUPPORTED_PROTOCOL
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
        if self._takeover.is_taken_over(reason, was_open=was_open, mqtt5=self.mqtt5):
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
