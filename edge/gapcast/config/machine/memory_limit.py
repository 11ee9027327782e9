"""The memory limit of this process, and the number of devices that fit into it."""

from __future__ import annotations

import resource
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from gapcast.config.machine.control_groups import group_files, read_lines

#: Memory of a gateway without devices, and the share of the rest for devices: batches, requests, the trial of a model
#: and fragmentation also need memory.
IDLE_BYTES, DEVICES_SHARE = 110 << 20, 0.6
#: Share of the devices' memory for the learning state of tracked devices, if it does not suffice for all.
TRACKED_SHARE = 0.5
#: Share for outlooks; the first device always has an outlook.
OUTLOOK_SHARE = 0.1
#: Precision of the estimates: a smaller shortfall is ignored.
PRECISION = 0.01
#: Minimum number of devices, however little memory there is.
LEAST_DEVICES = 10
#: A control group without a limit reports a value near 2**63.
_UNLIMITED_BYTES = 1 << 60


class MemoryLimit(NamedTuple):
    """The lowest limit on this process's memory, and its source: a file, ``RLIMIT_AS`` or the machine."""

    n_bytes: int
    source: str

    def __str__(self) -> str:
        """Return a readable form.

        >>> str(MemoryLimit(256 << 20, "RLIMIT_AS"))
        '256 MB of memory (limited by RLIMIT_AS)'
        """
        return f"{self.n_bytes >> 20} MB of memory (limited by {self.source})"


@dataclass(frozen=True, slots=True)
class DeviceCost:
    """Memory of devices: of each, plus the extra of the first ``n_tracked``, ``n_history``, ``n_outlook`` devices."""

    each_bytes: int
    tracked_bytes: int = 0
    n_tracked: int = 0
    history_bytes: int = 0
    n_history: int = 0
    outlook_bytes: int = 0
    n_outlook: int = 0

    def total_bytes(self, n_devices: int) -> int:
        """Return the memory of ``n_devices``.

        >>> DeviceCost(1_000, 20_000, n_tracked=5).total_bytes(10)
        110000
        """
        tracked, with_history = min(n_devices, self.n_tracked), min(n_devices, self.n_history)
        with_outlook_bytes = min(n_devices, self.n_outlook) * self.outlook_bytes
        with_history_bytes = with_history * self.history_bytes
        return n_devices * self.each_bytes + tracked * self.tracked_bytes + with_history_bytes + with_outlook_bytes


class FittingDevices(NamedTuple):
    """How many devices fit into memory, how many of them are tracked, and how many have an outlook."""

    n_devices: int
    n_tracked: int
    n_outlook: int = 0


def fitting_devices(cost: DeviceCost, limit_bytes: int, wanted: int) -> FittingDevices:
    """Return how many devices, at most ``wanted``, fit into a process of ``limit_bytes``.

    If not all fit, fewer are tracked or have an outlook: such devices are still forecast, while excess ones are
    rejected.

    >>> fitting_devices(DeviceCost(1_000, 20_000, n_tracked=500), IDLE_BYTES + 10_000_000, 100_000)
    FittingDevices(n_devices=3000, n_tracked=150, n_outlook=0)
    """
    if devices_that_fit(cost, limit_bytes, wanted) >= wanted * (1 - PRECISION):
        return FittingDevices(wanted, cost.n_tracked, cost.n_outlook)
    budget = max(0.0, (limit_bytes - IDLE_BYTES) * DEVICES_SHARE)
    n_tracked = min(cost.n_tracked, int(budget * TRACKED_SHARE / max(cost.tracked_bytes, 1)))
    n_outlook = min(cost.n_outlook, max(1, int(budget * OUTLOOK_SHARE / max(cost.outlook_bytes, 1))))
    lowered = replace(cost, n_tracked=n_tracked, n_outlook=n_outlook)
    return FittingDevices(devices_that_fit(lowered, limit_bytes, wanted), n_tracked, n_outlook)


def devices_that_fit(cost: DeviceCost, limit_bytes: int, wanted: int) -> int:
    """Return how many devices, at most ``wanted``, fit into a process of ``limit_bytes``.

    >>> devices_that_fit(DeviceCost(1_000), IDLE_BYTES + 10_000_000, 100_000)
    6000
    """
    budget = max(0.0, (limit_bytes - IDLE_BYTES) * DEVICES_SHARE)
    fitting, too_many = 0, wanted + 1
    while too_many - fitting > 1:
        middle = (fitting + too_many) // 2
        if cost.total_bytes(middle) <= budget:
            fitting = middle
        else:
            too_many = middle
    return max(fitting, min(wanted, LEAST_DEVICES))


def read_memory_limit(root: Path = Path("/")) -> MemoryLimit | None:
    """Return the lowest limit on this process's memory; None if the system reports none.

    It considers control groups (version 2 and 1, this process's and all parents), ``RLIMIT_AS`` and the machine's
    memory. The files are read under ``root``.
    """
    limits = [*_group_limits(root), *_own_limits(), *_machine_memory(root)]
    return min(limits, default=None)


def _group_limits(root: Path) -> list[MemoryLimit]:
    return [
        MemoryLimit(int(text), f"/{file.relative_to(root)}")
        for file in group_files(root, "memory.max", ("memory", "memory.limit_in_bytes"))
        for text in read_lines(file)
        if text.isdecimal() and int(text) < _UNLIMITED_BYTES
    ]


def _own_limits() -> list[MemoryLimit]:
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return [] if soft == resource.RLIM_INFINITY else [MemoryLimit(soft, "RLIMIT_AS")]


def _machine_memory(root: Path) -> list[MemoryLimit]:
    fields = (line.split() for line in read_lines(root / "proc/meminfo"))
    return [MemoryLimit(int(words[1]) << 10, "the machine") for words in fields if words[:1] == ["MemTotal:"]]
