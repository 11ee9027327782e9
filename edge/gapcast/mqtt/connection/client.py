"""The paho client under a session: client id, broker address, credentials and last will."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import MQTTException, Properties  # type: ignore[attr-defined]  # of 2.1, imported in 2.2

from gapcast.mqtt.connection.transport import Transport, TransportClient
from gapcast.mqtt.packets.fast_path import FastPathSocket
from gapcast.mqtt.packets.splitter import ProtocolError

#: Short enough to find a broker that is back within five seconds, with the longest wait between two attempts: TCP sends
#: a SYN at 0, 1 and 3 s.
CONNECT_TIMEOUT_S = 3.5


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """The broker's address, the client's identity and the session's parameters."""

    gateway: str
    status_topic: str
    subscriptions: tuple[str, ...]
    #: Subscriptions of an earlier configuration of the same session, to be removed.
    stale_subscriptions: tuple[str, ...] = ()
    #: Topics whose refusal does not stop readings; the second field is for MQTT 5 only.
    request_topics: tuple[str, ...] = ()
    request_topics_mqtt5: tuple[str, ...] = ()
    host: str = "localhost"
    port: int = 1883
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    transport: Transport = field(default_factory=Transport)
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    qos: int = 1
    keepalive_s: int = 30
    session_expiry_s: int = 86_400
    receive_maximum: int = 1_024
    #: Whether to publish ``online`` and ``offline`` on the status topic.
    announce: bool = True
    #: Whether to stop when another client takes the session over, instead of reconnecting.
    yields: bool = False


class Client(TransportClient):
    """paho's client over a wrapped socket."""

    wrap_socket: Callable[[Any], FastPathSocket]

    def _create_socket(self) -> Any:
        return self.wrap_socket(super()._create_socket())

    def _packet_handle(self) -> MQTTErrorCode:
        """Record why a packet cannot be read, and end the connection; paho does so without the reason, or raises."""
        try:
            return super()._packet_handle()
        except MQTTException as error:  # of versions up to 2.1; later ones raise MalformedPacket, a subclass
            sock: Any = self.socket()
            sock.fail(ProtocolError(f"malformed packet: {error}"))
            return MQTTErrorCode.MQTT_ERR_PROTOCOL


def build_client(options: SessionOptions, wrap_socket: Callable[[Any], FastPathSocket], *, mqtt5: bool) -> Client:
    """Return a client that connects by ``options``, over the socket that ``wrap_socket`` makes from paho's socket."""
    persistent: dict[str, Any] = {} if mqtt5 else {"clean_session": not options.session_expiry_s}
    client = Client(
        options.transport,
        CallbackAPIVersion.VERSION2,
        client_id=f"gapcast-{options.gateway}",
        protocol=MQTTProtocolVersion.MQTTv5 if mqtt5 else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
        **persistent,
    )
    client.wrap_socket = wrap_socket
    client.connect_timeout = CONNECT_TIMEOUT_S
    client.suppress_exceptions = False
    client.on_socket_register_write = lambda *_: None  # flush sends, not each write
    if options.announce:
        client.will_set(options.status_topic, b"offline", qos=1, retain=True)
    if options.username is not None:
        client.username_pw_set(options.username, options.password)
    if not mqtt5:
        client.connect_async(options.host, options.port, options.keepalive_s)
        return client
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = options.session_expiry_s
    properties.ReceiveMaximum = options.receive_maximum
    clean_start = not options.session_expiry_s
    client.connect_async(
        options.host, options.port, options.keepalive_s, clean_start=clean_start, properties=properties
    )
    return client


def disconnect(client: paho.Client) -> None:
    """Disconnect ``client``, which has called ``loop_start``, and wait for the end of its network thread.

    The DISCONNECT ends the thread, which then removes itself from the client: if it does so between a check in paho's
    ``loop_stop`` and the wait that follows, ``loop_stop`` raises AttributeError (paho 2.1, ``None.join()``).
    """
    client.disconnect()
    with suppress(AttributeError):  # the thread has just ended
        client.loop_stop()
