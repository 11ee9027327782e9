"""Meters that send their real messages to a real broker, and ``gapcast setup`` in a terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from gapcast.check import readings
from gapcast.cli import main
from gapcast.config.loader import load
from gapcast.setup.messages import message_recording
from tests.support.brokers import MosquittoBroker, guarded_mosquitto
from tests.support.commands import run_command
from tests.support.peers import peer_of
from tests.support.terminal import Terminal, in_terminal
from tests.support.waiting import GUARD_S

METERS: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).parents[1] / "fixtures" / "meters.toml").read_text(encoding="utf-8")
)["meter"]
Messages = Sequence[tuple[str, str]]
Setup = Callable[..., AbstractContextManager[Terminal]]
Script = Callable[..., subprocess.CompletedProcess[str]]
PASSWORD = "broker-word-4711"
TEMPERATURE = ("zigbee2mqtt/attic", '{"temperature": 21.5, "linkquality": 80, "battery": 97}')


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GAPCAST_")}
    return clean | {"HOME": str(tmp_path), "TZ": "Europe/Paris", "PYTHONWARNINGS": "default"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    made = tmp_path / "house"
    made.mkdir()
    return made


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[MosquittoBroker]:
    """A mosquitto that requires a password."""
    with guarded_mosquitto(tmp_path, ("gapcast", "meter"), PASSWORD) as broker:
        yield broker


@pytest.fixture
def setup(folder: Path, environment: dict[str, str]) -> Setup:
    """Start ``gapcast setup`` in a terminal."""

    def start(*arguments: object) -> AbstractContextManager[Terminal]:
        return in_terminal([sys.executable, "-m", "gapcast", "setup", *map(str, arguments)], folder, environment)

    return start


@pytest.fixture
def script(folder: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, restored_logs: None) -> Script:
    """Run ``gapcast`` like a script, without a terminal.

    With ``enough``, it listens until it has this many messages, however long a busy machine takes to deliver them.
    """

    def run(*arguments: object, enough: int = 0) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patched:
            for module in (readings, message_recording) if enough else ():
                patched.setattr(module, "_MAX_MESSAGES", enough)
            done = run_command(("gapcast", main), arguments, folder, environment)
        return subprocess.CompletedProcess([*map(str, arguments)], done.exit_code, done.stdout, done.stderr)

    return run


def written(folder: Path) -> dict[str, Any]:
    """The configuration in ``folder``, which ``gapcast run`` would accept."""
    load(folder / "gapcast.toml", {}, {})
    return tomllib.loads((folder / "gapcast.toml").read_text(encoding="utf-8"))


def stop_when_received(person: Terminal, n_topics: int) -> None:
    """Press Enter once setup shows this many topics, and enough messages to know how often each meter sends."""
    while True:
        shown = person.wait_for(f" on {n_topics} topic{'s' * (n_topics != 1)}; ")
        counted = re.search(r"(\d+) messages?$", shown)
        if counted is not None and int(counted[1]) >= 8 * n_topics:
            person.press_enter()
            return


@contextmanager
def sending(broker: MosquittoBroker, messages: Messages | Callable[[], Messages], **account: str) -> Iterator[None]:
    """Publish these messages repeatedly, like meters."""
    ended = Event()
    with peer_of(broker.host, broker.port, **account) as meter:

        def publish() -> None:
            while not ended.wait(0.05):
                for topic, payload in messages() if callable(messages) else messages:
                    meter.send(topic, payload)

        thread = Thread(target=publish, name="meters")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(GUARD_S)
