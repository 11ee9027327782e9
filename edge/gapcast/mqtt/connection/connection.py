"""The connection under a session: connects, detects failures and reconnects, in the caller's thread.

paho implements the protocol (connect, subscribe, keep-alive, TLS, websockets); PUBLISH and PUBACK bypass it (see
:mod:`gapcast.mqtt.packets.fast_path`). There is no network thread: :meth:`Connection.serve` does all network work and
returns.
"""

from __future__ import annotations

import time
from typing import Any

from paho.mqtt.reasoncodes import ReasonCode

from gapcast.core.errors import ShardError
from gapcast.mqtt.connection.backoff import Backoff
from gapcast.mqtt.connection.broker_limits import BrokerLimits
from gapcast.mqtt.connection.broker_problem import NO_ANSWER, UNSUPPORTED_PROTOCOL, broker_reason, disconnection_reason
from gapcast.mqtt.connection.client import CONNECT_TIMEOUT_S, Client, SessionOptions, build_client
from gapcast.mqtt.connection.connection_callbacks import ConnectionCallbacks
from gapcast.mqtt.connection.connection_log import ConnectionLog
from gapcast.mqtt.connection.subscriptions import BrokerSubscriptions
from gapcast.mqtt.connection.takeover import TakeoverDetector, raise_if_taken_over
from gapcast.mqtt.connection.transport import connection_error, is_client_certificate_error, unanswered_problem
from gapcast.mqtt.packets.fast_path import FastPathSocket
from gapcast.service.containment import EXIT_EXCEPTIONS

#: How often paho's own work, such as keep-alive, is done if it has no packets to read.
_MISC_EVERY_S = 0.1


class Connection:
    """One client's connection to the broker, re-established when it is lost."""

    def __init__(self, options: SessionOptions, callbacks: ConnectionCallbacks) -> None:
        self._options = options
        self._callbacks = callbacks
        #: Whether MQTT 5 is in use, rather than 3.1.1.
        self.mqtt5 = options.protocol != "3.1.1"
        self._client = self._new_client()
        self._socket: FastPathSocket | None = None
        self._backoff = Backoff()
        self._answered = False  # whether the broker has sent a CONNACK on this connection
        self._deadline_s = 0.0
        self._closing = False
        self._misc_due_s = 0.0
        self._subscriptions = BrokerSubscriptions(options)
        self._takeover = TakeoverDetector()
        self._log = ConnectionLog(options)
        #: When the network was last polled or found missing (``time.perf_counter`` and epoch ms).
        self.now = (0.0, 0)
        #: Whether the broker has accepted the connection.
        self.is_open = False
        #: Whether the broker has also granted the subscriptions.
        self.connected = False
        self.n_connects = 0
        self.n_fresh_sessions = 0
        #: Connections that the broker had accepted and that were lost.
        self.n_disconnects = 0

    @property
    def problem(self) -> str:
        """Why there is no connection, in a sentence; empty while there is one."""
        return self._log.problem

    @property
    def has_socket(self) -> bool:
        """Whether there is a network connection, accepted by the broker or not."""
        return self._socket is not None

    def write(self, packet: bytes | memoryview) -> None:
        """Buffer a packet if there is a connection; :meth:`flush` or :meth:`serve` sends it."""
        if self._socket is not None:
            self._socket.write(packet)

    def flush(self) -> None:
        """Write the buffered packets to the network."""
        if self._socket is not None:
            self._socket.flush()

    def stop_reconnecting(self) -> None:
        """Do not reconnect when the current connection ends."""
        self._closing = True

    def close(self, *, graceful: bool) -> None:
        """Disconnect; unless ``graceful``, without a DISCONNECT, so that the broker publishes the last will."""
        self.connected = False
        if self.is_open and self._socket is not None:
            if graceful:
                self._socket.sends_disconnect = True
            else:
                self._socket.cut()
        self._client.disconnect()
        self._client.loop_write()
        del self._client  # the last reference: paho then closes the sockets that wake its loop

    def serve(self, timeout_s: float) -> None:
        """Run one round of network work: connect or wait, read, let paho process its packets, write.

        Any error, such as a packet that paho cannot read, ends the connection; it then reconnects as usual.
        """
        try:
            self._serve(timeout_s)
        except (ShardError, *EXIT_EXCEPTIONS):
            raise
        except BaseException as error:
            self._broken(error)

    def _broken(self, error: BaseException) -> None:
        """Discard a connection that raised, and its client, whose state is undefined."""
        self._lost()
        self._client = self._new_client()
        self._log.failed(error)

    def _serve(self, timeout_s: float) -> None:
        sock = self._socket
        if sock is None and not self._closing and self._connect_when_due(timeout_s):
            sock = self._socket
        if sock is not None:
            sock.flush()
            sock.wait(0.0 if sock.has_more else timeout_s)
        self.now = (time.perf_counter(), time.time_ns() // 1_000_000)
        if sock is None:
            return
        sock.pump()
        is_due = self.now[0] >= self._misc_due_s or sock.has_paho_input
        while self._socket is sock and sock.has_paho_input:
            self._client.loop_read()
        if self._socket is sock and is_due:
            self._misc_due_s = self.now[0] + _MISC_EVERY_S
            if self.is_open and self._subscriptions.is_due:
                self._subscriptions.request(self._client, mqtt5=self.mqtt5, session_present=False)
            self._client.loop_misc()
            self._client.loop_write()
            sock.flush()
            if not self._answered and time.monotonic() > self._deadline_s:
                self._log.unanswered()
                self._lost()
                self._fall_back(NO_ANSWER)  # a 3.1.1 broker may wait forever for the rest of a packet it misread

    def wrap_socket(self, sock: Any) -> FastPathSocket:
        """Wrap the socket that paho has just connected."""
        callbacks = self._callbacks
        self._socket = FastPathSocket(sock, callbacks.publications, callbacks.acknowledgements, mqtt5=self.mqtt5)
        return self._socket

    def _connect_when_due(self, timeout_s: float) -> bool:
        wait_s = self._backoff.wait_s()
        time.sleep(min(wait_s, timeout_s))
        if wait_s > timeout_s:
            return False
        self._answered = False
        try:
            self._client.reconnect()
            self._client.loop_write()
        except (OSError, ValueError) as error:  # refused, unreachable, unknown host, TLS, a handshake cut short
            self._unreachable(connection_error(error, self._options.host, self._options.transport))
            return False
        self._deadline_s = time.monotonic() + CONNECT_TIMEOUT_S
        return True

    def _unreachable(self, problem: str) -> None:
        self._takeover.unreachable()
        self._log.unreachable(problem)
        self._lost()

    def _lost(self) -> None:
        """Discard the connection and schedule the next attempt."""
        sock, self._socket = self._socket, None
        self.n_disconnects += self.is_open
        self.connected = self.is_open = False
        if sock is not None:
            sock.close()
        self._callbacks.lost()
        self._backoff.failed()

    # --- paho's callbacks ---------------------------------------------------------------------

    def _new_client(self) -> Client:
        client = build_client(self._options, self.wrap_socket, mqtt5=self.mqtt5)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        return client

    def _on_connect(self, _client: object, _data: object, flags: Any, reason: ReasonCode, properties: Any) -> None:
        self._answered = True
        if reason.is_failure:
            self._log.refused(reason)
            if reason.value == UNSUPPORTED_PROTOCOL:
                self._fall_back(broker_reason(reason))
            return
        self.is_open = True
        self._takeover.opened()
        self.n_connects += 1
        self.n_fresh_sessions += not flags.session_present
        self._backoff.succeeded()
        self._callbacks.opened(BrokerLimits.of(properties))
        self._subscriptions.request(self._client, mqtt5=self.mqtt5, session_present=flags.session_present)
        self._callbacks.subscribing()
        self._log.accepted(mqtt5=self.mqtt5, session_present=flags.session_present)

    def _fall_back(self, why: str) -> bool:
        """Use the other protocol version next if ``protocol`` is auto and no version has worked yet; return whether."""
        if self._options.protocol != "auto" or self.n_connects:
            return False
        if self.mqtt5:
            self._log.mqtt5_problem = why
        self.mqtt5 = not self.mqtt5
        self._client = self._new_client()
        return True

    def _on_disconnect(
        self, _client: object, _data: object, _flags: object, reason: ReasonCode, _props: object
    ) -> None:
        if self._closing:
            self._socket = None
            return
        was_connected, was_answered = self.connected, self._answered
        failure = self._socket.failure if self._socket is not None else None
        why = disconnection_reason(reason, failure, self._options.host)
        if not was_answered and (problem := unanswered_problem(failure, self._options.transport)):
            self._unreachable(problem)
            if not is_client_certificate_error(failure):
                self._fall_back(why)
            return
        ended_by_refusal = self.is_open and self._subscriptions.ended_by_refusal
        was_open = self.is_open and not ended_by_refusal
        is_taken_over = self._takeover.is_taken_over(reason, was_open=was_open, mqtt5=self.mqtt5)
        self._lost()
        if is_taken_over:
            raise_if_taken_over(self._options)
            self._backoff.contended()
            self._log.taken_over(self._takeover.n_cut_short)
        elif was_answered or not self._fall_back(why) or self.mqtt5:  # a 3.1.1 broker may close a connection of MQTT 5
            self._log.disconnected(why, was_connected=was_connected, was_answered=was_answered)
            if ended_by_refusal and (topic := self._subscriptions.leave_out_refused()):
                self._log.left_out(topic)

    def _on_subscribe(
        self, _client: object, _data: object, _mid: int, reasons: list[ReasonCode], _props: object
    ) -> None:
        if not self._log.subscriptions_refused(self._subscriptions.refused(reasons, mqtt5=self.mqtt5)):
            self.connected = True
            self._log.subscribed()
