"""Node-RED as a subject: a flow that answers each reading with the mean of its device's last 30.

``GAPCAST_NODE_RED`` is its command, which ``bench/run`` installs from npm.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

#: A path that answers 200 once the flow runs.
READY_PATH = "/settings"
_SETTINGS = """\
module.exports = {{
    uiHost: "127.0.0.1", uiPort: {port}, flowFile: "flows.json", credentialSecret: false, mqttReconnectTime: 500,
    telemetry: {{enabled: false}}, diagnostics: {{enabled: false}},
    logging: {{console: {{level: "warn", metrics: false, audit: false}}}},
}};
"""
_INITIALIZE = 'context.set("devices", new Map());'
#: A ring of 30 readings per device and their sum: the cheapest rolling mean.
_MEAN = """\
const devices = context.get("devices");
const device = msg.topic.slice(4, -8);
let seen = devices.get(device);
if (seen === undefined) {
    seen = {kw: [], next: 0, sum: 0};
    devices.set(device, seen);
}
const kw = msg.payload.gap_kw;
if (seen.kw.length < 30) {
    seen.kw.push(kw);
} else {
    seen.sum -= seen.kw[seen.next];
    seen.kw[seen.next] = kw;
    seen.next = (seen.next + 1) % 30;
}
seen.sum += kw;
return {
    topic: "gap/" + device + "/forecast",
    payload: {device: device, observed_at: msg.payload.ts, gap_kw: seen.sum / seen.kw.length},
};
"""


def command() -> str | None:
    """Return the command of Node-RED, or None if it is not installed."""
    return os.environ.get("GAPCAST_NODE_RED") or None


def flow(broker_port: int, qos: int) -> list[dict[str, object]]:
    """Return the nodes of the flow.

    >>> [node["type"] for node in flow(1883, 1)]
    ['tab', 'mqtt-broker', 'mqtt in', 'function', 'mqtt out']
    """
    broker = {"broker": "127.0.0.1", "port": str(broker_port), "protocolVersion": "4", "keepalive": "60"}
    received = {"topic": "gap/+/reading", "qos": str(qos), "datatype": "json", "broker": "broker", "inputs": 0}
    sent = {"topic": "", "qos": str(qos), "retain": "false", "broker": "broker", "wires": []}
    mean = {"func": _MEAN, "outputs": 1, "initialize": _INITIALIZE, "finalize": "", "libs": []}
    return [
        {"id": "tab", "type": "tab", "label": "mean"},
        {"id": "broker", "type": "mqtt-broker", "autoConnect": True, "cleansession": True, **broker},
        {"id": "in", "type": "mqtt in", "z": "tab", "wires": [["mean"]], **received},
        {"id": "mean", "type": "function", "z": "tab", "wires": [["out"]], **mean},
        {"id": "out", "type": "mqtt out", "z": "tab", **sent},
    ]


def arguments(folder: Path, broker_port: int, qos: int, http_port: int) -> list[str]:
    """Write the flow and its settings to ``folder``; return the arguments of the command."""
    (folder / "settings.js").write_text(_SETTINGS.format(port=http_port), encoding="utf-8")
    (folder / "flows.json").write_text(json.dumps(flow(broker_port, qos)), encoding="utf-8")
    return ["--userDir", str(folder)]
