"""The paho client under a session: who we are, where the broker is, and what is said if we vanish."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gapcast.mqtt.transport import Transport, TransportClient

#: Short enough that, with the longest wait between two tries, a broker that is back is found within five seconds:
#: TCP asks at 0, 1 and 3 s.
CONNECT_TIMEOUT_S = 3.5


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How to reach the broker, and as whom."""

    gateway: str
    status_topic: str
    subscriptions: tuple[str, ...]
    #: What an earlier configuration of the same session may have subscribed to, and is not to come any more.
    unwanted: tuple[str, ...] = ()
    #: Topics without which readings can come all the same; the second ones make sense with MQTT 5 alone.
    request_topics: tuple[str, ...] = ()
    asides_mqtt5: tuple[str, ...] = ()
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
    #: Whether to say ``online`` and ``offline`` on the status topic.
    announce: bool = True
    #: Whether to end where another client takes the session over, and not to take it back.
    yields: bool = False


class Client(TransportClient):
    """paho, given a socket whose bytes pass the straight path first."""

    lay_over: Callable[[Any], Any]

    def _create_socket(self) -> Any:
        return self.lay_over(super()._create_socket())


def build_client(options: SessionOptions, lay_over: Callable[[Any], Any], *, mqtt5: bool) -> Client:
    """Return a client that will connect as ``options`` say, over the socket that ``lay_over`` makes of paho's."""
    persistent: dict[str, Any] = {} if mqtt5 else {"clean_session": not options.session_expiry_s}
    client = Client(
        options.transport,
        CallbackAPIVersion.VERSION2,
        client_id=f"gapcast-{options.gateway}",
        protocol=MQTTProtocolVersion.MQTTv5 if mqtt5 else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
        **persistent,
    )
    client.lay_over = lay_over
    client.connect_timeout = CONNECT_TIMEOUT_S
    client.suppress_exceptions = False
    client.on_socket_register_write = lambda *_: None  # writes leave by flush, not by each call
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
