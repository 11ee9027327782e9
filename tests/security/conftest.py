"""A gateway under attack: its REST API in this process, or all of it in a separate process with measured memory."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from bench.subject import PYTHON_PATH
from gapcast.http.server.server import Implementation
from tests.http.conftest import models, rest
from tests.support.models import shipped_models
from tests.support.ports import LOOPBACK, free_port
from tests.support.waiting import GUARD_S, wait_until

__all__ = ["models", "rest"]

_WITHOUT_HTTPTOOLS = "import sys; sys.modules['httptools'] = None; from gapcast.cli import main; main()"
_FILES = 1_024


@pytest.fixture(params=["httptools", "h11"], scope="module")
def implementation(request: pytest.FixtureRequest) -> Implementation:
    """The parser of uvicorn: each test runs with both parsers."""
    made: Implementation = request.param
    return made


class GatewayProcess:
    """``gapcast run`` without a broker, in a process that may open 1,024 files."""

    def __init__(self, folder: Path, implementation: Implementation) -> None:
        self.port = free_port()
        self.errors = folder / "stderr"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GAPCAST_")} | {
            "PYTHONPATH": PYTHON_PATH,
            "GAPCAST_HTTP__HOST": LOOPBACK,
            "GAPCAST_HTTP__PORT": str(self.port),
            "GAPCAST_MQTT__HOST": LOOPBACK,
            "GAPCAST_MQTT__PORT": str(free_port()),
            "GAPCAST_STATE__PATH": str(folder / "state"),
            "GAPCAST_MODELS__PATH": str(shipped_models()),
        }
        command = ["-c", _WITHOUT_HTTPTOOLS] if implementation == "h11" else ["-m", "gapcast"]
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, *command, "run"],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES)),  # noqa: PLW1509 - takes no lock
            )
        wait_until(self.is_live, lambda: f"the gateway: {self.errors.read_text()}")

    def is_live(self) -> bool:
        """Whether ``/livez`` answers 200 on a new connection."""
        assert self.process.poll() is None, self.errors.read_text()
        try:
            return httpx.get(f"http://{LOOPBACK}:{self.port}/livez", timeout=GUARD_S).status_code == 200
        except httpx.TransportError:
            return False

    @property
    def resident_bytes(self) -> int:
        """The current memory."""
        return self._memory("VmRSS")

    @property
    def most_resident_bytes(self) -> int:
        """The peak memory so far."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        found = re.search(rf"{name}:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1_024

    def stop(self) -> int:
        """End the process like a supervisor, and return its exit code."""
        self.process.terminate()
        return self.process.wait(GUARD_S)


@pytest.fixture(scope="module")
def gateway_process(
    implementation: Implementation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], GatewayProcess]]:
    """Start gateways in separate processes."""
    with ExitStack() as stack:

        def start() -> GatewayProcess:
            gateway = GatewayProcess(tmp_path_factory.mktemp("gateway"), implementation)
            stack.callback(gateway.process.kill)
            return gateway

        yield start
