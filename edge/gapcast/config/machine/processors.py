"""The number of processors that this process may use."""

from __future__ import annotations

import os
from pathlib import Path

from gapcast.config.machine.control_groups import group_files, read_lines


def n_usable_processors(root: Path = Path("/")) -> int:
    """Return the number of processors that this process may use, at least 1.

    The limits are its CPU affinity, which a cpuset restricts too, and the lowest CPU quota of its control groups
    (version 2) and their parents. A quota of one and a half processors counts as one. The files are read under
    ``root``.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for file in group_files(root, "cpu.max") for line in read_lines(file) if (quota := _quota(line))]
    return max(1, int(min([usable, *quotas])))


def _quota(line: str) -> float | None:
    """Return the number of processors in a line of ``cpu.max``: microseconds, or ``max``, in each period.

    >>> _quota("150000 100000"), _quota("max 100000")
    (1.5, None)
    """
    quota, _, period = line.partition(" ")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None
