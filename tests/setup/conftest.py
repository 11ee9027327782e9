"""Meters that send to a real broker what they really send, and ``gapcast setup`` in a terminal beside them."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from tests.support.brokers import MosquittoBroker
from tests.support.peers import peer_of
from tests.support.terminal import Terminal, in_terminal

METERS: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).parents[1] / "fixtures" / "meters.toml").read_text(encoding="utf-8")
)["meter"]
Messages = Sequence[tuple[str, str]]
Sending = Callable[..., AbstractContextManager[None]]


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
def setup(folder: Path, environment: dict[str, str]) -> Callable[..., AbstractContextManager[Terminal]]:
    """Start ``gapcast setup`` in a terminal."""

    def start(*arguments: object) -> AbstractContextManager[Terminal]:
        return in_terminal([sys.executable, "-m", "gapcast", "setup", *map(str, arguments)], folder, environment)

    return start


@pytest.fixture
def script(folder: Path, environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``gapcast`` as a script does, with no terminal."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gapcast", *map(str, arguments)]
        return subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

    return run


@contextmanager
def sending(broker: MosquittoBroker, messages: Messages | Callable[[], Messages], **account: str) -> Iterator[None]:
    """Publish these messages again and again, as meters do."""
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
            thread.join(10)
