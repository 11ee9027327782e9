"""Brokers that end the connection when they refuse a topic, and brokers whose answer cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from gapcast.check.broker import fix_of
from gapcast.mqtt.connection.client import SessionOptions
from gapcast.mqtt.session.session import Session
from tests.support.clocks import ManualClock
from tests.support.ports import LOOPBACK
from tests.support.refusing_broker import RefusingBroker
from tests.support.waiting import wait_until


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The clock of refusals, of short connections, and of the waits between connections, which take no time."""
    clock = ManualClock()
    for module in ("subscriptions", "takeover", "backoff"):
        monkeypatch.setattr(f"gapcast.mqtt.connection.{module}.time", clock)
    monkeypatch.setattr("gapcast.mqtt.connection.backoff.Backoff.wait_s", lambda _: 0.0)
    return clock


#: A CONNACK with a Maximum Packet Size of 256 MiB, as of NanoMQ: MQTT 5 permits more than paho does.
PACKETS_OF_256_MIB = b"\x27\x10\0\0\0"
UNREADABLE = "malformed packet: MaximumPacketSize property value must be in the range 1-268435455"


@contextmanager
def serving(
    refused: Collection[str], *, ends: bool = True, properties: bytes = b"", **options: Any
) -> Iterator[tuple[RefusingBroker, Session, Callable[[Callable[[], object], str], None]]]:
    """Run a broker and a session that reads ``a`` and requests ``b`` and ``c``; the last is :func:`wait_until`."""
    broker = RefusingBroker(refused, properties, ends=ends)
    options = {"request_topics": ("b", "c"), "announce": False, **options}
    session = Session(SessionOptions("gw", "status", ("a",), host=LOOPBACK, port=broker.port, **options))

    def wait(condition: Callable[[], object], what: str) -> None:
        wait_until(lambda: session.receive_messages(0, 0.01) or condition(), what)

    yield broker, session, wait
    session.close(1.0)
    broker.close()


def test_unreadable_answer_is_the_reason(clock: ManualClock) -> None:
    with capture_logs() as logs, serving((), properties=PACKETS_OF_256_MIB, protocol="5") as (_, session, wait):
        wait(lambda: "disconnected" in session.problem, "the end of the connection")
        assert session.problem == f"disconnected: {UNREADABLE}"
    assert {line["reason"] for line in logs if line["event"] == "mqtt.disconnected"} == {UNREADABLE}
    assert "mqtt.protocol" in fix_of(f"disconnected: {UNREADABLE}")


def test_reason_for_mqtt_3_1_1_is_logged(clock: ManualClock) -> None:
    with capture_logs() as logs, serving((), properties=PACKETS_OF_256_MIB) as (_, session, wait):
        wait(lambda: session.connected, "a connection")
    assert [(line["event"], line["protocol"], line["mqtt5_problem"]) for line in logs] == [
        ("mqtt.connected", "3.1.1", UNREADABLE)
    ]
