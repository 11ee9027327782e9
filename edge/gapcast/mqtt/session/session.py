"""One MQTT session: moves messages in the caller's thread, across reconnections.

There is no network thread: :meth:`Session.receive_messages` does all network work (see
:mod:`gapcast.mqtt.connection.connection`) and returns the received messages. Messages in flight outlive the connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from gapcast.mqtt.connection.broker_limits import BrokerLimits
from gapcast.mqtt.connection.broker_problem import broker_problem
from gapcast.mqtt.connection.client import SessionOptions
from gapcast.mqtt.connection.connection import Connection
from gapcast.mqtt.connection.connection_callbacks import ConnectionCallbacks
from gapcast.mqtt.connection.delivery import Delivery, Outgoing, SentBatch
from gapcast.mqtt.packets.frames import Acknowledgement, Publication
from gapcast.mqtt.session.packet_encoder import PacketEncoder
from gapcast.mqtt.session.received_messages import ReceivedMessage, ReceivedMessages
from gapcast.mqtt.session.session_warnings import SessionWarnings

#: Number of unconfirmed messages from which no more readings are taken, until the broker confirms some.
_MAX_UNCONFIRMED = 16_384
#: A Maximum Packet Size that no message of a batch exceeds, so that :meth:`Session.send_packets` need not check each.
_LARGE_PACKET = 1_048_576


class Session:
    """A persistent session of one client, used by one thread."""

    def __init__(
        self,
        options: SessionOptions,
        connect: Callable[[SessionOptions, ConnectionCallbacks], Connection] = Connection,
    ) -> None:
        """Create a session that is not connected yet; the connection from ``connect`` may lack a broker."""
        self._options = options
        publish_online = partial(self._publish_status, b"online")
        callbacks = ConnectionCallbacks(self._opened, publish_online, self._lost, self._enqueue, self._confirmed)
        self._connection = connect(options, callbacks)
        self._received = ReceivedMessages()
        self._warnings = SessionWarnings()
        self._encoder = PacketEncoder(self._connection, self._warnings)
        #: Whether the broker has not denied that it has shared subscriptions.
        self.has_shared_subscriptions = True
        self._delivery = Delivery(self._connection.write, self._encoder.encode)
        # Attributes, not methods that call these: they are called for each reading that arrives alone.
        #: Returns whether the broker has confirmed all messages with these ids.
        self.has_confirmed: Callable[[Sequence[int]], bool] = self._delivery.has_confirmed
        #: Acknowledges the messages that waited for a batch, or an earlier one, to be persisted.
        self.mark_persisted: Callable[[int], None] = self._delivery.mark_persisted

    @property
    def gateway(self) -> str:
        """The gateway's id; the client id is ``gapcast-`` and this."""
        return self._options.gateway

    @property
    def protocol(self) -> str:
        """The MQTT version in use: 5 or 3.1.1."""
        return "5" if self._connection.mqtt5 else "3.1.1"

    @property
    def has_properties(self) -> bool:
        """Whether messages have properties, as in MQTT 5."""
        return self._connection.mqtt5

    @property
    def connected(self) -> bool:
        """Whether the broker is connected and has granted the subscriptions."""
        return self._connection.connected

    @property
    def is_open(self) -> bool:
        """Whether the broker has accepted the connection, so that messages are sent; subscriptions may be pending."""
        return self._connection.is_open

    @property
    def problem(self) -> str:
        """Why there is no connection; empty while there is one."""
        return self._connection.problem

    @property
    def problem_sentence(self) -> str:
        """The problem as a sentence for people, which names the broker."""
        return broker_problem(self.problem, self._options.host, self._options.port)

    @property
    def n_connects(self) -> int:
        """Connections that the broker has accepted."""
        return self._connection.n_connects

    @property
    def n_fresh_sessions(self) -> int:
        """Connections without a resumed session."""
        return self._connection.n_fresh_sessions

    @property
    def n_disconnects(self) -> int:
        """Connections that the broker had accepted and that were lost."""
        return self._connection.n_disconnects

    @property
    def n_queued(self) -> int:
        """Received messages that have not been taken."""
        return len(self._received.queue)

    @property
    def n_taken(self) -> int:
        """Received messages that have been taken."""
        return self._received.n_taken

    @property
    def n_dropped(self) -> int:
        """Messages at QoS 0 that were dropped, because too many were queued."""
        return self._received.n_dropped

    @property
    def n_unconfirmed(self) -> int:
        """Messages sent at QoS 1 that the broker has not confirmed."""
        return len(self._delivery)

    @property
    def is_backlogged(self) -> bool:
        """Whether so many messages are unconfirmed that nothing more should be sent and nothing is taken."""
        return len(self._delivery.unconfirmed) >= _MAX_UNCONFIRMED

    @property
    def newest_unconfirmed(self) -> int:
        """The id of the newest unconfirmed message; 0 if all are confirmed."""
        return self._delivery.newest

    def receive_messages(self, n_at_most: int, timeout_s: float) -> list[ReceivedMessage]:
        """Do all network work and return up to ``n_at_most`` messages.

        Waits up to ``timeout_s`` for network traffic if nothing is queued or ``n_at_most`` is 0.
        """
        is_paused = self.is_backlogged or not n_at_most
        queue = self._received.queue
        if is_paused or len(queue) < n_at_most:
            self._connection.serve(timeout_s if is_paused or not queue else 0.0)
        return [] if self.is_backlogged else self._received.take(n_at_most)

    def publish(
        self,
        topic: bytes,
        payload: bytes,
        *,
        retain: bool = False,
        expiry_s: int | None = None,
        extra: bytes = b"",
        is_dropped_expired: bool = False,
    ) -> int:
        """Send a message at the session's QoS; return its message id, 0 at QoS 0 (which is dropped while offline).

        ``expiry_s`` and ``extra`` (other properties, encoded) are sent with MQTT 5 only. A message that
        ``is_dropped_expired`` is never sent once it has expired.
        """
        expires_s = None if expiry_s is None else self.expires_s(expiry_s)
        message = Outgoing(topic, payload, retain, expires_s, extra, is_dropped_expired)
        if self._options.qos:
            return self._delivery.send(message)
        if self._connection.is_open and (packet := self._encoder.encode(0, message, is_resent=False)) is not None:
            self._connection.write(packet)
        return 0

    def next_ids(self, n: int) -> list[int] | None:
        """Return the ids of the next ``n`` messages if :meth:`send_packets` may send them at once; empty at QoS 0.

        None if they would have to wait, or some might not be sent: the caller must then :meth:`publish` each.
        """
        if self._encoder.max_packet_bytes < _LARGE_PACKET:
            return None
        if not self._options.qos:
            return [] if self._connection.is_open else None
        return self._delivery.next_ids(n) if self._delivery.sends_at_once(n) else None

    def send_packets(self, packets: memoryview, batch: SentBatch | None) -> None:
        """Send encoded PUBLISH packets; at QoS 1 they belong to ``batch``, with the ids of :meth:`next_ids`."""
        self._connection.write(packets)
        if batch is not None:
            self._delivery.add_sent(batch)

    def expires_s(self, expiry_s: int) -> float:
        """Return when a message that is sent now expires, as stored in :class:`.Outgoing`."""
        return self._connection.now[0] + expiry_s

    def acknowledge_after(self, publication: Publication, message_id: int, batch: int = 0) -> None:
        """Acknowledge ``publication`` once ``message_id`` is confirmed and ``batch`` persisted (0: do not wait)."""
        if publication.packet_id and self._connection.has_socket:
            self._delivery.acknowledge_after(publication.packet_id, message_id, batch)

    def flush(self) -> None:
        """Write all buffered packets to the network."""
        self._connection.flush()

    def close(self, timeout_s: float, on_progress: Callable[[], None] = lambda: None) -> bool:
        """Publish ``offline``, wait for confirmations, disconnect; return whether all messages were confirmed.

        ``on_progress`` is called whenever the broker may have confirmed messages; it may acknowledge more.
        If ``offline`` is not confirmed in time, the connection is cut without a DISCONNECT, so that the broker
        publishes it as the last will.
        """
        connection = self._connection
        connection.stop_reconnecting()
        deadline_s = time.monotonic() + timeout_s
        if connection.is_open:
            self._publish_status(b"offline")
            while self.n_unconfirmed and connection.has_socket and (left_s := deadline_s - time.monotonic()) > 0:
                connection.serve(min(left_s, 0.25))
                on_progress()
        complete = not len(self._delivery)
        connection.close(graceful=complete)
        return complete

    def _opened(self, limits: BrokerLimits) -> None:
        self._warnings.reset()
        self.has_shared_subscriptions = limits.has_shared_subscriptions
        self._encoder.max_packet_bytes = limits.max_packet_bytes
        self._delivery.connected(limits.receive_maximum)

    def _lost(self) -> None:
        self._delivery.disconnected()
        self._received.disconnected()

    def _enqueue(self, publications: list[Publication]) -> None:
        if not self._received.add(publications, self._connection.now):
            self._warnings.messages_dropped()

    def _confirmed(self, acknowledgements: list[Acknowledgement]) -> None:
        self._delivery.confirm(acknowledgements)
        self._warnings.check_reasons(acknowledgements)

    def _publish_status(self, status: bytes) -> None:
        message = Outgoing(self._options.status_topic.encode(), status, retain=True, expires_s=None)
        # An unconfirmed one was sent again: a broker that ends each connection must not make them pile up.
        if self._options.announce and message not in self._delivery.unconfirmed.values():
            self._delivery.send(message)
