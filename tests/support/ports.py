"""Loopback ports for a test, and whether a program listens on one."""

from __future__ import annotations

import socket

from bench.ports import LOOPBACK, free_port

__all__ = ["LOOPBACK", "free_port", "is_open"]


def is_open(port: int) -> bool:
    """Whether something accepts connections on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((LOOPBACK, port)) == 0
