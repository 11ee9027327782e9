"""The processes under test, which can be killed or frozen: a mosquitto with persistence, and a gateway."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from bench.broker import executable
from bench.ports import LOOPBACK, free_port
from bench.process import memory
from bench.subject import MODELS, PYTHON_PATH

#: Longest wait for an expected event, s; not a promise about its duration.
WAIT_S = 600.0
_POLL_S = 0.05
_CONFIGURATION = """\
listener {port} {host}
allow_anonymous true
persistence true
persistence_location {folder}/
max_queued_messages 0
max_inflight_messages 0
set_tcp_nodelay true
user root
"""


class FaultError(Exception):
    """A guarantee was violated; the message says which one."""


def http_get(http_port: int, route: str, *, timeout_s: float = 10.0) -> tuple[int, bytes]:
    """Return status and body of ``GET route`` on the loopback address; status 0 if there is no answer."""
    link = http.client.HTTPConnection(LOOPBACK, http_port, timeout=timeout_s)
    try:
        link.request("GET", route)
        answer = link.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        link.close()


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = WAIT_S) -> float:
    """Wait until ``condition()`` is true, and return how long that took, s; raise FaultError after the timeout."""
    begin_s = time.monotonic()
    while not condition():
        if time.monotonic() > begin_s + timeout_s:
            msg = f"waited for {what} for {timeout_s:g} s without success"
            raise FaultError(msg)
        time.sleep(_POLL_S)
    return time.monotonic() - begin_s


class PersistentBroker:
    """A mosquitto with persistence, on a port that stays the same. As a context manager it runs in the context."""

    def __init__(self, folder: Path, host: str = "127.0.0.1", prefix: tuple[str, ...] = ()) -> None:
        """Keep its files in ``folder``; ``prefix`` precedes its command, for example to enter a network namespace."""
        self.host, self.port = host, free_port()
        self._folder, self._prefix = folder, prefix
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id."""
        if self._process is None:
            msg = "the broker does not run"
            raise FaultError(msg)
        return self._process.pid

    def start(self) -> None:
        """Start the broker, and wait until it listens."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / "mosquitto.conf"
        text = _CONFIGURATION.format(port=self.port, host=self.host, folder=self._folder)
        if os.geteuid():
            text = text.replace("user root\n", "")
        file.write_text(text, encoding="utf-8")
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*self._prefix, executable(), "-c", str(file)], stdout=log, stderr=log)
        wait_until(self._listens, "the broker to listen")

    def _listens(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """Send SIGTERM and wait: the broker persists its messages."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(WAIT_S)
            self._process = None

    def freeze(self) -> None:
        """Send SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Send SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)


class RestartableGateway:
    """``gapcast run`` in a process, with its state in ``folder``. As a context manager it is ready in the context."""

    def __init__(self, folder: Path, broker_port: int, broker_host: str = "127.0.0.1", **settings: object) -> None:
        """Prepare the gateway; ``settings`` are configuration keys with two underscores, as in ``devices__max=100``."""
        self._folder = folder
        self._log = folder / "gateway.log"
        self.port = free_port()
        chosen = {name: value for name, value in os.environ.items() if not name.startswith("GAPCAST_")}
        keys = {
            "gateway__id": "faults",
            "mqtt__host": broker_host,
            "mqtt__port": broker_port,
            "http__host": "127.0.0.1",
            "http__port": self.port,
            "models__path": MODELS,
            "forecast__model": "lstm-5-3",
            "forecast__blend": "false",  # forecasts are compared with this model's
            "forecast__calibrate": "false",
            "state__path": folder / "state",
        } | settings
        given = {f"GAPCAST_{key.upper()}": str(value) for key, value in keys.items()}
        self._environment = chosen | {"PYTHONPATH": PYTHON_PATH} | given
        self._process: subprocess.Popen[bytes] | None = None
        self.n_starts = 0

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id."""
        if self._process is None or self._process.poll() is not None:
            msg = f"the gateway does not run; its log ends with: {self._log.read_text(encoding='utf-8')[-2_000:]}"
            raise FaultError(msg)
        return self._process.pid

    def start(self) -> None:
        """Start the gateway without waiting."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "gapcast", "run"]
            self._process = subprocess.Popen(
                command, cwd=self._folder, env=self._environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        self.n_starts += 1

    def kill(self) -> None:
        """Send SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def stop(self) -> None:
        """Send SIGTERM, if the gateway runs, and wait until it has ended."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(WAIT_S)

    def is_ready(self) -> bool:
        """Whether ``/readyz`` answers 200."""
        return http_get(self.port, "/readyz", timeout_s=WAIT_S)[0] == http.client.OK

    def wait_ready(self) -> float:
        """Wait until the gateway is ready; return how long that took, s."""
        _ = self.pid
        return wait_until(self.is_ready, "the gateway to be ready")

    def metrics(self) -> dict[str, float]:
        """Return the metrics by name and labels."""
        lines = http_get(self.port, "/metrics", timeout_s=WAIT_S)[1].decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    def latest(self) -> list[dict[str, Any]]:
        """Return the last forecast of each device."""
        found: list[dict[str, Any]] = json.loads(http_get(self.port, "/predict", timeout_s=WAIT_S)[1])["forecasts"]
        return found

    @property
    def rss_mb(self) -> float:
        """Resident memory, MB."""
        return memory(self.pid).rss_mb

    @property
    def n_files(self) -> int:
        """Number of open files and sockets."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    @property
    def n_threads(self) -> int:
        """Number of threads."""
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    def count_logged(self, words: str) -> int:
        """Return how often the log contains ``words``."""
        return self._log.read_text(encoding="utf-8").count(words)
