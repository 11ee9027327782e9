"""One MQTT session: connects, stays connected, and moves messages in the caller's own thread.

paho speaks the protocol (connect, subscribe, keep-alive, TLS, websockets); PUBLISH and PUBACK take
the straight path beside it (see :mod:`edge.mqtt.straight`). There is no network thread and no
callback to wait for: :meth:`Session.take` does all that the network asks for and returns.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import structlog
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge.mqtt.backoff import Backoff
from edge.mqtt.client import CONNECT_TIMEOUT_S, Client, SessionOptions, build_client
from edge.mqtt.delivery import LAST_ID, Delivery, Outgoing
from edge.mqtt.frames import REFUSED_FROM, Acknowledgement, Publication, as_duplicate, encode_properties, encode_publish
from edge.mqtt.straight import StraightSocket
from edge.mqtt.transport import NOT_ANSWERED, NOT_LET_IN, explained, is_about_us

log = structlog.get_logger(__name__)

_UNSUPPORTED_PROTOCOL, _TAKEN_OVER = 0x84, 0x8E
_NOT_AUTHORIZED = {0x86, 0x87}
#: Messages that may wait to be taken; beyond it those at QoS 0, which no one will send again, are shed.
_MAX_QUEUED = 20_000
#: Unconfirmed messages from which no more readings are taken, until the broker confirms some.
_MAX_UNCONFIRMED = 16_384


class Received(NamedTuple):
    """A publication, and when it was read from the network (``time.perf_counter`` and epoch ms)."""

    publication: Publication
    received_s: float
    received_ms: int


class Session:
    """A persistent session of one client, for one thread."""

    def __init__(self, options: SessionOptions) -> None:
        self._options = options
        self._mqtt5 = options.protocol != "3.1.1"
        self._client = self._new_client()
        self._socket: StraightSocket | None = None
        self._queue: deque[Received] = deque()
        self._delivery = Delivery(self._write, self._encode)
        self._backoff = Backoff()
        self._accepted = False  # whether the broker has answered, in this connection
        self._open = False  # whether it has let us in
        self._deadline_s = 0.0
        self._closing = False
        self._warned: set[str] = set()
        self._now = (0.0, 0)
        self.connected = False
        self.n_connects = 0
        self.n_fresh_sessions = 0
        self.n_taken = 0
        self.n_shed = 0
        #: Why there is no connection, in a sentence; empty while there is one.
        self.problem = "not connected yet"

    # --- what the owner calls -----------------------------------------------------------------

    @property
    def gateway(self) -> str:
        """The gateway's id; the client id is ``gapcast-`` and this."""
        return self._options.gateway

    @property
    def protocol(self) -> str:
        """The version of MQTT spoken: 5 or 3.1.1."""
        return "5" if self._mqtt5 else "3.1.1"

    @property
    def n_queued(self) -> int:
        """Messages that came and have not been taken."""
        return len(self._queue)

    @property
    def n_unconfirmed(self) -> int:
        """Messages sent at QoS 1 that the broker has not confirmed."""
        return len(self._delivery)

    @property
    def held_up(self) -> bool:
        """Whether so much is unconfirmed that nothing more should be sent, nor is anything taken."""
        return len(self._delivery) >= _MAX_UNCONFIRMED

    @property
    def newest_unconfirmed(self) -> int:
        """The receipt of the newest message that is not confirmed; 0 where all are."""
        return self._delivery.newest

    def take(self, n_at_most: int, timeout_s: float) -> list[Received]:
        """Do what the network asks for, and return up to ``n_at_most`` messages.

        Waits up to ``timeout_s`` for something to come where nothing is queued, or nothing is wanted.
        """
        held_up = self.held_up or not n_at_most
        if held_up or len(self._queue) < n_at_most:
            self._serve(timeout_s if held_up or not self._queue else 0.0)
        if self.held_up:
            return []
        taken = [self._queue.popleft() for _ in range(min(n_at_most, len(self._queue)))]
        self.n_taken += len(taken)
        return taken

    def publish(
        self, topic: bytes, payload: bytes, *, retain: bool = False, expiry_s: int | None = None, extra: bytes = b""
    ) -> int:
        """Send a message at the session's QoS; return its receipt, 0 at QoS 0 (which is dropped while offline).

        ``expiry_s`` and ``extra``, other properties, encoded, are for MQTT 5.
        """
        if self._options.qos:
            expires_s = None if expiry_s is None else self._now[0] + expiry_s
            return self._delivery.send(Outgoing(topic, payload, retain, expires_s, extra))
        if self.connected:
            properties = encode_properties(expiry_s, extra) if self._mqtt5 else None
            self._write(encode_publish(topic, payload, 0, retain=retain, properties=properties))
        return 0

    def settle(self, publication: Publication, receipt: int, batch: int = 0) -> None:
        """Acknowledge ``publication`` once the message with ``receipt`` is confirmed and ``batch`` kept (0: now)."""
        if publication.packet_id and self._socket is not None:
            self._delivery.settle(publication.packet_id, receipt, batch)

    def confirmed(self, receipts: Sequence[int]) -> bool:
        """Tell whether the broker has confirmed all messages with these ``receipts``."""
        return self._delivery.confirmed(receipts)

    def keep(self, batch: int) -> None:
        """Acknowledge what waited for ``batch``, or one before it, to be kept."""
        self._delivery.keep(batch)

    def flush(self) -> None:
        """Hand what was written to the network."""
        if self._socket is not None:
            self._socket.flush()

    def close(self, timeout_s: float, meanwhile: Callable[[], None] = lambda: None) -> bool:
        """Say ``offline``, wait for confirmations, disconnect. Tell whether all was confirmed.

        ``meanwhile`` is called whenever the broker may have confirmed something, and may acknowledge more.
        Where ``offline`` is not confirmed in time, the connection is cut without a word, so that the
        broker says it by the last will.
        """
        self._closing = True
        deadline_s = time.monotonic() + timeout_s
        was_open = self._open
        if was_open:
            self._announce(b"offline")
            while self.n_unconfirmed and self._socket is not None and (left_s := deadline_s - time.monotonic()) > 0:
                self._serve(min(left_s, 0.25))
                meanwhile()
        complete = not len(self._delivery)
        self.connected = False
        if was_open and not complete and self._socket is not None:
            self._socket.cut()
        elif was_open and self._socket is not None:
            self._socket.says_goodbye = True
        self._client.disconnect()
        self._client.loop_write()
        del self._client  # the last there was of it: paho closes the sockets that wake its loop
        return complete

    # --- the network --------------------------------------------------------------------------

    def lay_over(self, sock: Any) -> StraightSocket:
        """Lay the straight path over the socket that paho has just connected."""
        self._socket = StraightSocket(
            sock, mqtt5=self._mqtt5, on_publication=self._queued, on_acknowledgement=self._confirmed
        )
        return self._socket

    def _serve(self, timeout_s: float) -> None:
        """One round: connect or wait, read, let paho do its part, write."""
        sock = self._socket
        if sock is None:
            if self._closing or not self._connect_when_due(timeout_s):
                return
            sock = self._socket
        if sock is None:
            return
        sock.flush()
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN | (select.POLLOUT if sock.n_unsent else 0))
        poll.poll(0 if sock.has_more else timeout_s * 1_000)
        self._now = (time.perf_counter(), time.time_ns() // 1_000_000)
        sock.pump()
        while self._socket is sock and sock.wants_paho:
            self._client.loop_read()
        if self._socket is sock:
            self._client.loop_misc()
            self._client.loop_write()
            sock.flush()
            if not self._accepted and time.monotonic() > self._deadline_s:
                self._lost("the broker does not answer")
                log.warning("mqtt.no_answer", host=self._options.host, waited_s=CONNECT_TIMEOUT_S)
                self._fall_back()  # some brokers of 3.1.1 alone wait for ever for the rest of what they misread

    def _connect_when_due(self, timeout_s: float) -> bool:
        wait_s = self._backoff.wait_s()
        if wait_s > timeout_s:
            time.sleep(timeout_s)
            return False
        time.sleep(wait_s)
        options = self._options
        self._accepted = False
        self._deadline_s = time.monotonic() + CONNECT_TIMEOUT_S
        try:
            self._client.reconnect()
            self._client.loop_write()
        except (OSError, ValueError) as error:  # refused, unreachable, unknown host, TLS, a handshake cut short
            self._unreachable(explained(error, options.host, options.transport))
            return False
        return True

    def _unreachable(self, problem: str) -> None:
        told = self.problem == f"unreachable: {problem}"
        self._lost(f"unreachable: {problem}")
        say = log.debug if told else log.warning  # one warning a trouble, not one a try
        say("mqtt.unreachable", host=self._options.host, port=self._options.port, problem=problem)

    def _lost(self, problem: str) -> None:
        """Forget the connection and arrange for the next."""
        self.problem = problem
        sock, self._socket = self._socket, None
        self.connected = self._open = False
        if sock is not None:
            sock.close()
        self._delivery.disconnected()
        # What was not acknowledged comes again where the session lives on; where it does not, this is all there is.
        self._queue = deque(one._replace(publication=one.publication._replace(packet_id=0)) for one in self._queue)
        self._backoff.failed()

    def _queued(self, publication: Publication) -> None:
        if len(self._queue) >= _MAX_QUEUED and not publication.packet_id:
            self.n_shed += 1
            self._warn_once("mqtt.shedding", cure="readings at QoS 0 come faster than they can be forecast: use QoS 1")
            return
        self._queue.append(Received(publication, *self._now))

    def _confirmed(self, acknowledgement: Acknowledgement) -> None:
        if acknowledgement.reason >= REFUSED_FROM:
            self._warn_once("mqtt.publish_refused", reason=hex(acknowledgement.reason), cure="see the account's rights")
        self._delivery.confirm(acknowledgement)

    def _warn_once(self, event: str, **details: str) -> None:
        """Log what may come with every message once a connection."""
        if event not in self._warned:
            self._warned.add(event)
            log.warning(event, **details)

    def _write(self, packet: bytes) -> None:
        if self._socket is not None:
            self._socket.write(packet)

    def _encode(self, packet_id: int, message: Outgoing, again: bool) -> bytes:
        expiry_s = None
        if message.expires_s is not None:
            expiry_s = max(1, round(message.expires_s - self._now[0]))
        properties = encode_properties(expiry_s, message.extra) if self._mqtt5 else None
        packet = encode_publish(message.topic, message.payload, packet_id, retain=message.retain, properties=properties)
        return as_duplicate(packet) if again else packet

    # --- paho ---------------------------------------------------------------------------------

    def _new_client(self) -> Client:
        client = build_client(self._options, self.lay_over, mqtt5=self._mqtt5)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        return client

    def _on_connect(self, _client: object, _data: object, flags: Any, reason: ReasonCode, properties: Any) -> None:
        options = self._options
        self._accepted = True
        if reason.is_failure:
            self._refused(reason)
            return
        self._open = True
        self.n_connects += 1
        self.n_fresh_sessions += not flags.session_present
        self._warned.clear()
        self._backoff.succeeded()
        self._delivery.connected(min(getattr(properties, "ReceiveMaximum", LAST_ID), LAST_ID))
        how: Any = SubscribeOptions(qos=options.qos, retainHandling=1) if self._mqtt5 else options.qos
        self._client.subscribe([(topic, how) for topic in self._topics()])
        self._announce(b"online")
        log.info(
            "mqtt.connected", host=options.host, port=options.port, protocol=self.protocol,
            session_present=flags.session_present,
        )  # fmt: skip

    def _topics(self) -> tuple[str, ...]:
        """What is subscribed to, readings first."""
        options = self._options
        return options.subscriptions + options.asides + (options.asides_mqtt5 if self._mqtt5 else ())

    def _announce(self, status: bytes) -> None:
        if self._options.announce:
            self._delivery.send(Outgoing(self._options.status_topic.encode(), status, retain=True, expires_s=None))

    def _refused(self, reason: ReasonCode) -> None:
        self.problem = f"refused: {reason}"
        if reason.value in _NOT_AUTHORIZED:
            self.problem += ": check mqtt.username and mqtt.password"
        log.error("mqtt.refused", host=self._options.host, reason=str(reason))
        if reason.value == _UNSUPPORTED_PROTOCOL:
            self._fall_back()

    def _fall_back(self) -> None:
        """Try the other version of the protocol next time, where that is open and none has worked yet."""
        if self._options.protocol == "auto" and not self.n_connects:
            self._mqtt5 = not self._mqtt5
            self._client = self._new_client()

    def _on_disconnect(
        self, _client: object, _data: object, _flags: object, reason: ReasonCode, _props: object
    ) -> None:
        if self._closing:
            self._socket = None
            return
        was_connected, was_accepted = self.connected, self._accepted
        failure = self._socket.failure if self._socket is not None else None
        if not was_accepted and self._options.transport.tls is not None:
            self._unreachable(NOT_ANSWERED if failure is None else NOT_LET_IN)  # TLS 1.3 says so after the handshake
            if not is_about_us(failure):
                self._fall_back()
            return
        refused = was_accepted and not was_connected and self.problem.startswith("refused")
        self._lost(self.problem if refused else f"disconnected: {reason}")
        if reason.value == _TAKEN_OVER:
            cure = "give each its own gateway.id and state.path"
            log.error("mqtt.taken_over", problem=f"another gapcast runs as gateway {self.gateway}", cure=cure)
        elif was_connected:
            log.warning("mqtt.disconnected", host=self._options.host, reason=str(reason))
        elif not was_accepted:
            self._fall_back()  # a broker of 3.1.1 alone may hang up instead of answering

    def _on_subscribe(
        self, _client: object, _data: object, _mid: int, reasons: list[ReasonCode], _props: object
    ) -> None:
        answers = zip(self._topics(), reasons, strict=False)
        refused = {topic: str(reason) for topic, reason in answers if reason.is_failure}
        needed = [topic for topic in refused if topic in self._options.subscriptions]
        if needed:
            reason = refused[needed[0]]
            self.problem = f"the subscription to {', '.join(needed)} is refused: {reason}"
            log.error("mqtt.subscription_refused", reason=reason, topics=tuple(needed))
            return
        for topic, reason in refused.items():
            log.warning("mqtt.subscription_refused", reason=reason, topics=(topic,))
        self.connected, self.problem = True, ""
