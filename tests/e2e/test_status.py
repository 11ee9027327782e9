"""``gapcast status`` with a running service: once for scripts, and live on a terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import NamedTuple

import pytest

from tests.e2e.conftest import Invoke, Start
from tests.e2e.test_commands import replay_settings
from tests.integration.test_stream import FIRST, reading
from tests.support.brokers import Broker, MosquittoBroker
from tests.support.peers import peer_of
from tests.support.ports import free_port
from tests.support.waiting import GUARD_S, wait_until

SettingsOf = Callable[[int], tuple[str, ...]]
URL = "http://127.0.0.1:{}"
PATIENT = ("--timeout", str(GUARD_S))


def run_with_readings(start: Start, settings: tuple[str, ...], http_port: int, broker: Broker) -> None:
    start("run", *settings).wait_ready(http_port)
    with peer_of(broker.host, broker.port) as peer:
        peer.subscribe("gap/+/forecast")
        for i in range(2):
            for device in ("attic", "home"):
                peer.publish(f"gap/{device}/reading", reading(FIRST + i, 1.0 + i))
        peer.wait_for("gap/home/forecast")


def test_status_once_prints_the_state(start: Start, settings_of: SettingsOf, http_port: int, broker: Broker) -> None:
    run_with_readings(start, replay_settings(settings_of, broker), http_port, broker)
    command = start("status", "--once", *PATIENT, "--set", f"http.port={http_port}")
    assert command.wait() == 0, command.err
    lines = command.out.splitlines()
    assert "  ready  " in lines[0]
    assert "4 accepted" in command.out
    assert [line.split()[:2] for line in lines if line.startswith(("attic", "home"))] == [
        ["attic", "2.000"], ["home", "2.000"],
    ]  # fmt: skip
    assert "\033" not in command.out


def test_status_finds_the_running_service(
    start: Start, settings_of: SettingsOf, http_port: int, broker: Broker
) -> None:
    """Neither the port nor a configuration is given: the service has written its address to the state folder."""
    service = start("run", *replay_settings(settings_of, broker))
    service.wait_ready(http_port)
    command = start("status", "--once", *PATIENT)
    assert command.wait() == 0, command.err
    assert f"Listening to gap/+/reading at {broker.host}:{broker.port}: no message yet" in command.out
    service.wait_for_output("readings.listening")
    service.signal(signal.SIGTERM)
    assert service.wait() == 0
    after = start("status", "--once", GAPCAST_HTTP__PORT=free_port())
    assert after.wait() == 2
    assert "gapcast: found no running gapcast. Tried http://127.0.0.1:" in after.err
    assert "http-address: No such file or directory" in after.err


def test_status_without_a_broker_is_not_ready(start: Start, settings_of: SettingsOf, http_port: int) -> None:
    start("run", *settings_of(free_port())).wait_ready(http_port, "/livez")
    command = start("status", *PATIENT, "--url", URL.format(http_port))  # no terminal: once
    assert command.wait() == 1
    assert "not ready" in command.out
    assert "mqtt:connection: " in command.out


def test_status_without_an_answer(invoke: Invoke) -> None:
    port = free_port()
    command = invoke("status", "--once", "--url", URL.format(port))
    assert command.wait() == 2
    assert f"gapcast: cannot reach http://127.0.0.1:{port}" in command.err
    assert "is gapcast running there?" in command.err


def test_status_missing_token_file(invoke: Invoke) -> None:
    command = invoke("status", "--once", "--token-file", "/nowhere/token")
    assert command.wait() == 2
    assert "--token-file: /nowhere/token cannot be read (No such file or directory)" in command.err


class Terminal(NamedTuple):
    """A command on its own terminal, and its output there so far."""

    process: subprocess.Popen[bytes]
    written: bytearray

    def shows(self, words: str) -> None:
        """Wait until the newest screen contains these words."""
        wait_until(lambda: words in self.screen(), lambda: f"{words!r} in {self.screen()!r}")

    def screen(self) -> str:
        whole = bytes(self.written).decode("utf-8", errors="replace").split("\033[H")
        return whole[-1] if whole[-1].endswith("\033[J") or len(whole) < 2 else whole[-2]


@contextmanager
def on_a_terminal(*arguments: str, environment: dict[str, str]) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gapcast", *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    written = bytearray()

    def read() -> None:
        try:
            while part := os.read(ours, 65_536):
                written.extend(part)
        except OSError:  # Linux says so where the other side is gone
            return

    reader = Thread(target=read, name="terminal")
    reader.start()
    try:
        yield Terminal(process, written)
    finally:
        process.kill()
        process.wait(GUARD_S)
        reader.join(GUARD_S)
        os.close(ours)


@pytest.mark.mosquitto
def test_status_on_a_terminal_is_live(
    start: Start, settings_of: SettingsOf, http_port: int, mosquitto: MosquittoBroker, environment: dict[str, str]
) -> None:
    run_with_readings(start, settings_of(mosquitto.port), http_port, mosquitto)
    command = ("status", *PATIENT, "--every", "0.1", "--url", URL.format(http_port))
    with on_a_terminal(*command, environment=environment | {"COLUMNS": "120", "LINES": "30"}) as terminal:
        terminal.shows("4 accepted")
        with peer_of(mosquitto.host, mosquitto.port) as peer:
            peer.publish("gap/cellar/reading", reading(FIRST, 1.0))
            peer.publish("gap/cellar/reading", reading(FIRST + 1, 1.0))
        terminal.shows("6 accepted")
        terminal.shows("cellar")
        with on_a_terminal(*command, environment=environment | {"NO_COLOR": "1"}) as plain:
            plain.shows("6 accepted")
            assert "\033[32m" not in plain.screen()
        mosquitto.stop()
        terminal.shows("not ready")
        mosquitto.start()
        terminal.shows("\033[32mready")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(GUARD_S) == 0
        wait_until(lambda: bytes(terminal.written).endswith(b"\033[?25h\033[?1049l"), "the screen as it was before")
