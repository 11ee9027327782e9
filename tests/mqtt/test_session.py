"""When a session takes messages and when it waits; its time without a connection, and until the broker answers."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from gapcast.mqtt.connection import connection, transport
from gapcast.mqtt.connection.client import CONNECT_TIMEOUT_S, SessionOptions
from gapcast.mqtt.connection.connection_callbacks import ConnectionCallbacks
from gapcast.mqtt.packets.frames import Acknowledgement, Publication
from gapcast.mqtt.session import session as session_module
from gapcast.mqtt.session.session import Session
from gapcast.mqtt.session.session_warnings import SessionWarnings
from tests.support.clocks import ManualClock
from tests.support.ports import LOOPBACK, free_port
from tests.support.recorded_session import RecordedSession, RecordingConnection
from tests.support.waiting import wait_until
from tests.support.wire import Wire, WireBroker


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """A manually advanced clock that replaces a connection's."""
    clock = ManualClock()
    stub = SimpleNamespace(perf_counter=clock, time_ns=time.time_ns, monotonic=clock, sleep=lambda _: None)
    monkeypatch.setattr(connection, "time", stub)
    return clock


def test_expiry_of_a_message_counts_from_now_without_a_connection(clock: ManualClock) -> None:
    session = Session(SessionOptions("gw", "status", (), host=LOOPBACK, port=free_port()))
    for _ in range(2):
        clock.now_s += 60
        session.receive_messages(1, 0.0)
        assert session.expires_s(300) == clock.now_s + 300
    session.close(0.0)


def test_broker_has_its_time_to_answer_after_a_slow_handshake(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect_slowly(_: object) -> None:
        clock.now_s += CONNECT_TIMEOUT_S - 1

    monkeypatch.setattr(transport, "set_tcp_options", connect_slowly)
    broker = WireBroker()
    session = Session(SessionOptions("gw", "status", (), host=LOOPBACK, port=broker.port))
    waiting = []
    for _ in range(3):
        session.receive_messages(0, 0.0)
        waiting.append(session.problem == "not connected yet")
        clock.now_s += CONNECT_TIMEOUT_S - 1
    assert waiting == [True, True, False]
    assert session.problem == "the broker does not answer"
    session.close(0.0)
    broker.close()


def test_protocol_that_has_worked_is_used_after_an_outage(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that does not answer for a while, for example during a restart, may still support MQTT 5."""
    monkeypatch.setattr("gapcast.mqtt.connection.backoff.time", clock)
    broker = WireBroker()
    session = Session(SessionOptions("gw", "status", ("reading",), host=LOOPBACK, port=broker.port))

    def version_of(wire: Wire) -> int:
        return wire.read().body[6]

    def connect() -> Wire:
        clock.now_s += 10  # the next attempt is due
        session.receive_messages(0, 0.0)
        return broker.accept()

    wire = connect()
    assert version_of(wire) == 5
    wire.connack()
    wait_until(lambda: session.receive_messages(0, 0.01) or session.is_open, "the broker to be connected")
    wire.close()
    wait_until(lambda: session.receive_messages(0, 0.01) or not session.is_open, "the connection to end")
    silent = connect()
    assert version_of(silent) == 5
    clock.now_s += CONNECT_TIMEOUT_S + 1
    session.receive_messages(0, 0.0)
    assert session.problem == "the broker does not answer"
    silent.close()
    wire = connect()
    assert version_of(wire) == 5
    wire.close()
    session.close(0.0)
    broker.close()


class ServingConnection(RecordingConnection):
    """A connection that receives ``arriving`` when next served, and records how long each round may take."""

    def __init__(self, options: SessionOptions, callbacks: ConnectionCallbacks) -> None:
        super().__init__(options, callbacks)
        self.arriving, self.timeouts_s = list[bytes](), list[float]()

    def serve(self, timeout_s: float) -> None:
        self.timeouts_s.append(timeout_s)
        arriving, self.arriving = self.arriving, []
        self._session.publications([Publication("x", one, 1, False, False, b"", len(one)) for one in arriving])


def test_session_returns_messages_and_waits_only_without_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """While too much is unconfirmed, it takes no messages, and waits for confirmations."""
    monkeypatch.setattr(session_module, "_MAX_UNCONFIRMED", 3)
    made: list[ServingConnection] = []

    def connect(options: SessionOptions, callbacks: ConnectionCallbacks) -> ServingConnection:
        made.append(ServingConnection(options, callbacks))
        return made[0]

    session = Session(SessionOptions("gw", "status", (), announce=False), connect)
    (connection,) = made
    connection.open()

    def take(n_at_most: int) -> tuple[list[bytes], list[float]]:
        taken = [one.publication.payload for one in session.receive_messages(n_at_most, 9.0)]
        timeouts_s, connection.timeouts_s = connection.timeouts_s, []
        return taken, timeouts_s

    connection.arriving = [b"a", b"b", b"c", b"d"]
    assert take(2) == ([b"a", b"b"], [9.0])
    assert take(2) == ([b"c", b"d"], []), "as many are queued"
    connection.arriving = [b"e", b"f"]
    assert take(0) == ([], [9.0])
    connection.arriving = [b"g"]
    assert take(3) == ([b"e", b"f", b"g"], [0.0]), "some are queued"
    connection.arriving = [b"h"]
    ids = [session.publish(b"t", b"") for _ in range(3)]
    assert take(2) == ([], [9.0])
    assert take(2) == ([], [9.0])
    connection.confirm(ids[0])
    assert take(2) == ([b"h"], [0.0])


def test_message_of_a_lost_connection_has_no_identifier() -> None:
    """On the next connection its identifier belongs to another message, which must not be acknowledged for it."""
    sender = RecordedSession(1, "5")
    sender.connection.receive(Publication("x", b"1", 7, False, False, b"", 1))
    sender.connection.lose()
    (message,) = sender.session.receive_messages(1, 0.0)
    assert (message.publication.payload, message.publication.packet_id) == (b"1", 0)


def test_refused_messages_are_logged_once_for_each_connection() -> None:
    sender = RecordedSession(1, "5")
    ids = [sender.session.publish(b"t", b"") for _ in range(5)]
    with capture_logs() as logs:
        sender.connection.confirm(ids[0], reason=0x10)  # no subscriber has it
        assert logs == []
        sender.connection.confirm(*ids[1:4], reason=0x87)
        sender.connection.open()
        sender.connection.confirm(ids[4], reason=0x87)
    assert [(line["event"], line["reason"]) for line in logs] == [("mqtt.publish_refused", "Not authorized")] * 2
    assert sender.session.n_unconfirmed == 0


def test_refusal_among_confirmations_is_logged() -> None:
    with capture_logs() as logs:
        SessionWarnings().check_reasons([Acknowledgement(1, 0), Acknowledgement(2, 0x80), Acknowledgement(3, 0)])
    assert [(line["event"], line["reason"]) for line in logs] == [("mqtt.publish_refused", "no reason given")]
    assert "docs/mosquitto/gapcast.acl" in logs[0]["fix"]


@pytest.mark.parametrize("is_confirmed", [True, False])
def test_close_disconnects_only_if_all_is_confirmed(is_confirmed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the connection is cut: after a DISCONNECT the broker would not publish the last will."""
    sender, graceful = RecordedSession(1, "5"), list[bool]()
    monkeypatch.setattr(sender.connection, "close", lambda **how: graceful.append(how["graceful"]))
    message_id = sender.session.publish(b"t", b"")
    if is_confirmed:
        sender.connection.confirm(message_id)
    assert sender.session.close(0.0) is is_confirmed
    assert graceful == [is_confirmed]


def test_close_before_the_broker_has_answered_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(options: SessionOptions, callbacks: ConnectionCallbacks) -> RecordingConnection:
        connection = RecordingConnection(options, callbacks)
        connection.is_open = False
        return connection

    monkeypatch.setattr(RecordingConnection, "has_socket", True)
    session = Session(SessionOptions("gw", "status", ()), connect)
    assert session.close(0.0)
    assert session.n_unconfirmed == 0
