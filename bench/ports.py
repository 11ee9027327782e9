"""Free loopback ports for servers, which neither parallel runs nor client sockets can take first."""

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
# Below the ephemeral ports of Linux and macOS (from 32768 and 49152): a client's socket
# cannot take the port before its server does.
_BLOCKS = [range(first, first + 250) for first in range(15_000, 32_000, 250)]


@functools.cache
def _candidates() -> Iterator[int]:
    """Cycle through a block of ports that is reserved for this process while it lives."""
    folder = Path(tempfile.gettempdir()) / f"gapcast-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for block in _BLOCKS:
        lock = os.open(
            folder / str(block.start), os.O_CREAT | os.O_WRONLY
        )  # never closed: the end of the process releases it
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return itertools.cycle(block)
    msg = f"{len(_BLOCKS)} runs are in progress, each with its own block of ports: end one of them"
    raise RuntimeError(msg)


def free_port() -> int:
    """Return a free port of the loopback address."""
    return free_ports(1)


def free_ports(n: int) -> int:
    """Return the first of ``n`` consecutive free ports."""
    run: list[int] = []
    for port in _candidates():
        if run and port != run[-1] + 1:
            run = []
        run = [*run, port] if _is_free(port) else []
        if len(run) == n:
            return run[0]
    raise AssertionError  # the cycle never ends


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
