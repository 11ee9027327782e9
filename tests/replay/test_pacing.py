"""A file published like a live meter: in order, in its own time or at full speed, until stopped."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from types import SimpleNamespace

import pytest

from gapcast.core.errors import BrokerError
from gapcast.recordings.recording import Minute
from gapcast.replay import publisher
from gapcast.replay.publisher import MeterPublisher, replay
from tests.support.ports import LOOPBACK, free_port
from tests.support.waiting import GUARD_S

START = 19_438_164


def minutes(*offsets: int) -> list[Minute]:
    return [Minute(START + offset, float(offset)) for offset in offsets]


def test_replay_at_full_speed_publishes_in_order() -> None:
    published: list[Minute] = []
    assert replay(iter(minutes(*range(500))), published.append, None, Event()) == 500
    assert published == minutes(*range(500))


def not_published(minute: Minute) -> None:
    pytest.fail(f"published {minute}")


def test_replay_of_an_empty_file_publishes_nothing() -> None:
    assert replay([], not_published, 1.0, Event()) == 0


class Waits(Event):
    """Records the requested waits and advances a fake clock by them, without waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_s: list[float] = []
        self.now_s = 5.0

    def wait(self, timeout: float | None = None) -> bool:
        self.asked_s.append(timeout or 0.0)
        self.now_s += self.asked_s[-1]
        return super().wait(0)


def test_replay_paces_readings_by_the_given_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing minutes take their time, and readings that are late or before the first are published at once."""
    waits = Waits()
    published_s: list[float] = []
    monkeypatch.setattr(publisher, "time", SimpleNamespace(monotonic=lambda: waits.now_s))

    def publish(minute: Minute) -> None:
        published_s.append(waits.now_s)
        waits.now_s += 40 if minute.minute == START + 9 else 1  # as slow a broker

    replay(minutes(0, 1, 9, 10, -5), publish, 2.0, waits)
    assert waits.asked_s == [0, 29, 239, 0, 0]
    assert published_s == [5, 35, 275, 315, 316]


@pytest.mark.parametrize("speed", [None, 1_000_000.0])
def test_replay_stops_between_two_readings(speed: float | None) -> None:
    stopping, published = Event(), []

    def publish(minute: Minute) -> None:
        published.append(minute)
        if len(published) == 3:
            stopping.set()

    assert replay(minutes(*range(50)), publish, speed, stopping) == 3
    assert published == minutes(0, 1, 2)


@contextmanager
def silent_broker() -> Iterator[int]:
    """Yield the port of a broker that accepts connections and confirms no messages."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.recv(4_096)
            connection.sendall(b"\x20\x02\x00\x00")  # CONNACK of MQTT 3.1.1
            connections.append(connection)

    connections = list[socket.socket]()
    with socket.create_server((LOOPBACK, 0)) as listener:
        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(GUARD_S)
    for connection in connections:
        connection.close()


def test_replay_stops_while_it_waits() -> None:
    stopping, first_published = Event(), Event()
    counted: list[int] = []
    meter = Thread(
        target=lambda: counted.append(replay(minutes(0, 1), lambda _: first_published.set(), 1.0, stopping)),
        daemon=True,
    )
    meter.start()
    assert first_published.wait(GUARD_S)
    stopping.set()
    meter.join(GUARD_S)  # it would publish the second after a minute
    assert counted == [1]


def test_replay_unreachable_broker_is_named() -> None:
    port = free_port()
    with (
        pytest.raises(BrokerError, match=rf"127\.0\.0\.1 port {port} cannot be reached .*is it running"),
        MeterPublisher(LOOPBACK, port, "gap/home/reading"),
    ):
        pass


@pytest.mark.parametrize("n", [1, 3])
def test_replay_readings_that_are_not_confirmed_are_an_error(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    """The broker accepts the connection and nothing else."""
    unconfirmed = "1 reading was" if n == 1 else f"{n} readings were"
    with silent_broker() as port:
        meter = MeterPublisher(LOOPBACK, port, "gap/home/reading").__enter__()
        for minute in minutes(*range(n)):
            meter.publish(minute)
        monkeypatch.setattr(publisher, "_CONNECT_S", 0.1)  # for how long it waits at the end
        with pytest.raises(BrokerError, match=f"{unconfirmed} not confirmed by the broker at"):
            meter.__exit__(None)


def test_replay_that_is_stopped_does_not_report_unconfirmed_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    stopping = Event()
    with silent_broker() as port, MeterPublisher(LOOPBACK, port, "gap/home/reading", stopping=stopping) as meter:
        meter.publish(minutes(0)[0])
        monkeypatch.setattr(publisher, "_CONNECT_S", 0.1)
        stopping.set()
