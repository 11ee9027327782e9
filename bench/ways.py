"""Ways to the broker: TCP, TLS and WebSocket, each a door of its own beside the one that the load generator takes."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from bench.broker import NoBrokerError
from bench.ports import free_port


@dataclass(frozen=True, slots=True)
class Way:
    """How a gateway's bytes travel."""

    name: str
    transport: Literal["tcp", "websockets"] = "tcp"
    tls: bool = False


TCP = Way("over TCP")
WAYS = (TCP, Way("over TLS", tls=True), Way("over WebSocket", "websockets"), Way("over both", "websockets", tls=True))


class Door(NamedTuple):
    """One of the broker's listeners: ``listener`` is its part of the configuration, ``settings`` the gateway's."""

    port: int
    listener: str
    settings: Mapping[str, str]


@contextmanager
def opened(way: Way) -> Iterator[Door]:
    """Prepare a door, with a certificate made for it where it needs one, which goes with it."""
    port = free_port()
    listener = f"listener {port} 127.0.0.1\n"
    settings: dict[str, str] = {"GAPCAST_MQTT__TRANSPORT": way.transport}
    if way.transport == "websockets":
        listener += "protocol websockets\n"
    with tempfile.TemporaryDirectory(prefix="gapcast-bench-") as folder:
        if way.tls:
            certificate, key = _certified(Path(folder))
            listener += f"certfile {certificate}\nkeyfile {key}\n"
            settings |= {"GAPCAST_MQTT__TLS__ENABLED": "true", "GAPCAST_MQTT__TLS__CA_PATH": str(certificate)}
        yield Door(port, listener, settings)


def _certified(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for the loopback address that vouches for itself, and its key."""
    if shutil.which("openssl") is None:
        msg = "the command openssl is not installed, which makes the broker's certificate"
        raise NoBrokerError(msg)
    certificate, key = folder / "broker.pem", folder / "broker.key"
    of_what = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    for_whom = ["-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", *of_what, *for_whom, *files], check=True, capture_output=True)
    folder.chmod(0o755)  # started by root, mosquitto drops to its own user
    key.chmod(0o644)
    return certificate, key
