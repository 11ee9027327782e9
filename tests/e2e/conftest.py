"""The commands, as a user starts them, with a clean environment and an empty folder.

``start`` runs each command in a separate process. ``invoke`` runs a command that ends by itself in this process, which
takes a tenth of the time and suffices if only output and exit code matter.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import httpx
import pytest

from gapcast.cli import main
from tests.support.commands import run_command
from tests.support.models import shipped_models
from tests.support.ports import LOOPBACK, free_port, is_open
from tests.support.waiting import GUARD_S, wait_until

E2E = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here as ``e2e``."""
    for item in items:
        if E2E in item.path.parents:
            item.add_marker("e2e")


class Command:
    """A started ``gapcast``; its output grows in two files."""

    def __init__(
        self, arguments: tuple[str, ...], folder: Path, environment: dict[str, str], terminal: int | None = None
    ) -> None:
        """Start the command; its errors go to ``terminal``, if there is one, instead of to a file."""
        self._out, self._err = folder / "stdout", folder / "stderr"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gapcast", *arguments],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err if terminal is None else terminal,
            )

    @property
    def out(self) -> str:
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return self._err.read_text(encoding="utf-8")

    def wait(self, timeout_s: float = GUARD_S) -> int:
        """Return the exit code."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running after {timeout_s} s; it said:\n{self.out}\n{self.err}")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait_ready(self, port: int, route: str = "/readyz") -> None:
        """Wait until REST answers 200."""

        def ready() -> bool:
            assert self.process.poll() is None, f"it ended: {self.err}"
            if not is_open(port):  # much cheaper to ask than a request
                return False
            try:
                return httpx.get(f"http://{LOOPBACK}:{port}{route}").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(ready, lambda: f"{route} on port {port}; it said: {self.err}")

    def wait_for_output(self, words: str, timeout_s: float = GUARD_S) -> None:
        self.wait_for_outputs(words, 1, timeout_s)

    def wait_for_outputs(self, words: str, n: int, timeout_s: float = GUARD_S) -> None:
        wait_until(
            lambda: (self.out + self.err).count(words) >= n, lambda: f"{n} {words!r} in {self.out}{self.err}", timeout_s
        )


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has run in this process."""

    out: str
    err: str
    exit_code: int

    def wait(self) -> int:
        """Return the exit code, like :meth:`Command.wait`."""
        return self.exit_code


Start = Callable[..., Command]
Invoke = Callable[..., Finished]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A new user's environment, with the models that all tests use."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GAPCAST_")}
    return clean | {
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "GAPCAST_MODELS__PATH": str(shipped_models()),
        "PYTHONWARNINGS": "default",
    }


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Iterator[Start]:
    """Start ``gapcast``; kill what still runs at the end of the test."""
    started: list[Command] = []

    def command(*arguments: object, terminal: int | None = None, **variables: object) -> Command:
        folder = tmp_path / f"command-{len(started)}"
        folder.mkdir()
        extra = {name: str(value) for name, value in variables.items()}
        started.append(Command(tuple(map(str, arguments)), folder, environment | extra, terminal))
        return started[-1]

    yield command
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


@pytest.fixture
def invoke(tmp_path: Path, environment: dict[str, str], restored_logs: None) -> Invoke:
    """Run ``gapcast`` in this process, like ``start`` in a separate one."""
    folders = (tmp_path / f"invoked-{n}" for n in count())

    def command(*arguments: object, **variables: object) -> Finished:
        folder = next(folders)
        folder.mkdir()
        extra = {name: str(value) for name, value in variables.items()}
        result = run_command(("gapcast", main), arguments, folder, environment | extra)
        return Finished(result.stdout, result.stderr, result.exit_code)

    return command


@pytest.fixture
def http_port() -> int:
    return free_port()


@pytest.fixture
def settings_of(http_port: int) -> Callable[[int], tuple[str, ...]]:
    """The command line's settings for a broker on a loopback port."""

    def arguments(mqtt_port: int) -> tuple[str, ...]:
        assignments = (
            f"mqtt.host={LOOPBACK}", f"mqtt.port={mqtt_port}", f"http.host={LOOPBACK}", f"http.port={http_port}",
            "gateway.id=e2e",
        )  # fmt: skip
        return tuple(part for assignment in assignments for part in ("--set", assignment))

    return arguments
