"""Requests and comparisons of scripts/verify-docker, with the standard library only.

ask URL [JSON]                    prints the body of the response, whatever its status; exit 1 without a response
field NAME                        prints that key of the JSON object on standard input
compare FILE FILE TOLERANCE       forecasts, one per line, or a CSV: the same minutes, values within TOLERANCE
rules                             checks the rules for services; standard input is `docker compose config --format json`
image SERVICE                     that service's image; standard input is the same
readings FROM N                   N readings as a meter sends them, one per minute, from that minute of a day on
options HOST PASSWORD             options of the Home Assistant add-on, for that broker and the account gapcast
"""

from __future__ import annotations

import csv
import json
import math
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

_TIMEOUT_S = 10.0
_VALUES = ("gap_kw", "median_kw", "lower_kw", "upper_kw")


def ask(url: str, body: str | None = None) -> str:
    """Return the response of ``url`` to a GET, or to a POST of ``body``; raise OSError if the request fails."""
    data = None if body is None else body.encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} if data else {})  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - loopback
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return str(error.read().decode())


def _forecasts(file: str) -> dict[str, list[float]]:
    with Path(file).open(encoding="utf-8", newline="") as lines:
        if file.endswith(".csv"):  # of `gapcast backtest --out`
            return {row["observed_at"]: [float(row[name]) for name in _VALUES] for row in csv.DictReader(lines)}
        forecasts = [json.loads(line) for line in lines]
    return {one["observed_at"]: [one[name] for name in _VALUES] + one["path"] for one in forecasts}


def compare(one_file: str, other_file: str, tolerance: str) -> str:
    """Return the largest difference between the forecasts; raise ValueError if it exceeds ``tolerance``."""
    one, other = _forecasts(one_file), _forecasts(other_file)
    if one.keys() != other.keys() or not one:
        msg = f"not the same minutes: {len(one)} in {one_file}, {len(other)} in {other_file}"
        raise ValueError(msg)
    apart, minute = max((abs(a - b), minute) for minute in one for a, b in zip(one[minute], other[minute], strict=True))
    if not all(math.isfinite(value) for values in (*one.values(), *other.values()) for value in values):
        msg = "a value is not finite"
        raise ValueError(msg)
    if apart > float(tolerance):
        msg = f"{apart:.7f} kW apart at {minute}, more than {tolerance}"
        raise ValueError(msg)
    return f"{len(one)} forecasts, at most {apart:.7f} kW apart"


def _broken(name: str, service: dict[str, Any]) -> Iterator[str]:
    if "build" not in service and not service["image"].startswith("gapcast:") and "@sha256:" not in service["image"]:
        yield f"its image {service['image']} is not pinned by digest"
    for port in service.get("ports", []):
        if port.get("host_ip") != "127.0.0.1":
            yield f"port {port['published']} is open to others"
    if not service.get("mem_limit"):
        yield "no memory limit"
    if service.get("restart") != ("no" if name == "setup" else "unless-stopped"):
        yield f"restart is {service.get('restart')}"
    if service.get("logging", {}).get("options", {}).keys() != {"max-size", "max-file"}:
        yield "its logs grow without end"
    if not service.get("read_only"):
        yield "its root can be written"
    if service.get("cap_drop") != ["ALL"] or (service.get("cap_add") and name != "setup"):
        yield "it has capabilities"
    if "no-new-privileges:true" not in service.get("security_opt", []):
        yield "it may gain privileges"
    if "healthcheck" not in service and name not in {"edge", "setup"}:  # the edge's is in its image
        yield "no health check"
    for key, value in (service.get("environment") or {}).items():
        if any(word in key for word in ("PASSWORD", "TOKEN", "SECRET")) and not key.endswith("_FILE"):
            yield f"{key}={value} is a secret in the open"


def rules(configuration: str) -> str:
    """Return how many services follow the rules; raise ValueError if one does not."""
    services = json.loads(configuration)["services"]
    if broken := [f"{name}: {what}" for name, service in services.items() for what in _broken(name, service)]:
        raise ValueError("; ".join(broken))
    return f"{len(services)} services: {', '.join(sorted(services))}"


def readings(first: str, n: str) -> str:
    """Return ``n`` readings from minute ``first`` on, one per line."""
    minutes = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=int(first) + i) for i in range(int(n)))
    return "\n".join(json.dumps({"ts": f"{at:%Y-%m-%dT%H:%M:%SZ}", "gap_kw": 1 + at.minute / 60}) for at in minutes)


def options(host: str, password: str) -> str:
    """Return options of the add-on, as the Supervisor writes them."""
    broker = {"mqtt_host": host, "mqtt_port": 1883, "mqtt_username": "gapcast", "mqtt_password": password}
    return json.dumps({"meters": [{"preset": "gapcast"}], "home_assistant": True, "log_level": "info", **broker})


def main() -> int:
    """Run one command; return 0 on success."""
    command, *arguments = sys.argv[1:]
    try:
        match command:
            case "ask":
                print(ask(*arguments))
            case "field":
                print(json.load(sys.stdin)[arguments[0]])
            case "compare":
                print(compare(*arguments))
            case "rules":
                print(rules(sys.stdin.read()))
            case "image":
                print(json.load(sys.stdin)["services"][arguments[0]]["image"])
            case "readings":
                print(readings(*arguments))
            case "options":
                print(options(*arguments))
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except (OSError, ValueError, KeyError) as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
