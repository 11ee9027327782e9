"""Two real brokers with one interface: amqtt in a thread of this process, and mosquitto if it is installed.

amqtt supports only MQTT 3.1.1 and loses everything at a restart. mosquitto supports MQTT 5 too, and stores
sessions, queued and retained messages over a restart.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from gapcast.demo import broker as embedded
from tests.support.ports import LOOPBACK, free_port, is_open
from tests.support.waiting import wait_until


class Broker(Protocol):
    """A broker on a fixed loopback port, which can be stopped and started again."""

    name: str
    host: str
    port: int

    def start(self) -> None:
        """Listen; return once it does."""

    def stop(self) -> None:
        """Close every connection and stop listening; no effect if it does not run."""


class AmqttBroker(embedded.EmbeddedBroker):
    """The demo's own amqtt, on a free port."""

    name = "embedded"

    def __init__(self) -> None:
        super().__init__(free_port())


def mosquitto_command() -> str | None:
    """The path of mosquitto; None if it is not installed."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _ends_by_sigterm(process: subprocess.Popen[bytes]) -> bool:
    """Send SIGTERM, and return whether that ends the process within a second.

    mosquitto 2.0 loses a signal that arrives after it listens and before its main loop begins: send it again.
    """
    process.terminate()
    try:
        process.wait(1)
    except subprocess.TimeoutExpired:
        return False
    return True


class MosquittoBroker:
    """mosquitto, in a process of its own, with its files in ``folder``.

    ``extra_settings`` are lines of its configuration; further listeners among them count as it starts.
    """

    name = "mosquitto"
    host = LOOPBACK

    def __init__(self, folder: Path, extra_settings: Sequence[str] = ()) -> None:
        self.port = free_port()
        self._folder = folder
        self._extra_settings = extra_settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = mosquitto_command()
        if command is None:
            msg = "mosquitto is not installed"
            raise FileNotFoundError(msg)
        self._folder.mkdir(parents=True, exist_ok=True)
        settings = self._folder / "mosquitto.conf"
        settings.write_text(self._settings(), encoding="utf-8")
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [command, "-c", str(settings)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(self._listens_or_died, f"mosquitto on ports {self._ports}")

    def stop(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        try:
            wait_until(lambda: _ends_by_sigterm(process), "mosquitto to end")
        finally:
            process.kill()  # no effect if it ended

    @property
    def _ports(self) -> list[int]:
        more = (line.split() for line in self._extra_settings if line.startswith("listener "))
        return [self.port, *(int(port) for _, port, *_ in more)]

    def _settings(self) -> str:
        lines = [
            f"listener {self.port} {self.host}",
            "allow_anonymous true",
            "max_queued_messages 0",
            "persistence true",
            f"persistence_location {self._folder}/",
            *self._extra_settings,
        ]
        if os.geteuid() == 0:  # otherwise it gives up root, and its own folder with it
            lines.append("user root")
        return "\n".join(lines) + "\n"

    def _listens_or_died(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            msg = f"mosquitto ended at once: {(self._folder / 'mosquitto.log').read_text(encoding='utf-8')}"
            raise RuntimeError(msg)
        return all(is_open(port) for port in self._ports)  # it opens them one after the other


@contextmanager
def guarded_mosquitto(folder: Path, accounts: Sequence[str], password: str) -> Iterator[MosquittoBroker]:
    """Run a mosquitto with its files in ``folder`` that lets in ``accounts`` with ``password``, and no one else."""
    passwords = folder / "passwords"
    passwords.touch(mode=0o600)
    for account in accounts:
        subprocess.run(["mosquitto_passwd", "-b", str(passwords), account, password], check=True)
    broker = MosquittoBroker(folder / "mosquitto", ("allow_anonymous false", f"password_file {passwords}"))
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


#: Both kinds of brokers, as ``params`` of a fixture.
BROKER_KINDS = ("embedded", pytest.param("mosquitto", marks=pytest.mark.mosquitto))


def default_broker_kind() -> str:
    """The broker that most tests use: ``mosquitto`` if it is installed, else ``embedded``."""
    return "mosquitto" if mosquitto_command() else "embedded"


@contextmanager
def started_broker(kind: str, folder: Path) -> Iterator[Broker]:
    """Run a broker of that kind, with its files in ``folder``."""
    made: Broker = AmqttBroker() if kind == "embedded" else MosquittoBroker(folder / "mosquitto")
    made.start()
    yield made
    made.stop()
