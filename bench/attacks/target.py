"""The gateway under attack: ``gapcast run`` with default settings in a process with resource limits.

This module imports nothing of gapcast: the gateway is an installed command, accessed as by an attacker.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.faults.stage import FaultError, http_get, wait_until
from bench.ports import LOOPBACK, free_port
from bench.process import family

#: Limit of the gateway's open files: Linux' usual soft limit.
MAX_FILES = 1_024
#: Limit of the gateway's address space, KiB; it protects the machine if an attack succeeds.
MAX_ADDRESS_SPACE_KIB = 6 << 20
#: Replaces the shell with the command, and makes the command the first victim of the kernel's OOM killer.
_LIMITED = (
    'ulimit -n "$1" && ulimit -v "$2" && shift 2 && { echo 1000 >/proc/self/oom_score_adj || true; } && exec "$@"'
)
_KIB_PER_MB = 1_000_000 / 1_024
_STOP_TIMEOUT_S = 30.0


class Installation(NamedTuple):
    """An installation of gapcast."""

    python: Path

    @property
    def command(self) -> str:
        """The path of the command ``gapcast``."""
        path = self.python.with_name("gapcast")
        if not path.exists():
            msg = f"{path}: no such command: install gapcast into the environment of {self.python}"
            raise FaultError(msg)
        return str(path)

    def environment(self, settings: Mapping[str, object]) -> dict[str, str]:
        """Return the environment of the command; of gapcast's variables, only ``settings`` such as ``mqtt__port``."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("GAPCAST_", "PYTHON"))}
        return own | {f"GAPCAST_{key.upper()}": str(value) for key, value in settings.items()}

    def start(self, arguments: list[str], folder: Path, settings: Mapping[str, object]) -> subprocess.Popen[bytes]:
        """Start ``gapcast ARGUMENTS`` in ``folder`` with limited files and address space; output goes to ``log``."""
        folder.mkdir(parents=True, exist_ok=True)
        limits = [str(MAX_FILES), str(MAX_ADDRESS_SPACE_KIB)]
        command = ["/bin/sh", "-c", _LIMITED, "sh", *limits, self.command, *arguments]
        with (folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=folder,
                env=self.environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )


class AttackTarget:
    """A gateway whose state and ports persist over restarts."""

    def __init__(self, installation: Installation, folder: Path, gateway_id: str, mqtt_port: int) -> None:
        """Keep state and log in ``folder``; connect to the broker at ``mqtt_port`` as ``gateway_id``."""
        self.installation, self.folder, self.gateway_id = installation, folder, gateway_id
        self.mqtt_port, self.http_port = mqtt_port, free_port()
        self.state = folder / "state"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the gateway and wait until ``/readyz`` answers 200; raise FaultError if it does not."""
        settings = {
            "gateway__id": self.gateway_id,
            "mqtt__host": LOOPBACK,
            "mqtt__port": self.mqtt_port,
            "http__host": LOOPBACK,
            "http__port": self.http_port,
            "state__path": self.state,
        }
        self._process = self.installation.start(["run"], self.folder, settings)
        wait_until(lambda: not self.is_alive or self.status_of("/readyz") == http.client.OK, "the gateway to be ready")
        if not self.is_alive:
            msg = f"the gateway ended during the start: {self.log_tail()}"
            raise FaultError(msg)

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id."""
        if self._process is None:
            msg = "the gateway was not started"
            raise FaultError(msg)
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while the gateway runs."""
        return self._process.poll() if self._process else None

    def kill(self) -> None:
        """Send SIGKILL, if the gateway runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL if that takes too long."""
        if self._process is not None and self.is_alive:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def rss_mb(self) -> float:
        """Return the current resident memory, MB; 0 if the gateway has ended."""
        return _status_mb(self.pid, "VmRSS")

    def peak_rss_mb(self) -> float:
        """Return the peak resident memory since :meth:`reset_peak`, MB; 0 if the gateway has ended."""
        return _status_mb(self.pid, "VmHWM")

    def children_rss_mb(self) -> float:
        """Return the current resident memory of the child processes, MB."""
        try:
            return sum(_status_mb(pid, "VmRSS") for pid in family(self.pid)[1:])
        except OSError:  # a child has ended meanwhile
            return 0.0

    def reset_peak(self) -> None:
        """Reset the peak resident memory to the current value."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")

    def get(self, route: str, timeout_s: float = 10.0) -> tuple[int, bytes]:
        """Return status and body of ``GET route``; status 0 if there is no answer."""
        return http_get(self.http_port, route, timeout_s=timeout_s)

    def status_of(self, route: str) -> int:
        """Return the status of ``GET route``; 0 if there is no answer."""
        return self.get(route)[0]

    def json(self, route: str) -> Any:
        """Return the JSON document at ``route``; None if there is no answer with 200."""
        status, body = self.get(route)
        return json.loads(body) if status == http.client.OK else None

    def metrics(self) -> dict[str, float]:
        """Return the metrics by name and labels."""
        lines = self.get("/metrics")[1].decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    def log(self) -> str:
        """Return the log."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def log_tail(self, n_characters: int = 500) -> str:
        """Return the end of the log."""
        return self.log()[-n_characters:].strip()


def _status_mb(pid: int, name: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / _KIB_PER_MB
