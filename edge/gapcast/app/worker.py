"""A worker with several shards: one child process per shard, and this supervising process.

A shard is served by one thread, which uses one core; one process per shard uses all cores. When one child ends, the
worker stops the others and ends too, so that its supervisor restarts it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError

log = structlog.get_logger(__name__)

#: The signals that the worker forwards. A shard begins with them blocked, until it has handlers for them.
_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_PR_SET_PDEATHSIG = 1
_POLL_S = 0.1
_NOTIFY_SOCKET = "NOTIFY_SOCKET"
_ROOT = Path(__file__).resolve().parents[2]  # the folder of the package gapcast


def run_shards(each: Sequence[Settings], arguments: Sequence[str]) -> int:
    """Run ``gapcast run`` with ``arguments`` for each shard in ``each``; return the first non-zero exit code, or 0.

    Signals are forwarded. When one process ends by itself, the others are stopped. Raises :class:`SettingsError` under
    a systemd that expects notifications, which this process does not send.
    """
    if _NOTIFY_SOCKET in os.environ:
        msg = "shards: systemd supervises one process per unit: write a unit for each shard, with one number in shards"
        raise SettingsError(msg)
    stopping: list[int] = []
    shards: dict[int, subprocess.Popen[bytes]] = {}
    had_terminal = sys.stderr.isatty()

    def forward(number: int, _frame: object) -> None:
        if number == signal.SIGHUP and had_terminal and not sys.stderr.isatty():  # the terminal was closed
            number = signal.SIGTERM
        if number != signal.SIGHUP:
            stopping.append(number)
        for one in list(shards.values()):
            one.send_signal(number)

    for number in _SIGNALS:
        signal.signal(number, forward)
    # This installation of gapcast, regardless of the working directory.
    path = os.pathsep.join((str(_ROOT), *filter(None, (os.environ.get("PYTHONPATH"),))))
    for settings in each:
        if stopping:
            break
        shard, port = (settings.shards or (0,))[0], settings.http.port
        own = ["--set", f"shards={shard}", "--set", f"http.port={port}", "--of-worker", str(os.getpid())]
        command = [sys.executable, "-P", "-m", "gapcast", "run", *arguments, *own]
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # inherited: there a signal waits for its handler
        shards[shard] = subprocess.Popen(  # noqa: S603 - this program with its own arguments
            command, stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": path}
        )
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)  # a signal that arrived meanwhile is forwarded now
    return _wait_for_all(shards, stopping)


def _wait_for_all(shards: dict[int, subprocess.Popen[bytes]], stopping: list[int]) -> int:
    code = 0
    while shards:
        time.sleep(_POLL_S)  # not os.wait, which would not forward a signal that arrives just before it
        for shard, process in list(shards.items()):
            ended = process.poll()
            if ended is None:
                continue
            del shards[shard]
            if not (stopping and ended == -stopping[0]):  # expected if it was ended before it handled signals
                code = code or (ended if ended >= 0 else 1)
            if not stopping:
                stopping.append(signal.SIGTERM)
                fix = "see the log lines of that shard for the reason; the worker's other shards are stopped as well"
                log.error("worker.shard_ended", shard=shard, exit_code=ended, fix=fix)
                for one in shards.values():
                    one.send_signal(signal.SIGTERM)
    return code


def end_with(parent: int) -> None:
    """Stop this process, as by SIGTERM, when its parent process ``parent`` ends in any way."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)
