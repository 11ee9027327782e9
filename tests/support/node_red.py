"""A real Node-RED in a process of its own, and the flows that the documentation gives to import."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx

from tests.support.optional_tools import ROOT
from tests.support.ports import LOOPBACK, free_port
from tests.support.waiting import GUARD_S, wait_until

_DOCS = ROOT / "docs"
_SETTINGS = """\
module.exports = {
    uiHost: %s, uiPort: %d, flowFile: "flows.json", credentialSecret: false, mqttReconnectTime: 500,
    telemetry: {enabled: false}, diagnostics: {enabled: false},
};
"""

Node = dict[str, Any]


def documented_flow(page: str = "mqtt.md") -> list[Node]:
    """Return the nodes that a reader of ``page`` imports."""
    blocks = re.findall(r"```json\n(.*?)```", (_DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    flows: list[list[Node]] = [json.loads(block) for block in blocks if "mqtt-broker" in block]
    assert len(flows) == 1
    return flows[0]


class NodeRed:
    """Node-RED on a free loopback port, with its files in ``folder``."""

    def __init__(self, command: str, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.port = free_port()
        settings = _SETTINGS % (json.dumps(LOOPBACK), self.port)
        (folder / "settings.js").write_text(settings, encoding="utf-8")
        self._command, self._folder = command, folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "out.log").open("ab") as out:
            self._process = subprocess.Popen(
                [self._command, "--userDir", str(self._folder)], stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        wait_until(self._runs, lambda: f"Node-RED to start: {self.log()[-2_000:]}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(GUARD_S)
            self._process = None

    def deploy(self, nodes: list[Node]) -> None:
        """Do what the editor's *Import* and *Deploy* do: put all but configuration nodes on a tab."""
        tab = {"id": "tab", "type": "tab", "label": "gapcast"}
        placed = [node | {"z": "tab"} if "x" in node else node for node in nodes]
        answer = httpx.post(self._url("/flows"), json=[tab, *placed], timeout=GUARD_S)
        assert answer.status_code == 204, answer.text

    def log(self) -> str:
        """Return all that it has written so far."""
        return (self._folder / "out.log").read_text(encoding="utf-8")

    def shown(self, name: str) -> list[str]:
        """Return what the debug node ``name`` has shown so far, as Node prints an object."""
        return re.findall(rf"\[info\] \[debug:{name}\]\s+(\{{.*?^\}})", self.log(), re.DOTALL | re.MULTILINE)

    def _runs(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            msg = f"it ended: {self.log()[-2_000:]}"
            raise RuntimeError(msg)
        try:
            return httpx.get(self._url("/flows"), timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def _url(self, path: str) -> str:
        return f"http://{LOOPBACK}:{self.port}{path}"
