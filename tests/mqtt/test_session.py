"""The time of a session: without a connection, and until the broker answers."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from gapcast.mqtt.connection import connection, transport
from gapcast.mqtt.connection.client import CONNECT_TIMEOUT_S, SessionOptions
from gapcast.mqtt.session.session import Session
from tests.support.clocks import HandClock
from tests.support.ports import LOOPBACK, free_port
from tests.support.wire import WireBroker


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    """A clock in place of that of a connection, which is moved by hand."""
    clock = HandClock()
    stub = SimpleNamespace(perf_counter=clock, time_ns=time.time_ns, monotonic=clock, sleep=lambda _: None)
    monkeypatch.setattr(connection, "time", stub)
    return clock


def test_expiry_of_a_message_counts_from_now_without_a_connection(clock: HandClock) -> None:
    session = Session(SessionOptions("gw", "status", (), host=LOOPBACK, port=free_port()))
    for _ in range(2):
        clock.now_s += 60
        session.receive_messages(1, 0.0)
        assert session.expires_s(300) == clock.now_s + 300
    session.close(0.0)


def test_broker_has_its_time_to_answer_after_a_slow_handshake(
    clock: HandClock, monkeypatch: pytest.MonkeyPatch
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
