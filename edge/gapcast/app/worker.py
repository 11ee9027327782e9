"""A worker with several shards: a process for each, and this one beside them, which ends with the first that ends.

A shard is served by one thread, whose Python runs on one core: a process for each shard uses them all, and what
befalls one befalls the others only in that the worker ends, after which whoever supervises it starts it again.
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

_PR_SET_PDEATHSIG = 1
_LOOK_S = 0.1
_NOTIFY_SOCKET = "NOTIFY_SOCKET"
_ROOT = Path(__file__).resolve().parents[2]  # where the package gapcast is


def serve_each(each: Sequence[Settings], arguments: Sequence[str]) -> int:
    """Run ``gapcast run`` with these ``arguments`` for each shard of ``each``; return the first exit code but 0, or 0.

    Signals are handed on. Where one process ends by itself, the others are told to end as well. Raises
    :class:`SettingsError` under a systemd that waits for word of this process, which has none to give.
    """
    if _NOTIFY_SOCKET in os.environ:
        msg = "shards: systemd watches over one process: a unit for each shard, with that one alone in its shards"
        raise SettingsError(msg)
    stopping: list[int] = []
    shards: dict[int, subprocess.Popen[bytes]] = {}

    def hand_on(number: int, _frame: object) -> None:
        if number != signal.SIGHUP:
            stopping.append(number)
        for one in list(shards.values()):
            one.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, hand_on)
    # This very gapcast, whatever lies in the folder that it was started in.
    path = os.pathsep.join((str(_ROOT), *filter(None, (os.environ.get("PYTHONPATH"),))))
    for settings in each:
        if stopping:
            break
        shard, port = (settings.shards or (0,))[0], settings.http.port
        own = ["--set", f"shards={shard}", "--set", f"http.port={port}", "--of-worker", str(os.getpid())]
        command = [sys.executable, "-P", "-m", "gapcast", "run", *arguments, *own]
        shards[shard] = subprocess.Popen(  # noqa: S603 - ourselves, as we were called
            command, stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": path}
        )
    return _wait_for_all(shards, stopping)


def _wait_for_all(shards: dict[int, subprocess.Popen[bytes]], stopping: list[int]) -> int:
    code = 0
    while shards:
        time.sleep(_LOOK_S)  # and not os.wait: a signal that comes just before it would not be handed on
        for shard, process in list(shards.items()):
            ended = process.poll()
            if ended is None:
                continue
            del shards[shard]
            code = code or (ended if ended >= 0 else 1)
            if not stopping:
                stopping.append(signal.SIGTERM)
                cure = "see the log lines of that shard for the reason; the worker's other shards are stopped as well"
                log.error("worker.shard_ended", shard=shard, exit_code=ended, cure=cure)
                for one in shards.values():
                    one.send_signal(signal.SIGTERM)
    return code


def end_with(parent: int) -> None:
    """Have this process finish and end, as by SIGTERM, when ``parent`` is gone, however that ends."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)
