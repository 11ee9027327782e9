"""Instructions per reading of the default gateway, counted by ``bench/instructions``.

Unlike a time, the number does not depend on the machine's speed or load, so that releases can be compared. The whole
path of a reading in one process (:mod:`bench.in_process`) is counted, including all libraries, excluding the kernel.
The counter runs around this process: callgrind, which a library of two functions switches on and off, or QEMU's user
emulation with a plugin, which is switched by system calls that do not exist.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from bench.in_process import InProcessGateway


class Case(NamedTuple):
    """A case to count: ``n_readings`` of ``n_devices``, in whole rounds of them, in batches of ``n_per_batch``."""

    name: str
    n_devices: int
    n_per_batch: int
    n_readings: int


#: The first 100 devices also have an outlook: all devices of a house, a tenth of the others.
CASES = (
    Case("a house of 4 devices, one reading at a time", 4, 1, 100),
    Case("1,024 devices, batches of 1", 1_024, 1, 1_024),
    Case("1,024 devices, batches of 256", 1_024, 256, 2_048),
)
#: As in bench/instruction_plugin.c.
_COUNT_START, _COUNT_STOP = 100_000, 100_001
_SUFFIX = re.compile(r"\.(cpython-\w+|so)\b.*$")


class Marks(NamedTuple):
    """Functions that start and stop the counter."""

    start: Callable[[], object]
    stop: Callable[[], object]


def callgrind_marks(library: Path) -> Marks:
    """Return the functions of ``library``, built from ``bench/instruction_marks.c``."""
    loaded = ctypes.CDLL(str(library))
    return Marks(loaded.count_start, loaded.count_stop)


def syscall_marks() -> Marks:
    """Return the system calls that ``bench/instruction_plugin.c`` waits for."""
    call = ctypes.CDLL(None).syscall
    return Marks(lambda: call(_COUNT_START), lambda: call(_COUNT_STOP))


def prepared() -> Iterator[tuple[Case, InProcessGateway]]:
    """Yield each case with a gateway that has processed a round of its batches."""
    gateways: dict[int, InProcessGateway] = {}
    for case in CASES:
        gateway = gateways.get(case.n_devices)
        if gateway is None:
            gateway = gateways[case.n_devices] = InProcessGateway(case.n_devices)
            gateway.warm_up()
        gateway.process(gateway.batches(case.n_devices, case.n_per_batch))
        yield case, gateway


def run(marks: Marks) -> None:
    """Process the readings of each case between the marks."""
    for case, gateway in prepared():
        batches = gateway.batches(case.n_readings, case.n_per_batch)
        marks.start()
        gateway.process(batches)
        marks.stop()


def print_times() -> None:
    """Print the CPU time of each case without a counter: the best of five."""
    for case, gateway in prepared():
        least_s = math.inf
        for _ in range(5):
            batches = gateway.batches(case.n_readings, case.n_per_batch)
            began_s = time.process_time()
            gateway.process(batches)
            least_s = min(least_s, time.process_time() - began_s)
        print(f"{case.name}: {1e6 * least_s / case.n_readings:.1f} µs of CPU time per reading", flush=True)


def objects_of(callgrind: str) -> dict[str, int]:
    r"""Return the instructions of each library in a ``callgrind`` file, excluding the functions that they called.

    >>> objects_of("ob=(1) /lib/libpython3.so\nfn=(1) f\n3 10\ncob=(2) numpy.so\ncalls=2 7\n3 500\nob=(2)\n"
    ...     "fn=(2) g\n+1 7\nob=(1)\nfn=(1)\n* 5\n")
    {'libpython3': 15, 'numpy': 7}
    """
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    now, is_call = "", False
    for line in callgrind.splitlines():
        if line.startswith(("ob=", "cob=")):
            number, _, path = line.partition("=")[2].partition(" ")
            name = names.setdefault(number, _SUFFIX.sub("", Path(path).name))
            now = name if line.startswith("ob=") else now
        elif line.startswith(("calls=", "jump", "jcnd")):
            is_call = line.startswith("calls=")
        elif line and (line[0].isdigit() or line[0] in "+-*"):
            if not is_call:
                counts[now] = counts.get(now, 0) + int(line.split()[1])
            is_call = False
    return counts


def main() -> int:
    """Run between the marks of the named counter."""
    parser = argparse.ArgumentParser(prog="bench/instructions", description=__doc__)
    parser.add_argument("--marks", type=Path, help="library of callgrind's marks; without it, system calls")
    parser.add_argument("--time", action="store_true", help="print CPU times instead, without a counter")
    chosen = parser.parse_args()
    if chosen.time:
        print_times()
        return 0
    run(callgrind_marks(chosen.marks) if chosen.marks else syscall_marks())
    print(f"counted on {platform.machine()}, Python {platform.python_version()}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
