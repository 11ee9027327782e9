"""Notifications to systemd, on a real datagram socket."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from gapcast.app.application import Application
from gapcast.systemd.notify import Notifier
from tests.e2e.conftest import Command, environment, http_port, settings_of
from tests.support.clocks import ManualClock
from tests.support.gateways import Gateway, gateway_settings
from tests.support.ports import free_port
from tests.support.waiting import GUARD_S, wait_until

__all__ = ["environment", "http_port", "settings_of"]

WATCHED_S = 1.0


class Supervisor:
    """The socket that systemd would listen on, with the messages it received."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1))
        self._socket.settimeout(GUARD_S)

    def next(self) -> str:
        """Return the next message."""
        return self._socket.recv(4_096).decode()

    def next_that_has(self, words: str) -> str:
        while words not in (message := self.next()):
            pass
        return message

    def waiting(self) -> list[str]:
        """Return what has come and was not looked at."""
        self._socket.setblocking(False)
        found = []
        try:
            while True:
                found.append(self._socket.recv(4_096).decode())
        except BlockingIOError:
            self._socket.settimeout(GUARD_S)
            return found

    def close(self) -> None:
        self._socket.close()

    def environment(self, watchdog_s: float | None = None) -> dict[str, str]:
        asked = {} if watchdog_s is None else {"WATCHDOG_USEC": str(round(watchdog_s * 1e6))}
        return {"NOTIFY_SOCKET": self.address, **asked}


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(str(tmp_path / "notify"))
    yield made
    made.close()


@pytest.mark.parametrize("name", ["{folder}/notify", "@gapcast-test-{pid}"])
def test_notify_ready_alive_and_stopping(name: str, tmp_path: Path) -> None:
    supervisor = Supervisor(name.format(folder=tmp_path, pid=os.getpid()))
    notifier = Notifier.from_environment(supervisor.environment(WATCHED_S))
    notifier.ready("as it should be")
    notifier.alive(lambda: "3 devices")
    notifier.stopping()
    notifier.stopping()
    assert supervisor.waiting() == [
        "READY=1\nSTATUS=as it should be\n",
        "WATCHDOG=1\nSTATUS=3 devices\n",
        "STOPPING=1\nSTATUS=finishing what is queued\n",
    ]
    supervisor.close()


def test_notify_alive_four_times_per_watchdog_interval(
    supervisor: Supervisor,
) -> None:
    clock = ManualClock()
    notifier = Notifier(supervisor.address, 8.0, clock)
    for _ in range(80):
        notifier.alive(lambda: "")
        clock.now_s += 0.1
    assert supervisor.waiting() == ["WATCHDOG=1\nSTATUS=\n"] * 4


def test_notify_status_every_ten_seconds_without_a_watchdog(supervisor: Supervisor) -> None:
    clock = ManualClock()
    notifier = Notifier.from_environment(supervisor.environment())
    notifier._now_s = clock
    for _ in range(25):
        notifier.alive(lambda: "well")
        clock.now_s += 1
    assert supervisor.waiting() == ["STATUS=well\n"] * 3


@pytest.mark.parametrize("asked", [{"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_PID": "1"}])
def test_notify_ignores_a_watchdog_of_another_process(supervisor: Supervisor, asked: dict[str, str]) -> None:
    notifier = Notifier.from_environment(supervisor.environment(WATCHED_S) | asked, pid=4711)
    notifier.alive(lambda: "well")
    assert supervisor.waiting() == ["STATUS=well\n"]


def test_notify_without_a_socket_does_nothing() -> None:
    notified: list[str] = []

    def asked() -> str:
        notified.append("asked")
        return ""

    notifier = Notifier.from_environment({})
    notifier.ready("")
    notifier.alive(asked)
    notifier.stopping()
    assert notified == []


def test_notify_lost_socket_is_logged_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notifier = Notifier(str(tmp_path / "nothing"), WATCHED_S, iter(range(100)).__next__)
    notifier.alive(lambda: "")
    notifier.alive(lambda: "")
    assert capsys.readouterr().out.count("systemd.notify_failed") == 1


# --- it is the stream that lives ----------------------------------------------------------------------


@pytest.fixture
def notified(supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """A gateway without a broker that notifies the supervisor, with a watchdog of two seconds."""
    from tests.support import gateways

    watched = supervisor.environment(WATCHED_S)
    monkeypatch.setattr(gateways, "Application", lambda settings, _: Application(settings, watched))
    gateway = Gateway(gateway_settings(free_port(), tmp_path / "state"))
    yield gateway
    gateway.stop()


def test_notify_stops_when_the_stream_hangs(supervisor: Supervisor, notified: Gateway) -> None:
    assert supervisor.next().startswith("READY=1\nSTATUS=no broker (")
    assert "0 readings of 0 devices, forecasts of blend" in supervisor.next_that_has("WATCHDOG=1")
    hangs, freed = Event(), Event()
    run_once = notified.service.run_once

    def hanging(timeout_s: float) -> int:
        hangs.set()
        freed.wait()
        return run_once(timeout_s)

    notified.service.run_once = hanging  # type: ignore[method-assign]  # the loop itself is to hang
    try:
        assert hangs.wait(GUARD_S)
        supervisor.waiting()
        Event().wait(WATCHED_S)  # the watchdog's time, in which four messages would have come
        assert supervisor.waiting() == []
    finally:
        freed.set()
    assert "WATCHDOG=1" in supervisor.next()


def wait_for_iterations(gateway: Gateway, n: int) -> None:
    """Return once the stream has begun ``n`` iterations more."""
    begun, run_once = [], gateway.service.run_once

    def counted(timeout_s: float) -> int:
        begun.append(timeout_s)
        return run_once(timeout_s)

    gateway.service.run_once = counted  # type: ignore[method-assign]  # the loop itself is observed
    wait_until(lambda: len(begun) >= n, "the stream's iterations")


def test_notify_stops_when_rest_has_died(supervisor: Supervisor, notified: Gateway) -> None:
    supervisor.next_that_has("WATCHDOG=1")
    notified.application._http_server.stop()  # one that ends by itself is started again
    assert not [thread for thread in threading.enumerate() if thread.name == "rest"]
    wait_for_iterations(notified, 2)  # the one before may have found it alive
    supervisor.waiting()
    Event().wait(WATCHED_S)
    assert supervisor.waiting() == []


def test_run_notifies_ready_alive_and_stopping(
    supervisor: Supervisor,
    tmp_path: Path,
    environment: dict[str, str],
    settings_of: Callable[[int], tuple[str, ...]],
) -> None:
    variables = environment | supervisor.environment(WATCHED_S)
    command = Command(("run", *settings_of(free_port())), tmp_path, variables)
    try:
        assert supervisor.next().startswith("READY=1\n")
        supervisor.next_that_has("WATCHDOG=1")
        command.signal(signal.SIGTERM)
        assert supervisor.next_that_has("STOPPING=1")
        assert command.wait() == 0
    finally:
        command.process.kill()
        wait_until(lambda: command.process.poll() is not None, "its end")
