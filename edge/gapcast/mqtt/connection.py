"""The connection under a session: connects, detects failures and reconnects, in the caller's thread.

paho implements the protocol (connect, subscribe, keep-alive, TLS, websockets); PUBLISH and PUBACK bypass it
(see :mod:`gapcast.mqtt.fast_path`). There is no network thread: :meth:`Connection.serve` does all network work and
returns.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import structlog
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gapcast.core.errors import ShardError
from gapcast.mqtt.backoff import Backoff
from gapcast.mqtt.client import CONNECT_TIMEOUT_S, Client, SessionOptions, build_client
from gapcast.mqtt.delivery import LAST_ID
from gapcast.mqtt.fast_path import FastPathSocket
from gapcast.mqtt.frames import Acknowledgement, Publication
from gapcast.mqtt.transport import CLIENT_REJECTED, NO_RESPONSE, connection_error, is_client_certificate_error
from gapcast.service.internal_errors import EXIT_EXCEPTIONS

log = structlog.get_logger(__name__)

_UNSUPPORTED_PROTOCOL, _TAKEN_OVER = 0x84, 0x8E
_NOT_AUTHORIZED = {0x86, 0x87}
_NO_ANSWER = "the broker does not answer"
#: Consecutive connections that the broker ended this soon after it accepted them, without being unreachable in between:
#: another client has the same client id. MQTT 3.1.1 has no reason code for it.
_N_CUT_SHORT, _CUT_SHORT_S = 3, 60.0
_SHOWN = 120
#: How often paho's own work is done, such as keep-alive, unless it has packets to read.
_MISC_EVERY_S = 0.1


class ConnectionCallbacks(NamedTuple):
    """Callbacks for the events of a connection."""

    #: The broker accepted the connection; the argument is its Receive Maximum.
    opened: Callable[[int], None]
    #: The SUBSCRIBE was sent.
    subscribing: Callable[[], None]
    lost: Callable[[], None]
    publication: Callable[[Publication], None]
    acknowledgement: Callable[[Acknowledgement], None]


class Connection:
    """One client's connection to the broker, re-established when it is lost."""

    def __init__(self, options: SessionOptions, callbacks: ConnectionCallbacks) -> None:
        self._options = options
        self._callbacks = callbacks
        #: Whether MQTT 5 is in use, and not 3.1.1.
        self.mqtt5 = options.protocol != "3.1.1"
        self._client = self._new_client()
        self._socket: FastPathSocket | None = None
        self._backoff = Backoff()
        self._answered = False  # whether the broker has sent a CONNACK on this connection
        self._deadline_s = 0.0
        self._closing = False
        self._opened_s = 0.0
        self._misc_due_s = 0.0
        self._n_cut_short = 0
        #: When the network was last polled (``time.perf_counter`` and epoch ms).
        self.now = (0.0, 0)
        #: Whether the broker has accepted the connection.
        self.is_open = False
        #: Whether it has also granted the subscriptions.
        self.connected = False
        self.n_connects = 0
        self.n_fresh_sessions = 0
        #: Why there is no connection, in a sentence; empty while there is one.
        self.problem = "not connected yet"

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

        Any error, such as a packet that paho cannot read, ends the connection; reconnecting proceeds as usual.
        """
        try:
            self._serve(timeout_s)
        except (ShardError, *EXIT_EXCEPTIONS):
            raise
        except BaseException as error:
            self._broken(error)

    def _broken(self, error: BaseException) -> None:
        """Discard a connection that raised, and its client, whose state is undefined."""
        problem = f"the connection failed ({type(error).__name__}: {str(error)[:_SHOWN]})"
        self._lost(problem)
        self._client = self._new_client()
        log.error(
            "mqtt.connection_failed", host=self._options.host, port=self._options.port, problem=problem, exc_info=error
        )

    def _serve(self, timeout_s: float) -> None:
        sock = self._socket
        if sock is None:
            if self._closing or not self._connect_when_due(timeout_s):
                return
            sock = self._socket
        if sock is None:
            return
        sock.flush()
        sock.wait(0.0 if sock.has_more else timeout_s)
        self.now = (time.perf_counter(), time.time_ns() // 1_000_000)
        sock.pump()
        is_due = self.now[0] >= self._misc_due_s or sock.has_paho_input
        while self._socket is sock and sock.has_paho_input:
            self._client.loop_read()
        if self._socket is sock and is_due:
            self._misc_due_s = self.now[0] + _MISC_EVERY_S
            self._client.loop_misc()
            self._client.loop_write()
            sock.flush()
            if not self._answered and time.monotonic() > self._deadline_s:
                log_it = (
                    log.debug if self.problem == _NO_ANSWER else log.warning
                )  # warn once per problem, not once per attempt
                self._lost(_NO_ANSWER)
                log_it("mqtt.no_answer", host=self._options.host, port=self._options.port, waited_s=CONNECT_TIMEOUT_S)
                self._fall_back()  # a broker with only 3.1.1 may wait forever for the rest of a packet it misread

    def wrap_socket(self, sock: Any) -> FastPathSocket:
        """Wrap the socket that paho has just connected."""
        callbacks = self._callbacks
        self._socket = FastPathSocket(
            sock, mqtt5=self.mqtt5, on_publication=callbacks.publication, on_acknowledgement=callbacks.acknowledgement
        )
        return self._socket

    def _connect_when_due(self, timeout_s: float) -> bool:
        wait_s = self._backoff.wait_s()
        if wait_s > timeout_s:
            time.sleep(timeout_s)
            return False
        time.sleep(wait_s)
        options = self._options
        self._answered = False
        self._deadline_s = time.monotonic() + CONNECT_TIMEOUT_S
        try:
            self._client.reconnect()
            self._client.loop_write()
        except (OSError, ValueError) as error:  # refused, unreachable, unknown host, TLS, a handshake cut short
            self._unreachable(connection_error(error, options.host, options.transport))
            return False
        return True

    def _unreachable(self, problem: str) -> None:
        self._n_cut_short = 0
        is_logged = self.problem == f"unreachable: {problem}"
        self._lost(f"unreachable: {problem}")
        log_it = log.debug if is_logged else log.warning  # warn once per problem, not once per attempt
        log_it("mqtt.unreachable", host=self._options.host, port=self._options.port, problem=problem)

    def _lost(self, problem: str) -> None:
        """Discard the connection and schedule the next."""
        self.problem = problem
        sock, self._socket = self._socket, None
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
        options = self._options
        self._answered = True
        if reason.is_failure:
            self._refused(reason)
            return
        self.is_open = True
        self._opened_s = time.monotonic()
        self.n_connects += 1
        self.n_fresh_sessions += not flags.session_present
        self._backoff.succeeded()
        self._callbacks.opened(min(getattr(properties, "ReceiveMaximum", LAST_ID), LAST_ID))
        if options.stale_subscriptions and flags.session_present:
            self._client.unsubscribe(list(options.stale_subscriptions))
        subscribe_options: Any = SubscribeOptions(qos=options.qos, retainHandling=1) if self.mqtt5 else options.qos
        self._client.subscribe([(topic, subscribe_options) for topic in self._topics()])
        self._callbacks.subscribing()
        log.info(
            "mqtt.connected", host=options.host, port=options.port, protocol="5" if self.mqtt5 else "3.1.1",
            session_present=flags.session_present,
        )  # fmt: skip

    def _topics(self) -> tuple[str, ...]:
        """Return the subscribed topics, readings first."""
        options = self._options
        return options.subscriptions + options.request_topics + (options.request_topics_mqtt5 if self.mqtt5 else ())

    def _refused(self, reason: ReasonCode) -> None:
        cure = ": check mqtt.username and mqtt.password" if reason.value in _NOT_AUTHORIZED else ""
        problem = f"refused: {reason}{cure}"
        log_it = log.debug if self.problem == problem else log.error
        log_it("mqtt.refused", host=self._options.host, port=self._options.port, reason=str(reason))
        self.problem = problem
        if reason.value == _UNSUPPORTED_PROTOCOL:
            self._fall_back()

    def _fall_back(self) -> None:
        """Use the other protocol version next time, if ``protocol`` is auto and none has worked yet."""
        if self._options.protocol == "auto" and not self.n_connects:
            self.mqtt5 = not self.mqtt5
            self._client = self._new_client()

    def _on_disconnect(
        self, _client: object, _data: object, _flags: object, reason: ReasonCode, _props: object
    ) -> None:
        if self._closing:
            self._socket = None
            return
        was_connected, was_answered = self.connected, self._answered
        failure = self._socket.failure if self._socket is not None else None
        if not was_answered and self._options.transport.tls is not None:
            self._unreachable(NO_RESPONSE if failure is None else CLIENT_REJECTED)  # TLS 1.3 alerts after the handshake
            if not is_client_certificate_error(failure):
                self._fall_back()
            return
        refused = was_answered and not was_connected and self.problem.startswith("refused")
        was_open = self.is_open
        self._lost(self.problem if refused else f"disconnected: {reason}")
        if self._is_taken_over(reason, was_open=was_open):
            if self._options.yields:  # reconnecting would start an endless takeover loop
                msg = (
                    f"another worker took over the session of {self._options.gateway}: a shard has one worker. "
                    "If this is unintended, stop that worker and start this one again"
                )
                raise ShardError(msg)
            self.problem = (
                f"another client connects with the client id gapcast-{self._options.gateway}: "
                "give each gateway its own gateway.id and state.path"
            )
            self._backoff.contended()
            log.error("mqtt.taken_over", problem=self.problem, n_in_a_row=self._n_cut_short)
        elif was_connected:
            log.warning("mqtt.disconnected", host=self._options.host, reason=str(reason))
        elif not was_answered:
            self._fall_back()  # a broker with only 3.1.1 may close the connection instead of answering

    def _is_taken_over(self, reason: ReasonCode, *, was_open: bool) -> bool:
        """Return whether another client has our id: by MQTT 5's reason code, else by repeated short connections."""
        if was_open and time.monotonic() - self._opened_s < _CUT_SHORT_S:
            self._n_cut_short += 1
        else:
            self._n_cut_short = 0
        return self._n_cut_short >= _N_CUT_SHORT if not self.mqtt5 else bool(reason.value == _TAKEN_OVER)

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
