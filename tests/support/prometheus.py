"""Prometheus from Debian's package ``prometheus``: the server, and its ``promtool``."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx

from tests.support.optional_tools import prometheus_command
from tests.support.ports import LOOPBACK, free_port
from tests.support.waiting import GUARD_S, wait_until

_SETTINGS = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}}


def promtool(*arguments: object, given: str | None = None) -> str:
    """Run ``promtool`` with ``given`` on its standard input; return its output, and fail if it reports an error."""
    done = subprocess.run(["promtool", *map(str, arguments)], input=given, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


class Prometheus:
    """A server that scrapes one target each second, with its files in ``folder``."""

    def __init__(self, folder: Path, target: str, rules: Path | None = None) -> None:
        folder.mkdir(parents=True)
        self.port = free_port()
        settings: dict[str, Any] = _SETTINGS | {
            "scrape_configs": [{"job_name": "gapcast", "static_configs": [{"targets": [target]}]}],
            "rule_files": [str(rules)] if rules else [],
        }
        (folder / "prometheus.yml").write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = prometheus_command()
        assert command is not None, "a test that takes this fixture is marked prometheus"
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    command, f"--config.file={self._folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._folder / 'data'}", f"--web.listen-address={LOOPBACK}:{self.port}",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        wait_until(self._ready_or_died, lambda: f"Prometheus on port {self.port}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(GUARD_S)
            self._process = None

    def ask(self, route: str, **parameters: str) -> Any:
        """Return the data of an answer of its HTTP API."""
        answer = httpx.get(f"http://{LOOPBACK}:{self.port}/api/v1/{route}", params=parameters, timeout=GUARD_S).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that an expression gives now."""
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def wait_query(self, expression: str) -> list[dict[str, Any]]:
        """Return its series once it has any: after a scrape that took too long, it has none until the next scrape."""
        found: list[dict[str, Any]] = []

        def has_series() -> bool:
            found[:] = self.query(expression)
            return bool(found)

        wait_until(has_series, f"series of {expression}")
        return found

    def value(self, expression: str) -> float | None:
        """Return the only value that an expression gives now; None if it gives none yet."""
        found = self.query(expression)
        assert len(found) < 2, found
        return float(found[0]["value"][1]) if found else None

    def wait_for(self, expression: str, value: float) -> None:
        wait_until(
            lambda: self.value(expression) == value, lambda: f"{expression} == {value}: {self.query(expression)}"
        )

    def _ready_or_died(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            msg = f"Prometheus ended at once: {(self._folder / 'log').read_text(encoding='utf-8')}"
            raise RuntimeError(msg)
        try:
            return httpx.get(f"http://{LOOPBACK}:{self.port}/-/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False
