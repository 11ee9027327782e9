"""Loopback ports for servers to come, such that runs side by side do not take each other's, nor clients a server's."""

from __future__ import annotations

import fcntl
import functools
import itertools
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

LOOPBACK = "127.0.0.1"
# Below those that Linux and macOS give to outgoing connections (32768 and 49152 on): a client's socket
# cannot take the port before its server does.
_BLOCKS = [range(first, first + 1_000) for first in range(15_000, 32_000, 1_000)]


@functools.cache
def _candidates() -> Iterator[int]:
    """Return the ports of a block that is this process's alone while it lives, over and over."""
    folder = Path(tempfile.gettempdir()) / f"gapcast-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for block in _BLOCKS:
        lock = os.open(folder / str(block.start), os.O_CREAT | os.O_WRONLY)  # for good: the process's end frees it
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return itertools.cycle(block)
    msg = f"{len(_BLOCKS)} runs are under way, each with a block of ports of its own: end one of them"
    raise RuntimeError(msg)


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on."""
    return free_ports(1)


def free_ports(n: int) -> int:
    """Return the first of ``n`` such ports, one after the other."""
    run: list[int] = []
    for port in _candidates():
        if run and port != run[-1] + 1:
            run = []
        run = [*run, port] if _is_free(port) else []
        if len(run) == n:
            return run[0]
    raise AssertionError  # there is no end to them


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
