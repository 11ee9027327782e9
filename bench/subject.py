"""The programs under test, gapcast, the bare echo and Node-RED, each in its own process."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from bench import node_red
from bench.ports import free_port
from bench.process import terminated
from bench.transports import BrokerTransport

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "models"
#: ``PYTHONPATH`` of processes that run this checkout, also in an environment that is linked to another one.
PYTHON_PATH = os.pathsep.join((str(ROOT), str(ROOT / "edge")))
READY_TIMEOUT_S = 60.0
_POLL_S = 0.002
_TAIL_BYTES = 2_000


class NotReadyError(Exception):
    """The process under test ended or did not become ready; the message holds the end of its log."""


#: The other ensemble members beside a subject's model.
EnsembleMembers = Literal["none", "learned"]
_LEARNS = {"GAPCAST_LEARNING__MAX_DEVICES": "10000"}
_ALONE = {
    "GAPCAST_FORECAST__BLEND": "false",
    "GAPCAST_FORECAST__CALIBRATE": "false",
    "GAPCAST_LEARNING__MAX_DEVICES": "0",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """A program to measure: gapcast, or a program to compare it with.

    Without a ``model``, gapcast has its default configuration. With a model of the folder ``models``, ``ensemble`` is
    ``none``: only the model, without scores; ``learned``: an ensemble with the online model and persistence, with
    calibrated intervals and scores. With a ``transport`` it connects to its own listener of the broker.
    """

    name: str
    model: str | None = None
    models: Path = MODELS
    transport: BrokerTransport | None = None
    ensemble: EnsembleMembers = "none"
    program: Literal["gapcast", "echo", "node-red"] = "gapcast"

    @property
    def ready_path(self) -> str | None:
        """The HTTP path that answers 200 once the program is ready; None if it has none."""
        return {"gapcast": "/readyz", "node-red": node_red.READY_PATH, "echo": None}[self.program]

    def command(self, folder: Path, broker_port: int, qos: int, http_port: int) -> list[str]:
        """Return the command line, whose files are in ``folder``."""
        if self.program == "gapcast":
            return [sys.executable, "-m", "gapcast", "run"]
        if self.program == "echo":
            return [sys.executable, "-m", "bench.echo", "--port", str(broker_port), "--qos", str(qos)]
        command = node_red.command()
        if command is None:
            msg = "Node-RED is not installed: bench/run installs it if Node.js with npm is there"
            raise NotReadyError(msg)
        return [command, *node_red.arguments(folder, broker_port, qos, http_port)]

    def environment(self, broker_port: int, qos: int, http_port: int, state: str) -> dict[str, str]:
        """Return the environment, without the caller's own gapcast configuration."""
        chosen = {name: value for name, value in os.environ.items() if not name.startswith("GAPCAST_")}
        chosen.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed gateway has its bytecode
        if self.program == "node-red":
            return chosen
        chosen["PYTHONPATH"] = PYTHON_PATH
        if self.program == "gapcast":
            chosen |= {
                "GAPCAST_MQTT__HOST": "127.0.0.1",
                "GAPCAST_MQTT__PORT": str(broker_port),
                "GAPCAST_MQTT__QOS": str(qos),
                "GAPCAST_HTTP__HOST": "127.0.0.1",
                "GAPCAST_HTTP__PORT": str(http_port),
                "GAPCAST_STATE__PATH": state,
            }
            if self.models != MODELS or self.model:
                chosen["GAPCAST_MODELS__PATH"] = str(self.models)
        if self.model:
            chosen["GAPCAST_FORECAST__MODEL"] = self.model
            learned = _LEARNS | {"GAPCAST_FORECAST__EXPERTS": self.model}
            chosen |= _ALONE if self.ensemble == "none" else learned
        return chosen


ECHO = Subject("paho echo", program="echo")
NODE_RED = Subject("Node-RED, rolling mean", program="node-red")


class Running(NamedTuple):
    """A running subject. ``start_s`` is from its start to its first 200 at ``ready_path``; 0 without one."""

    pid: int
    start_s: float
    http_port: int


@contextmanager
def running(
    subject: Subject, broker_port: int, qos: int, settings: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Run ``subject`` against the broker at ``broker_port``; yield it once it is ready.

    ``settings`` are added to its environment.
    """
    http_port = free_port()
    with tempfile.TemporaryDirectory(prefix="gapcast-bench-") as folder, Path(folder, "log").open("w+b") as log:
        command = subject.command(Path(folder), broker_port, qos, http_port)
        environment = subject.environment(broker_port, qos, http_port, str(Path(folder, "state"))) | dict(
            settings or {}
        )
        path, begin = subject.ready_path, time.perf_counter()
        with terminated(subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)) as process:
            if path is not None:
                _wait_until_ready(process, http_port, path, Path(log.name))
            yield Running(process.pid, time.perf_counter() - begin if path is not None else 0.0, http_port)


def _wait_until_ready(process: subprocess.Popen[bytes], http_port: int, path: str, log: Path) -> None:
    until = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < until and process.poll() is None:
        try:
            link = http.client.HTTPConnection("127.0.0.1", http_port, timeout=5)
            link.request("GET", path)
            status = link.getresponse().status
            link.close()
        except (OSError, http.client.HTTPException):
            status = 0
        if status == http.client.OK:
            return
        time.sleep(_POLL_S)
    how = "is not ready" if process.poll() is None else f"has ended with {process.returncode}"
    msg = f"the program under test {how}:\n{log.read_bytes()[-_TAIL_BYTES:].decode(errors='replace')}"
    raise NotReadyError(msg)
