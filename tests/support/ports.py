"""Loopback ports."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"
# Below those that Linux and macOS give to outgoing connections (32768 and 49152 on): a client's socket
# cannot take the port before its server does.
SERVER_PORTS = range(15_000, 32_000)


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on."""
    draw = random.SystemRandom()
    while True:
        port = draw.choice(SERVER_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port


def is_open(port: int) -> bool:
    """Whether something accepts connections on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((LOOPBACK, port)) == 0
