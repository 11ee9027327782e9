"""Transports to the broker: TCP, TLS and WebSocket, each with its own listener beside the load generator's."""

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
class BrokerTransport:
    """The transport between a gateway and the broker."""

    name: str
    transport: Literal["tcp", "websockets"] = "tcp"
    tls: bool = False


TCP = BrokerTransport("over TCP")
TRANSPORTS = (
    TCP,
    BrokerTransport("over TLS", tls=True),
    BrokerTransport("over WebSocket", "websockets"),
    BrokerTransport("over both", "websockets", tls=True),
)


class ListenerConfig(NamedTuple):
    """One of the broker's listeners, with its part of the broker's configuration and the gateway's ``settings``."""

    port: int
    configuration: str
    settings: Mapping[str, str]


@contextmanager
def listener_for(transport: BrokerTransport) -> Iterator[ListenerConfig]:
    """Prepare a listener, with a temporary certificate if it uses TLS."""
    port = free_port()
    configuration = f"listener {port} 127.0.0.1\n"
    settings: dict[str, str] = {"GAPCAST_MQTT__TRANSPORT": transport.transport}
    if transport.transport == "websockets":
        configuration += "protocol websockets\n"
    with tempfile.TemporaryDirectory(prefix="gapcast-bench-") as folder:
        if transport.tls:
            certificate, key = _create_certificate(Path(folder))
            configuration += f"certfile {certificate}\nkeyfile {key}\n"
            settings |= {"GAPCAST_MQTT__TLS__ENABLED": "true", "GAPCAST_MQTT__TLS__CA_PATH": str(certificate)}
        yield ListenerConfig(port, configuration, settings)


def _create_certificate(folder: Path) -> tuple[Path, Path]:
    """Create a self-signed certificate for the loopback address, and its key."""
    if shutil.which("openssl") is None:
        msg = "the command openssl, which creates the broker's certificate, is not installed"
        raise NoBrokerError(msg)
    certificate, key = folder / "broker.pem", folder / "broker.key"
    key_options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subject = ["-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", *key_options, *subject, *files], check=True, capture_output=True)
    folder.chmod(0o755)  # started by root, mosquitto drops to its own user
    key.chmod(0o644)
    return certificate, key
