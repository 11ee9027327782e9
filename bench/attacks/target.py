"""The gateway under attack: ``gapcast run`` with default settings in a process with limits of its own.

Nothing of gapcast is imported: the gateway is an installed command, reached as an attacker reaches it.
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

from bench.faults.stage import FaultError, wait_until
from bench.ports import LOOPBACK, free_port
from bench.process import family

#: Files that the gateway may have open: Linux' usual soft limit.
MAX_FILES = 1_024
#: The address space that a gateway which fails may take before the attack counts as won, KiB. It saves the machine.
MAX_ADDRESS_SPACE_KIB = 6 << 20
#: Runs the command in place of the shell; of all processes of the machine the kernel ends this one first.
_LIMITED = (
    'ulimit -n "$1" && ulimit -v "$2" && shift 2 && { echo 1000 >/proc/self/oom_score_adj || true; } && exec "$@"'
)
_KIB_PER_MB = 1_000_000 / 1_024
_STOP_TIMEOUT_S = 30.0


class Installation(NamedTuple):
    """Where gapcast is installed."""

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
        """Return the environment of the command, with ``settings`` such as ``mqtt__port`` and no others of gapcast."""
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


class Target:
    """A gateway whose state and ports outlive its process."""

    def __init__(self, installation: Installation, folder: Path, gateway_id: str, mqtt_port: int) -> None:
        """Keep state and log in ``folder``; connect to the broker at ``mqtt_port`` as ``gateway_id``."""
        self.installation, self.folder, self.gateway_id = installation, folder, gateway_id
        self.mqtt_port, self.http_port = mqtt_port, free_port()
        self.state = folder / "state"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until ``/readyz`` answers 200; raise FaultError if it does not."""
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
            msg = f"the gateway ended at its start: {self.last_words()}"
            raise FaultError(msg)

    @property
    def is_alive(self) -> bool:
        """Whether the process that was started last still runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process."""
        if self._process is None:
            msg = "the gateway was not started"
            raise FaultError(msg)
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll() if self._process else None

    def kill(self) -> None:
        """End it by SIGKILL, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End it by SIGTERM, by SIGKILL if that takes too long."""
        if self._process is not None and self.is_alive:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def rss_mb(self) -> float:
        """Return its resident memory now, MB; 0 if it has ended."""
        return _status_mb(self.pid, "VmRSS")

    def peak_rss_mb(self) -> float:
        """Return its largest resident memory since :meth:`reset_peak`, MB; 0 if it has ended."""
        return _status_mb(self.pid, "VmHWM")

    def children_rss_mb(self) -> float:
        """Return the resident memory of its child processes now, MB."""
        try:
            return sum(_status_mb(pid, "VmRSS") for pid in family(self.pid)[1:])
        except OSError:  # a child that ends meanwhile
            return 0.0

    def reset_peak(self) -> None:
        """Let the largest resident memory begin at the present one."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")

    def ask(self, route: str, timeout_s: float = 10.0) -> tuple[int, bytes]:
        """Return status and body of ``GET route``; status 0 if there is no answer."""
        return ask(self.http_port, route, timeout_s)

    def status_of(self, route: str) -> int:
        """Return the status of ``GET route``; 0 if there is no answer."""
        return self.ask(route)[0]

    def json(self, route: str) -> Any:
        """Return the JSON document at ``route``; None if there is no answer with 200."""
        status, body = self.ask(route)
        return json.loads(body) if status == http.client.OK else None

    def metrics(self) -> dict[str, float]:
        """Return its metrics by name and labels."""
        lines = self.ask("/metrics")[1].decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    def log(self) -> str:
        """Return all it has logged."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def last_words(self, n_characters: int = 500) -> str:
        """Return the end of its log."""
        return self.log()[-n_characters:].strip()


def ask(http_port: int, route: str, timeout_s: float = 10.0) -> tuple[int, bytes]:
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


def _status_mb(pid: int, name: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / _KIB_PER_MB
