"""The programs under test, the bare echo and gapcast, each in its own process."""

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

from bench.ports import free_port
from bench.process import terminated
from bench.transports import BrokerTransport

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "models"
READY_TIMEOUT_S = 60.0
_POLL_S = 0.002
_TAIL_BYTES = 2_000


class NotReadyError(Exception):
    """The process under test ended or did not become ready; the message holds the end of its log."""


#: The other members of the ensemble beside a subject's model.
EnsembleMembers = Literal["none", "learned", "all"]
_LEARNS = {"GAPCAST_LEARNING__MAX_DEVICES": "10000"}
_ALONE = {
    "GAPCAST_FORECAST__BLEND": "false",
    "GAPCAST_FORECAST__CALIBRATE": "false",
    "GAPCAST_LEARNING__MAX_DEVICES": "0",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """A program to measure: gapcast with ``model`` of the folder ``models``, or the echo where that is None.

    ``ensemble`` is ``none``: the model alone, without scores; ``learned``: an ensemble with the online model and
    persistence, with calibrated intervals and scores; ``all``: the same with all models. With a ``transport`` it
    connects to its own listener of the broker.
    """

    name: str
    model: str | None = None
    models: Path = MODELS
    answer: Literal["reading", "forecast"] = "reading"
    transport: BrokerTransport | None = None
    ensemble: EnsembleMembers = "none"

    def command(self, broker_port: int, qos: int) -> list[str]:
        """Return the command line."""
        if self.model:
            return [sys.executable, "-m", "gapcast", "run"]
        options = ["--port", str(broker_port), "--qos", str(qos), "--answer", self.answer]
        return [sys.executable, "-m", "bench.echo", *options]

    def environment(self, broker_port: int, qos: int, http_port: int, state: str) -> dict[str, str]:
        """Return the environment, without the caller's own gapcast configuration."""
        chosen = {name: value for name, value in os.environ.items() if not name.startswith("GAPCAST_")}
        chosen["PYTHONPATH"] = str(ROOT)
        if self.model:
            chosen |= {
                "GAPCAST_MQTT__HOST": "127.0.0.1",
                "GAPCAST_MQTT__PORT": str(broker_port),
                "GAPCAST_MQTT__QOS": str(qos),
                "GAPCAST_HTTP__HOST": "127.0.0.1",
                "GAPCAST_HTTP__PORT": str(http_port),
                "GAPCAST_FORECAST__MODEL": self.model,
                "GAPCAST_MODELS__PATH": str(self.models),
                "GAPCAST_STATE__PATH": state,
            }
            chosen |= _ALONE if self.ensemble == "none" else _LEARNS
            if self.ensemble == "learned":
                chosen["GAPCAST_FORECAST__EXPERTS"] = self.model
        return chosen


ECHO = Subject("paho echo")
ECHO_LONG = Subject("paho echo, forecast's size", answer="forecast")


class Running(NamedTuple):
    """A running subject. ``start_s`` is from its start to its first 200 at ``/readyz``; 0 for the echo."""

    pid: int
    start_s: float
    http_port: int


@contextmanager
def running(
    subject: Subject, broker_port: int, qos: int, settings: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Run ``subject`` against the broker at ``broker_port``; yield it once gapcast is ready.

    ``settings`` are added to its environment.
    """
    http_port = free_port()
    with tempfile.TemporaryDirectory(prefix="gapcast-bench-") as folder, Path(folder, "log").open("w+b") as log:
        command = subject.command(broker_port, qos)
        environment = subject.environment(broker_port, qos, http_port, str(Path(folder, "state"))) | dict(
            settings or {}
        )
        begin = time.perf_counter()
        with terminated(subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)) as process:
            if subject.model:
                _wait_until_ready(process, http_port, Path(log.name))
            yield Running(process.pid, time.perf_counter() - begin if subject.model else 0.0, http_port)


def _wait_until_ready(process: subprocess.Popen[bytes], http_port: int, log: Path) -> None:
    until = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < until and process.poll() is None:
        try:
            link = http.client.HTTPConnection("127.0.0.1", http_port, timeout=5)
            link.request("GET", "/readyz")
            status = link.getresponse().status
            link.close()
        except (OSError, http.client.HTTPException):
            status = 0
        if status == http.client.OK:
            return
        time.sleep(_POLL_S)
    how = "is not ready" if process.poll() is None else f"has ended with {process.returncode}"
    msg = f"gapcast {how}:\n{log.read_bytes()[-_TAIL_BYTES:].decode(errors='replace')}"
    raise NotReadyError(msg)
