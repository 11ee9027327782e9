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


def events(logs: list[Any], *levels: str) -> list[tuple[str, str]]:
    """Return events and their topics, if any; of all levels but debug, or of ``levels``."""
    return [
        (line["event"].removeprefix("mqtt."), "".join(line.get("topics", line.get("topic", ""))))
        for line in logs
        if (line["log_level"] in levels if levels else line["log_level"] != "debug")
    ]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_topic_that_ends_the_connection_is_left_out(clock: ManualClock, protocol: str) -> None:
    with capture_logs() as logs, serving({"b"}, protocol=protocol) as (broker, session, wait):
        wait(lambda: session.n_connects == 2 and session.connected, "the second connection")
    assert broker.requests == [["a", "b", "c"], ["a", "c"]]
    refused = [("subscription_refused", "b"), ("subscription_refused", "c")]
    ended = [("disconnected", ""), ("subscription_left_out", "b")]
    assert events(logs) == [("connected", ""), *refused, *ended, ("connected", "")]


def test_topics_that_end_the_connection_are_left_out_one_by_one(clock: ManualClock) -> None:
    """Also with MQTT 3.1.1, where several short connections in a row count as another client with the same id."""
    topics = tuple("bcdef")
    with (
        capture_logs() as logs,
        serving(topics, protocol="3.1.1", request_topics=(*topics, "g")) as (
            broker,
            session,
            wait,
        ),
    ):
        wait(lambda: session.n_connects == 6 and session.connected, "the sixth connection")
    assert broker.requests[-1] == ["a", "g"]
    assert [topic for event, topic in events(logs) if event == "subscription_left_out"] == list(topics)
    assert [topic for event, topic in events(logs) if event == "subscription_refused"] == [*topics, "g"], "once each"
    assert "taken_over" not in dict(events(logs))


def test_refused_topic_is_requested_again_after_a_connection_that_lasted(clock: ManualClock) -> None:
    with capture_logs() as logs, serving({"b"}, ends=False) as (broker, session, wait):
        for _ in range(2):
            wait(lambda: session.connected, "a connection")
            clock.now_s += 3
            broker.end_connections()
            wait(lambda: not session.connected, "its end")
    assert broker.requests == [["a", "b", "c"]] * 2
    assert events(logs, "warning") == [
        ("subscription_refused", "b"),
        ("subscription_refused", "c"),
        ("disconnected", ""),
        ("disconnected", ""),
    ]


def test_refused_readings_that_end_each_connection_are_logged_once(clock: ManualClock) -> None:
    with capture_logs() as logs, serving({"a"}, protocol="3.1.1") as (broker, session, wait):
        wait(lambda: session.n_connects == 5 and not session.is_open, "five connections")
        assert session.problem == "the subscription to a is refused: no reason given"
        broker.refused = ()
        wait(lambda: session.connected, "the subscription")
    assert set(map(tuple, broker.requests)) == {("a", "b", "c")}
    assert events(logs) == [("connected", ""), ("subscription_refused", "a"), ("subscription_granted", "a")]


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
