"""CPU time and memory of a process and its descendants, from Linux' /proc."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

END_TIMEOUT_S = 60.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
_KIB_PER_MB = 1_000_000 / 1_024
#: What reading /proc raises if the process has ended.
_ENDED = (FileNotFoundError, ProcessLookupError)


class Memory(NamedTuple):
    """Memory in MB (10^6 bytes). ``pss_mb`` divides shared pages among the processes that map them."""

    rss_mb: float
    pss_mb: float


@contextmanager
def terminated(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Yield ``process``, and terminate it afterwards."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    pids = [pid]
    for parent in pids:
        for task in _PROC.glob(f"{parent}/task/*/children"):
            with suppress(*_ENDED):
                pids += map(int, task.read_text(encoding="ascii").split())
    return pids


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process and its descendants have used so far, in seconds.

    Java starts short processes all the time: descendants that end meanwhile are left out.
    """
    used_s = own_cpu_s(pid)
    for descendant in family(pid)[1:]:
        with suppress(*_ENDED):
            used_s += own_cpu_s(descendant)
    return used_s


def own_cpu_s(pid: int) -> float:
    """Return the CPU time that a process, without its descendants, has used so far, in seconds."""
    # The name, field 2, may contain spaces and parentheses: count from its end. utime and stime are 14 and 15.
    stat = Path(_PROC, str(pid), "stat").read_text(encoding="utf-8").rpartition(")")[2]
    return sum(map(int, stat.split()[11:13])) / _TICKS_PER_S


def memory(pid: int) -> Memory:
    """Return the current memory of a process and its descendants."""
    rss_kib = pss_kib = 0
    for one in family(pid):
        for line in Path(_PROC, str(one), "smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
            name, value = line.split()[:2]
            rss_kib += int(value) if name == "Rss:" else 0
            pss_kib += int(value) if name == "Pss:" else 0
    return Memory(rss_kib / _KIB_PER_MB, pss_kib / _KIB_PER_MB)


def peak_mb(pid: int) -> float:
    """Return the sum of the peak resident memory of a process and of each of its present descendants, in MB."""
    peaks_kib = (
        int(line.split()[1])
        for one in family(pid)
        for line in Path(_PROC, str(one), "status").read_text(encoding="ascii", errors="replace").splitlines()
        if line.startswith("VmHWM:")
    )
    return sum(peaks_kib) / _KIB_PER_MB
